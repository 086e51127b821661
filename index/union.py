"""The union of what two searches have found, and which of it the second one has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .jit import strict_lean_kernel
from .vectors import Int64s


def union(first: Int64s, second: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Keys of either of two sequences, each of distinct ones.

    Returns:
        The keys, ascending, each once; where those of `second` stand there, in its order; and
        where all others do, ascending. All int64.
    """
    keys = np.concatenate((first, second))
    keys.sort()
    places = np.empty(second.size, dtype=np.int64)
    others = np.empty(first.size, dtype=np.int64)
    n_keys = drop_repeated(keys)
    n_others = find_places(keys[:n_keys], second, np.zeros(n_keys, np.bool_), places, others)
    return keys[:n_keys], places, others[:n_others]


@strict_lean_kernel
def drop_repeated(keys: Int64s) -> int:
    """Move the distinct of ascending keys to the front; how many there are."""
    n_keys = min(1, keys.size)
    for i in range(1, keys.size):
        keys[n_keys] = keys[i]
        n_keys += keys[i] != keys[n_keys - 1]
    return n_keys


@strict_lean_kernel
def find_places(
    keys: Int64s, sought: Int64s, taken: NDArray[np.bool_], places: Int64s, others: Int64s
) -> int:
    """Fill places with where sought keys stand among ascending ones, others with where none does.

    Args:
        taken: bool (n_keys,), all False.
        others: int64, with room for all of these.

    Returns:
        How many others there are.
    """
    for i in range(sought.size):
        low, size = 0, keys.size
        while size > 1:
            half = size >> 1
            low += half if keys[low + half] <= sought[i] else 0
            size -= half
        places[i] = low
        taken[low] = True
    n_others = 0
    for place in range(keys.size):
        if not taken[place]:
            others[n_others] = place
            n_others += 1
    return n_others
