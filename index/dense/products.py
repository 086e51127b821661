"""Inner products of chosen dense vectors with a query, read where they lie."""

from __future__ import annotations

import numpy as np

from ..jit import lean_kernel
from ..seismic.prefetch import prefetch
from ..vectors import Float32s, Int64s

_AHEAD = 3
"""Vectors asked for before one is read."""

_LINE = 16
"""Values on a cache line."""


@lean_kernel
def inner_products(vectors: Float32s, query: Float32s, rows: Int64s, products: Float32s) -> None:
    """Fill products, float32 (n,): the same bits for a vector in whatever company.

    Args:
        vectors: float32 (n_vectors x d,), one behind the other.
        query: float32 (d,).
        rows: int64 (n,), the vectors to compare with.
    """
    d = query.size
    for i in range(min(_AHEAD, rows.size)):
        ask_for_row(vectors, rows[i] * d, d)
    for i in range(rows.size):
        if i + _AHEAD < rows.size:
            ask_for_row(vectors, rows[i + _AHEAD] * d, d)
        row = vectors[rows[i] * d : (rows[i] + 1) * d]
        total = np.float32(0.0)
        for j in range(d):
            total += row[j] * query[j]
        products[i] = total


@lean_kernel
def ask_for_row(vectors: Float32s, start: int, d: int) -> None:
    """Prefetch the d values from `start` on."""
    for place in range(start, start + d, _LINE):
        prefetch(vectors, place)
