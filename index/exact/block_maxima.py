"""Block maxima: upper bounds of what a frequent list adds to the score of each document.

The collection is cut into blocks of 32 ordinals. A list that has a posting for every block, on
average, is *frequent*, and has for each block the largest impact in it as a code of 8 bits, rounded
upward, in units of the list's own: never more bytes than it has postings. (Ding, Suel: "Faster
top-k document retrieval using block-max indexes", SIGIR 2011; codes and the fixed size of blocks as
in Mallia, Suel, Tonellotto: "Faster learned sparse retrieval with block-max pruning", SIGIR 2024.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..jit import strict_kernel, strict_lean_kernel
from ..vectors import Components, Float32s, Int64s
from .lanes import LANES
from .posting_lists import WINDOW, PostingLists, row_table

BLOCK = LANES
"""Documents a block."""

CODES = 255
"""The largest code."""

LEAST = np.float32(1e-30)
"""Bounds by smaller maxima, and of smaller scores, would suffer from underflow."""


class BlockMaxima(NamedTuple):
    """The bounds of frequent lists, one row for each."""

    rows: NDArray[np.int32]
    """(n_lists,), each list's row, or -1."""
    units: Float32s
    """(n_frequent,), what a code of 1 stands for."""
    means: Float32s
    """(n_frequent,), mean bound of a block."""
    prices: Float32s
    """(n_frequent,), the same for each posting that need not be read."""
    codes: NDArray[np.uint8]
    """(n_frequent, n_blocks)."""


def build_block_maxima(lists: PostingLists, lengths: Int64s, n_documents: int) -> BlockMaxima:
    """The bounds of every list that is frequent; `lengths` are the numbers of postings."""
    n_blocks = -(-n_documents // BLOCK)
    frequent = np.flatnonzero((lengths >= n_blocks) & (lengths > 0)).astype(np.int32)
    codes = np.zeros((frequent.size, n_blocks), dtype=np.uint8)
    units = np.zeros(frequent.size, dtype=np.float32)
    encode_maxima(lists, frequent, np.empty(n_blocks, dtype=np.float32), units, codes)
    usable = units * CODES > LEAST
    frequent, units, codes = frequent[usable], units[usable], codes[usable]
    sums: Float32s = codes.sum(axis=1, dtype=np.int64).astype(np.float32)
    means = units * sums / np.float32(max(n_blocks, 1))
    return view_block_maxima(lengths, frequent, units, means, codes)


def view_block_maxima(
    lengths: Int64s,
    frequent: Components,
    units: Float32s,
    means: Float32s,
    codes: NDArray[np.uint8],
) -> BlockMaxima:
    """The bounds in these arrays, as they are stored."""
    prices: Float32s = np.divide(means, lengths[frequent], dtype=np.float32)
    return BlockMaxima(row_table(frequent, lengths.size), units, means, prices, codes)


@strict_kernel
def encode_maxima(
    lists: PostingLists,
    frequent: Components,
    maxima: Float32s,
    units: Float32s,
    codes: NDArray[np.uint8],
) -> None:
    """Fill units and codes, a row for each frequent list.

    Args:
        maxima: (n_blocks,), scratch.

    Postcondition: code x unit is at least the block's largest impact, but for rounding.
    """
    for row in range(frequent.size):
        maxima[:] = 0.0
        number = frequent[row]
        for run in range(lists.run_offsets[number], lists.run_offsets[number + 1]):
            first = int(lists.run_windows[run]) * WINDOW
            for i in range(lists.run_starts[run], lists.run_starts[run + 1]):
                block = (first + int(lists.ordinals[i])) // BLOCK
                maxima[block] = max(maxima[block], lists.impacts[i])
        unit = maxima.max() / np.float32(CODES)
        units[row] = unit
        for block in range(maxima.size if unit > 0.0 else 0):
            codes[row, block] = min(CODES, np.ceil(maxima[block] / unit))


@strict_lean_kernel
def add_bounds(
    codes: NDArray[np.uint8], row: int, first: int, n: int, weight: np.float32, bounds: Float32s
) -> None:
    """Add weight x code to the bounds of n blocks, from the block `first` on.

    Args:
        bounds: (at least n,), by place from 0 on.
    """
    part, sums = codes[row, first : first + n], bounds[:n]
    for i in range(n):
        sums[i] += weight * np.float32(part[i])
