"""Exact or approximate: the cheaper way for each query on each segment.

Exact search touches every posting of the query's terms and every document once, whatever the
filter. Approximate search costs little more for a large segment than for a small one, and needs an
index that only large segments have; under a filter that leaves few documents it rates these one by
one (seismic/route.py). The constants are measured, on one core of an AMD EPYC (Zen 5), in batches
of 300 queries of 43 and of 7 terms over 10,000 to 200,000 documents with SPLADE's statistics; what
matters is their ratio.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .seismic.route import Route
from .vectors import Int64s

EXACT_NS_PER_POSTING = 0.55
"""Scattering one posting into its accumulator, nanoseconds."""

EXACT_NS_PER_DOCUMENT = 0.1
"""Scanning one accumulator, nanoseconds."""

SEISMIC_FROM = 50_000
"""Passages from which a segment gets an approximate index: where it takes half the time of exact
search for queries of 40 terms and documents of 120."""


def prefers_exact(
    postings: Int64s, n_lists: Int64s, n_documents: int, route: Route
) -> NDArray[np.bool_]:
    """bool (n_queries,): queries for which exact search is expected to cost no more.

    Args:
        postings: int64 (n_queries,), postings of each query's terms in the segment.
        n_lists: int64 (n_queries,), terms of each query that have a list.
        route: how approximate search would go, which depends on the filter.
    """
    exact = EXACT_NS_PER_POSTING * postings + EXACT_NS_PER_DOCUMENT * n_documents
    cheaper: NDArray[np.bool_] = exact <= route.cost(n_lists)
    return cheaper
