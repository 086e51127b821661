"""One window of a search: postings into accumulators, and what comes out of them."""

from __future__ import annotations

import numpy as np

from ..allowed import Words, is_allowed
from ..jit import strict_lean_kernel
from ..vectors import Float32s, Int64s
from .block_maxima import BLOCK, LEAST
from .documents import push_better
from .lanes import LANES, any_above, clear
from .posting_lists import WINDOW, PostingLists, Queries
from .workspace import Workspace

_LARGEST = np.finfo(np.float32).max


@strict_lean_kernel
def floor_of(root: np.float32, margin: np.float32) -> np.float32:
    """What a sum exceeds, in whatever order it is made, if the score is at least `root`.

    Args:
        margin: the most that sums in two orders differ, as a fraction; underflow left aside.
    """
    if root <= LEAST:
        return np.float32(0.0)
    return min(root, np.float32(_LARGEST)) * (np.float32(1.0) - margin)


@strict_lean_kernel
def scatter(
    begin: np.int64,
    n_terms: np.int64,
    window: int,
    queries: Queries,
    lists: PostingLists,
    work: Workspace,
) -> np.int64:
    """Add what the window's postings say to the accumulators, except for the terms left out.

    All cursors move behind the window. Returns the number of postings read.
    """
    n_read = np.int64(0)
    for term in range(n_terms):
        run = work.cursors[term]
        end_of_list = lists.run_offsets[queries.lists[begin + term] + 1]
        if run < end_of_list and lists.run_windows[run] == window:
            work.cursors[term] = run + 1
            if not work.left_out[term]:
                n_read += scatter_run(run, queries.values[begin + term], lists, work.accumulators)
    return n_read


@strict_lean_kernel
def scatter_run(
    run: np.int64, weight: np.float32, lists: PostingLists, accumulators: Float32s
) -> np.int64:
    """Add weight x impact of a run's postings to the accumulators; how many they are."""
    first, last = lists.run_starts[run], lists.run_starts[run + 1]
    # Unsigned, so that no index is checked for counting from the end.
    for i in range(np.uint64(first), np.uint64(last)):
        accumulators[np.uint64(lists.ordinals[i])] += weight * lists.impacts[i]
    return np.int64(last - first)


@strict_lean_kernel
def take_scores(
    first: int,
    width: int,
    margin: np.float32,
    seeded: bool,
    allowed: Words,
    work: Workspace,
    size: int,
    top_scores: Float32s,
    top_ordinals: Int64s,
) -> int:
    """Move the window's best scores into the heap and clear the accumulators; the heap's new size.

    Where the heap holds no document of a later window, one that only equals the worst of the kept
    stands after it. Otherwise equal ones have to be looked at, too.

    Args:
        first: ordinal of the window's first document.
        margin: as for `floor_of`.
        seeded: whether the heap may hold documents of this and later windows.
    """
    slack = margin if seeded else np.float32(0.0)
    floor = floor_of(top_scores[0], slack) if size == top_scores.size else np.float32(0.0)
    for start in range(0, width, LANES):
        if any_above(work.accumulators, start, floor):
            for i in range(start, start + LANES):
                total = work.accumulators[i]
                if total > floor and is_allowed(allowed, first + i):
                    size = push_better(
                        total, np.int64(first + i), seeded, size, top_scores, top_ordinals
                    )
            if size == top_scores.size:
                floor = floor_of(top_scores[0], slack)
        clear(work.accumulators, start)
    return size


@strict_lean_kernel
def find_candidates(
    first: int, width: int, floor: np.float32, allowed: Words, work: Workspace
) -> int:
    """Fill candidates and their partial sums with the window's documents that may reach the floor,
    and clear the accumulators; how many they are."""
    n = 0
    for start in range(0, width, BLOCK):
        limit = floor - work.bounds[start // BLOCK]
        if any_above(work.accumulators, start, limit):
            for i in range(start, min(start + BLOCK, width)):
                may_reach = not work.accumulators[i] <= limit
                if may_reach and is_allowed(allowed, first + i):
                    work.candidates[n] = first + i
                    work.partial_sums[n] = work.accumulators[i]
                    n += 1
        clear(work.accumulators, start)
    return n


@strict_lean_kernel
def postings_of(
    begin: np.int64,
    ranks: tuple[int, int],
    window: int,
    queries: Queries,
    lists: PostingLists,
    work: Workspace,
) -> np.int64:
    """Postings in the window of the terms with these ranks, behind which the cursors are."""
    total = np.int64(0)
    for rank in range(ranks[0], ranks[1]):
        run = run_before(work.ranking[rank], begin, window, queries, lists, work)
        if run >= 0:
            total += lists.run_starts[run + 1] - lists.run_starts[run]
    return total


@strict_lean_kernel
def run_before(
    term: np.int64,
    begin: np.int64,
    window: int,
    queries: Queries,
    lists: PostingLists,
    work: Workspace,
) -> np.int64:
    """The term's run in the window that its cursor has passed, or -1."""
    run = work.cursors[term] - 1
    if run >= lists.run_offsets[queries.lists[begin + term]] and lists.run_windows[run] == window:
        return np.int64(run)
    return np.int64(-1)


@strict_lean_kernel
def narrow_candidates(
    n: int,
    begin: np.int64,
    ranks: tuple[int, int],
    first: int,
    width: int,
    floor: np.float32,
    queries: Queries,
    lists: PostingLists,
    work: Workspace,
) -> int:
    """Read the lists of the terms with these ranks after all, and keep the candidates that may
    still reach the floor; how many they are.

    Args:
        work: bounds are those of the terms that stay left out.
    """
    for i in range(n):
        work.accumulators[work.candidates[i] - np.uint32(first)] = work.partial_sums[i]
    window = first // WINDOW
    for rank in range(ranks[0], ranks[1]):
        term = work.ranking[rank]
        run = run_before(term, begin, window, queries, lists, work)
        if run >= 0:
            scatter_run(run, queries.values[begin + term], lists, work.accumulators)
    n_left = 0
    for i in range(n):
        place = np.int64(work.candidates[i]) - first
        total = work.accumulators[place]
        if not total <= floor - work.bounds[place // BLOCK]:
            work.candidates[n_left] = work.candidates[i]
            work.partial_sums[n_left] = total
            n_left += 1
    for start in range(0, width, LANES):
        clear(work.accumulators, start)
    return n_left
