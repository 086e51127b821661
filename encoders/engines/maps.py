"""Linear maps over integers of a byte, dense or block-sparse: float32 in, float32 out.

Weights have a scale for each output and tokens one each, found anew for every token; the integers
are multiplied and added up exactly. A token's output does not depend on the tokens beside it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from lexidex.index.jit import kernel, lean_kernel
from lexidex.index.vectors import Float32s, Int64s

from .integers import OFFSET, Int32s, Rows, Tokens, Uint8s, grouped, round_state, rows_of
from .lanes import LANES, finish
from .products import GROUPS, ROWS, products
from .quantisation import Int8s, quantise
from .sparse_products import BLOCK, ORDER, TILE, sparse_products

ROW_TILE = 16 * ROWS
"""Rows of weights that stay in a cache while all tokens pass by, and outputs that do until they
are written; a multiple of `ROWS` and of `BLOCK`."""


class Map(Protocol):
    """A linear map and its bias."""

    def apply(self, states: Float32s) -> Float32s:
        """Outputs float32 (tokens, outputs) of states float32 (tokens, inputs), C-contiguous."""


class DenseMap:
    """A map of which all weights are multiplied."""

    def __init__(self, weight: Float32s, bias: Float32s) -> None:
        """Quantise a map.

        Args:
            weight: float32 (outputs, inputs), inputs a multiple of 4.
            bias: float32 (outputs,).
        """
        self._rows = rows_of(weight)
        self._bias = bias

    def apply(self, states: Float32s) -> Float32s:
        """See `Map`."""
        outputs = np.empty((states.shape[0], self._bias.size), dtype=np.float32)
        tokens = grouped(states, np.array([states.shape[0]], dtype=np.int64))
        sums = np.empty(ROWS * GROUPS * LANES, dtype=np.int32)
        values = np.empty((ROW_TILE, TILE), dtype=np.float32)
        _apply_dense(outputs, self._rows, self._bias, tokens, sums, values)
        return outputs


class Blocks(NamedTuple):
    """A block-sparse map as integers.

    Attributes:
        integers: int8 (groups, 4, 4): of four blocks of the same outputs, outputs by blocks.
        inputs: of which input each block of a group is, int32 (groups, 4).
        starts: where the groups of each four outputs begin and end, int64 (outputs / 4 + 1,).
        offsets: what the tokens' `OFFSET` adds to each output's products, int32 (outputs,).
        scales: float32 (outputs,).
    """

    integers: Int8s
    inputs: Int32s
    starts: Int64s
    offsets: Int32s
    scales: Float32s


class BlockSparseMap:
    """A map of which only blocks that are not 0 are stored and multiplied."""

    def __init__(self, weight: Float32s, bias: Float32s) -> None:
        """Quantise a map.

        Args:
            weight: float32 (outputs, inputs), outputs a multiple of 4.
            bias: float32 (outputs,).
        """
        self._blocks = _blocks_of(weight)
        self._bias = bias

    def apply(self, states: Float32s) -> Float32s:
        """See `Map`."""
        n_tokens, n_inputs = states.shape
        tiles = np.empty((-(-n_tokens // TILE), n_inputs, TILE), dtype=np.uint8)
        scales = np.ones(tiles.shape[0] * TILE, dtype=np.float32)
        _tile(np.ascontiguousarray(states), ORDER, tiles, scales)
        outputs = np.empty((n_tokens, self._bias.size), dtype=np.float32)
        sums = np.empty(BLOCK * TILE, dtype=np.int32)
        values = np.empty((ROW_TILE, TILE), dtype=np.float32)
        _apply_sparse(outputs, self._blocks, self._bias, tiles, scales, sums, values)
        return outputs


def block_density(weight: Float32s) -> float:
    """Share of the blocks of a map, float32 (outputs, inputs), that are not 0."""
    n_outputs, n_inputs = weight.shape
    used = weight.reshape(n_outputs // BLOCK, BLOCK, n_inputs).any(axis=1)
    return float(used.mean())


def _blocks_of(weight: Float32s) -> Blocks:
    n_outputs, n_inputs = weight.shape
    integers, scales = quantise(weight.T)
    by_block = integers.T.reshape(n_outputs // BLOCK, BLOCK, n_inputs)
    values, inputs, starts = [], [], [0]
    for block_row in by_block:
        used = np.flatnonzero(block_row.any(axis=0))
        filled = np.zeros(-(-used.size // BLOCK) * BLOCK, dtype=np.int32)  # by blocks of weight 0
        filled[: used.size] = used
        weights = np.zeros((BLOCK, filled.size), dtype=np.int8)
        weights[:, : used.size] = block_row[:, used]
        inputs.append(filled.reshape(-1, BLOCK))
        values.append(weights.reshape(BLOCK, -1, BLOCK).transpose(1, 0, 2))
        starts.append(starts[-1] + filled.size // BLOCK)
    return Blocks(
        np.ascontiguousarray(np.concatenate(values)),
        np.concatenate(inputs),
        np.array(starts, dtype=np.int64),
        integers.sum(axis=0, dtype=np.int32) * np.int32(OFFSET),
        scales,
    )


@lean_kernel
def _apply_dense(
    outputs: Float32s,
    rows: Rows,
    bias: Float32s,
    tokens: Tokens,
    sums: Int32s,
    values: Float32s,
) -> None:
    n_outputs = outputs.shape[1]
    n_groups, quads = tokens.integers.shape[0], tokens.integers.shape[1]
    for tile in range(0, n_outputs, ROW_TILE):
        last = min(tile + ROW_TILE, n_outputs)
        for group in range(0, n_groups, GROUPS):
            n = min(GROUPS, n_groups - group)
            for first in range(tile, last, ROWS):
                at, stride = first * 4 * quads, 4 * quads
                products(n, sums, rows.integers, at, stride, tokens.integers, group, quads)
                for place in range(min(ROWS, last - first)):
                    row = first + place
                    for each in range(n):
                        finish(
                            values[row - tile, each * LANES :],
                            sums,
                            (place * n + each) * LANES,
                            tokens.scales[group + each],
                            rows.offsets[row],
                            rows.scales[row],
                            bias[row],
                        )
            _transpose(outputs[group * LANES : (group + n) * LANES, tile:last], values)


@lean_kernel
def _apply_sparse(
    outputs: Float32s,
    blocks: Blocks,
    bias: Float32s,
    tiles: Uint8s,
    scales: Float32s,
    sums: Int32s,
    values: Float32s,
) -> None:
    n_tokens, n_outputs = outputs.shape
    for first in range(0, n_outputs, ROW_TILE):
        last = min(first + ROW_TILE, n_outputs)
        for tile in range(tiles.shape[0]):
            start = tile * TILE
            n = min(TILE, n_tokens - start)
            for row in range(first, last, BLOCK):
                begin, end = blocks.starts[row // BLOCK], blocks.starts[row // BLOCK + 1]
                sparse_products(sums, blocks.integers, blocks.inputs, begin, end, tiles, tile)
                for place in range(BLOCK):
                    for lane in range(0, TILE, LANES):
                        finish(
                            values[row - first + place, lane:],
                            sums,
                            place * TILE + lane,
                            scales[start + lane :],
                            blocks.offsets[row + place],
                            blocks.scales[row + place],
                            bias[row + place],
                        )
            _transpose(outputs[start : start + n, first:last], values)


@lean_kernel
def _transpose(outputs: Float32s, values: Float32s) -> None:
    """Write values (rows, tokens) into outputs (tokens, rows), as many as those have."""
    for token in range(outputs.shape[0]):
        output = outputs[token]
        for row in range(output.size):
            output[row] = values[row, token]


@kernel
def _tile(states: Float32s, order: Int64s, tiles: Uint8s, scales: Float32s) -> None:
    """Fill in tokens as integers, inputs by tokens, and their scales."""
    n_tokens, n_inputs = states.shape
    rounded = np.full((TILE, n_inputs), OFFSET, dtype=np.uint8)  # by place, tokens by inputs
    for tile in range(tiles.shape[0]):
        start = tile * TILE
        for token in range(min(TILE, n_tokens - start)):
            scales[start + token] = round_state(states[start + token], rounded[order[token]])
        inputs = tiles[tile]
        for i in range(n_inputs):
            for place in range(TILE):
                inputs[i, place] = rounded[place, i]
