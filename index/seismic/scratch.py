"""Where the arrays of a build stand: in memory up to a budget, beyond it in nameless files.

A nameless file has no entry in any folder: the system frees it when the last array over it is
dropped, when the process ends and when it is killed, so there is nothing to clean up. Its pages are
the system's cache: they use memory that nobody else wants, and are written out when somebody does.
"""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lexidex.errors import LexidexError, StorageFull

from .records import LINE

_LARGE = 1 << 20
_GROWTH = 8
"""A spool grows by an eighth of its length."""


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


class Scratch:
    """Makes arrays, and counts the bytes of those in memory for as long as they live."""

    def __init__(self, limit: int | None = None, folder: str | PathLike[str] | None = None) -> None:
        """Nothing is made yet.

        Args:
            limit: bytes of arrays in memory at a time; None for no limit. May be changed.
            folder: on whose device files are made; None for the system's folder of temporary files.
        """
        self.limit = limit
        self._folder = folder
        self._live: weakref.WeakValueDictionary[int, _Sized] = weakref.WeakValueDictionary()
        self._names = itertools.count()

    def has_room(self, n_bytes: int) -> bool:
        """Whether that much more may stand in memory."""
        if self.limit is None:
            return True
        return sum(held.nbytes for held in self._live.values()) + n_bytes <= self.limit

    def hold(self, held: _Sized) -> None:
        """Count an object in memory until it is dropped."""
        if self.limit is not None:
            self._live[next(self._names)] = held

    def zeros(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        """A flat array of zeros that begins on a cache line.

        Raises:
            StorageFull: no space is left for its file.
        """
        size = int(count) * np.dtype(dtype).itemsize
        if not self.has_room(size):
            with self.open() as file, self.named_failures():
                _reserve(file.fileno(), size)
                return mapped(file, size).view(dtype)
        block = np.zeros(size + LINE, dtype=np.uint8)
        self.hold(block)
        skipped = -block.ctypes.data % LINE
        return block[skipped : skipped + size].view(dtype)

    def joined(self, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """The arrays after one another, in memory whether there is room or not.

        What is large goes back to the system as soon as it is dropped, which memory of an
        allocator's does not where blocks are below 32 MiB.
        """
        dtype = np.result_type(*arrays)
        count = sum(array.size for array in arrays)
        size = count * dtype.itemsize
        if size >= _LARGE and hasattr(mmap, "MAP_PRIVATE"):
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            block = np.frombuffer(mmap.mmap(-1, size, flags=flags), dtype=np.uint8)
        else:
            block = np.empty(size, np.uint8)
        self.hold(block)
        whole: NDArray[Any] = np.concatenate(arrays, out=block.view(dtype))
        return whole

    def open(self) -> IO[bytes]:
        """A new nameless file, open.

        Raises:
            StorageFull: no space is left. LexidexError: the folder cannot be written in.
        """
        with self.named_failures():
            return tempfile.TemporaryFile(dir=self._folder)

    @contextmanager
    def named_failures(self) -> Iterator[None]:
        """Turn what the system says about files into our errors."""
        try:
            yield
        except OSError as error:
            where = self._folder or tempfile.gettempdir()
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull(
                    f"{where}: no space left for a build's temporary files; free some, "
                    "give another folder, or allow more memory"
                ) from None
            raise LexidexError(f"{where}: no temporary files here: {error.strerror}") from None


class Spool:
    """An array in the making, of a length that is not known: pieces are appended.

    In memory as long as the scratch has room, then in a file.
    """

    def __init__(self, scratch: Scratch, dtype: DTypeLike, expected: int = 0) -> None:
        """An empty one; `expected` elements are foreseen, which costs nothing until they come."""
        self._scratch = scratch
        self._dtype = np.dtype(dtype)
        self._file: IO[bytes] | None = None
        fits = scratch.has_room(expected * self._dtype.itemsize)
        self._data: NDArray[Any] = np.empty(expected if fits else 0, self._dtype)
        self.size = 0
        scratch.hold(self)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self._data.nbytes

    def append(self, piece: NDArray[Any]) -> None:
        """Go on with the elements of `piece`.

        Raises:
            StorageFull: no space is left for the file.
        """
        end = self.size + piece.size
        if self._file is None and end > self._data.size:
            self._grow(end)
        if self._file is None:
            self._data[self.size : end] = piece
        else:
            self._write(self._file, piece)
        self.size = end

    def array(self) -> NDArray[Any]:
        """What was appended; the spool is not to be used any more."""
        data, self._data = self._data, np.empty(0, self._dtype)
        if self._file is None:
            data.resize(self.size, refcheck=False)  # in place: memory beyond is given back
            self._scratch.hold(data)
            return data
        with self._file as file, self._scratch.named_failures():
            file.flush()
            return mapped(file, self.size * self._dtype.itemsize).view(self._dtype)

    def _grow(self, size: int) -> None:
        larger = max(size, self._data.size + self._data.size // _GROWTH)
        if self._scratch.has_room((larger - self._data.size) * self._dtype.itemsize):
            # In place: large blocks are moved by the system, without a second copy.
            self._data.resize(larger, refcheck=False)
            return
        self._file = self._scratch.open()
        weakref.finalize(self, self._file.close)
        self._write(self._file, self._data[: self.size])
        self._data = np.empty(0, self._dtype)

    def _write(self, file: IO[bytes], piece: NDArray[Any]) -> None:
        with self._scratch.named_failures():
            file.write(np.ascontiguousarray(piece, self._dtype).view(np.uint8).data)


def mapped(file: IO[bytes], size: int) -> NDArray[np.uint8]:
    """The first `size` bytes of an open file, to read and write; they outlive the file object."""
    if size == 0:
        return np.empty(0, dtype=np.uint8)
    return np.frombuffer(mmap.mmap(file.fileno(), size), dtype=np.uint8)


def _reserve(descriptor: int, size: int) -> None:
    """Give a file its length, and its blocks: writing to a map of one without them is a crash."""
    if hasattr(os, "posix_fallocate") and size > 0:
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)
