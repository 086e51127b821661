"""Checksums of the chunks of large files, which stand beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from zlib_ng.zlib_ng import crc32

from .arrays import BinarySink, read_arrays, write_arrays

LARGE = 1 << 26
"""Bytes of a file that opening it may read through: some 5 milliseconds."""

CHUNK = 1 << 20
"""Bytes that share a checksum: what fetching one document reads at least."""

_KIND = "checksums"


class ChunkSums:
    """The checksums of a file's chunks, while it is written."""

    def __init__(self) -> None:
        """Start with an empty file."""
        self._complete: list[int] = []
        self._crc = 0
        self._room = CHUNK

    def add(self, data: memoryview) -> None:
        """Count bytes in, behind those before."""
        while len(data) >= self._room:
            self._complete.append(crc32(data[: self._room], self._crc))
            data = data[self._room :]
            self._crc, self._room = 0, CHUNK
        if data:
            self._crc = crc32(data, self._crc)
            self._room -= len(data)

    def all(self) -> NDArray[np.uint32]:
        """A checksum for each chunk; the last chunk may be shorter."""
        begun = [self._crc] if self._room < CHUNK else []
        return np.array(self._complete + begun, dtype=np.uint32)


def write_checksums(file: BinarySink, sums: Mapping[str, ChunkSums]) -> None:
    """Write the checksums of some files of a segment."""
    write_arrays(file, _KIND, {name: each.all() for name, each in sums.items()}, {"chunk": CHUNK})


def read_checksums(data: memoryview, where: str) -> tuple[dict[str, NDArray[np.uint32]], int]:
    """What `write_checksums` wrote: checksums by file, and the bytes of a chunk."""
    arrays, meta = read_arrays(data, _KIND, where)
    return arrays, int(meta["chunk"])
