"""Static pruning: which postings an index keeps.

The `budget` largest values of the whole collection are kept, whatever their list, but of each list
at most its `cap` largest (Seismic's global threshold, arXiv 2404.18812 and later releases; there a
bounded heap over all postings, here a radix selection in two passes over the records).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lexidex.errors import ParameterError

from ..jit import strict_kernel
from ..vectors import Int64s
from .crew import Crew
from .posting_keys import BINS, Keys, count_kept, count_keys, scatter_kept
from .posting_keys import Ordinals as Ordinals
from .records import Records
from .scratch import Scratch
from .shares import document_shares, list_shares

_DIGIT = 11
_SHARES = 64
_COUNTS = 1 << 20
"""Counts that all shares of documents may hold, one a list each: 8 MiB."""

_STEP = 1 << 17
"""Documents that a share looks at before it asks whether to go on."""


class PostingLists(NamedTuple):
    """The postings kept: list c is ordinals[offsets[c]:offsets[c + 1]], ascending."""

    offsets: Int64s
    ordinals: Ordinals


def prune(
    records: Records, n_lists: int, budget: int, cap: int, scratch: Scratch, crew: Crew
) -> PostingLists:
    """Keep the `budget` largest postings (all that share the last key), at most `cap` a list.

    The result does not depend on the number of threads.

    Raises:
        ParameterError: 2**32 postings or more are left.
    """
    n_documents = records.documents.size
    all_kept = int(records.documents["size"].sum(dtype=np.int64)) <= budget
    crew.begin("pruning", (2 if all_kept else 4) * n_documents + n_lists)
    threshold = 0 if all_kept else _threshold(records, budget, crew)
    offsets, ordinals, keys = _gather(records, n_lists, threshold, scratch, crew)
    kept = _offsets(np.minimum(np.diff(offsets), cap))
    if kept[-1] >= 1 << 32:
        raise ParameterError(
            f"n_postings: {kept[-1]:,} postings would be kept; an index holds 2**32: lower it, or "
            "make several indexes"
        )
    capped = scratch.zeros(int(kept[-1]), np.uint32)

    def cut(first: int, last: int) -> None:
        keep_largest(first, last, offsets, keys, ordinals, kept, capped)

    crew.run(cut, list_shares(offsets))
    return PostingLists(kept, capped)


def _gather(
    records: Records, n_lists: int, threshold: int, scratch: Scratch, crew: Crew
) -> tuple[Int64s, Ordinals, Keys]:
    """The postings from `threshold` on, by list and document: offsets, ordinals and keys.

    Each share of documents counts its postings of every list, and so knows where to write them.
    """
    n_documents = records.documents.size
    n_shares = max(crew.n_threads, min(_SHARES, _COUNTS // max(n_lists, 1)))
    bounds = np.unique(np.linspace(0, n_documents, n_shares + 1).astype(np.int64))
    places = np.zeros((n_shares, n_lists), dtype=np.int64)
    numbers = {int(bound): number for number, bound in enumerate(bounds[:-1])}

    def in_steps(step: Callable[..., None], *more: Any) -> Callable[[int, int], None]:
        def share(first: int, last: int) -> None:
            for begin in range(first, last, _STEP):
                crew.check()
                end = min(begin + _STEP, last)
                step(begin, end, *records, threshold, places[numbers[first]], *more)

        return share

    crew.run(in_steps(count_kept), bounds)
    offsets = _offsets(places.sum(axis=0))
    begin = offsets[:-1].copy()
    for counts in places:  # from counts to where each share begins, in place
        begin += counts
        np.subtract(begin, counts, out=counts)
    keys = scratch.zeros(int(offsets[-1]), np.uint32)
    ordinals = scratch.zeros(keys.size, np.uint32)
    crew.run(in_steps(scatter_kept, keys, ordinals), bounds)
    return offsets, ordinals, keys


def _offsets(sizes: Int64s) -> Int64s:
    offsets = np.zeros(sizes.size + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def _threshold(records: Records, budget: int, crew: Crew) -> int:
    """The least key that is kept: at most `budget` postings have a larger one."""

    def histogram(upper: int) -> Int64s:
        def share(first: int, last: int) -> Int64s:
            bins = np.zeros(BINS, dtype=np.int64)
            count_keys(first, last, *records, upper, bins)
            return bins

        def add(bins: Int64s) -> None:
            total[:] += bins

        total = np.zeros(BINS, dtype=np.int64)
        crew.run(share, document_shares(records.documents.size), add)
        return total

    upper, above = _last_bin(histogram(-1), budget)
    lower, _ = _last_bin(histogram(upper), budget - above)
    return upper * BINS + lower


def _last_bin(bins: Int64s, budget: int) -> tuple[int, int]:
    """The bin in which the budget ends, counted from the top, and how many lie above that bin."""
    reached = np.cumsum(bins[::-1])
    place = min(int(np.searchsorted(reached, budget)), bins.size - 1)
    return bins.size - 1 - place, int(reached[place] - bins[bins.size - 1 - place])


@strict_kernel
def keep_largest(
    first: int,
    last: int,
    offsets: Int64s,
    keys: Keys,
    ordinals: Ordinals,
    kept: Int64s,
    capped: Ordinals,
) -> None:
    """Copy each of the lists [first, last) to its place, of a longer one its largest keys.

    Args:
        kept: int64 (n_components + 1,), the offsets after the cut.
    """
    bins = np.empty(1 << _DIGIT, np.int64)
    for component in range(first, last):
        begin = offsets[component]
        size = offsets[component + 1] - begin
        room = kept[component + 1] - kept[component]
        least = np.int64(0)
        equal = room
        if room < size:
            least, equal = least_kept(keys[begin : begin + size], room, bins)
        place = kept[component]
        for i in range(begin, begin + size):
            if keys[i] < least or (keys[i] == least and equal == 0):
                continue
            if keys[i] == least:
                equal -= 1
            capped[place] = ordinals[i]
            place += 1


@strict_kernel
def least_kept(keys: Keys, room: int, bins: Int64s) -> tuple[np.int64, np.int64]:
    """The room-th largest key, and how many that equal it are among the `room` largest.

    A radix selection, 11 bits at a time.

    Args:
        room: at least 1, below the number of keys.
        bins: int64 (2048,), scratch.
    """
    above = np.int64(0)
    room_left = np.int64(room)
    for shift in range(2 * _DIGIT, -1, -_DIGIT):
        bins[:] = 0
        for key in keys:
            if np.int64(key) >> (shift + _DIGIT) == above:
                bins[(np.int64(key) >> shift) % bins.size] += 1
        digit = bins.size - 1
        while bins[digit] < room_left:
            room_left -= bins[digit]
            digit -= 1
        above = above * bins.size + digit
    return above, room_left
