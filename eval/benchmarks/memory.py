"""Memory of this process and of the page cache, as Linux tells; 0 or None where nothing does."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

import numpy as np


def resident(field: str = "VmRSS") -> int:
    """Resident bytes of this process; with field "VmHWM" the most since `reset_peak`.

    Not getrusage: its peak is inherited from the process that started this one.
    """
    return _bytes("/proc/self/status", field)


def huge_pages() -> int:
    """Bytes of this process that lie on huge pages."""
    return _bytes("/proc/self/smaps_rollup", "AnonHugePages")


def reset_peak() -> None:
    """Let the peak of memory begin at what is used now, where the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def fill_cache(path: Path) -> None:
    """Read a file into the page cache."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def drop_cache(path: Path) -> None:
    """Ask that a file leave the page cache; `cached_share` tells whether it did."""
    with path.open("rb") as file:
        os.fsync(file.fileno())  # pages that are not on the disk yet would stay
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cached_share(path: Path) -> float | None:
    """Share of a file's pages in the page cache, by mincore(2); None where there is no such."""
    mincore = getattr(ctypes.CDLL(None), "mincore", None)
    if mincore is None:
        return None
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        content = np.frombuffer(mapped, dtype=np.uint8)
        pages = np.zeros(-(-content.size // mmap.PAGESIZE), dtype=np.uint8)
        start, told = (ctypes.c_void_p(array.ctypes.data) for array in (content, pages))
        failed = mincore(start, ctypes.c_size_t(content.size), told)
        del content  # or the map could not be closed
    return None if failed else float((pages & 1).mean())


def _bytes(path: str, field: str) -> int:
    """A line of a file in /proc, given there in kB."""
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)
