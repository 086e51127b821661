"""How kernels are compiled: the one decorator, and where its machine code is kept.

Numba's cache knows a function by its own file alone, so a changed helper in another file would
leave old machine code in use; and code compiled with bounds checks would be taken for plain code.
The cache folder is therefore named by a hash of every kernel source and of the mode: of those
here, and for kernels of other packages of those beside them, too. Where no folder can be written,
kernels compile afresh in each process.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config as numba_config

config: Any = numba_config  # its attributes are made at run time, unseen by type checkers

R = TypeVar("R")

_WITHOUT_KERNELS = {"filters", "storage"}
"""Folders here that hold no kernels and nothing that kernels use: changes there concern none."""

_REASSOCIATED = {"reassoc", "contract", "nsz"}


_HERE = Path(__file__).parent.resolve()


@cache
def cache_folder(package: Path = _HERE) -> str | None:
    """Where compiled kernels are kept between processes; None where nothing can be written.

    Args:
        package: the folder of the kernels, whose files may use each other and those here.
    """
    digest = hashlib.sha256(repr((numba.__version__, config.BOUNDSCHECK)).encode())
    for source in sorted(_HERE.rglob("*.py")):
        if source.relative_to(_HERE).parts[0] not in _WITHOUT_KERNELS:
            digest.update(source.read_bytes())
    if not package.is_relative_to(_HERE):
        for source in sorted(package.glob("*.py")):
            digest.update(source.read_bytes())
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    folder = base.expanduser() / "lexidex" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return str(folder)
    except OSError:
        return None


def kernel(function: Callable[..., R]) -> Callable[..., R]:
    """Compile a module-level function over arrays and scalars; it releases the GIL.

    Where a kernel's signature says `int` or `float`, NumPy's scalars of any width are as good:
    Numba types each call by itself, so type checkers are not asked to.

    Floating-point sums may be reassociated and contracted, nothing more: results of the compiled
    and the interpreted form agree to 1e-5, not bit for bit.
    """
    return _compile(function, fastmath=_REASSOCIATED)


def lean_kernel(function: Callable[..., R]) -> Callable[..., R]:
    """Like `kernel`, for functions that make no arrays: it counts no references.

    A reference to an array is counted by two atomic operations wherever an array is taken out of a
    tuple, and threads contend for them. Slices may be taken and passed on.
    """
    return _compile(function, fastmath=_REASSOCIATED, _nrt=False)


def strict_kernel(function: Callable[..., R]) -> Callable[..., R]:
    """Like `kernel`, with sums in the order written: for results that others are compared with."""
    return _compile(function, fastmath=False)


def strict_lean_kernel(function: Callable[..., R]) -> Callable[..., R]:
    """`strict_kernel` and `lean_kernel` at once."""
    return _compile(function, fastmath=False, _nrt=False)


def _compile(function: Callable[..., R], **options: Any) -> Callable[..., R]:
    former = config.CACHE_DIR
    folder = cache_folder(Path(function.__code__.co_filename).parent.resolve())
    try:
        config.CACHE_DIR = folder or former
        compile_ = numba.njit(nogil=True, cache=folder is not None, **options)
        compiled: Callable[..., R] = compile_(function)
        return compiled
    finally:
        config.CACHE_DIR = former
