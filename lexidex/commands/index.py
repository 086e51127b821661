"""`lexidex index`: files -> a collection."""

from __future__ import annotations

import time
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .dense_options import Dense, DenseIndex, DenseMetric, DenseOptions, chosen_dense_side
from .encoder_options import (
    EncoderName,
    EncoderOptions,
    Passages,
    Prune,
    PruneQueries,
    TrustRemoteCode,
    chosen_encoder,
)
from .left_out import PARTIAL, LeftOut, left_out, show_left_out
from .output import AsJson, Quiet, err, json_line, out, print_json, progress, write_file
from .target import check_same, check_vectors, opened_or_created

if TYPE_CHECKING:
    from lexidex.collection import Collection
    from lexidex.documents import Document
    from lexidex.results import WriteResult
    from lexidex.sources import Reader


class OnDuplicate(StrEnum):
    """What happens when two records of the input share an id."""

    error = "error"
    last = "last"


def index(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="BEIR folder, .jsonl[.gz], .tsv, .csv, .parquet, text or Markdown; or a folder."
        ),
    ],
    to: Annotated[Path, typer.Option("--to", help="Folder of the collection.")],
    encoder: EncoderName = None,
    encoder_options: EncoderOptions = None,
    prune: Prune = None,
    prune_queries: PruneQueries = None,
    dense: Dense = None,
    dense_index: DenseIndex = None,
    dense_metric: DenseMetric = None,
    dense_options: DenseOptions = None,
    passages: Passages = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Put the new content in place of the old, in one step."),
    ] = False,
    on_duplicate: Annotated[
        OnDuplicate, typer.Option(help="When two records share an id: stop, or keep the last.")
    ] = OnDuplicate.error,
    errors: Annotated[
        Path | None, typer.Option(help="Write records left out to this file, as JSON lines.")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="What vectors and indexes in the making may take, such as 2GB; with less, "
            "segments are smaller and temporary files stand in DIR."
        ),
    ] = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Index documents; over an existing collection, add them to it.

    Records that are no documents are reported and left out, the rest goes in, and the exit status
    is 4. Nothing becomes visible before everything is on disk. Killed or interrupted, the same
    command run again takes over what was encoded, where encoding takes long.
    """
    from lexidex.collection import exists
    from lexidex.encoders import DEFAULT_ENCODER, load_encoder
    from lexidex.encoders.loading import load_stored_encoder
    from lexidex.errors import NothingTaken, ParameterError
    from lexidex.exchange import encoder_of
    from lexidex.index.storage.building import Building
    from lexidex.results import WriteResult
    from lexidex.sources import Reader, find_files

    Building(memory)
    made_by = encoder_of(path for path, _ in find_files(sources))
    if errors:
        write_file(errors, "")
    chosen = chosen_encoder(
        encoder, encoder_options, prune, prune_queries, quiet=quiet, trusts=trust_remote_code
    )
    is_new = not exists(to)
    if made_by and chosen is None and (replace or is_new):
        chosen = load_stored_encoder(made_by[0]["kind"], made_by[0]["options"], trust_remote_code)
    if is_new:
        chosen = chosen or load_encoder(DEFAULT_ENCODER)
    asked = dense, dense_index, dense_metric, dense_options
    if not is_new and any(asked):
        raise ParameterError(
            f"{to}: --dense and its options are for new collections; leave them out, or index into "
            "another folder"
        )
    side = chosen_dense_side(chosen, *asked)
    reader = Reader(sources, on_duplicate.value)
    target = opened_or_created(to, chosen, side, passages, trust_remote_code=trust_remote_code)
    with target as collection:
        if made_by:
            check_vectors(*made_by, chosen or collection.encoder)
        replace = replace or not len(collection)
        if not replace:
            check_same(to, collection, chosen, passages)
        report = partial(_report, to, collection, reader, errors, time.perf_counter(), as_json)
        try:
            with progress("Indexing", quiet=quiet) as count:
                building = Building(memory, lambda at: count.stage(at.stage, at.done, at.total))
                if replace:
                    documents = _some(reader)
                    result = collection.replace(
                        documents, chosen, count, building, passages=passages
                    )
                else:
                    result = collection.upsert(reader, count, building, resumable=True)
        except NothingTaken as error:
            report(WriteResult(failed=error.failed, generation=collection.generation))
            raise
    if report(result):
        raise typer.Exit(PARTIAL)


def _some(reader: Reader) -> Iterator[Document]:
    """What is read, for a write that replaces everything; NothingTaken where no record is good."""
    from lexidex.errors import NothingTaken

    n_documents = 0
    for document in reader:
        n_documents += 1
        yield document
    if reader.bad and not n_documents:
        first = reader.bad[0]
        raise NothingTaken(
            f"none of {len(reader.bad):,} records is a document, so nothing is changed; the first "
            f"is {first.place}: {first.reason}"
        )


def _report(
    to: Path,
    collection: Collection,
    reader: Reader,
    errors: Path | None,
    started: float,
    as_json: bool,
    result: WriteResult,
) -> LeftOut:
    """Tell what was done, and what was left out, which is returned."""
    seconds = time.perf_counter() - started
    records = left_out(reader.bad, result.failed)
    if errors:
        write_file(errors, "".join(map(json_line, records)))
    if as_json:
        print_json(
            {
                "collection": str(to),
                "upserted": result.upserted,
                "resumed": result.resumed,
                "failed": records,
                "documents": len(collection),
                "generation": result.generation,
                "seconds": round(seconds, 3),
            }
        )
    else:
        rate = result.upserted / max(seconds, 1e-9)
        if result.resumed:
            err.print(f"{result.resumed:,} texts had been encoded by a run that did not end")
        out.print(
            f"{result.upserted:,} documents indexed in {seconds:.1f} s ({rate:,.0f}/s); "
            f"{to} holds {len(collection):,}",
            highlight=False,
        )
    show_left_out(records)
    return records
