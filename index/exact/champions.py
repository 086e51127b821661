"""Champion lists: of each list that is not short, the documents with the largest impacts.

Scoring the champions of a query's heaviest terms first gives a threshold from the start. (Manning,
Raghavan, Schuetze: "Introduction to Information Retrieval", 7.1.3, where they are all that is
scored.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..jit import strict_kernel
from ..topk import heap_push, heap_sort
from ..vectors import Components, Float32s, Int64s
from .posting_lists import WINDOW, PostingLists, row_table

CHAMPIONS = 16
"""Champions a list."""

_SHORT = 16 * CHAMPIONS
"""Postings below which a list has no champions, so that they take a quarter byte a posting."""


class Champions(NamedTuple):
    """The champions, one row for each list that has some."""

    rows: NDArray[np.int32]
    """(n_lists,), each list's row, or -1."""
    peaks: Float32s
    """(n,), the largest impact of each list."""
    ordinals: NDArray[np.uint32]
    """(n, CHAMPIONS), best first."""


def build_champions(lists: PostingLists, lengths: Int64s) -> Champions:
    """The champions of lists; `lengths` are their numbers of postings."""
    chosen = np.flatnonzero(lengths >= _SHORT).astype(np.int32)
    ordinals = np.empty((chosen.size, CHAMPIONS), dtype=np.uint32)
    peaks = np.empty(chosen.size, dtype=np.float32)
    choose_champions(lists, chosen, peaks, ordinals)
    return view_champions(lengths, chosen, peaks, ordinals)


def view_champions(
    lengths: Int64s, chosen: Components, peaks: Float32s, ordinals: NDArray[np.uint32]
) -> Champions:
    """The champions in these arrays, as they are stored."""
    return Champions(row_table(chosen, lengths.size), peaks, ordinals)


@strict_kernel
def choose_champions(
    lists: PostingLists, chosen: Components, peaks: Float32s, ordinals: NDArray[np.uint32]
) -> None:
    """Fill peaks and ordinals, a row for each chosen list, which has CHAMPIONS postings or more."""
    best, found = np.empty(CHAMPIONS, np.float32), np.empty(CHAMPIONS, np.int64)
    for row in range(chosen.size):
        size = 0
        for run in range(lists.run_offsets[chosen[row]], lists.run_offsets[chosen[row] + 1]):
            first = np.int64(lists.run_windows[run]) * WINDOW
            for i in range(lists.run_starts[run], lists.run_starts[run + 1]):
                if size < CHAMPIONS or lists.impacts[i] > best[0]:
                    ordinal = first + np.int64(lists.ordinals[i])
                    size = heap_push(best, found, size, lists.impacts[i], ordinal)
        heap_sort(best, found, size)
        peaks[row] = best[0]
        for i in range(CHAMPIONS):
            ordinals[row, i] = found[i]
