"""A generation of a collection: which files it consists of. Reading and committing manifests.

A commit writes every new file, syncs it, and then renames one manifest into place; readers take
the manifest with the highest generation. So a crash leaves the old generation or the new one.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from lexidex.errors import CollectionNotFound, CorruptFile, UnsupportedVersion

from . import layout
from .arrays import FORMAT_VERSION
from .files import Storage

_MAGIC = "lexidex-manifest"


@dataclass(frozen=True)
class FileEntry:
    """A file that a generation consists of."""

    name: str
    size: int
    crc32: int


@dataclass(frozen=True)
class SegmentEntry:
    """A segment as a generation sees it.

    `total_length` is the sum of its documents' lengths in terms, 0 where the encoder counts none.
    `tuning` stands for what the index itself says of search parameters, where it was tuned anew.
    """

    name: str
    n_documents: int
    n_passages: int
    n_postings: int
    n_deleted: int
    total_length: float
    files: tuple[FileEntry, ...]
    deletions: FileEntry | None = None
    tuning: FileEntry | None = None

    def beside(self) -> Iterator[FileEntry]:
        """What stands beside the segment's own files, and may change."""
        yield from (file for file in (self.deletions, self.tuning) if file)


@dataclass(frozen=True)
class Manifest:
    """One generation: the encoder's description, segments in order of age, the vocabulary."""

    generation: int
    encoder: Mapping[str, Any]
    segments: tuple[SegmentEntry, ...] = ()
    vocabulary: FileEntry | None = None
    next_segment: int = 0
    dim: int | None = field(default=None)

    def files(self) -> Iterator[FileEntry]:
        """Every file that this generation needs."""
        if self.vocabulary:
            yield self.vocabulary
        for segment in self.segments:
            yield from segment.files
            yield from segment.beside()


@dataclass
class CountedFile:
    """A file being written: passes bytes on and keeps their number and checksum."""

    file: IO[bytes]
    size: int = 0
    crc32: int = 0

    closed = False

    def write(self, data: bytes | memoryview) -> int:
        """Write, and count."""
        view = memoryview(data).cast("B")
        self.file.write(view)
        self.crc32 = zlib.crc32(view, self.crc32)
        self.size += len(view)
        return len(view)

    def flush(self) -> None:
        """Nothing to do; the storage syncs when the file is complete."""

    def entry(self, name: str) -> FileEntry:
        """The finished file as a manifest describes it."""
        return FileEntry(name, self.size, self.crc32)


@contextmanager
def counted(storage: Storage, name: str) -> Iterator[CountedFile]:
    """`Storage.create`, with the number and checksum of the bytes written."""
    with storage.create(name) as file:
        yield CountedFile(file)


def check_file(storage: Storage, file: FileEntry, data: memoryview | None = None) -> None:
    """Raise CorruptFile unless a file has the length that the manifest says.

    Args:
        data: its bytes; compared with the checksum as well when they are given.
    """
    where = f"{storage.location}/{file.name}"
    size = storage.size(file.name)
    if size != file.size:
        raise CorruptFile(
            f"{where}: {size} bytes, the manifest says {file.size}; restore it from a backup or "
            "index again"
        )
    if data is not None and zlib.crc32(data) != file.crc32:
        raise CorruptFile(f"{where}: does not match its checksum; 'lexidex check' tells more")


def newest_generation(storage: Storage) -> int | None:
    """The highest generation that has a manifest, or None."""
    found = map(layout.generation_of, storage.list())
    return max((g for g in found if g is not None), default=None)


def read_manifest(storage: Storage, generation: int | None = None) -> Manifest:
    """The manifest of a generation, by default the newest.

    Raises:
        CollectionNotFound: there is no manifest.
        CorruptFile, UnsupportedVersion: it cannot be used.
    """
    chosen = newest_generation(storage) if generation is None else generation
    if chosen is None:
        raise CollectionNotFound(
            f"{storage.location}: no collection here; make one with 'lexidex index' or "
            "Collection.create"
        )
    name = layout.manifest(chosen)
    where = f"{storage.location}/{name}"
    head, _, body = bytes(storage.view(name, "load")).partition(b"\n")
    try:
        described = json.loads(head)
        magic, version, crc = described["magic"], described["format"], described["crc32"]
    except (ValueError, TypeError, KeyError):
        raise CorruptFile(f"{where}: its first line is not a manifest's head") from None
    if magic != _MAGIC:
        raise CorruptFile(f"{where}: not a Lexidex manifest (magic {magic!r})")
    if version != FORMAT_VERSION:
        raise UnsupportedVersion(
            f"{where}: format version {version}; this Lexidex reads version {FORMAT_VERSION}: "
            "use the release that wrote it, or index the documents anew"
        )
    if zlib.crc32(body) != crc:
        raise CorruptFile(f"{where}: its text does not match its checksum")
    return _decode(json.loads(body))


def write_manifest(storage: Storage, manifest: Manifest) -> None:
    """Make `manifest` the newest generation, atomically and durably."""
    body = json.dumps(asdict(manifest), ensure_ascii=False, indent=1).encode()
    head = {"magic": _MAGIC, "format": FORMAT_VERSION, "crc32": zlib.crc32(body)}
    name = layout.manifest(manifest.generation)
    with storage.create(f"{name}.tmp") as file:
        file.write(json.dumps(head).encode() + b"\n" + body)
    storage.rename(f"{name}.tmp", name)
    storage.sync_folder()


def sweep(storage: Storage, manifest: Manifest) -> None:
    """Remove what no longer belongs to the newest generation, and what a crash left behind."""
    needed = {entry.name for entry in manifest.files()} | {layout.manifest(manifest.generation)}
    for name in storage.list():
        if layout.is_numbered(name) and name not in needed:
            storage.remove(name)
    segments = {segment.name for segment in manifest.segments}
    for name in storage.list(layout.SEGMENTS):
        if name not in segments:
            storage.remove(f"{layout.SEGMENTS}/{name}")
            continue
        for file in storage.list(f"{layout.SEGMENTS}/{name}"):
            path = layout.segment_file(name, file)
            if path not in needed:
                storage.remove(path)


def _decode(body: dict[str, Any]) -> Manifest:
    def entry(described: dict[str, Any] | None) -> FileEntry | None:
        return FileEntry(**described) if described else None

    segments = tuple(
        SegmentEntry(
            **{
                **described,
                "files": tuple(FileEntry(**file) for file in described["files"]),
                "deletions": entry(described["deletions"]),
                "tuning": entry(described.get("tuning")),
            }
        )
        for described in body["segments"]
    )
    return Manifest(**{**body, "segments": segments, "vocabulary": entry(body["vocabulary"])})
