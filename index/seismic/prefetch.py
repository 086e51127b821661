"""Software prefetch: ask for memory some time before it is read.

What a query reads lies at random places of a large index, and most of its time is waiting. The
kernels therefore ask for a whole batch of addresses before they read the first of them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic
from numpy.typing import NDArray

_READ, _KEEP_IN_ALL_LEVELS, _DATA = 0, 3, 1


def _prefetch(_context: Any, array: Any, index: Any) -> Any:
    """Numba's typing and code generation of `prefetch`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(view.data, [arguments[1]])
        address = builder.bitcast(address, ir.IntType(8).as_pointer())
        int32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, int32, int32, int32])
        declare: Any = cgutils.get_or_insert_function
        function = declare(builder.module, kind, "llvm.prefetch.p0")
        hints = [int32(_READ), int32(_KEEP_IN_ALL_LEVELS), int32(_DATA)]
        builder.call(function, [address, *hints])
        return context.get_dummy_value()

    return types.void(array, index), generate


def _ignore(array: NDArray[Any], index: int) -> None:
    """What `prefetch` is when nothing is compiled."""


_settings: Any = config  # its attributes are made at run time
prefetch: Any = _ignore if _settings.DISABLE_JIT else intrinsic(_prefetch)
"""prefetch(array, index): ask for the cache line of array[index].

The array is one-dimensional and contiguous. The index may lie outside of it: nothing is read.
"""
