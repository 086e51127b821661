"""The log: small writes, one checksummed record a commit, appended and synced before they count.

A collection's log goes on from the manifest of one generation. A record is whatever was committed
together; the next is written only when it has reached the disk. So what a crash leaves unfinished
is always the last record: readers ignore such a *torn tail*, and the next commit cuts it off. A
damaged record that others follow was once complete, and is an error.

Nor is a tail torn that was acknowledged. When a record has reached the disk, its commit number is
written to a fixed place at the beginning, the *mark*; that itself is synced with the next record
only, for without it no more is lost than the difference between torn and damaged.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from zlib_ng.zlib_ng import crc32

from lexidex.errors import CorruptFile, FormatError, LexidexError, UnsupportedVersion

from . import layout
from .arrays import FORMAT_VERSION
from .files import Storage

MAGIC = b"LEXILOG\0"
_IDENTITY = struct.Struct("<8sIIQ")
"""Magic, format version, salt, generation."""

_MARK = struct.Struct("<QI")
"""A commit whose record has reached the disk, CRC-32 of salt and this; it may be torn."""

_CHECK = struct.Struct("<I")
"""CRC-32 of the identity, behind the mark."""

_HEAD_SIZE = _IDENTITY.size + _MARK.size + _CHECK.size

_RECORD = struct.Struct("<4sIQI")
"""Four fixed bytes, length of the payload, commit number, CRC-32 of salt, these and the payload."""

_BEGINNING = b"\xe7LXR"
_SIGNED = struct.Struct("<IQ")


@dataclass(frozen=True, slots=True)
class Place:
    """How far a log has been read or written.

    Attributes:
        name: the file.
        salt: what its checksums start with; other files' records do not pass for this one's.
        commit: number of the last commit, that of the manifest before the first record.
        end: offset behind the last complete record.
    """

    name: str
    salt: int
    commit: int
    end: int


def create_log(storage: Storage, generation: int) -> Place:
    """Write the empty log that goes on from a generation; its name is durable with the folder's."""
    salt = secrets.randbits(32)
    name = layout.log(generation)
    with storage.create(name) as file:
        file.write(_head(salt, generation, generation))
    return Place(name, salt, generation, _HEAD_SIZE)


def encode_log(generation: int, payloads: Iterable[bytes]) -> bytes:
    """The bytes of a log that goes on from a generation, a record for each payload."""
    salt = secrets.randbits(32)
    records = [
        _record(salt, generation + number, payload) for number, payload in enumerate(payloads, 1)
    ]
    return b"".join([_head(salt, generation, generation + len(records)), *records])


def highest_commit(storage: Storage, generation: int) -> int:
    """The last commit in the log of a generation; of a damaged log, a number that none is above."""
    with suppress(FormatError):
        _, last, later = read_sound(storage, open_log(storage, generation))
        if not later:
            return last.commit
    return generation + storage.size(layout.log(generation)) // _RECORD.size


def open_log(storage: Storage, generation: int) -> Place:
    """The beginning of the log that goes on from a generation.

    Raises:
        CorruptFile, UnsupportedVersion: it is missing, its head is damaged, or another log's.
    """
    name = layout.log(generation)
    where = f"{storage.location}/{name}"
    data = storage.read(name, 0, _HEAD_SIZE)
    if not data.startswith(MAGIC[: len(data)]) or not data:
        raise CorruptFile(f"{where}: not a Lexidex log (starts with {data[:8]!r})")
    if len(data) < _HEAD_SIZE:
        raise CorruptFile(f"{where}: truncated, {len(data)} bytes is less than its head")
    _, version, salt, follows = _IDENTITY.unpack_from(data)
    if version != FORMAT_VERSION:
        raise UnsupportedVersion(
            f"{where}: format version {version}; this Lexidex reads version {FORMAT_VERSION}: "
            "use the release that wrote it"
        )
    (crc,) = _CHECK.unpack_from(data, _HEAD_SIZE - _CHECK.size)
    if crc != crc32(data[: _IDENTITY.size]) or follows != generation:
        raise CorruptFile(f"{where}: its head does not match its checksum, or its name")
    return Place(name, salt, generation, _HEAD_SIZE)


def read_log(storage: Storage, place: Place) -> tuple[list[bytes], Place]:
    """The payloads of the complete records behind `place`, and the place behind them.

    Raises:
        CorruptFile: a record is damaged or missing though others follow it, or though it was
            acknowledged, or their numbers jump; the message names its offset.
    """
    data = storage.read(place.name, place.end)
    while True:
        payloads, last = _complete(data, place)
        rest = data[last.end - place.end :]
        later = _records_in(rest, last.salt)
        if not later and marked_commit(storage, last) <= last.commit:
            return payloads, last
        again = storage.read(place.name, place.end)
        if again == data:  # and not read while it was written
            raise CorruptFile(f"{storage.location}/{last.name}: {_damage(rest, last)}")
        data = again


def marked_commit(storage: Storage, place: Place) -> int:
    """A commit of the log that has certainly reached the disk; 0 where nothing tells."""
    mark = storage.read(place.name, _IDENTITY.size, _MARK.size)
    if len(mark) < _MARK.size:
        return 0
    commit: int = _MARK.unpack(mark)[0]
    return commit if mark == _marked(place.salt, commit) else 0


def mark_commit(storage: Storage, place: Place) -> None:
    """Put down that all before `place` has reached the disk; not synced."""
    storage.overwrite(place.name, _IDENTITY.size, _marked(place.salt, place.commit))


def read_sound(storage: Storage, place: Place) -> tuple[list[bytes], Place, list[bytes]]:
    """What `read_log` returns, and the records behind the damage if there is any; for repairs."""
    data = storage.read(place.name, place.end)
    payloads, last = _complete(data, place)
    return payloads, last, _records_in(data[last.end - place.end :], last.salt)


def restore_head(storage: Storage, generation: int) -> Place | None:
    """Write a damaged head anew where the records still agree with the salt in it."""
    name = layout.log(generation)
    if name not in storage.list() or storage.size(name) < _HEAD_SIZE:
        return None
    data = storage.read(name, 0)
    place = Place(name, _IDENTITY.unpack_from(data)[2], generation, _HEAD_SIZE)
    payloads, last = _complete(data[_HEAD_SIZE:], place)
    if not payloads:
        return None
    with storage.create(f"{name}.tmp") as file:
        file.write(_head(place.salt, generation, last.commit) + data[_HEAD_SIZE:])
    storage.rename(f"{name}.tmp", name)
    storage.sync_folder()
    return place


def append_record(storage: Storage, place: Place, payload: bytes) -> Place:
    """Write the next commit behind `place`, cutting off a torn tail, and sync it.

    When that fails without the process dying, the log is as before.
    """
    record = _record(place.salt, place.commit + 1, payload)
    try:
        storage.append(place.name, place.end, record)
        storage.sync(place.name)
    except Exception:
        storage.append(place.name, place.end, b"")
        raise
    end = Place(place.name, place.salt, place.commit + 1, place.end + len(record))
    with suppress(OSError, LexidexError):  # the record is on disk, which is what counts
        mark_commit(storage, end)
    return end


def _head(salt: int, generation: int, marked: int) -> bytes:
    identity = _IDENTITY.pack(MAGIC, FORMAT_VERSION, salt, generation)
    return identity + _marked(salt, marked) + _CHECK.pack(crc32(identity))


def _marked(salt: int, commit: int) -> bytes:
    return _MARK.pack(commit, crc32(commit.to_bytes(8, "little"), salt))


def _record(salt: int, commit: int, payload: bytes) -> bytes:
    signed = _SIGNED.pack(len(payload), commit)
    crc = crc32(payload, crc32(signed, salt))
    return _BEGINNING + signed + struct.pack("<I", crc) + payload


def _complete(data: bytes, place: Place) -> tuple[list[bytes], Place]:
    """The records at the beginning of `data`, which stands at `place`, as far as they go on."""
    payloads, position, commit = [], 0, place.commit
    while (found := _record_at(data, position, place.salt)) and found[0] == commit + 1:
        payloads.append(found[1])
        position += _RECORD.size + len(found[1])
        commit += 1
    return payloads, Place(place.name, place.salt, commit, place.end + position)


def _records_in(data: bytes, salt: int) -> list[bytes]:
    """The payloads of complete records anywhere in `data`."""
    payloads = []
    position = data.find(_BEGINNING)
    while position >= 0:
        found = _record_at(data, position, salt)
        if found:
            payloads.append(found[1])
        position = data.find(_BEGINNING, position + (_RECORD.size + len(found[1]) if found else 1))
    return payloads


def _damage(rest: bytes, last: Place) -> str:
    found = _record_at(rest, 0, last.salt)
    if found:
        return f"at byte {last.end}, commit {found[0]} follows commit {last.commit}"
    return (
        f"the record at byte {last.end}, which was complete, is damaged or missing; "
        "'lexidex check --repair' keeps what comes before"
    )


def _record_at(data: bytes, position: int, salt: int) -> tuple[int, bytes] | None:
    """Commit number and payload of the complete record at `position`, or None."""
    if position + _RECORD.size > len(data):
        return None
    beginning, length, commit, crc = _RECORD.unpack_from(data, position)
    start = position + _RECORD.size
    if beginning != _BEGINNING or start + length > len(data):
        return None
    payload = data[start : start + length]
    sound = crc32(payload, crc32(_SIGNED.pack(length, commit), salt)) == crc
    return (commit, payload) if sound else None
