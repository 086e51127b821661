"""The storage object: every file operation of a collection goes through one of these.

`FileStorage` keeps a folder on disk; `MemoryStorage` keeps the same names in a dict, for tests and
for collections that need no disk. A third one, in the tests, injects faults. Names are relative
POSIX paths. The promises that commits are built on:

- `create` gives a file that, when its `with` block ends without an error, is complete and synced;
  when the block fails, no file of that name is left.
- `append` has reached the disk once `sync` of that file has returned; before that, any of its bytes
  may be lost with all that follow. `overwrite` likewise; before that, the old bytes may come back.
- `rename` replaces atomically.
- a name is durable once `sync_folder` of its folder has returned.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lexidex.errors import CorruptFile, LexidexError, Locked, StorageFull

from . import layout
from .lock import file_lock

Memory: TypeAlias = Literal["map", "load"]


@runtime_checkable
class Storage(Protocol):
    """A folder of files; see the module's text for what each operation promises."""

    @property
    def location(self) -> str:
        """Where this is, for messages."""

    def create(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A context manager giving a binary file to write; its folder is made where missing."""

    def view(self, name: str, memory: Memory = "map") -> memoryview:
        """The file's bytes, read-only: mapped, or loaded into memory of their own."""

    def read(self, name: str, start: int, length: int = -1) -> bytes:
        """The file's bytes from `start` on as they are now, `length` of them or up to the end."""

    def append(self, name: str, at: int, data: bytes) -> None:
        """Cut an existing file at byte `at` and write `data` there; not synced."""

    def overwrite(self, name: str, at: int, data: bytes) -> None:
        """Put `data` in the place of as many bytes of an existing file; not synced."""

    def sync(self, name: str) -> None:
        """Make what was appended to a file, or overwritten, durable."""

    def size(self, name: str) -> int:
        """Length of the file in bytes."""

    def list(self, folder: str = "") -> list[str]:
        """Names directly in a folder, sorted; [] when there is no such folder."""

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, replacing what had it."""

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all in it; a missing one is no error."""

    def sync_folder(self, folder: str = "") -> None:
        """Make the names in a folder durable."""

    def lock(self, name: str = layout.LOCK) -> AbstractContextManager[None]:
        """A context manager that holds the lock of that name; Locked if another writer does."""


class FileStorage:
    """A folder on disk."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """Wrap the folder at `root`; it is made by the first file written."""
        self.root = Path(root)

    @property
    def location(self) -> str:
        return str(self.root)

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        path = self.root / name
        with _full_disk_named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with _Written(path) as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
            except BaseException:
                path.unlink(missing_ok=True)
                raise

    def view(self, name: str, memory: Memory = "map") -> memoryview:
        path = self.root / name
        try:
            with open(path, "rb") as file:
                length = os.fstat(file.fileno()).st_size
                if memory == "load" or length == 0:
                    loaded = _on_a_cache_line(length)
                    file.readinto(loaded.data)
                    return loaded.data.toreadonly()
                return memoryview(mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            raise CorruptFile(f"{path}: the file is missing") from None

    def read(self, name: str, start: int, length: int = -1) -> bytes:
        try:
            with open(self.root / name, "rb") as file:
                file.seek(start)
                return file.read(length)
        except FileNotFoundError:
            raise CorruptFile(f"{self.root / name}: the file is missing") from None

    def append(self, name: str, at: int, data: bytes) -> None:
        path = self.root / name
        with _full_disk_named(path), open(path, "r+b", buffering=0) as file:
            file.truncate(at)
            file.seek(at)
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]

    def overwrite(self, name: str, at: int, data: bytes) -> None:
        path = self.root / name
        with _full_disk_named(path), open(path, "r+b", buffering=0) as file:
            file.seek(at)
            file.write(data)

    def sync(self, name: str) -> None:
        path = self.root / name
        with _full_disk_named(path), open(path, "r+b") as file:
            os.fsync(file.fileno())

    def size(self, name: str) -> int:
        try:
            return (self.root / name).stat().st_size
        except FileNotFoundError:
            raise CorruptFile(f"{self.root / name}: the file is missing") from None

    def list(self, folder: str = "") -> list[str]:
        try:
            return sorted(os.listdir(self.root / folder))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def rename(self, old: str, new: str) -> None:
        os.replace(self.root / old, self.root / new)

    def remove(self, name: str) -> None:
        path = self.root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def sync_folder(self, folder: str = "") -> None:
        if os.name == "nt":  # Windows cannot open a folder, and makes names durable by itself
            return
        descriptor = os.open(self.root / folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, name: str = layout.LOCK) -> AbstractContextManager[None]:
        return file_lock(self.root, name)


class _Written(io.BufferedWriter):
    """A file being written, of which every write tells in our words why it failed.

    Not every writer passes its errors through the `with` block of `create`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "w"))
        self._path = path

    def write(self, data: Any, /) -> int:
        with _full_disk_named(self._path):
            return super().write(data)


class MemoryStorage:
    """The same operations on a dict of bytes."""

    def __init__(self) -> None:
        """An empty folder in memory."""
        self.files: dict[str, bytes | bytearray] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @property
    def location(self) -> str:
        return "memory"

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        file = io.BytesIO()
        yield file
        self.files[name] = file.getvalue()

    def view(self, name: str, memory: Memory = "map") -> memoryview:
        if name not in self.files:
            raise CorruptFile(f"{self.location}/{name}: the file is missing")
        # A file that was appended to is a bytearray, which could not grow while it is viewed.
        return memoryview(bytes(self.files[name]))

    def read(self, name: str, start: int, length: int = -1) -> bytes:
        if name not in self.files:
            raise CorruptFile(f"{self.location}/{name}: the file is missing")
        end = None if length < 0 else start + length
        return bytes(self.files[name][start:end])

    def append(self, name: str, at: int, data: bytes) -> None:
        self._changeable(name)[at:] = data

    def overwrite(self, name: str, at: int, data: bytes) -> None:
        self._changeable(name)[at : at + len(data)] = data

    def sync(self, name: str) -> None:
        """Nothing to do: memory has no other copy."""

    def size(self, name: str) -> int:
        if name not in self.files:
            raise CorruptFile(f"{self.location}/{name}: the file is missing")
        return len(self.files[name])

    def list(self, folder: str = "") -> list[str]:
        prefix = f"{folder}/" if folder else ""
        inside = (name[len(prefix) :] for name in self.files if name.startswith(prefix))
        return sorted({name.split("/", 1)[0] for name in inside})

    def rename(self, old: str, new: str) -> None:
        self.files[new] = self.files.pop(old)

    def remove(self, name: str) -> None:
        for file in [f for f in self.files if f == name or f.startswith(f"{name}/")]:
            del self.files[file]

    def sync_folder(self, folder: str = "") -> None:
        """Nothing to do: memory has no other copy."""

    def _changeable(self, name: str) -> bytearray:
        content = self.files[name]
        if not isinstance(content, bytearray):
            content = self.files[name] = bytearray(content)
        return content

    @contextmanager
    def lock(self, name: str = layout.LOCK) -> Iterator[None]:
        if not self._locks[name].acquire(blocking=False):
            raise Locked(f"{self.location}: another thread is writing; wait for it, then try again")
        try:
            yield
        finally:
            self._locks[name].release()


@contextmanager
def replacing(storage: Storage, name: str) -> Iterator[IO[bytes]]:
    """`Storage.create` of a file that is there when it is complete, in the place of one before."""
    temporary = f".{name}.tmp"
    with storage.create(temporary) as file:
        yield file
    try:
        storage.rename(temporary, name)
    except Exception:
        with suppress(OSError, LexidexError):  # why it is not there is the error to tell
            storage.remove(temporary)
        raise
    storage.sync_folder()


@contextmanager
def waiting(storage: Storage, name: str, seconds: float) -> Iterator[None]:
    """Hold a lock of the storage; Locked when another has it for longer than `seconds`."""
    deadline = time.monotonic() + seconds
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(storage.lock(name))
                break
            except Locked:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(0.01)
        yield


def read_through(view: memoryview) -> None:
    """Tell the system that a mapped file will be read from end to end, so that it reads ahead."""
    if isinstance(view.obj, mmap.mmap) and hasattr(mmap, "MADV_SEQUENTIAL"):
        view.obj.madvise(mmap.MADV_SEQUENTIAL)


def let_go(view: memoryview, start: int, end: int) -> None:
    """Give back what pages of a mapped file take; they come again when they are touched."""
    if isinstance(view.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        start += -start % mmap.PAGESIZE
        if start < end:
            view.obj.madvise(mmap.MADV_DONTNEED, start, end - start)


def _on_a_cache_line(length: int) -> NDArray[np.uint8]:
    """That many bytes; from a cache line on, as in a mapped file, and, since NumPy allocates them,
    on huge pages, as in no mapped file."""
    block = np.empty(length + 64, dtype=np.uint8)
    skipped = -block.ctypes.data % 64
    return block[skipped : skipped + length]


@contextmanager
def _full_disk_named(path: Path) -> Iterator[None]:
    """Turn the system's errors into ours: no space, no permission, a file for a folder."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(
                f"{path}: no space left on the device; free some and write again "
                "(what was committed before is untouched)"
            ) from None
        if error.errno in (errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise LexidexError(f"{path}: cannot write: {error.strerror}") from None
        raise
