"""Vector instructions over a block of accumulators, which LLVM does not find by itself.

A comparison of 32 floats with one, as a loop, is compiled to 32 comparisons; written for vectors it
is two or four instructions, and passing through a window's accumulators takes a fifth of the time.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import config
from numba.extending import intrinsic

from ..vectors import Float32s

LANES = 32
"""Floats looked at together: half of a word of a filter, two AVX-512 registers."""

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_ALIGNMENT = 4
_settings: Any = config  # its attributes are made at run time


def _address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Where array[index] is, as a pointer to a vector."""
    view = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(view.data, [arguments[1]]), _FLOATS.as_pointer())


def _any_above(_context: Any, array: Any, index: Any, limit: Any) -> Any:
    """Numba's typing and code generation of `any_above`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _address(context, builder, signature, arguments)
        floats = builder.load(place, align=_ALIGNMENT)
        none, integer = ir.Constant(_FLOATS, ir.Undefined), ir.IntType(32)
        first = builder.insert_element(none, arguments[2], ir.Constant(integer, 0))
        every = ir.Constant(ir.VectorType(integer, LANES), [0] * LANES)
        limits = builder.shuffle_vector(first, none, every)
        above = builder.fcmp_unordered(">", floats, limits)
        bits = builder.bitcast(above, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(array, index, types.float32), generate


def _clear(_context: Any, array: Any, index: Any) -> Any:
    """Numba's typing and code generation of `clear`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _address(context, builder, signature, arguments)
        builder.store(ir.Constant(_FLOATS, [0.0] * LANES), place, align=_ALIGNMENT)
        return context.get_dummy_value()

    return types.void(array, index), generate


def _any_above_interpreted(array: Float32s, index: int, limit: float) -> bool:
    return bool((~(array[int(index) : int(index) + LANES] <= limit)).any())


def _clear_interpreted(array: Float32s, index: int) -> None:
    array[int(index) : int(index) + LANES] = 0


any_above: Any = _any_above_interpreted if _settings.DISABLE_JIT else intrinsic(_any_above)
"""any_above(array, index, limit): whether one of array[index : index + LANES] is not at most limit.

The array is float32, one-dimensional and contiguous, and has these places: nothing is checked.
Where the limit is no number, every one is above.
"""

clear: Any = _clear_interpreted if _settings.DISABLE_JIT else intrinsic(_clear)
"""clear(array, index): make array[index : index + LANES] zero. Preconditions as for `any_above`."""
