"""`lexidex reencode`: another encoder for a collection."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from .encoder_options import (
    EncoderName,
    EncoderOptions,
    Passages,
    Prune,
    PruneQueries,
    chosen_encoder,
)
from .output import AsJson, Quiet, out, print_json, progress
from .search import Directory


def reencode(
    directory: Directory,
    encoder: EncoderName = None,
    encoder_options: EncoderOptions = None,
    prune: Prune = None,
    prune_queries: PruneQueries = None,
    passages: Passages = None,
    memory: Annotated[
        str | None,
        typer.Option(help="What vectors and indexes in the making may take, such as 2GB."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Encode every document anew by another encoder, and change to it in one step.

    Searches and writes, of a server for one, go on meanwhile; what is written is taken along.
    Killed or interrupted, it leaves the collection as it was, and the same command again takes
    over what was encoded.
    """
    from lexidex.collection import Collection
    from lexidex.errors import ParameterError
    from lexidex.index.storage.building import Building

    chosen = chosen_encoder(encoder, encoder_options, prune, prune_queries, quiet=quiet)
    if chosen is None:
        raise ParameterError("--encoder: say which encoder the collection is to have")
    started = time.perf_counter()
    with Collection.open(directory, merge="off") as collection:
        before = collection.generation
        with progress("Encoding", total=len(collection), quiet=quiet) as count:
            building = Building(memory, lambda at: count.stage(at.stage, at.done, at.total))
            result = collection.reencode(chosen, count, building, passages=passages)
        described = {
            "collection": str(directory),
            "encoded": result.upserted,
            "resumed": result.resumed,
            "documents": len(collection),
            "generation": result.generation,
            "seconds": round(time.perf_counter() - started, 3),
        }
    if as_json:
        print_json(described)
    elif result.generation == before:
        out.print(f"{directory} has this encoder already", highlight=False)
    else:
        resumed = f", {result.resumed:,} of their texts by earlier runs" if result.resumed else ""
        out.print(
            f"{result.upserted:,} documents encoded{resumed}, in {described['seconds']:.1f} s",
            highlight=False,
        )
