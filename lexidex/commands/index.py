"""`lexidex index`: files -> a collection."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .encoder_options import EncoderName, EncoderOptions, Prune, PruneQueries, chosen_encoder
from .output import AsJson, Quiet, err, json_line, out, print_json, progress, write_file

if TYPE_CHECKING:
    from lexidex.results import WriteResult
    from lexidex.sources import Reader

PARTIAL = 4
"""Exit status when some records were left out."""

_SHOWN = 10


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
    passages: Annotated[
        str | None,
        typer.Option(
            help="What becomes of long documents: split (several passages), max (one vector of "
            "all) or truncate, perhaps with ',tokens=N' of a passage and ',overlap=N'. Default: "
            "split what the encoder would cut off."
        ),
    ] = None,
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
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Index documents; over an existing collection, add them to it.

    Records that are no documents are reported and left out, the rest goes in, and the exit status
    is 4. Nothing becomes visible before everything is on disk.
    """
    from lexidex.collection import Collection, exists
    from lexidex.errors import EncoderMismatch, ParameterError
    from lexidex.index.storage.building import Building
    from lexidex.passages import passages_for
    from lexidex.sources import Reader, find_files

    Building(memory)
    find_files(sources)
    if errors:
        write_file(errors, "")
    chosen = chosen_encoder(encoder, encoder_options, prune, prune_queries, quiet=quiet)
    collection = (
        Collection.open(to, merge="inline")
        if exists(to)
        else Collection.create(to, chosen, merge="inline", passages=passages)
    )
    replace = replace or not len(collection)
    if chosen and not replace and chosen.fingerprint != collection.encoder.fingerprint:
        raise EncoderMismatch(
            f"{to}: made with encoder {collection.encoder.kind} {collection.encoder.options}, not "
            f"{chosen.kind} {chosen.options}; leave --encoder out, or use --replace"
        )
    if passages and not replace:
        wanted = passages_for(passages, collection.encoder)
        if wanted != collection.passages:
            raise ParameterError(
                f"{to}: made with passages {collection.passages}, not {wanted}; leave --passages "
                "out, or use --replace"
            )
    reader = Reader(sources, on_duplicate.value)
    started = time.perf_counter()
    with progress("Indexing", quiet=quiet) as count:
        building = Building(memory, lambda at: count.stage(at.stage, at.done, at.total))
        if replace:
            result = collection.replace(reader, chosen, count, building, passages=passages)
        else:
            result = collection.upsert(reader, count, building)
    seconds = time.perf_counter() - started
    left_out = _left_out(reader, result)
    if errors:
        write_file(errors, "".join(map(json_line, left_out)))
    _report(to, len(collection), result, left_out, seconds, as_json)
    if left_out:
        raise typer.Exit(PARTIAL)


def _left_out(reader: Reader, result: WriteResult) -> list[dict[str, object]]:
    unread = [
        {"file": str(bad.place.file), "line": bad.place.line, "reason": bad.reason}
        for bad in reader.bad
    ]
    return unread + [{"id": doc_id, "reason": reason} for doc_id, reason in result.failed]


def _report(
    to: Path,
    n_documents: int,
    result: WriteResult,
    left_out: list[dict[str, object]],
    seconds: float,
    as_json: bool,
) -> None:
    if as_json:
        print_json(
            {
                "collection": str(to),
                "upserted": result.upserted,
                "failed": left_out,
                "documents": n_documents,
                "generation": result.generation,
                "seconds": round(seconds, 3),
            }
        )
    else:
        rate = result.upserted / max(seconds, 1e-9)
        out.print(
            f"{result.upserted:,} documents indexed in {seconds:.1f} s ({rate:,.0f}/s); "
            f"{to} holds {n_documents:,}",
            highlight=False,
        )
    for record in left_out[:_SHOWN]:
        where = f"{record['file']}:{record['line']}" if "file" in record else record["id"]
        err.print(f"left out: {where}: {record['reason']}", markup=False, highlight=False)
    if len(left_out) > _SHOWN:
        err.print(f"... and {len(left_out) - _SHOWN:,} more; --errors FILE lists them all")
