"""Kernels over densified vectors: gated inner products, slice by slice.

Values and indices are stored by slice, so that a query reads only the slices in which it has a
value, and each of them as one run of memory: compared, selected and added up without a branch.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .allowed import Words, is_allowed
from .jit import kernel
from .topk import heap_push, heap_sort
from .vectors import Float32s, Int64s

WINDOW = 1 << 12
"""Documents scored together: their scores stay in the first-level cache."""

Codes: TypeAlias = NDArray[np.uint16]
Places: TypeAlias = NDArray[np.unsignedinteger[Any]]


@kernel
def scan_slices(
    codes: Codes,
    places: Places,
    slices: Int64s,
    values: Float32s,
    gates: Places,
    base: Float32s,
    allowed: Words,
    scores: Float32s,
    ordinals: Int64s,
) -> int:
    """The best documents of one query by the gated inner product over some slices.

    Args:
        codes: uint16 (n_slices, n), values in steps; 0 where a document has nothing in a slice.
        places: uint8 or uint16 (n_slices, n), which component of its slice a value is of.
        slices: int64 (m,), those of the query that count.
        values: float32 (m,), the query's, times the size of a step.
        gates: (m,), as places: which component the query has in each.
        base: float32 (n,), added to the scores; or empty, and then only scores above 0 count.
        allowed: a bit a document, or empty when every document is.
        scores, ordinals: (k,), empty results; filled, best first.

    Returns:
        How many results there are.
    """
    n, k, size = codes.shape[1], scores.size, 0
    window = np.empty(WINDOW, dtype=np.float32)
    least = np.float32(0.0) if base.size == 0 else np.float32(-np.inf)
    for first in range(0, n, WINDOW):
        width = min(WINDOW, n - first)
        for i in range(width):
            window[i] = base[first + i] if base.size else np.float32(0.0)
        for term in range(slices.size):
            row, at = codes[slices[term]], places[slices[term]]
            value, gate = values[term], gates[term]
            for i in range(width):
                code = row[first + i] if at[first + i] == gate else np.uint16(0)
                window[i] += value * np.float32(code)
        threshold = scores[0] if size == k else least
        for i in range(width):
            if window[i] > threshold and is_allowed(allowed, first + i):
                size = heap_push(scores, ordinals, size, window[i], first + i)
                threshold = scores[0] if size == k else least
    heap_sort(scores, ordinals, size)
    return size


@kernel
def score_chosen(
    codes: Codes,
    places: Places,
    slices: Int64s,
    values: Float32s,
    gates: Places,
    chosen: Int64s,
    scores: Float32s,
) -> None:
    """Add the gated inner products of chosen documents to `scores`, float32 (n_chosen,)."""
    for term in range(slices.size):
        row, at = codes[slices[term]], places[slices[term]]
        for i in range(chosen.size):
            if at[chosen[i]] == gates[term]:
                scores[i] += values[term] * np.float32(row[chosen[i]])
