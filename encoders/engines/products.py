"""Products of integers of a byte, summed into 32 bits: AVX-512's vpdpbusd, or plain loops.

`products(n, sums, weights, first, stride, tokens, group, quads)` works out

    sums[(row * n + g) * 16 + lane] = sum over inputs i of
        weights[first + row * stride + i] * tokens[group + g, i // 4, lane, i % 4]

for ROWS rows of weights and n groups of LANES tokens. Weights are int8, tokens uint8: what the
instruction multiplies, four neighbours at a time (Intel, arXiv 2306.16601, section 3). It adds up
without saturation, so every way to compute it gives the same integers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic
from numpy.typing import NDArray

from lexidex.index.jit import kernel, lean_kernel

from .lanes import LANES
from .processor import has_wide_integer_products

ROWS = 6
"""Rows of weights at a time; with 4 groups, 24 of the 32 registers hold sums."""

GROUPS = 4
"""Most groups at a time."""

_INSTRUCTION = "llvm.x86.avx512.vpdpbusd.512"
_settings: Any = config  # its attributes are made at run time


def _plain(groups: int) -> Callable[..., None]:
    def products(
        sums: NDArray[Any],
        weights: NDArray[Any],
        first: int,
        stride: int,
        tokens: NDArray[Any],
        group: int,
        quads: int,
    ) -> None:
        for row in range(ROWS):
            for each in range(groups):
                for lane in range(LANES):
                    total = 0
                    for quad in range(quads):
                        for place in range(4):
                            weight = int(weights[first + row * stride + 4 * quad + place])
                            total += weight * int(tokens[group + each, quad, lane, place])
                    sums[(row * groups + each) * LANES + lane] = total

    return products


def _instructions(groups: int) -> Callable[..., Any]:
    """Numba's typing and code generation of the products of that many groups."""

    def products(
        _context: Any,
        sums: Any,
        weights: Any,
        first: Any,
        stride: Any,
        tokens: Any,
        group: Any,
        quads: Any,
    ) -> Any:
        signature = types.void(
            sums, weights, types.intp, types.intp, tokens, types.intp, types.intp
        )
        return signature, lambda context, builder, typed, arguments: _generate(
            groups, context, builder, typed, arguments
        )

    return products


def _generate(groups: int, context: Any, builder: Any, typed: Any, arguments: Any) -> Any:
    int8, int32, int64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
    register = ir.VectorType(int32, LANES)
    pointers = [
        builder.bitcast(
            context.make_array(typed.args[place])(context, builder, arguments[place]).data,
            int8.as_pointer(),
        )
        for place in (0, 1, 4)
    ]
    sums, weights, tokens = pointers
    first, stride, group, quads = (arguments[place] for place in (2, 3, 5, 6))
    declare: Any = cgutils.get_or_insert_function
    allocate: Any = cgutils.alloca_once
    kind = ir.FunctionType(register, [register] * 3)
    instruction = declare(builder.module, kind, _INSTRUCTION)
    totals = [allocate(builder, register) for _ in range(ROWS * groups)]
    for total in totals:
        builder.store(ir.Constant(register, [0] * LANES), total)

    def times(value: Any, by: Any) -> Any:
        return builder.mul(value, int64(by) if isinstance(by, int) else by)

    bytes_of_group = times(quads, 4 * LANES)
    rows = [builder.add(first, times(stride, row)) for row in range(ROWS)]
    columns = [times(builder.add(group, int64(each)), bytes_of_group) for each in range(groups)]
    with cgutils.for_range(builder, quads) as loop:
        seen = []
        for column in columns:
            address = builder.gep(tokens, [builder.add(column, times(loop.index, 4 * LANES))])
            address = builder.bitcast(address, register.as_pointer())
            seen.append(builder.load(address, align=1))
        for number, row in enumerate(rows):
            address = builder.gep(weights, [builder.add(row, times(loop.index, 4))])
            weight = builder.load(builder.bitcast(address, int32.as_pointer()), align=1)
            spread = _spread(builder, weight, register)
            for each, token in enumerate(seen):
                total = totals[number * groups + each]
                builder.store(
                    builder.call(instruction, [builder.load(total), token, spread]), total
                )
    for number, total in enumerate(totals):
        address = builder.gep(sums, [int64(number * 4 * LANES)])
        address = builder.bitcast(address, register.as_pointer())
        builder.store(builder.load(total), address, align=1)
    return context.get_dummy_value()


def _spread(builder: Any, number: Any, register: Any) -> Any:
    """A register with that number in every lane."""
    nothing = ir.Constant(register, ir.Undefined)
    one = builder.insert_element(nothing, number, ir.IntType(32)(0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, nothing, lanes)


def _products(groups: int) -> Any:
    if _settings.DISABLE_JIT:
        return _plain(groups)
    if has_wide_integer_products():
        return intrinsic(_instructions(groups))
    return kernel(_plain(groups))


_products_of_1, _products_of_2, _products_of_3, _products_of_4 = (
    _products(groups) for groups in range(1, GROUPS + 1)
)


@lean_kernel
def products(
    n: int,
    sums: NDArray[Any],
    weights: NDArray[Any],
    first: int,
    stride: int,
    tokens: NDArray[Any],
    group: int,
    quads: int,
) -> None:
    """Work out the sums of `ROWS` rows and n groups, 1 to `GROUPS`; see the module's text."""
    if n == GROUPS:
        _products_of_4(sums, weights, first, stride, tokens, group, quads)
    elif n == 3:
        _products_of_3(sums, weights, first, stride, tokens, group, quads)
    elif n == 2:
        _products_of_2(sums, weights, first, stride, tokens, group, quads)
    else:
        _products_of_1(sums, weights, first, stride, tokens, group, quads)
