"""`lexidex index`: files -> a collection."""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .encoder_options import (
    EncoderName,
    EncoderOptions,
    Passages,
    Prune,
    PruneQueries,
    TrustRemoteCode,
    chosen_encoder,
    given_options,
)
from .left_out import PARTIAL, LeftOut, left_out, show_left_out
from .output import AsJson, Quiet, err, json_line, out, print_json, progress, write_file

if TYPE_CHECKING:
    from lexidex.collection import Collection
    from lexidex.encoders import Encoder
    from lexidex.results import WriteResult


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
    dense: Annotated[
        str | None,
        typer.Option(
            help="Dense vectors, too, for hybrid search: folder or hub id of a dense model, "
            "'lexidex-mini', 'joint' for the encoder's own, or 'vectors' for documents that "
            "bring theirs."
        ),
    ] = None,
    dense_index: Annotated[
        str | None,
        typer.Option(
            help="What is made of dense vectors, as FAISS names it, such as SQ8 or HNSW32_SQ8; "
            "default: by their number."
        ),
    ] = None,
    dense_metric: Annotated[
        Literal["cosine", "inner-product"] | None,
        typer.Option(help="How dense vectors are compared; default: as their model says."),
    ] = None,
    dense_options: Annotated[
        list[str] | None,
        typer.Option(
            "--dense-option",
            metavar="NAME=VALUE",
            help="An option of the dense model, such as pooling=mean or max_length=256; may be "
            "repeated.",
        ),
    ] = None,
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
    from lexidex.collection import Collection, exists
    from lexidex.dense_side import DenseSide
    from lexidex.encoders import DEFAULT_ENCODER, load_encoder
    from lexidex.encoders.loading import load_stored_encoder
    from lexidex.errors import ParameterError
    from lexidex.exchange import encoder_of
    from lexidex.index.storage.building import Building
    from lexidex.sources import Reader, find_files

    Building(memory)
    made_by = encoder_of(path for path, _ in find_files(sources))
    if errors:
        write_file(errors, "")
    chosen = chosen_encoder(
        encoder, encoder_options, prune, prune_queries, quiet=quiet, trusts=trust_remote_code
    )
    existing = None
    if exists(to):
        existing = Collection.open(to, merge="inline", trust_remote_code=trust_remote_code)
    if made_by and chosen is None and (replace or existing is None):
        chosen = load_stored_encoder(made_by[0]["kind"], made_by[0]["options"], trust_remote_code)
    used = existing.encoder if chosen is None and existing is not None else chosen
    if made_by and used is not None:
        _check_made_by(*made_by, used)
    if existing is None:
        chosen = chosen or load_encoder(DEFAULT_ENCODER)
        side = DenseSide.named(
            dense,
            chosen,
            factory=dense_index,
            metric=dense_metric,
            options=given_options(dense_options, "--dense-option"),
        )
        collection = Collection.create(to, chosen, merge="inline", dense=side, passages=passages)
    elif dense or dense_index or dense_metric or dense_options:
        raise ParameterError(
            f"{to}: --dense and its options are for new collections; leave them out, or index into "
            "another folder"
        )
    else:
        collection = existing
    replace = replace or not len(collection)
    if not replace:
        _check_same(collection, to, chosen, passages)
    reader = Reader(sources, on_duplicate.value)
    started = time.perf_counter()
    with progress("Indexing", quiet=quiet) as count:
        building = Building(memory, lambda at: count.stage(at.stage, at.done, at.total))
        if replace:
            result = collection.replace(reader, chosen, count, building, passages=passages)
        else:
            result = collection.upsert(reader, count, building, resumable=True)
    seconds = time.perf_counter() - started
    records = left_out(reader.bad, result.failed)
    if errors:
        write_file(errors, "".join(map(json_line, records)))
    _report(to, len(collection), result, records, seconds, as_json)
    if records:
        raise typer.Exit(PARTIAL)


def _check_same(
    collection: Collection, to: Path, encoder: Encoder | None, passages: str | None
) -> None:
    """Raise unless documents can be added with what is asked for; None asks for nothing."""
    from lexidex.errors import EncoderMismatch, ParameterError
    from lexidex.passages import passages_for

    if encoder and encoder.fingerprint != collection.encoder.fingerprint:
        raise EncoderMismatch(
            f"{to}: made with encoder {collection.encoder.kind} {collection.encoder.options}, not "
            f"{encoder.kind} {encoder.options}; leave --encoder out, or use --replace"
        )
    if passages:
        wanted = passages_for(passages, collection.encoder)
        if wanted != collection.passages:
            raise ParameterError(
                f"{to}: made with passages {collection.passages}, not {wanted}; leave --passages "
                "out, or use --replace"
            )


def _check_made_by(made_by: Mapping[str, Any], path: Path, encoder: Encoder) -> None:
    """Raise EncoderMismatch unless ready-made vectors are of the encoder that queries will have."""
    from lexidex.errors import EncoderMismatch
    from lexidex.exchange import named
    from lexidex.write import describe

    if encoder.kind != "vectors" and made_by["fingerprint"] != encoder.fingerprint:
        raise EncoderMismatch(
            f"{path}: its vectors are by {named(made_by)}, the collection's are by "
            f"{named(describe(encoder))}; encode the documents by that, or index them elsewhere"
        )


def _report(
    to: Path,
    n_documents: int,
    result: WriteResult,
    records: LeftOut,
    seconds: float,
    as_json: bool,
) -> None:
    if as_json:
        print_json(
            {
                "collection": str(to),
                "upserted": result.upserted,
                "resumed": result.resumed,
                "failed": records,
                "documents": n_documents,
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
            f"{to} holds {n_documents:,}",
            highlight=False,
        )
    show_left_out(records)
