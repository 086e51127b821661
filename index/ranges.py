"""Several ranges of numbers as one array: which rows the parts of a divided array are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .vectors import Int64s


def ranges(starts: Int64s, counts: NDArray[np.int64]) -> Int64s:
    """The counts[i] numbers from starts[i] on, of every i, one after another; int64.

    ranges([7, 2], [2, 3]) is [7, 8, 2, 3, 4].
    """
    before = np.cumsum(counts) - counts
    numbers: Int64s = np.repeat(starts - before, counts) + np.arange(int(counts.sum()))
    return numbers
