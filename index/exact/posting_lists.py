"""Posting lists in ordinal order, cut into windows: how they are laid out, and made.

The collection is cut into windows of 65,536 ordinals, so that a posting needs 16 bits for its
ordinal and the accumulators of a window stay in the second-level cache. A posting list is a
sequence of *runs*, one for each window in which it has postings. (The scheme of SINDI, arXiv
2509.08395; values here are float32 and nothing is dropped.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..jit import strict_kernel
from ..vectors import Components, Float32s, Int64s, Vectors

WINDOW = 1 << 16
"""Documents a window; a local ordinal is a uint16."""

_DENSE_LIMIT = 1 << 24


class PostingLists(NamedTuple):
    """All lists, one behind the other, as kernels read them."""

    components: Components
    """(n_lists,), ascending: what each list is about."""
    run_offsets: Int64s
    """(n_lists + 1,), each list's first run."""
    run_windows: NDArray[np.int32]
    """(n_runs,), ascending within a list."""
    run_starts: Int64s
    """(n_runs + 1,), each run's first posting."""
    ordinals: NDArray[np.uint16]
    """(n_postings,), counted from the window's first document."""
    impacts: Float32s
    """(n_postings,), the documents' values."""


class Queries(NamedTuple):
    """A batch of queries, of components that documents have."""

    lists: Int64s
    """(nnz,), posting lists by number, ascending within a query."""
    components: Components
    values: Float32s
    indptr: Int64s


def build_lists(documents: Vectors) -> PostingLists:
    """The posting lists of a canonical csr_array."""
    components, numbers = _distinct(documents.indices)
    counts = np.zeros((2, components.size), dtype=np.int64)
    count_runs(numbers, documents.indptr, counts[0], counts[1])
    offsets, run_offsets = (np.concatenate(([0], np.cumsum(row))) for row in counts)
    n_runs = run_offsets[-1]
    lists = PostingLists(
        components,
        run_offsets,
        np.empty(n_runs, dtype=np.int32),
        np.full(n_runs + 1, documents.nnz, dtype=np.int64),
        np.empty(documents.nnz, dtype=np.uint16),
        np.empty(documents.nnz, dtype=np.float32),
    )
    places, run_places = offsets[:-1], run_offsets[:-1].copy()
    invert(numbers, documents.data, documents.indptr, places, run_places, lists)
    return lists


def lengths_of(lists: PostingLists) -> Int64s:
    """Postings of each list, int64 (n_lists,)."""
    lengths: Int64s = np.diff(lists.run_starts[lists.run_offsets])
    return lengths


def row_table(chosen: NDArray[np.int32], n_lists: int) -> NDArray[np.int32]:
    """int32 (n_lists,): each list's place among the chosen ones, or -1."""
    rows = np.full(n_lists, -1, dtype=np.int32)
    rows[chosen] = np.arange(chosen.size, dtype=np.int32)
    return rows


@strict_kernel
def count_runs(
    numbers: NDArray[np.int32], indptr: NDArray[np.int32], postings: Int64s, runs: Int64s
) -> None:
    """Count each list's postings and runs.

    Args:
        numbers: int32 (nnz,), of lists.
        postings, runs: int64 (n_lists,), zero; filled.
    """
    latest = np.full(postings.size, -1, dtype=np.int64)
    for ordinal in range(indptr.size - 1):
        window = ordinal // WINDOW
        for i in range(indptr[ordinal], indptr[ordinal + 1]):
            number = numbers[i]
            postings[number] += 1
            if latest[number] != window:
                latest[number] = window
                runs[number] += 1


@strict_kernel
def invert(
    numbers: NDArray[np.int32],
    values: Float32s,
    indptr: NDArray[np.int32],
    places: Int64s,
    run_places: Int64s,
    lists: PostingLists,
) -> None:
    """Counting sort of a forward index into posting lists and their runs.

    Args:
        numbers: int32 (nnz,), of lists.
        places, run_places: int64 (n_lists,), where each list's postings and runs begin; advanced
            in place to where they end.
        lists: run_windows, run_starts, ordinals and impacts are filled.
    """
    latest = np.full(places.size, -1, dtype=np.int64)
    for ordinal in range(indptr.size - 1):
        window = ordinal // WINDOW
        for i in range(indptr[ordinal], indptr[ordinal + 1]):
            number = numbers[i]
            place = places[number]
            if latest[number] != window:
                latest[number] = window
                run = run_places[number]
                lists.run_windows[run] = window
                lists.run_starts[run] = place
                run_places[number] = run + 1
            lists.ordinals[place] = ordinal - window * WINDOW
            lists.impacts[place] = values[i]
            places[number] = place + 1


def _distinct(components: NDArray[np.int32]) -> tuple[Components, NDArray[np.int32]]:
    """The distinct components, ascending, and each entry's number among them."""
    highest = int(components.max()) if components.size else -1
    if highest > _DENSE_LIMIT:  # hashed components: a table over all of them would not fit
        distinct, numbers = np.unique(components, return_inverse=True)
        return distinct.astype(np.int32), numbers.astype(np.int32)
    used = np.zeros(highest + 1, dtype=np.bool_)
    used[components] = True
    places = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(used).astype(np.int32), places[components]
