"""The vectors with the largest inner products, by comparing with all of them, ties included."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..vectors import Float32s, Int64s
from .products import inner_products

BLOCK = 1 << 12
"""Vectors compared at once: 6 MB of 384 dimensions, copied only where a filter leaves some out."""

MANY_QUERIES = 8
"""Queries from which products of matrices are faster than reading every vector for each."""

ROUNDING = 1e-5
"""By how much two ways to add up an inner product may differ, for vectors of length 1: some
hundred times what single precision loses on average, so that the way never decides."""


def nearest(
    queries: Float32s,
    vectors: Float32s,
    k: int,
    tolerance: float,
    ordinals: NDArray[np.integer[Any]] | None = None,
) -> list[Int64s]:
    """The vectors that may be among the k best of each query when scores are exact.

    Args:
        queries: float32 (n_queries, d).
        vectors: float32 (n, d), mapped or not.
        k: how many; all are compared where there are no more.
        tolerance: how far below the k-th best score another may be, for a query of length 1: with
            rounding it may be equal.
        ordinals: ascending; compare only with these.

    Returns:
        For each query int64 ordinals, ascending: at least min(k, vectors compared) of them.
    """
    n = vectors.shape[0] if ordinals is None else ordinals.size
    if len(queries) < MANY_QUERIES and k and n:
        rows = np.arange(n) if ordinals is None else ordinals.astype(np.int64)
        return [_nearest_to(query, vectors, k, rows) for query in queries]
    slack = tolerance * np.linalg.norm(queries, axis=1)
    kept = [np.empty(0, dtype=np.int64) for _ in queries]
    scores = [np.empty(0, dtype=np.float32) for _ in queries]
    for first in range(0, n if k else 0, BLOCK):
        places = np.arange(first, min(first + BLOCK, n))
        if ordinals is not None:
            places = ordinals[places].astype(np.int64)
        block = vectors[places[0] : places[-1] + 1] if ordinals is None else vectors[places]
        for row, products in enumerate(queries @ block.T):
            both = np.concatenate([scores[row], products])
            near = np.arange(both.size)
            if both.size > k:
                near = np.flatnonzero(both >= np.partition(both, -k)[-k] - slack[row])
            kept[row] = np.concatenate([kept[row], places])[near]
            scores[row] = both[near]
    return kept


def _nearest_to(query: Float32s, vectors: Float32s, k: int, rows: Int64s) -> Int64s:
    """Those of some vectors whose exact scores are the k best, and those that score the same."""
    products = np.empty(rows.size, dtype=np.float32)
    inner_products(flat(vectors), query, rows, products)
    if rows.size <= k:
        return rows
    best: Int64s = rows[products >= np.partition(products, -k)[-k]]
    return best


def flat(vectors: Float32s) -> Float32s:
    """Vectors one behind the other, read-only: kernels are compiled for each kind."""
    values = vectors.reshape(-1).view()
    values.flags.writeable = False
    return values
