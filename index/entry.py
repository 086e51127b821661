"""Calling a kernel again and again with arguments of the same types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

_typeof: Callable[[Any], Any] = numba.typeof


class Entry:
    """A kernel that is always called with arguments of the same types.

    Numba looks up the types of all arguments at every call: 6 microseconds for forty arrays. Here
    they are looked up once, and later calls go straight into the machine code.

    Precondition: all arguments of later calls have the types of the first call's: of arrays, the
    data type, the number of dimensions, contiguity, and whether they can be written.
    """

    def __init__(self, kernel: Callable[..., Any]) -> None:
        """An entry into a kernel; it is compiled, or found compiled, at the first call."""
        self._kernel = kernel
        self.call: Callable[..., Any] = self._first_call
        """Call the kernel."""

    def _first_call(self, *arguments: Any) -> Any:
        compile_: Any = getattr(self._kernel, "compile", None)
        if compile_ is None:  # interpreted
            self.call = self._kernel
        else:
            self.call = compile_(tuple(map(_typeof, arguments)))
        return self.call(*arguments)
