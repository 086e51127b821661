"""What becomes of the sums of 16 tokens: outputs of a map, or whether a threshold is passed.

Both are loops of 16 steps, which compilers do not reliably turn into one step of 16 lanes; so they
are written as such.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import config
from numba.extending import intrinsic
from numpy.typing import NDArray

LANES = 16
"""Tokens at a time: 32-bit numbers of a register."""

_settings: Any = config  # its attributes are made at run time
_FLOAT, _INT32 = ir.FloatType(), ir.IntType(32)
_FLOATS, _INT32S = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INT32, LANES)


def _finish_plain(
    values: NDArray[Any],
    sums: NDArray[Any],
    start: int,
    scales: NDArray[Any],
    offset: int,
    scale: float,
    bias: float,
) -> None:
    for lane in range(LANES):
        total = np.float32(sums[start + lane] - offset)
        values[lane] = total * (scales[lane] * scale) + bias


def _finish_typed(
    _context: Any,
    values: Any,
    sums: Any,
    start: Any,
    scales: Any,
    offset: Any,
    scale: Any,
    bias: Any,
) -> Any:
    single, whole = types.float32, types.int32
    return types.void(values, sums, types.intp, scales, whole, single, single), _generate_finish


def _generate_finish(context: Any, builder: Any, typed: Any, arguments: Any) -> Any:
    values, sums, scales = _data(context, builder, typed, arguments, (0, 1, 3))
    _, _, start, _, offset, scale, bias = arguments
    total = _total(builder, sums, start, offset)
    scaled = builder.fmul(_load(builder, scales, _FLOATS), _spread(builder, scale, _FLOATS))
    output = builder.fadd(builder.fmul(total, scaled), _spread(builder, bias, _FLOATS))
    builder.store(output, builder.bitcast(values, _FLOATS.as_pointer()), align=4)
    return context.get_dummy_value()


def _exceeds_plain(
    sums: NDArray[Any],
    start: int,
    scales: NDArray[Any],
    norms: NDArray[Any],
    errors: NDArray[Any],
    offset: int,
    scale: float,
    norm: float,
    error: float,
    threshold: float,
) -> bool:
    for lane in range(LANES):
        score = np.float32(sums[start + lane] - offset) * (scales[lane] * scale)
        bound = norms[lane] * error + errors[lane] * norm
        if not score + bound <= threshold:
            return True
    return False


def _exceeds_typed(
    _context: Any,
    sums: Any,
    start: Any,
    scales: Any,
    norms: Any,
    errors: Any,
    offset: Any,
    scale: Any,
    norm: Any,
    error: Any,
    threshold: Any,
) -> Any:
    row = [types.int32, *[types.float32] * 4]
    signature = types.boolean(sums, types.intp, scales, norms, errors, *row)
    return signature, _generate_exceeds


def _generate_exceeds(context: Any, builder: Any, typed: Any, arguments: Any) -> Any:
    sums, *of_tokens = _data(context, builder, typed, arguments, (0, 2, 3, 4))
    scales, norms, errors = (_load(builder, pointer, _FLOATS) for pointer in of_tokens)
    scale, norm, error, threshold = (_spread(builder, number, _FLOATS) for number in arguments[6:])
    total = _total(builder, sums, arguments[1], arguments[5])
    score = builder.fmul(total, builder.fmul(scales, scale))
    bound = builder.fadd(builder.fmul(norms, error), builder.fmul(errors, norm))
    # "Unordered": true of what is not a number, too.
    above = builder.fcmp_unordered(">", builder.fadd(score, bound), threshold)
    bits = ir.IntType(LANES)
    return builder.icmp_unsigned("!=", builder.bitcast(above, bits), bits(0))


def _data(
    context: Any, builder: Any, typed: Any, arguments: Any, places: Sequence[int]
) -> list[Any]:
    return [
        context.make_array(typed.args[place])(context, builder, arguments[place]).data
        for place in places
    ]


def _load(builder: Any, pointer: Any, kind: Any) -> Any:
    return builder.load(builder.bitcast(pointer, kind.as_pointer()), align=4)


def _total(builder: Any, sums: Any, start: Any, offset: Any) -> Any:
    """The sums from `start` on less `offset`, as floats."""
    found = _load(builder, builder.gep(sums, [start]), _INT32S)
    return builder.sitofp(builder.sub(found, _spread(builder, offset, _INT32S)), _FLOATS)


def _spread(builder: Any, number: Any, kind: Any) -> Any:
    """A vector with that number in every lane."""
    nothing = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(nothing, number, _INT32(0))
    return builder.shuffle_vector(one, nothing, ir.Constant(_INT32S, [0] * LANES))


def _compiled(plain: Callable[..., Any], typed: Callable[..., Any]) -> Any:
    return plain if _settings.DISABLE_JIT else intrinsic(typed)


finish = _compiled(_finish_plain, _finish_typed)
"""finish(values, sums, start, scales, offset, scale, bias): the outputs of a row for 16 tokens.

    values[lane] = (sums[start + lane] - offset) * scales[lane] * scale + bias
"""

exceeds = _compiled(_exceeds_plain, _exceeds_typed)
"""exceeds(sums, start, scales, norms, errors, offset, scale, norm, error, threshold): bool.

Whether for some token (sums[start + lane] - offset) * scales[lane] * scale, and how far that may be
off, norms[lane] * error + errors[lane] * norm, are not at most the threshold.
"""
