"""Manifests: which files a collection consists of. Reading and committing them.

A commit writes every new file, syncs it, and then renames one manifest into place; readers take
the manifest with the highest number. So a crash leaves the old content or the new one. A manifest
holds the collection as of a generation; the log of that generation has the small writes since.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from zlib_ng.zlib_ng import crc32

from lexidex.errors import CollectionNotFound, CorruptFile, Locked, UnsupportedVersion

from . import layout
from .arrays import FORMAT_VERSION
from .checksums import ChunkSums
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
    """The encoder's description, segments in order of age, the vocabulary.

    Attributes:
        number: grows with every manifest.
        generation: number of the last commit that the segments hold; those since are in the log.
            Merging segments makes a new manifest of the same generation.
        n_terms: terms in the vocabulary; those since are in the log.
        passages: how long documents become passages.
        dense: the dense side's description; empty where there is none.
    """

    number: int
    generation: int
    encoder: Mapping[str, Any]
    segments: tuple[SegmentEntry, ...] = ()
    vocabulary: FileEntry | None = None
    n_terms: int = 0
    next_segment: int = 0
    passages: Mapping[str, Any] = field(default_factory=dict)
    dense: Mapping[str, Any] = field(default_factory=dict)

    @property
    def log(self) -> str:
        """The file of the commits since."""
        return layout.log(self.generation)

    def files(self) -> Iterator[FileEntry]:
        """Every file that the manifest describes: all but the log, which still grows."""
        if self.vocabulary:
            yield self.vocabulary
        for segment in self.segments:
            yield from segment.files
            yield from segment.beside()


@dataclass
class CountedFile:
    """A file being written: passes bytes on and keeps their number and checksums."""

    file: IO[bytes]
    size: int = 0
    crc32: int = 0
    chunks: ChunkSums = field(default_factory=ChunkSums)

    closed = False

    def write(self, data: bytes | memoryview) -> int:
        """Write, and count."""
        view = memoryview(data).cast("B")
        self.file.write(view)
        self.crc32 = crc32(view, self.crc32)
        self.chunks.add(view)
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
    if data is not None and crc32(data) != file.crc32:
        raise CorruptFile(f"{where}: does not match its checksum; 'lexidex check' tells more")


def newest_manifest(storage: Storage) -> int | None:
    """The highest number that a manifest has, or None."""
    found = map(layout.manifest_number, storage.list())
    return max((number for number in found if number is not None), default=None)


def read_manifest(storage: Storage) -> Manifest:
    """The newest manifest.

    Raises:
        CollectionNotFound: there is no manifest.
        CorruptFile, UnsupportedVersion: it cannot be used.
    """
    while True:
        # Twice: a listing may miss a name that comes and one that goes while it is made.
        chosen = newest_manifest(storage) or newest_manifest(storage)
        if chosen is None:
            raise CollectionNotFound(
                f"{storage.location}: no collection here; make one with 'lexidex index' or "
                "Collection.create"
            )
        name = layout.manifest(chosen)
        try:
            data = bytes(storage.view(name, "load"))
            break
        except CorruptFile:
            if newest_manifest(storage) == chosen:
                raise
    return decode_manifest(data, f"{storage.location}/{name}")


def decode_manifest(data: bytes, where: str) -> Manifest:
    """What `encode_manifest` made bytes of.

    Raises:
        CorruptFile, UnsupportedVersion: it cannot be used.
    """
    head, _, body = data.partition(b"\n")
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
    if crc32(body) != crc:
        raise CorruptFile(f"{where}: its text does not match its checksum")
    return _decode(json.loads(body))


def encode_manifest(manifest: Manifest) -> bytes:
    """A manifest as bytes: see docs/FORMAT.md."""
    body = json.dumps(asdict(manifest), ensure_ascii=False, indent=1).encode()
    head = {"magic": _MAGIC, "format": FORMAT_VERSION, "crc32": crc32(body)}
    return json.dumps(head).encode() + b"\n" + body


def write_manifest(storage: Storage, manifest: Manifest) -> None:
    """Make `manifest` the newest, atomically and durably."""
    name = layout.manifest(manifest.number)
    with storage.create(f"{name}.tmp") as file:
        file.write(encode_manifest(manifest))
    # The names of what it describes must not reach the disk later than its own.
    storage.sync_folder()
    storage.rename(f"{name}.tmp", name)
    try:
        storage.sync_folder()
    except Exception:
        storage.remove(name)  # before the caller removes what it describes
        raise


def sweep(storage: Storage, manifest: Manifest, *, merging: bool = False) -> None:
    """Remove what the newest manifest does not name, and what a crash left behind.

    What is being merged or encoded anew at the moment stays: who does that holds its lock.

    Args:
        merging: the caller holds the merge lock, and has written all it will.
    """
    needed = {entry.name for entry in manifest.files()}
    needed |= {layout.manifest(manifest.number), manifest.log}
    for name in storage.list():
        if layout.is_numbered(name) and name not in needed:
            storage.remove(name)
    segments = {segment.name for segment in manifest.segments}
    for name in storage.list(layout.SEGMENTS):
        if name not in segments:
            with suppress(Locked), ExitStack() as held:
                lock = layout.maker_lock(name)
                if lock and not (merging and lock == layout.MERGE_LOCK):
                    held.enter_context(storage.lock(lock))
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
