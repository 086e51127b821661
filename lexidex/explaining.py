"""Why a passage has its score: which terms it shares with a query, and what each adds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lexidex.encoders import Encoder
from lexidex.index.vectors import Vectors

from .results import TermContribution


def best_row(passages: Vectors, query: Vectors) -> int:
    """The row with the largest inner product with a query; among equals the first.

    Args:
        passages: csr_array (n, any), n at least 1.
        query: csr_array (1, any).
    """
    return int(np.argmax(products_of(passages, query)))


def products_of(passages: Vectors, query: Vectors) -> NDArray[np.float64]:
    """The inner product of each row with a query, float64 (n,).

    Args:
        passages: csr_array (n, any).
        query: csr_array (1, any).
    """
    products = _weights_of(passages, query) * passages.data
    rows = np.repeat(np.arange(passages.shape[0]), np.diff(passages.indptr))
    sums = np.bincount(rows, products, minlength=passages.shape[0])
    return sums.astype(np.float64, copy=False)


def contributions(passage: Vectors, query: Vectors, encoder: Encoder) -> list[TermContribution]:
    """What each shared term adds, largest first.

    Args:
        passage, query: csr_arrays of one row.
    """
    found = zip(
        passage.indices.tolist(),
        _weights_of(passage, query).tolist(),
        passage.data.tolist(),
        strict=True,
    )
    shared = [
        TermContribution(encoder.term(component), weight, value, weight * value)
        for component, weight, value in found
        if weight
    ]
    return sorted(shared, key=lambda term: (-term.product, term.term))


def _weights_of(passages: Vectors, query: Vectors) -> NDArray[np.float64]:
    """For each entry of the passages, the query's weight of its component; float64 (nnz,)."""
    if not query.nnz:
        return np.zeros(passages.nnz)
    places = np.minimum(np.searchsorted(query.indices, passages.indices), query.nnz - 1)
    same = query.indices[places] == passages.indices
    return np.where(same, query.data[places], 0.0)
