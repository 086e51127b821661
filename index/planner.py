"""Exact or approximate: the cheaper way for each query on each segment.

Exact search touches every posting of the query's terms and every document once, whatever the
filter; or, where there are many postings, some of them, and the documents that can be among the
best. Approximate search costs little more for a large segment than for a small one, and needs an
index that only large segments have; under a filter that leaves few documents it rates these one by
one (seismic/route.py). The constants are measured on one core, in batches of 200 queries of 43 and
of 7 terms over 10,000 to 1,000,000 documents with SPLADE's statistics; what matters is their ratio
to those of the routes. (Exact search in microseconds on an AMD EPYC Zen 4 that other work shared,
where approximate search takes 1.55 times what the routes say: 43 terms, 100,000 documents 220, of
which 180 are left where terms are left out; 200,000: 428 and 263; 1,000,000: 2,110 and 895; 7 terms
over 1,000,000: 371 and 307.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .exact.exact_index import documents_scored, least_postings
from .seismic.route import Route
from .vectors import Int64s

EXACT_NS_PER_POSTING = 0.6
"""Scattering one posting into its accumulator, nanoseconds."""

EXACT_NS_PER_DOCUMENT = 0.05
"""Scanning one accumulator, nanoseconds."""

PRUNED_NS_PER_POSTING = 0.2
"""The same for each posting, read or not, where terms are left out."""

PRUNED_NS_PER_SCORED = 160.0
"""Scoring a document from its vector, nanoseconds."""

PRUNED_NS = 60_000.0
"""What leaving terms out costs in any case."""

SEISMIC_FROM = 50_000
"""Passages from which a segment gets an approximate index: where it takes half the time of exact
search for queries of 40 terms and documents of 120."""


def never_exact(n_documents: int, route: Route) -> bool:
    """Whether exact search is expected to cost more for every query, whatever its terms."""
    most = route.cost(np.array([route.query_cut]))
    return bool(EXACT_NS_PER_DOCUMENT * n_documents > most[0])


def prefers_exact(
    postings: Int64s, n_lists: Int64s, n_documents: int, k: int, route: Route
) -> NDArray[np.bool_]:
    """bool (n_queries,): queries for which exact search is expected to cost no more.

    Args:
        postings: int64 (n_queries,), postings of each query's terms in the segment.
        n_lists: int64 (n_queries,), terms of each query that have a list.
        route: how approximate search would go, which depends on the filter.
    """
    scored = documents_scored(k, n_documents)
    exact = np.where(
        postings >= least_postings(k, n_documents),
        PRUNED_NS_PER_POSTING * postings + PRUNED_NS_PER_SCORED * scored + PRUNED_NS,
        EXACT_NS_PER_POSTING * postings,
    )
    exact += EXACT_NS_PER_DOCUMENT * n_documents
    cheaper: NDArray[np.bool_] = exact <= route.cost(n_lists)
    return cheaper
