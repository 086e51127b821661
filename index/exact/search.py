"""The search: term at a time, window by window, with most postings of frequent terms left out.

Each term scatters `query value x impact` into the accumulators of a window, in ascending order of
components, so a score is the same float32 sum on every run, whatever the threads; what beats the
k-th best then moves into the heap. (SINDI, arXiv 2509.08395, without its pruning.)

Once there is a threshold, frequent terms are left out whose bounds are small for the length of
their lists. Documents whose accumulator and block maxima together reach the threshold are
candidates; while there are many, more lists are read for them; those that remain are scored from
their vectors, which gives the very same sums. (MaxScore: Turtle, Flood: "Query evaluation:
strategies and optimizations", IP&M 31(6), 1995; there, candidates are completed list by list.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..allowed import Words
from ..jit import strict_lean_kernel
from ..topk import heap_sort
from ..vectors import Float32s, Int64s
from .block_maxima import BLOCK, LEAST, BlockMaxima
from .champions import Champions
from .documents import Documents, score_documents
from .left_out import (
    CANDIDATE,
    FIRST_SHARE,
    adapted_share,
    bound_blocks,
    choose_left_out,
    find_champions,
    rank_terms,
)
from .posting_lists import WINDOW, PostingLists, Queries
from .window import (
    find_candidates,
    floor_of,
    narrow_candidates,
    postings_of,
    scatter,
    take_scores,
)
from .workspace import POSTINGS, Workspace

_ROUNDING = 2.4e-7
"""The most that two float32 sums differ, as a fraction, for each number that is added; twice."""


class Index(NamedTuple):
    """What is searched."""

    lists: PostingLists
    maxima: BlockMaxima
    champions: Champions
    documents: Documents
    """Of no use without a table of weights in the workspace."""


@strict_lean_kernel
def search_exact(
    queries: Queries,
    index: Index,
    n_documents: int,
    pruned_from: int,
    allowed: Words,
    work: Workspace,
    top_scores: Float32s,
    top_ordinals: Int64s,
    counts: Int64s,
) -> None:
    """Fill top_scores and top_ordinals (n_queries, k) with each query's k best.

    Args:
        pruned_from: postings of a query from which terms may be left out.
        allowed: a bit a document, or empty when every document may be found.
        work: with room for the longest query.
        counts: int64 (N_COUNTS,), added to.
    """
    for q in range(queries.indptr.size - 1):
        begin, end = queries.indptr[q], queries.indptr[q + 1]
        n_terms = end - begin
        best, found = top_scores[q], top_ordinals[q]
        margin, share = np.float32(_ROUNDING * (n_terms + 4)), FIRST_SHARE
        n_postings = start_query(begin, end, queries.lists, index.lists, work)
        prunes = work.weights.size > 0 and n_postings >= pruned_from
        size, n_ranked, n_champions = 0, 0, 0
        if prunes:
            set_weights(begin, end, queries, work.weights)
            n_champions = find_champions(
                begin, n_terms, queries, index.champions, allowed, best.size, work
            )
            size = score_documents(
                n_champions, index.documents, True, work, size, best, found, counts
            )
            n_ranked = rank_terms(begin, n_terms, queries, index.maxima, work)
        seeded = n_champions > 0
        for first in range(0, n_documents, WINDOW):
            width = min(WINDOW, n_documents - first)
            threshold = best[0] if size == best.size else np.float32(0.0)
            n_able = n_ranked if threshold > LEAST else 0
            n_left_out = choose_left_out(
                begin, n_terms, n_able, share * threshold, queries, index.maxima, work
            )
            n_read = scatter(begin, n_terms, first // WINDOW, queries, index.lists, work)
            counts[POSTINGS] += n_read
            if n_left_out > 0:
                floor = floor_of(threshold, margin)
                n, was_too_large = complete_window(
                    begin, n_left_out, first, width, floor, queries, index, allowed, work, counts
                )
                size = score_documents(n, index.documents, seeded, work, size, best, found, counts)
                share = adapted_share(share, n, n_read, was_too_large)
            elif n_read > 0:
                size = take_scores(first, width, margin, seeded, allowed, work, size, best, found)
        heap_sort(best, found, size)
        if prunes:
            clear_weights(begin, end, queries, work.weights)


@strict_lean_kernel
def start_query(
    begin: np.int64, end: np.int64, query_lists: Int64s, lists: PostingLists, work: Workspace
) -> np.int64:
    """Set the cursors to the first run of each list; the number of postings of all lists."""
    total = np.int64(0)
    for i in range(begin, end):
        first, last = lists.run_offsets[query_lists[i]], lists.run_offsets[query_lists[i] + 1]
        work.cursors[i - begin] = first
        total += lists.run_starts[last] - lists.run_starts[first]
    return total


@strict_lean_kernel
def set_weights(begin: np.int64, end: np.int64, queries: Queries, weights: Float32s) -> None:
    """Enter the query's values into the table of all components."""
    for i in range(begin, end):
        weights[queries.components[i]] = queries.values[i]


@strict_lean_kernel
def clear_weights(begin: np.int64, end: np.int64, queries: Queries, weights: Float32s) -> None:
    """Make the table zero again."""
    for i in range(begin, end):
        weights[queries.components[i]] = 0.0


@strict_lean_kernel
def complete_window(
    begin: np.int64,
    n_left_out: int,
    first: int,
    width: int,
    floor: np.float32,
    queries: Queries,
    index: Index,
    allowed: Words,
    work: Workspace,
    counts: Int64s,
) -> tuple[int, bool]:
    """Find the window's candidates; as long as scoring them takes longer than reading the lists of
    half of the terms left out, read these, those with the largest bounds first.

    Returns the number of candidates, and whether lists were read.
    """
    window, n_blocks = first // WINDOW, (width + BLOCK - 1) // BLOCK
    bound_blocks(begin, n_left_out, first // BLOCK, n_blocks, queries, index.maxima, work, counts)
    n = find_candidates(first, width, floor, allowed, work)
    was_too_large = False
    while n_left_out > 0:
        ranks = (n_left_out // 2, n_left_out)
        n_postings = postings_of(begin, ranks, window, queries, index.lists, work)
        if CANDIDATE * n <= n_postings:
            break
        n_left_out = ranks[0]
        bound_blocks(
            begin,
            n_left_out,
            first // BLOCK,
            n_blocks,
            queries,
            index.maxima,
            work,
            counts,
        )
        n = narrow_candidates(n, begin, ranks, first, width, floor, queries, index.lists, work)
        counts[POSTINGS] += n_postings
        was_too_large = True
    return n, was_too_large
