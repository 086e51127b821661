"""Which terms can a text have? Integers say so for a quarter of the work, and miss none.

A learned sparse model scores the whole vocabulary and keeps a hundredth of it. Products of bytes
come near every score z = w . x, and how near is known: with w' and x' the rounded vectors,

    |w . x - w' . x'|  <=  |x| |w - w'|  +  |x - x'| |w'|        (Cauchy and Schwarz)

A term of which no position's w' . x' comes within that of the score where weights begin has the
weight 0. The scores of the others, a few hundred, are worked out in floats: results are exact.
Tokens have a scale each, so a text's terms do not depend on the texts beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lexidex.index.jit import lean_kernel
from lexidex.index.vectors import Float32s, Int64s

from .integers import Int32s, Rows, Tokens, Uint8s, grouped, rows_of
from .lanes import LANES, exceeds
from .products import GROUPS, ROWS, products

_TILE = 32 * ROWS
"""Rows of weights that stay in a cache while all tokens pass by."""


class Screen:
    """A map onto the vocabulary, by which to tell the terms that a text can have."""

    def __init__(self, weight: Float32s, bias: Float32s) -> None:
        """Quantise a map.

        Args:
            weight: float32 (terms, inputs), inputs a multiple of 4.
            bias: float32 (terms,).
        """
        self._terms, self._inputs = weight.shape
        self._rows = rows_of(weight)
        self._bias = np.zeros(self._rows.scales.size, dtype=np.float32)
        self._bias[: self._terms] = bias

    def candidates(
        self, states: Float32s, lengths: Sequence[int], least: float = 0.0
    ) -> list[Int64s]:
        """For each text the terms whose score may be above `least` at some position, ascending.

        Args:
            states: of all positions, text after text, float32 (positions, inputs).
            lengths: positions of each text.
            least: the score up to which a weight is 0.
        """
        tokens = grouped(states, np.array(lengths, dtype=np.int64))
        found = np.zeros((len(lengths), self._rows.scales.size), dtype=np.uint8)
        sums = np.empty(ROWS * GROUPS * LANES, dtype=np.int32)
        _screen(found, self._rows, np.float32(least) - self._bias, tokens, sums)
        return [np.flatnonzero(row[: self._terms]) for row in found]


@lean_kernel
def _screen(found: Uint8s, rows: Rows, thresholds: Float32s, tokens: Tokens, sums: Int32s) -> None:
    """Set found[text, row] to 1 where a position of the text may have more than the threshold."""
    n_rows, n_groups = thresholds.size, tokens.texts.size
    quads = tokens.integers.shape[1]
    for first in range(0, n_rows, _TILE):
        last = min(first + _TILE, n_rows)
        for group in range(0, n_groups, GROUPS):
            n = min(GROUPS, n_groups - group)
            for row in range(first, last, ROWS):
                at, stride = row * 4 * quads, 4 * quads
                products(n, sums, rows.integers, at, stride, tokens.integers, group, quads)
                _compare(found, rows, row, thresholds, tokens, group, n, sums)


@lean_kernel
def _compare(
    found: Uint8s,
    rows: Rows,
    first: int,
    thresholds: Float32s,
    tokens: Tokens,
    group: int,
    n: int,
    sums: Int32s,
) -> None:
    """`_screen` for `ROWS` rows and n groups, of which the products are in `sums`."""
    for place in range(ROWS):
        row = first + place
        for each in range(n):
            if exceeds(
                sums,
                (place * n + each) * LANES,
                tokens.scales[group + each],
                tokens.norms[group + each],
                tokens.errors[group + each],
                rows.offsets[row],
                rows.scales[row],
                rows.norms[row],
                rows.errors[row],
                thresholds[row],
            ):
                found[tokens.texts[group + each], row] = 1
