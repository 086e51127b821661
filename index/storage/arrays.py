"""Named arrays in one file: magic, aligned sections, a footer that describes them, checksums.

Layout (docs/FORMAT.md has it byte by byte): 16 bytes of head; each array's bytes, aligned to 64;
a JSON footer with kind, meta and per array name, dtype, shape, offset and CRC-32; 24 bytes of
trailer with the footer's place and CRC-32. The footer comes last so that arrays can be streamed.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from zlib_ng.zlib_ng import crc32

from lexidex.errors import CorruptFile, UnsupportedVersion

from .files import FileStorage, Memory, Storage, replacing

MAGIC = b"LEXIDEX\0"
FORMAT_VERSION = 0
"""Version 0 may change without notice; from 1 on, every later version reads it."""

ALIGNMENT = 64
_WRITTEN = 1 << 26
"""Bytes written at once, so that an interrupt never waits for long."""

_HEAD = struct.Struct("<8sII")
_TRAILER = struct.Struct("<QII8s")


class BinarySink(Protocol):
    """What arrays are written into: an open file, or anything with its `write`."""

    def write(self, data: bytes | memoryview, /) -> int: ...


Chunks: TypeAlias = "Iterable[NDArray[Any]]"


def write_arrays(
    file: BinarySink,
    kind: str,
    arrays: Mapping[str, NDArray[Any] | tuple[str, Chunks]],
    meta: Mapping[str, Any],
) -> None:
    """Write arrays into an open file.

    Args:
        kind: what the file holds; `read_arrays` insists on it.
        arrays: name -> array, or name -> (dtype, pieces) for a flat array that is streamed.
        meta: values that JSON can hold.
    """
    file.write(_HEAD.pack(MAGIC, FORMAT_VERSION, 0))
    position = _HEAD.size
    entries = []
    for name, content in arrays.items():
        padding = -position % ALIGNMENT
        file.write(bytes(padding))
        position += padding
        if isinstance(content, np.ndarray):
            dtype, shape, pieces = content.dtype.str, list(content.shape), iter([content])
        else:
            dtype, shape, pieces = np.dtype(content[0]).str, None, iter(content[1])
        length, crc = 0, 0
        for piece in pieces:
            data = np.ascontiguousarray(piece, dtype=dtype).reshape(-1).view(np.uint8).data
            for begin in range(0, len(data), _WRITTEN):
                part = data[begin : begin + _WRITTEN]
                file.write(part)
                crc = crc32(part, crc)
            length += len(data)
        entries.append(
            {
                "name": name,
                "dtype": dtype,
                "shape": shape or [length // np.dtype(dtype).itemsize],
                "offset": position,
                "crc32": crc,
            }
        )
        position += length
    footer = json.dumps({"kind": kind, "meta": dict(meta), "arrays": entries}).encode()
    file.write(footer)
    file.write(_TRAILER.pack(position, len(footer), crc32(footer), MAGIC))


def read_arrays(
    data: memoryview, kind: str, where: str
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays (read-only views of `data`) and the meta of a file's bytes.

    Checks the head, the footer's checksum and every section's bounds; the sections' own checksums
    are checked by `verify_arrays`.

    Raises:
        CorruptFile: truncated, altered, or of another kind.
        UnsupportedVersion: written in another format version.
    """
    footer = _read_footer(data, where)
    if footer["kind"] != kind:
        raise CorruptFile(f"{where}: holds a {footer['kind']}, expected a {kind}")
    arrays = {}
    for entry in footer["arrays"]:
        dtype, count = np.dtype(entry["dtype"]), int(np.prod(entry["shape"], dtype=np.int64))
        section = np.frombuffer(data, dtype, count, entry["offset"])
        arrays[entry["name"]] = section.reshape(entry["shape"])
    return arrays, footer["meta"]


def array_spans(data: memoryview, where: str) -> dict[str, tuple[int, int]]:
    """Where the bytes of each array begin and end in a file."""
    spans = {}
    for entry in _read_footer(data, where)["arrays"]:
        length = int(np.prod(entry["shape"], dtype=np.int64)) * np.dtype(entry["dtype"]).itemsize
        spans[entry["name"]] = (entry["offset"], entry["offset"] + length)
    return spans


def verify_arrays(data: memoryview, where: str, but: str | None = None) -> None:
    """Compare every section with its checksum; CorruptFile names the first that differs.

    Args:
        but: the array that need not be sound.
    """
    spans = array_spans(data, where)
    for entry in _read_footer(data, where)["arrays"]:
        start, end = spans[entry["name"]]
        if entry["name"] != but and crc32(data[start:end]) != entry["crc32"]:
            raise CorruptFile(
                f"{where}: array {entry['name']!r} at byte {start} does not match its checksum"
            )


def save_arrays(
    path: str | os.PathLike[str],
    kind: str,
    arrays: Mapping[str, NDArray[Any]],
    meta: Mapping[str, Any],
) -> None:
    """Write arrays to a file of their own, atomically: temporary file, sync, rename, sync."""
    target = Path(path)
    storage = FileStorage(target.parent)
    with replacing(storage, target.name) as file:
        write_arrays(file, kind, arrays, meta)


def load_arrays(
    path: str | os.PathLike[str], kind: str, memory: Memory = "map"
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What `save_arrays` wrote; see `read_arrays` for the errors."""
    target = Path(path)
    storage: Storage = FileStorage(target.parent)
    return read_arrays(storage.view(target.name, memory), kind, str(target))


def _read_footer(data: memoryview, where: str) -> dict[str, Any]:
    if len(data) < _HEAD.size + _TRAILER.size:
        raise CorruptFile(f"{where}: truncated, {len(data)} bytes is less than head and trailer")
    magic, version, reserved = _HEAD.unpack(data[: _HEAD.size])
    if magic != MAGIC:
        raise CorruptFile(f"{where}: not a Lexidex file (starts with {magic!r})")
    if version != FORMAT_VERSION:
        raise UnsupportedVersion(
            f"{where}: format version {version}; this Lexidex reads version {FORMAT_VERSION}: "
            "use the release that wrote it, or build the index anew"
        )
    offset, length, crc, end = _TRAILER.unpack(data[-_TRAILER.size :])
    if end != MAGIC or reserved or offset + length + _TRAILER.size != len(data):
        raise CorruptFile(f"{where}: truncated or altered, its trailer does not fit the file")
    footer = data[offset : offset + length]
    if crc32(footer) != crc:
        raise CorruptFile(f"{where}: the footer does not match its checksum")
    described: dict[str, Any] = json.loads(bytes(footer))
    return described
