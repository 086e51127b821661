"""Candidates that others score anew: what a search for a few meets on its way to these.

A search for 200 documents rates twice as many as one for 64 does, to be sure of the last of them.
Where they are only to be scored anew, with those that another search has found, that is not worth
it: the documents that the shorter search has rated are kept, the likeliest of them.
"""

from __future__ import annotations

import numpy as np

from ..allowed import Words
from ..jit import lean_kernel
from ..topk import EMPTY_ORDINAL, heap_push, heap_sort, is_worse
from ..vectors import Float32s, Int64s
from .records import Records
from .search import Queries, clear_query, find_candidates
from .summaries import Summaries
from .traversal import Postings
from .vocabulary import Numbering
from .workspace import Workspace


@lean_kernel
def propose_documents(
    queries: Queries,
    query_cut: int,
    heap_factor: float,
    allowed: Words,
    numbering: Numbering,
    summaries: Summaries,
    postings: Postings,
    records: Records,
    work: Workspace,
    sought_scores: Float32s,
    sought_ordinals: Int64s,
    top_scores: Float32s,
    top_ordinals: Int64s,
    counts: Int64s,
) -> None:
    """Fill top_scores and top_ordinals (n_queries, k) with the k likeliest documents of those that
    a search for fewer rates on its way, and with upper bounds of their scores.

    Args:
        sought_scores, sought_ordinals: scratch for as many as are searched for.
        allowed, work, top_scores, top_ordinals, counts: as for `search_blocks`.
    """
    for q in range(queries.indptr.size - 1):
        n_terms, n_candidates = find_candidates(
            q,
            queries,
            query_cut,
            heap_factor,
            top_scores.shape[1],
            allowed,
            numbering,
            summaries,
            postings,
            records,
            work,
            sought_scores,
            sought_ordinals,
            counts,
        )
        keep_likeliest(n_candidates, work, top_scores[q], top_ordinals[q])
        clear_query(n_terms, work)


@lean_kernel
def keep_likeliest(
    n_candidates: int, work: Workspace, top_scores: Float32s, top_ordinals: Int64s
) -> None:
    """Fill top_scores and top_ordinals with the candidates of the k highest upper bounds, and with
    these, best first."""
    size = 0
    for i in range(n_candidates):
        upper, ordinal = work.upper_bounds[i], np.int64(work.candidates[i])
        if upper > 0.0 and (
            size < top_scores.size or is_worse(top_scores[0], top_ordinals[0], upper, ordinal)
        ):
            size = heap_push(top_scores, top_ordinals, size, upper, ordinal)
    heap_sort(top_scores, top_ordinals, size)
    top_scores[size:] = -np.inf
    top_ordinals[size:] = EMPTY_ORDINAL
