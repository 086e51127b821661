"""What tells a collection from another that took its place."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from lexidex.index.storage import layout
from lexidex.index.storage.files import FileStorage
from lexidex.index.storage.manifest import newest_manifest

Stamp: TypeAlias = tuple[int, int, int]
"""The number, the inode and the time of change of the newest manifest."""


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of the collection in a folder; None if there is none."""
    storage = FileStorage(path)
    # Twice: a listing may miss a name that comes and one that goes while it is made.
    while (number := newest_manifest(storage) or newest_manifest(storage)) is not None:
        with suppress(FileNotFoundError):  # a newer one has come meanwhile
            found = (path / layout.manifest(number)).stat()
            return number, found.st_ino, found.st_mtime_ns
    return None


def is_replaced(old: Stamp | None, new: Stamp | None) -> bool:
    """Whether it is another collection; one with a manifest of another number, refreshing shows."""
    return old is None or new is None or (old[0] == new[0] and old != new)
