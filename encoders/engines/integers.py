"""Maps and the states that they are applied to as integers of a byte, laid out for `products`."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lexidex.index.jit import kernel
from lexidex.index.vectors import Float32s, Int64s

from .lanes import LANES
from .products import ROWS
from .quantisation import LARGEST, Int8s, quantise

Uint8s: TypeAlias = NDArray[np.uint8]
Int32s: TypeAlias = NDArray[np.int32]
Uint32s: TypeAlias = NDArray[np.uint32]

OFFSET = 128
"""What is added to a token's integers: the instruction takes them without a sign."""

_SLACK = np.float32(1.001)
"""On norms and errors, for sums in float32 that are rounded themselves."""


class Tokens(NamedTuple):
    """States of positions as integers, in groups of `LANES` that belong to one text each.

    Attributes:
        integers: uint8 (groups, inputs / 4, LANES, 4), `OFFSET` too large; `OFFSET` where there
            is no position.
        scales: float32 (groups, LANES), 0 where there is no position.
        norms: of the states, float32 (groups, LANES).
        errors: norms of what rounding took away, float32 (groups, LANES).
        texts: which text a group is of, int64 (groups,).
    """

    integers: Uint8s
    scales: Float32s
    norms: Float32s
    errors: Float32s
    texts: Int64s


class Rows(NamedTuple):
    """A map onto the vocabulary as integers, one row a term; rows are filled up to whole `ROWS`.

    Attributes:
        integers: int8 (rows * inputs,).
        offsets: what `OFFSET` adds to the products of a row, int32 (rows,).
        scales: float32 (rows,).
        norms: of the rounded rows, float32 (rows,).
        errors: norms of what rounding took away, float32 (rows,).
    """

    integers: Int8s
    offsets: Int32s
    scales: Float32s
    norms: Float32s
    errors: Float32s


def grouped(states: Float32s, lengths: Int64s) -> Tokens:
    """States as integers, see `Tokens`.

    Args:
        states: of all positions, text after text, float32 (positions, inputs).
        lengths: positions of each text, int64; they add up to `positions`.
    """
    counts = -(-lengths // LANES)
    n_groups, inputs = int(counts.sum()), states.shape[1]
    scales, norms, errors = np.zeros((3, n_groups, LANES), dtype=np.float32)
    integers = np.full((n_groups, inputs // 4, LANES, 4), OFFSET, dtype=np.uint8)
    tokens = Tokens(integers, scales, norms, errors, np.repeat(np.arange(lengths.size), counts))
    _group(np.ascontiguousarray(states), lengths, tokens.integers.view(np.uint32)[..., 0], tokens)
    return tokens


def rows_of(weight: Float32s) -> Rows:
    """A map as integers.

    Args:
        weight: float32 (rows, inputs), inputs a multiple of 4.
    """
    terms, inputs = weight.shape
    integers, scales = quantise(weight.T)
    rounded = integers.T.astype(np.float32) * scales[:, None]
    filled = np.zeros((-(-terms // ROWS) * ROWS, inputs), dtype=np.int8)
    filled[:terms] = integers.T
    norms, errors, all_scales = np.zeros((3, filled.shape[0]), dtype=np.float32)
    norms[:terms] = np.linalg.norm(rounded, axis=1) * _SLACK
    errors[:terms] = np.linalg.norm(weight - rounded, axis=1) * _SLACK
    all_scales[:terms] = scales
    offsets = filled.sum(axis=1, dtype=np.int32) * np.int32(OFFSET)
    return Rows(filled.ravel(), offsets, all_scales, norms, errors)


@kernel
def _group(states: Float32s, lengths: Int64s, quads: Uint32s, tokens: Tokens) -> None:
    """Fill in the scales, norms and errors of `tokens`, and its integers by four, in `quads`."""
    inputs = states.shape[1]
    rounded = np.empty(inputs, dtype=np.uint8)
    by_four = rounded.view(np.uint32)
    position = group = 0
    for length in lengths:
        for at in range(length):
            lane = at % LANES
            if at and lane == 0:
                group += 1
            state = states[position]
            scale = round_state(state, rounded)
            for quad in range(by_four.size):
                quads[group, quad, lane] = by_four[quad]
            norm = error = np.float32(0)
            for i in range(inputs):
                difference = state[i] - np.float32(np.int32(rounded[i]) - OFFSET) * scale
                norm += state[i] * state[i]
                error += difference * difference
            tokens.scales[group, lane] = scale
            tokens.norms[group, lane] = np.sqrt(norm)
            tokens.errors[group, lane] = np.sqrt(error)
            position += 1
        group += 1 if length else 0


@kernel
def round_state(state: Float32s, rounded: Uint8s) -> np.float32:
    """Write a state as integers, `OFFSET` too large, and return their scale, above 0."""
    # Bits of floats without their sign are in the order of the floats, and compilers compare
    # integers many at a time; floats not, because of those that are no numbers.
    bits, most = state.view(np.int32), np.int32(0)
    for i in range(bits.size):
        most = max(most, bits[i] & np.int32(0x7FFFFFFF))
    largest = np.int32(most).view(np.float32)
    scale = largest / np.float32(LARGEST) if largest > 0 else np.float32(1)
    inverse = np.float32(1) / scale
    for i in range(state.size):
        rounded[i] = np.uint8(np.int32(np.rint(state[i] * inverse)) + OFFSET)
    return scale
