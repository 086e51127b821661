"""Products of a block-sparse matrix of bytes with tokens: only blocks that are not 0 are worked on.

A block is 4 outputs by 1 input (Intel, arXiv 2306.16601: "4x1"). Four blocks of the same outputs
make a group, whichever inputs they are of; the tokens' bytes of those four inputs are interleaved
on the fly, and vpdpbusd multiplies four of them at once, for each of the four outputs. Beside the
paper's kernel ours keeps 64 tokens and 4 outputs in registers instead of choosing among shapes,
and it quantises tokens one by one.

`sparse_products(sums, weights, indices, first, last, tokens, tile)` works out

    sums[output * 64 + token] = sum over groups g in [first, last) and places p of
        weights[g, output, p] * tokens[tile, indices[g, p], ORDER[token]]

The order of a tile's tokens is the one in which interleaving within 128 bits leaves them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic
from numpy.typing import NDArray

from lexidex.index.jit import kernel

from .processor import has_wide_integer_products

TILE = 64
"""Tokens at a time: bytes of a register."""

BLOCK = 4
"""Outputs of a block, and blocks of a group."""

_LANES = 16
_INSTRUCTION = "llvm.x86.avx512.vpdpbusd.512"
_settings: Any = config  # its attributes are made at run time

ORDER = np.array(
    [16 * (lane // 4) + 4 * part + lane % 4 for part in range(4) for lane in range(_LANES)]
)
"""Where in its tile each token's byte lies, int64 (TILE,)."""


def _plain(
    sums: NDArray[Any],
    weights: NDArray[Any],
    indices: NDArray[Any],
    first: int,
    last: int,
    tokens: NDArray[Any],
    tile: int,
) -> None:
    for output in range(BLOCK):
        for token in range(TILE):
            part, lane = token // _LANES, token % _LANES
            place = 16 * (lane // 4) + 4 * part + lane % 4
            total = 0
            for group in range(first, last):
                for each in range(BLOCK):
                    weight = int(weights[group, output, each])
                    total += weight * int(tokens[tile, indices[group, each], place])
            sums[output * TILE + token] = total


def _instructions(
    _context: Any,
    sums: Any,
    weights: Any,
    indices: Any,
    first: Any,
    last: Any,
    tokens: Any,
    tile: Any,
) -> Any:
    """Numba's typing and code generation of `sparse_products`."""
    signature = types.void(sums, weights, indices, types.intp, types.intp, tokens, types.intp)
    return signature, _generate


def _generate(context: Any, builder: Any, typed: Any, arguments: Any) -> Any:
    int8, int32, int64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
    register = ir.VectorType(int32, _LANES)
    arrays = {
        place: context.make_array(typed.args[place])(context, builder, arguments[place])
        for place in (0, 1, 2, 5)
    }
    sums, weights, tokens = (
        builder.bitcast(arrays[place].data, int8.as_pointer()) for place in (0, 1, 5)
    )
    indices = builder.bitcast(arrays[2].data, int32.as_pointer())
    first, last, tile = arguments[3], arguments[4], arguments[6]
    n_inputs = builder.extract_value(arrays[5].shape, 1)
    tile_start = builder.mul(builder.mul(tile, n_inputs), int64(TILE))
    declare: Any = cgutils.get_or_insert_function
    kind = ir.FunctionType(register, [register] * 3)
    instruction = declare(builder.module, kind, _INSTRUCTION)
    zero = ir.Constant(register, [0] * _LANES)
    allocate: Any = cgutils.alloca_once
    totals = [allocate(builder, register) for _ in range(BLOCK * BLOCK)]
    for total in totals:
        builder.store(zero, total)
    with cgutils.for_range_slice(builder, first, last, int64(1), int64) as (group, _):
        columns = []
        for place in range(BLOCK):
            at = builder.add(builder.mul(group, int64(BLOCK)), int64(place))
            index = builder.zext(builder.load(builder.gep(indices, [at])), int64)
            at = builder.add(tile_start, builder.mul(index, int64(TILE)))
            address = builder.bitcast(
                builder.gep(tokens, [at]), ir.VectorType(int8, TILE).as_pointer()
            )
            columns.append(builder.load(address, align=1))
        seen = [builder.bitcast(each, register) for each in _interleaved(builder, columns)]
        for output in range(BLOCK):
            at = builder.mul(group, int64(BLOCK * BLOCK))
            address = builder.gep(weights, [builder.add(at, int64(output * BLOCK))])
            weight = builder.load(builder.bitcast(address, int32.as_pointer()), align=1)
            spread = _spread(builder, weight, register)
            for part, token in enumerate(seen):
                total = totals[output * BLOCK + part]
                done = builder.call(instruction, [builder.load(total), token, spread])
                builder.store(done, total)
    for number, total in enumerate(totals):
        address = builder.bitcast(
            builder.gep(sums, [int64(number * 4 * _LANES)]), register.as_pointer()
        )
        builder.store(builder.load(total), address, align=1)
    return context.get_dummy_value()


def _interleaved(builder: Any, columns: list[Any]) -> list[Any]:
    """Bytes a, b, c, d of 64 tokens as abcdabcd..., within 128 bits: four registers."""
    a, b, c, d = columns
    pairs = [_unpacked(builder, a, b, 1), _unpacked(builder, c, d, 1)]
    return [whole for ab, cd in zip(*pairs, strict=True) for whole in _unpacked(builder, ab, cd, 2)]


def _unpacked(builder: Any, one: Any, other: Any, width: int) -> tuple[Any, Any]:
    """The lower and the upper halves of each 128 bits of two registers, units alternating."""
    halves = []
    for half in (0, 1):
        mask = [
            quarter + half * 8 + unit * width + byte + source
            for quarter in range(0, TILE, 16)
            for unit in range(8 // width)
            for source in (0, TILE)
            for byte in range(width)
        ]
        constant = ir.Constant(ir.VectorType(ir.IntType(32), TILE), mask)
        halves.append(builder.shuffle_vector(one, other, constant))
    return halves[0], halves[1]


def _spread(builder: Any, number: Any, register: Any) -> Any:
    """A register with that number in every lane."""
    nothing = ir.Constant(register, ir.Undefined)
    one = builder.insert_element(nothing, number, ir.IntType(32)(0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)
    return builder.shuffle_vector(one, nothing, lanes)


if _settings.DISABLE_JIT:
    sparse_products: Any = _plain
elif has_wide_integer_products():
    sparse_products = intrinsic(_instructions)
else:
    sparse_products = kernel(_plain)
