"""Kernels of exact search: windowed term-at-a-time over posting lists in ordinal order.

The collection is cut into windows of 65,536 ordinals, so that a posting needs 16 bits for its
ordinal and the accumulators of a window stay in the second-level cache. A posting list is a
sequence of *runs*, one for each window in which it has postings. Window by window, each query term
scatters `query value x posting value` into the accumulators in ascending order of components, so a
score is the same float32 sum on every run, whatever the threads; a scan then moves what beats the
k-th best into the heap. (The scheme of SINDI, arXiv 2509.08395, without its pruning: values here
are float32 and nothing is dropped.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .allowed import Words, is_allowed
from .jit import strict_kernel
from .topk import heap_push, heap_sort
from .vectors import Components, Float32s, Int64s

WINDOW = 1 << 16
"""Documents a window; a local ordinal is a uint16."""

CHUNK = 64
"""Accumulators looked at together in the scan: those of one word of a filter."""


@strict_kernel
def count_runs(
    components: Components, indptr: NDArray[np.int32], postings: Int64s, runs: Int64s
) -> None:
    """Count each list's postings and runs.

    Args:
        components: int32 (nnz,), numbers of lists.
        postings, runs: int64 (n_lists,), zero; filled.
    """
    latest = np.full(postings.size, -1, dtype=np.int64)
    for ordinal in range(indptr.size - 1):
        window = ordinal // WINDOW
        for i in range(indptr[ordinal], indptr[ordinal + 1]):
            number = components[i]
            postings[number] += 1
            if latest[number] != window:
                latest[number] = window
                runs[number] += 1


@strict_kernel
def invert(
    components: Components,
    values: Float32s,
    indptr: NDArray[np.int32],
    places: Int64s,
    run_places: Int64s,
    ordinals: NDArray[np.uint16],
    impacts: Float32s,
    run_windows: NDArray[np.int32],
    run_starts: Int64s,
) -> None:
    """Counting sort of a forward index into posting lists and their runs.

    Args:
        components: int32 (nnz,), numbers of lists.
        places, run_places: int64 (n_lists,), where each list's postings and runs begin; advanced
            in place to where they end.
        ordinals, impacts: (nnz,), filled; ordinals are local to their window.
        run_windows, run_starts: (n_runs,), filled.
    """
    latest = np.full(places.size, -1, dtype=np.int64)
    for ordinal in range(indptr.size - 1):
        window = ordinal // WINDOW
        for i in range(indptr[ordinal], indptr[ordinal + 1]):
            number = components[i]
            place = places[number]
            if latest[number] != window:
                latest[number] = window
                run = run_places[number]
                run_windows[run] = window
                run_starts[run] = place
                run_places[number] = run + 1
            ordinals[place] = ordinal - window * WINDOW
            impacts[place] = values[i]
            places[number] = place + 1


@strict_kernel
def scan_window(
    accumulators: Float32s,
    width: int,
    first: int,
    allowed: Words,
    scores: Float32s,
    ordinals: Int64s,
    size: int,
) -> int:
    """Move the window's results into the heap and clear the accumulators; the heap's new size.

    Ordinals ascend, so a document that only equals the worst kept score stands after it and a
    strict comparison decides.

    Args:
        first: ordinal of the window's first document.
        allowed: a bit a document, or empty when every document is.
    """
    k = scores.size
    for start in range(0, width, CHUNK):
        chunk = accumulators[start : start + CHUNK]
        threshold = scores[0] if size == k else np.float32(0.0)
        above = np.int32(0)
        for i in range(CHUNK):  # no branch, so that it is compiled to vector comparisons
            above |= np.int32(chunk[i] > threshold)
        if above and (allowed.size == 0 or allowed[(first + start) >> 6] != 0):
            for i in range(CHUNK):
                ordinal = first + start + i
                if chunk[i] > threshold and is_allowed(allowed, ordinal):
                    size = heap_push(scores, ordinals, size, chunk[i], ordinal)
                    if size == k:
                        threshold = scores[0]
        for i in range(CHUNK):
            chunk[i] = np.float32(0.0)
    return size


@strict_kernel
def search_exact(
    query_lists: Int64s,
    query_values: Float32s,
    query_indptr: Int64s,
    run_offsets: Int64s,
    run_windows: NDArray[np.int32],
    run_starts: Int64s,
    ordinals: NDArray[np.uint16],
    impacts: Float32s,
    n_documents: int,
    allowed: Words,
    accumulators: Float32s,
    top_scores: Float32s,
    top_ordinals: Int64s,
) -> int:
    """Fill top_scores and top_ordinals (n_queries, k) with each query's k best; postings scored.

    Args:
        query_lists: int64 (query nnz,), posting lists by number, ascending within a query.
        run_offsets: int64 (n_lists + 1,), each list's first run.
        run_starts: int64 (n_runs + 1,), each run's first posting.
        accumulators: float32 (WINDOW,), all zero; zero again on return.
    """
    longest = 0
    for query in range(query_indptr.size - 1):
        longest = max(longest, query_indptr[query + 1] - query_indptr[query])
    cursors = np.empty(longest, np.int64)
    scored = 0
    for query in range(query_indptr.size - 1):
        begin = query_indptr[query]
        n_terms = query_indptr[query + 1] - begin
        for term in range(n_terms):
            cursors[term] = run_offsets[query_lists[begin + term]]
        size = 0
        for first in range(0, n_documents, WINDOW):
            touched = 0
            for term in range(n_terms):
                run = cursors[term]
                if (
                    run == run_offsets[query_lists[begin + term] + 1]
                    or run_windows[run] != first // WINDOW
                ):
                    continue
                cursors[term] = run + 1
                weight = query_values[begin + term]
                # Unsigned, so that no index is checked for counting from the end.
                for i in range(np.uint64(run_starts[run]), np.uint64(run_starts[run + 1])):
                    accumulators[np.uint64(ordinals[i])] += weight * impacts[i]
                touched += run_starts[run + 1] - run_starts[run]
            if touched > 0:
                scored += touched
                size = scan_window(
                    accumulators,
                    min(WINDOW, n_documents - first),
                    first,
                    allowed,
                    top_scores[query],
                    top_ordinals[query],
                    size,
                )
        heap_sort(top_scores[query], top_ordinals[query], size)
    return scored
