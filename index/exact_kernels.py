"""Kernels of exact search: windowed term-at-a-time over posting lists in ordinal order.

The collection is cut into windows of ordinals whose accumulators stay in the second-level cache.
Within a window each query term scatters `query value x posting value` into the accumulators in
ascending order of components, so a score is the same float32 sum on every run, whatever the
threads; a scan then moves what beats the k-th best into the heap. (The scheme of SINDI, arXiv
2509.08395, without its pruning: values here are float32 and nothing is dropped.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .jit import strict_kernel
from .topk import heap_push, heap_sort, is_worse
from .vectors import Components, Float32s, Int64s

WINDOW = 1 << 15
"""Documents a window: 128 KiB of float32 accumulators."""

CHUNK = 64
"""Accumulators looked at together in the scan; divides WINDOW."""


@strict_kernel
def invert(
    components: Components,
    values: Float32s,
    indptr: Int64s,
    starts: Int64s,
    ordinals: NDArray[np.uint32],
    impacts: Float32s,
) -> None:
    """Counting sort of a forward index into posting lists.

    Args:
        components: int32 (nnz,), already renumbered to [0, n_lists).
        starts: int64 (n_lists,), where each list begins; advanced in place to where it ends.
        ordinals, impacts: (nnz,), filled; ordinals ascend within each list.
    """
    for ordinal in range(indptr.size - 1):
        for i in range(indptr[ordinal], indptr[ordinal + 1]):
            place = starts[components[i]]
            ordinals[place] = ordinal
            impacts[place] = values[i]
            starts[components[i]] = place + 1


@strict_kernel
def first_at_or_after(ordinals: NDArray[np.uint32], low: int, high: int, bound: int) -> int:
    """The first place in the ascending ordinals[low:high] that is not below `bound`."""
    while low < high:
        middle = (low + high) // 2
        if ordinals[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return low


@strict_kernel
def scan_window(
    accumulators: Float32s,
    width: int,
    first: int,
    allowed: NDArray[np.bool_],
    scores: Float32s,
    ordinals: Int64s,
    size: int,
) -> int:
    """Move the window's results into the heap and clear the accumulators; the heap's new size.

    Args:
        first: ordinal of the window's first document.
        allowed: bool (n,), or empty when every document is.
    """
    k = scores.size
    for start in range(0, width, CHUNK):
        best = np.float32(0.0)
        for i in range(start, start + CHUNK):
            if accumulators[i] > best:
                best = accumulators[i]
        if best == 0.0:
            continue
        if size < k or best > scores[0]:
            for i in range(start, start + CHUNK):
                score = accumulators[i]
                ordinal = first + i
                if score <= 0.0 or (allowed.size > 0 and not allowed[ordinal]):
                    continue
                if size < k or is_worse(scores[0], ordinals[0], score, ordinal):
                    size = heap_push(scores, ordinals, size, score, ordinal)
        accumulators[start : start + CHUNK] = 0.0
    return size


@strict_kernel
def search_exact(
    query_lists: Int64s,
    query_values: Float32s,
    query_indptr: Int64s,
    offsets: Int64s,
    ordinals: NDArray[np.uint32],
    impacts: Float32s,
    n_documents: int,
    allowed: NDArray[np.bool_],
    accumulators: Float32s,
    top_scores: Float32s,
    top_ordinals: Int64s,
) -> int:
    """Fill top_scores and top_ordinals (n_queries, k) with each query's k best; postings scored.

    Args:
        query_lists: int64 (query nnz,), posting lists by number, ascending within a query.
        accumulators: float32 (WINDOW,), all zero; zero again on return.
    """
    scored = 0
    longest = 0
    for query in range(query_indptr.size - 1):
        longest = max(longest, query_indptr[query + 1] - query_indptr[query])
    cursors = np.empty(longest, np.int64)
    for query in range(query_indptr.size - 1):
        begin = query_indptr[query]
        n_terms = query_indptr[query + 1] - begin
        for term in range(n_terms):
            cursors[term] = offsets[query_lists[begin + term]]
        size = 0
        for first in range(0, n_documents, WINDOW):
            width = min(WINDOW, n_documents - first)
            touched = 0
            for term in range(n_terms):
                end = offsets[query_lists[begin + term] + 1]
                low = cursors[term]
                high = first_at_or_after(ordinals, low, end, first + width)
                weight = query_values[begin + term]
                for i in range(low, high):
                    accumulators[np.int64(ordinals[i]) - first] += weight * impacts[i]
                cursors[term] = high
                touched += high - low
            scored += touched
            if touched > 0:
                size = scan_window(
                    accumulators,
                    width,
                    first,
                    allowed,
                    top_scores[query],
                    top_ordinals[query],
                    size,
                )
        heap_sort(top_scores[query], top_ordinals[query], size)
    return scored
