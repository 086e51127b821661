"""The search of a batch of queries, from components and values to the k best documents."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..allowed import Words
from ..jit import lean_kernel
from ..topk import EMPTY_ORDINAL, heap_push, heap_sort, is_worse
from ..vectors import Components, Float32s, Int64s
from .estimates import estimate_blocks, list_blocks, order_blocks
from .prefetch import prefetch
from .pruning import Ordinals
from .records import LINE, Records, Rows, score
from .summaries import Summaries
from .traversal import Margin, Postings, visit_blocks, visit_documents
from .vocabulary import Numbering, number_of
from .workspace import RESIDUES_READ, Workspace

_HALF_STEP = 0.51
"""The most that a code is off, in steps, with room for rounding."""

_ROUNDING = 1.2e-7
"""The most that two float32 sums differ, as a fraction, for each number that is added."""


_TAIL = 0.0026
"""What a tail adds to a score, as a share of its sum of codes times the query's sum of values. In
the exact top 10 of queries of 43 and of 7 components, on a million synthetic documents, and of
NFCorpus by SPLADE-v3, medians are .0011, .0008 and .0013; upper quartiles .0027, .0028, .0020: a
guess that is too high costs time, one that is too low costs accuracy."""


class Queries(NamedTuple):
    """A canonical batch of queries."""

    components: Components
    """int32 (nnz,), ascending within a query; unknown ones are left out of the search."""
    values: Float32s
    indptr: Int64s


@lean_kernel
def search_blocks(
    queries: Queries,
    query_cut: int,
    heap_factor: float,
    allowed: Words,
    numbering: Numbering,
    summaries: Summaries,
    postings: Postings,
    records: Records,
    work: Workspace,
    top_scores: Float32s,
    top_ordinals: Int64s,
    counts: Int64s,
) -> None:
    """Fill top_scores and top_ordinals (n_queries, k) with each query's k best of the documents
    that its heaviest lists lead to.

    Args:
        allowed: bits of the documents that may be found, or empty when all may.
        work: with room for query_cut lists and for the longest query.
        top_scores, top_ordinals: empty places hold -inf and -1 on return.
        counts: int64 (N_COUNTS,), added to; see BLOCKS_SCORED.
    """
    for q in range(queries.indptr.size - 1):
        n_terms, n_candidates = find_candidates(
            q,
            queries,
            query_cut,
            heap_factor,
            0,
            allowed,
            numbering,
            summaries,
            postings,
            records,
            work,
            top_scores[q],
            top_ordinals[q],
            counts,
        )
        score_candidates(n_candidates, records, work, top_scores[q], top_ordinals[q], counts)
        clear_query(n_terms, work)


@lean_kernel
def find_candidates(
    q: int,
    queries: Queries,
    query_cut: int,
    heap_factor: float,
    n_met: int,
    allowed: Words,
    numbering: Numbering,
    summaries: Summaries,
    postings: Postings,
    records: Records,
    work: Workspace,
    top_scores: Float32s,
    top_ordinals: Int64s,
    counts: Int64s,
) -> tuple[int, int]:
    """Rate what a query's heaviest lists lead to, as `visit_blocks` does; the numbers of its terms
    and of candidates."""
    n_terms, margin = take_query(q, queries, numbering, records, work)
    n_chosen = choose_lists(n_terms, query_cut, summaries.lists, work)
    if heap_factor > 0.0:
        n_compared = choose_compared(n_terms, work)
        n_blocks = estimate_blocks(n_chosen, n_compared, summaries, work, counts)
        order_blocks(n_blocks, work)
    else:  # nothing is skipped, whatever the estimates
        n_blocks = list_blocks(n_chosen, summaries, work)
    n_candidates = visit_blocks(
        n_blocks,
        np.float32(heap_factor),
        n_met,
        allowed,
        postings,
        records,
        work,
        margin,
        top_scores,
        top_ordinals,
        counts,
    )
    return n_terms, n_candidates


@lean_kernel
def search_documents(
    queries: Queries,
    ordinals: Ordinals,
    n: int,
    numbering: Numbering,
    records: Records,
    work: Workspace,
    top_scores: Float32s,
    top_ordinals: Int64s,
    counts: Int64s,
) -> None:
    """Fill top_scores and top_ordinals (n_queries, k) with each query's k best of n documents.

    Args:
        ordinals: uint32 (n,), distinct; ALL_IN_ORDER for the first n documents.
        work, top_scores, top_ordinals, counts: as for `search_blocks`.
    """
    for q in range(queries.indptr.size - 1):
        n_terms, margin = take_query(q, queries, numbering, records, work)
        n_candidates = visit_documents(
            ordinals, n, records, work, margin, top_scores[q], top_ordinals[q], counts
        )
        score_candidates(n_candidates, records, work, top_scores[q], top_ordinals[q], counts)
        clear_query(n_terms, work)


@lean_kernel
def is_canonical(components: Components, values: Float32s) -> bool:
    """Whether components ascend strictly from 0 and values are positive and finite."""
    last = -1
    for i in range(components.size):
        if components[i] <= last or not 0.0 < values[i] < np.inf:
            return False
        last = components[i]
    return True


@lean_kernel
def take_query(
    q: int, queries: Queries, numbering: Numbering, records: Records, work: Workspace
) -> tuple[int, Margin]:
    """Fill terms and values with the components that documents have, and `query` by number.

    Returns their number, and how far off ratings of this query are.
    """
    n_terms = 0
    mass = np.float32(0.0)
    for i in range(queries.indptr[q], queries.indptr[q + 1]):
        number = number_of(queries.components[i], numbering.known, numbering.table)
        if number >= 0:
            work.terms[n_terms] = number
            work.values[n_terms] = queries.values[i]
            work.query[number] = queries.values[i]
            mass += queries.values[i]
            n_terms += 1
    # A value type without residues has no more to tell than its codes.
    steps = _HALF_STEP if records.residue_offset > records.components.itemsize else 0.0
    margin = Margin(
        slack=np.float32(steps) * mass,
        rounding=np.float32(_ROUNDING * (n_terms + 2)),
        tail=np.float32(_TAIL) * mass,
    )
    return n_terms, margin


@lean_kernel
def clear_query(n_terms: int, work: Workspace) -> None:
    """Make `query` zero again."""
    for term in range(n_terms):
        work.query[work.terms[term]] = 0.0


@lean_kernel
def choose_lists(n_terms: int, query_cut: int, lists: Rows, work: Workspace) -> int:
    """Fill chosen and chosen_values with the query's heaviest components whose lists have blocks,
    heaviest first, equal ones by component; their number, at most query_cut."""
    chosen, values = work.chosen[:query_cut], work.chosen_values[:query_cut]
    size = 0
    for i in range(n_terms):
        prefetch(lists, work.terms[i])
    for i in range(n_terms):
        term = work.terms[i]
        if lists[term]["block"] != lists[term + 1]["block"]:
            size = keep_heavier(values, chosen, size, work.values[i], term)
    heap_sort(values, chosen, size)
    return size


@lean_kernel
def choose_compared(n_terms: int, work: Workspace) -> int:
    """Fill compared and compared_values with the query's heaviest components; how many."""
    size = 0
    for i in range(n_terms):
        size = keep_heavier(
            work.compared_values, work.compared, size, work.values[i], work.terms[i]
        )
    return size


@lean_kernel
def keep_heavier(
    values: Float32s, components: Int64s, size: int, value: np.float32, component: np.int64
) -> int:
    """Push into a heap of the heaviest components if there is room or it is heavier than one that
    is kept; the new size."""
    if size < values.size or is_worse(values[0], components[0], value, component):
        return heap_push(values, components, size, value, component)
    return size


@lean_kernel
def score_candidates(
    n_candidates: int,
    records: Records,
    work: Workspace,
    top_scores: Float32s,
    top_ordinals: Int64s,
    counts: Int64s,
) -> None:
    """Fill top_scores and top_ordinals with the k best of the candidates, best first.

    Args:
        work: candidates are rearranged.
        top_scores: a heap of the k best lower bounds, whose root no candidate may stay below.
    """
    n_left = ask_for_residues(n_candidates, records, work, top_scores)
    size = 0
    for i in range(n_left):
        ordinal = np.int64(work.candidates[i])
        counts[RESIDUES_READ] += np.int64(records.documents[ordinal]["size"])
        total = score(records, work.query, ordinal)
        if total > 0.0 and (
            size < top_scores.size or is_worse(top_scores[0], top_ordinals[0], total, ordinal)
        ):
            size = heap_push(top_scores, top_ordinals, size, total, ordinal)
    heap_sort(top_scores, top_ordinals, size)
    top_scores[size:] = -np.inf
    top_ordinals[size:] = EMPTY_ORDINAL


@lean_kernel
def ask_for_residues(
    n_candidates: int, records: Records, work: Workspace, top_scores: Float32s
) -> int:
    """Keep the candidates that can still be among the best and prefetch what their codes leave
    out; how many are left."""
    threshold = top_scores[0] if n_candidates >= top_scores.size else np.float32(0.0)
    itemsize = records.residues.itemsize
    n_left = 0
    for i in range(n_candidates):
        if work.upper_bounds[i] >= threshold:
            ordinal = work.candidates[i]
            work.candidates[n_left] = ordinal
            n_left += 1
            start = np.int64(records.documents[ordinal]["line"]) * LINE
            length = np.int64(records.documents[ordinal]["size"])
            begin = start + length * records.residue_offset
            for place in range(begin, begin + length * itemsize + LINE, LINE):
                prefetch(records.codes, place)
    return n_left
