"""Which vectors may be the best of those that are allowed, by an index that knows of no filter.

The index is searched for the nearest of all vectors, and those that are not allowed are left out.
What remains are the nearest allowed ones, as surely as the index finds any, however the filter and
the query have to do with one another. (FAISS's own selectors take the best allowed vectors met on
the way to the nearest of all: where few of these are allowed, they are far from the best, or none.)

A search goes deeper by as much as fewer vectors are allowed, so that it keeps as many allowed ones
as a search without a filter keeps at all. An index misses few of the first it keeps, and more and
more of the later ones; so where the allowed ones do not begin early, since fewer are allowed near
the query than elsewhere, it goes on deeper. Whenever comparing with all allowed vectors costs less
than the next search, that is done instead.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..allowed import Allowed
from ..vectors import Float32s, Int64s
from . import faiss_index
from .params import DenseSearchParams

SPARE = 1.25
"""Vectors that a search under a filter asks for at least, as a multiple of those among which as
many as are wanted should be allowed."""

SURE = 0.25
"""Share of the vectors kept of which hardly any is missed."""

ENOUGH = 0.6
"""Vectors that have to be allowed among those, unless fewer are wanted, as a share of how many
there are of them in a search without a filter."""


def propose(
    index: Any,
    query: Float32s,
    wanted: int,
    params: DenseSearchParams,
    allowed: Allowed | None,
) -> tuple[Int64s | None, int]:
    """Vectors among which the `wanted` best of one query should be.

    Args:
        index: FAISS's.
        query: float32 (d,).
        wanted: at least 1, and no more than are allowed.

    Returns:
        Ordinals int64 (n,), at least `wanted`, the nearest first, or None where comparing with all
        allowed vectors costs less; and how many vectors the index came up with.
    """
    n_vectors = int(index.ntotal)
    depth = min(wanted * params.refine, n_vectors)
    kept = max(params.ef_search, depth) if params.deepen else params.ef_search
    n_allowed, asked, enough = n_vectors, float(depth), 0.0
    if allowed is not None:
        n_allowed, asked = allowed.count, max(kept, SPARE * wanted)
        enough = min(wanted, ENOUGH * SURE * kept)
    cost = faiss_index.cost(index, kept, params.n_probe)
    scale, work = n_vectors / n_allowed, 0
    while cost * scale <= n_allowed:
        sizes = (math.ceil(size * scale) for size in (asked, kept, params.n_probe))
        found = faiss_index.search(index, query[None], *sizes)[0]
        found = found[found >= 0]
        work += found.size
        passed = np.ones(found.size, np.bool_) if allowed is None else allowed.marks(found)
        n_sure = int(np.count_nonzero(passed[: math.ceil(SURE * kept * scale)]))
        found = found[passed]
        if found.size >= wanted and n_sure >= enough:
            return found[:depth], work
        scale *= max(2.0, SURE * kept / max(n_sure, 1))
    return None, work
