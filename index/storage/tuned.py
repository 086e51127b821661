"""What tuning has found for a segment: its table of points, in a file beside it."""

from __future__ import annotations

import json
from dataclasses import replace

from lexidex.errors import CorruptFile

from ..seismic.frontier import Frontier
from . import layout
from .files import Storage
from .manifest import FileEntry, SegmentEntry, counted


def read_tuning(storage: Storage, file: FileEntry) -> Frontier:
    """The table of points in a file.

    Raises:
        CorruptFile: it holds something else.
    """
    where = f"{storage.location}/{file.name}"
    try:
        described = json.loads(bytes(storage.view(file.name, "load")))
        return Frontier.restore(described["points"], where)
    except (ValueError, TypeError, KeyError):
        raise CorruptFile(f"{where}: not what tuning writes; tune again") from None


def record_tuning(
    storage: Storage, entry: SegmentEntry, frontier: Frontier, number: int
) -> SegmentEntry:
    """The entry with a table of points beside it, written as of manifest `number`."""
    name = layout.tuning(entry.name, number)
    with counted(storage, name) as target:
        target.write(json.dumps({"points": frontier.rows()}, indent=1).encode())
    storage.sync_folder(f"{layout.SEGMENTS}/{entry.name}")
    return replace(entry, tuning=target.entry(name))
