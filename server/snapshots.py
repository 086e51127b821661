"""Snapshots that the server keeps: one file each, beside the collections in their folder."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lexidex.errors import CollectionNotFound, SnapshotNotFound

from .catalog import Catalog, is_name

_FOLDER = ".snapshots"
_SUFFIX = ".tar"


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A snapshot of a collection; `created` in ISO 8601, UTC."""

    name: str
    created: str
    n_bytes: int


class Snapshots:
    """The snapshots of a catalog's collections, which outlive these. Safe for many threads."""

    def __init__(self, catalog: Catalog) -> None:
        """Keep them where the collections are."""
        self._catalog = catalog

    def new(self, collection: str) -> tuple[str, Path]:
        """A name for one more snapshot of a collection, and the file that is to be written."""
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        return name, self._folder(collection) / f"{name}{_SUFFIX}"

    def find(self, collection: str, name: str) -> Path:
        """The file of a snapshot; SnapshotNotFound if there is none of that name."""
        path = self._folder(collection) / f"{name}{_SUFFIX}"
        if not is_name(name) or not path.is_file():
            raise SnapshotNotFound(f"collection {collection!r} has no snapshot {name!r}")
        return path

    def all(self, collection: str) -> list[SnapshotFile]:
        """The snapshots of a collection, oldest first, even if it was removed since.

        Raises:
            CollectionNotFound: there is neither the collection nor a snapshot of it.
        """
        found = sorted(self._folder(collection).glob(f"*{_SUFFIX}"))
        if not found:
            self._catalog.get(collection)
        return [_described(path) for path in found]

    def remove(self, collection: str, name: str) -> None:
        """Delete a snapshot."""
        self.find(collection, name).unlink(missing_ok=True)

    def _folder(self, collection: str) -> Path:
        if not is_name(collection):
            raise CollectionNotFound(f"no collection {collection!r} is served here")
        return self._catalog.own_folder() / _FOLDER / collection


def _described(path: Path) -> SnapshotFile:
    found = path.stat()
    created = datetime.fromtimestamp(found.st_mtime, UTC).isoformat(timespec="milliseconds")
    return SnapshotFile(path.name.removesuffix(_SUFFIX), created, found.st_size)
