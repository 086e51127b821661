"""Verifying the files of a segment: small ones when it is opened, of large ones what is touched.

Reading large files through would make opening slow, and take memory for what no search may ever
want. So a chunk of one is compared with its checksum before it is used for the first time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import ArrayLike, NDArray
from zlib_ng.zlib_ng import crc32

from lexidex.errors import CorruptFile

from . import checksums, layout
from .checksums import read_checksums
from .files import Storage, let_go, read_through
from .manifest import SegmentEntry, check_file

_HELD = 64
"""Chunks after which a pass over a mapped file gives its memory back."""

_AT_ONCE = (layout.DOCUMENT_MAP, layout.CHECKSUMS)
"""Files that are verified wholly however large: every look-up reads all over them."""


def verify_files(storage: Storage, entry: SegmentEntry) -> dict[str, Guard]:
    """Compare a segment's files with their checksums; guards for those that are large, by file.

    Raises:
        CorruptFile: a file is missing, of another length, or does not match.
    """
    large = {}
    for file in (*entry.files, *entry.beside()):
        name = PurePosixPath(file.name).name
        if file.size > checksums.LARGE and name not in _AT_ONCE:
            check_file(storage, file)
            large[name] = file
        else:
            check_file(storage, file, storage.view(file.name))
    if not large:
        return {}
    path = layout.segment_file(entry.name, layout.CHECKSUMS)
    if any(file.name == path for file in entry.files):
        sums, chunk = read_checksums(storage.view(path), f"{storage.location}/{path}")
    else:
        sums, chunk = {}, 0
    return {
        name: Guard(
            storage.view(file.name),
            sums.get(name, [file.crc32]),
            chunk if name in sums else file.size,
            f"{storage.location}/{file.name}",
        )
        for name, file in large.items()
    }


class Guard:
    """A large file of which some chunks are verified. Safe to use from many threads."""

    def __init__(
        self, data: memoryview, sums: Sequence[int] | NDArray[np.uint32], chunk: int, where: str
    ) -> None:
        """Guard a file whose chunks of `chunk` bytes have the checksums `sums`.

        Args:
            data: its bytes, mapped for this alone.
        """
        if len(sums) != -(-len(data) // chunk):
            raise CorruptFile(f"{where}: {len(data)} bytes, and {len(sums)} checksums of chunks")
        self._data = data
        self._sums = np.asarray(sums, dtype=np.uint32)
        self._chunk = chunk
        self._where = where
        self._sound = np.zeros(len(sums), dtype=np.bool_)
        self.is_done = False
        """Whether every chunk is verified."""

    def verify(self, start: int = 0, end: int | None = None) -> None:
        """Compare the chunks that the bytes from `start` to `end` lie in, unless they were.

        Raises:
            CorruptFile: one does not match its checksum.
        """
        last = len(self._data) if end is None else end
        if end is None:
            read_through(self._data)
        if start < last:
            self._compare(range(start // self._chunk, -(-last // self._chunk)))

    def verify_spans(self, starts: ArrayLike, ends: ArrayLike) -> None:
        """`verify` for many spans of bytes, int64, same shape."""
        begin, end = np.asarray(starts, dtype=np.int64), np.asarray(ends, dtype=np.int64)
        first, last = begin // self._chunk, (end - 1) // self._chunk
        if (last - first <= 1).all() and self._sound[first].all() and self._sound[last].all():
            return  # as nearly always: both chunks that each can lie in are known
        counts = np.where(begin < end, -(-end // self._chunk) - first, 0)
        before = np.cumsum(counts) - counts
        chunks = np.repeat(first - before, counts) + np.arange(counts.sum())
        self._compare(np.unique(chunks).tolist())

    def _compare(self, chunks: Iterable[int]) -> None:
        held = None
        for number in chunks:
            if self._sound[number]:
                continue
            start = number * self._chunk
            if crc32(self._data[start : start + self._chunk]) != self._sums[number]:
                raise CorruptFile(
                    f"{self._where}: bytes {start} to {start + self._chunk} do not match their "
                    "checksum; 'lexidex check' tells more"
                )
            self._sound[number] = True
            held = start if held is None else held
            if number % _HELD == _HELD - 1:
                let_go(self._data, held, start + self._chunk)
                held = None
        self.is_done = bool(self._sound.all())
