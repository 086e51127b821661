"""Snapshots: a collection as of one commit in one file.

A snapshot is a plain tar archive: `snapshot.json` tells what must be in it, and the rest are a
manifest and its files, under the names that they have in a collection. Nothing is compressed, so
that it is written and read at the speed of the disk, and unpacked by any tar it is the collection.
"""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

from zlib_ng.zlib_ng import crc32

from lexidex.errors import CorruptFile, ParameterError, UnsupportedVersion

from . import layout
from .arrays import FORMAT_VERSION
from .change import decode_change
from .files import MemoryStorage, Storage, let_go, read_through, replacing
from .log import encode_log, open_log, read_log
from .manifest import (
    CountedFile,
    FileEntry,
    Manifest,
    decode_manifest,
    encode_manifest,
    newest_manifest,
    read_manifest,
)

_MAGIC = "lexidex-snapshot"
_BLOCK = tarfile.BLOCKSIZE
_PIECE = 1 << 24

Done = Callable[[int], None]
"""Called with the number of bytes copied so far."""


@dataclass(frozen=True)
class SnapshotReport:
    """What a snapshot holds: the collection as of `generation`."""

    generation: int
    n_files: int
    n_bytes: int


def write_snapshot(
    source: Storage, target: Storage, name: str, *, over: bool = False, done: Done | None = None
) -> SnapshotReport:
    """Write the newest generation of a collection into one file, while writes may go on.

    Args:
        over: replace a file of that name, in one step when the new one is complete.

    Raises:
        ParameterError: there is a file of that name.
        CorruptFile: a file of the collection does not match its checksum.
        StorageFull: no space left; nothing is left of the snapshot.
    """
    if not over and name in target.list():
        raise ParameterError(f"{target.location}/{name}: exists; choose another name, or replace")
    manifest, payloads, views = _pinned(source)
    small = {
        layout.manifest(manifest.number): encode_manifest(manifest),
        manifest.log: encode_log(manifest.generation, payloads),
    }
    files = [FileEntry(name, len(data), crc32(data)) for name, data in small.items()]
    files += manifest.files()
    generation = manifest.generation + len(payloads)
    contents = {**{name: memoryview(data) for name, data in small.items()}, **views}
    with replacing(target, name) as opened:
        archive = CountedFile(opened)
        _add(archive, layout.SNAPSHOT, memoryview(_encode(generation, files)))
        for file in files:
            where = f"{source.location}/{file.name}"
            if _add(archive, file.name, contents[file.name], done) != file.crc32:
                raise CorruptFile(
                    f"{where}: does not match its checksum; 'lexidex check' tells more"
                )
        archive.write(bytes(2 * _BLOCK))
    return SnapshotReport(generation, len(files), archive.size)


def _pinned(storage: Storage) -> tuple[Manifest, list[bytes], dict[str, memoryview]]:
    """The newest manifest, the records of its log, and its files, which may go meanwhile."""
    while True:
        manifest = read_manifest(storage)
        try:
            views = {file.name: storage.view(file.name) for file in manifest.files()}
            payloads, _ = read_log(storage, open_log(storage, manifest.generation))
            return manifest, payloads, views
        except CorruptFile:
            if newest_manifest(storage) == manifest.number:
                raise


def _encode(generation: int, files: list[FileEntry]) -> bytes:
    body = json.dumps(
        {"generation": generation, "files": [asdict(file) for file in files]}, indent=1
    ).encode()
    head = {"magic": _MAGIC, "format": FORMAT_VERSION, "crc32": crc32(body)}
    return json.dumps(head).encode() + b"\n" + body


def _add(archive: CountedFile, name: str, data: memoryview, done: Done | None = None) -> int:
    """Append a file; the CRC-32 of its bytes."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), int(time.time()), 0o644
    archive.write(info.tobuf(tarfile.GNU_FORMAT))
    crc = 0
    for piece in pieces(data):
        archive.write(piece)
        crc = crc32(piece, crc)
        if done:
            done(archive.size)
    archive.write(bytes(-len(data) % _BLOCK))
    return crc


def pieces(data: memoryview) -> Iterator[memoryview]:
    """The bytes of a file, mapped perhaps, a part at a time."""
    read_through(data)
    for start in range(0, len(data), _PIECE):
        end = min(start + _PIECE, len(data))
        yield data[start:end]
        let_go(data, start, end)


class Archive:
    """A snapshot, wholly verified.

    Attributes:
        files: what it says that it holds.
        manifest, payloads: the collection's manifest, and the records of its log.
    """

    def __init__(self, data: memoryview, where: str) -> None:
        """Read a snapshot's bytes; CorruptFile and UnsupportedVersion tell what is wrong."""
        self._members = _members(data, where)
        self._where = where
        self.files = self._described()
        for file in self.files:
            self._verify(file)
        names = [name for f in self.files if layout.manifest_number(name := f.name) is not None]
        if not names:
            raise CorruptFile(f"{where}: holds no manifest")
        self.manifest = decode_manifest(bytes(self.member(names[0])), f"{where}: {names[0]}")
        for file in self.manifest.files():
            if file not in self.files:
                raise CorruptFile(f"{where}: {file.name} is not the file that the manifest names")
        self.payloads = self._log()

    def member(self, name: str) -> memoryview:
        """The bytes of a file in it."""
        if name not in self._members:
            raise CorruptFile(f"{self._where}: truncated or altered, it lacks {name}")
        return self._members[name]

    def _described(self) -> tuple[FileEntry, ...]:
        head, _, body = bytes(self.member(layout.SNAPSHOT)).partition(b"\n")
        try:
            described = json.loads(head)
            magic, version, crc = described["magic"], described["format"], described["crc32"]
        except (ValueError, TypeError, KeyError):
            raise CorruptFile(f"{self._where}: its {layout.SNAPSHOT} has no head") from None
        if magic != _MAGIC:
            raise CorruptFile(f"{self._where}: not a snapshot (magic {magic!r})")
        if version != FORMAT_VERSION:
            raise UnsupportedVersion(
                f"{self._where}: format version {version}; this Lexidex reads version "
                f"{FORMAT_VERSION}: use the release that wrote it"
            )
        if crc32(body) != crc:
            raise CorruptFile(f"{self._where}: its {layout.SNAPSHOT} does not match its checksum")
        return tuple(FileEntry(**file) for file in json.loads(body)["files"])

    def _verify(self, file: FileEntry) -> None:
        data, crc = self.member(file.name), 0
        for piece in pieces(data):
            crc = crc32(piece, crc)
        if len(data) != file.size or crc != file.crc32:
            raise CorruptFile(f"{self._where}: {file.name} in it does not match its checksum")

    def _log(self) -> list[bytes]:
        storage, name = MemoryStorage(), self.manifest.log
        storage.files[name] = bytes(self.member(name))
        payloads, last = read_log(storage, open_log(storage, self.manifest.generation))
        if last.end != len(storage.files[name]):
            raise CorruptFile(f"{self._where}: {name} in it ends in the middle of a record")
        for payload in payloads:
            decode_change(payload, f"{self._where}: {name}")
        return payloads


def _members(data: memoryview, where: str) -> Mapping[str, memoryview]:
    """The files of a tar archive by name, as far as it goes on."""
    members: dict[str, memoryview] = {}
    at = 0
    while at + _BLOCK <= len(data) and any(header := bytes(data[at : at + _BLOCK])):
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError):
            what = f"the entry at byte {at} is damaged" if at else "not a snapshot"
            raise CorruptFile(f"{where}: {what}") from None
        if info.size < 0:
            raise CorruptFile(f"{where}: the entry at byte {at} has a negative size")
        at += _BLOCK
        members[info.name] = data[at : at + info.size]
        at += info.size + -info.size % _BLOCK
    return members
