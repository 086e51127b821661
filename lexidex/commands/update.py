"""`lexidex update`: other metadata for documents, which are not encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from .left_out import PARTIAL, show_left_out
from .output import AsJson, out, print_json
from .search import Directory, parse_json

_TOGETHER = 1_000
"""Updates that are one commit."""

Place: TypeAlias = "dict[str, Any]"
"""File and line of an update; empty for one of the command line."""


def update(
    directory: Directory,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of the documents.")
    ] = None,
    metadata: Annotated[
        str | None, typer.Option(metavar="JSON", help="The metadata that these documents get.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help='JSON lines of {"id": ..., "metadata": {...}} instead.'),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put other metadata in the place of documents' own; texts and vectors stay as they are.

    Documents that are not there, and lines that say nothing, are reported and left out, and the
    exit status is 4.
    """
    from lexidex.collection import Collection
    from lexidex.errors import ParameterError

    if (source is None) != bool(ids and metadata is not None) or (source and (ids or metadata)):
        raise ParameterError("give ids and --metadata, or --from FILE")
    left_out: list[dict[str, Any]] = []
    updated = 0
    given = _read(source, left_out) if source else _same(ids or [], metadata or "")
    with Collection.open(directory, merge="inline") as collection:
        while batch := list(islice(given, _TOGETHER)):
            result = collection.update([one for _, one in batch])
            updated += result.upserted
            places = _Places(batch)
            left_out += ({**places.take(i), "id": i, "reason": why} for i, why in result.failed)
        told = {
            "collection": str(directory),
            "updated": updated,
            "failed": left_out,
            "generation": collection.generation,
        }
    if as_json:
        print_json(told)
    else:
        out.print(f"{updated:,} documents updated in {directory}", markup=False, highlight=False)
    show_left_out(left_out, "--json lists them all")
    if left_out:
        raise typer.Exit(PARTIAL)


def _same(ids: list[str], metadata: str) -> Iterator[tuple[Place, dict[str, Any]]]:
    value = parse_json("--metadata", metadata)
    return (({}, {"id": doc_id, "metadata": value}) for doc_id in ids)


def _read(source: Path, left_out: list[dict[str, Any]]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The updates in a file, and where each stands; lines that are none are left out."""
    from lexidex.errors import InputError
    from lexidex.small_writes import check_update
    from lexidex.sources import json_lines

    for line, record in json_lines(source):
        place: Place = {"file": str(source), "line": line}
        try:
            if isinstance(record, InputError):
                raise record
            named = check_update(record).id
        except InputError as error:
            left_out.append({**place, "reason": str(error)})
        else:
            yield place, {**record, "id": named}


class _Places:
    """Where updates stand. What can still fail with one is its id, so all that have it fail."""

    def __init__(self, batch: list[tuple[Place, dict[str, Any]]]) -> None:
        self._places: dict[str, list[Place]] = {}
        for place, given in batch:
            self._places.setdefault(given["id"], []).append(place)

    def take(self, doc_id: str) -> Place:
        """The place of the next update of this id; empty where it stands in no file."""
        places = self._places.get(doc_id)
        return places.pop(0) if places else {}
