"""Which terms are left out of a window, and with which documents a search begins."""

from __future__ import annotations

import numpy as np

from ..allowed import Words, is_allowed
from ..jit import strict_lean_kernel
from ..topk import heap_push, heap_sort
from ..vectors import Int64s
from .block_maxima import BlockMaxima, add_bounds
from .champions import CHAMPIONS, Champions
from .posting_lists import Queries
from .workspace import BOUNDS, Workspace

FIRST_SHARE = np.float32(0.2)
"""The share of the threshold that left-out terms may add on average, at first. More of them save
postings and make candidates."""

_LARGEST_SHARE = np.float32(0.6)

CANDIDATE = 300
"""Postings that take as long as scoring one candidate."""

_HEAVIEST = 8
"""Lists whose champions are scored first."""


@strict_lean_kernel
def find_champions(
    begin: np.int64,
    n_terms: np.int64,
    queries: Queries,
    champions: Champions,
    allowed: Words,
    k: int,
    work: Workspace,
) -> int:
    """Fill candidates with the allowed champions of the query's heaviest lists; how many.

    None for a large k: they would not make a threshold.
    """
    if k > CHAMPIONS:
        return 0
    merits, heaviest = work.merits[:_HEAVIEST], work.ranking[:_HEAVIEST]
    size = 0
    for term in range(n_terms):
        row = champions.rows[queries.lists[begin + term]]
        if row >= 0:
            most = queries.values[begin + term] * champions.peaks[row]
            if size < merits.size or most > merits[0]:
                size = heap_push(merits, heaviest, size, most, row)
    n = 0
    for i in range(size):
        for j in range(CHAMPIONS):
            ordinal = champions.ordinals[heaviest[i], j]
            if is_allowed(allowed, np.int64(ordinal)):
                work.candidates[n] = ordinal
                n += 1
    return n


@strict_lean_kernel
def rank_terms(
    begin: np.int64,
    n_terms: np.int64,
    queries: Queries,
    maxima: BlockMaxima,
    work: Workspace,
) -> int:
    """Fill ranking with the terms that may be left out, by what their bounds grow for a posting
    that need not be read, the least first; how many they are."""
    size = 0
    for term in range(n_terms):
        row = maxima.rows[queries.lists[begin + term]]
        if row >= 0:
            price = queries.values[begin + term] * maxima.prices[row]
            size = heap_push(work.merits, work.ranking, size, -price, term)
    heap_sort(work.merits, work.ranking, size)
    return size


@strict_lean_kernel
def choose_left_out(
    begin: np.int64,
    n_terms: np.int64,
    n_ranked: int,
    most: np.float32,
    queries: Queries,
    maxima: BlockMaxima,
    work: Workspace,
) -> int:
    """Mark the first terms of the ranking that together add `most` at most, on average; how many
    they are."""
    work.left_out[:n_terms] = False
    rest = np.float32(0.0)
    for i in range(n_ranked):
        term = work.ranking[i]
        row = maxima.rows[queries.lists[begin + term]]
        rest += queries.values[begin + term] * maxima.means[row]
        if rest > most:
            return i
        work.left_out[term] = True
    return n_ranked


@strict_lean_kernel
def bound_blocks(
    begin: np.int64,
    n_left_out: int,
    first_block: int,
    n_blocks: int,
    queries: Queries,
    maxima: BlockMaxima,
    work: Workspace,
    counts: Int64s,
) -> None:
    """Fill bounds with the most that the first terms of the ranking add in each block."""
    work.bounds[:n_blocks] = 0.0
    for i in range(n_left_out):
        term = work.ranking[i]
        row = maxima.rows[queries.lists[begin + term]]
        weight = queries.values[begin + term] * maxima.units[row]
        add_bounds(maxima.codes, row, first_block, n_blocks, weight, work.bounds)
    counts[BOUNDS] += n_left_out * n_blocks


@strict_lean_kernel
def adapted_share(
    share: np.float32, n_candidates: int, n_read: np.int64, was_too_large: bool
) -> np.float32:
    """The share for the next window, after one with so many candidates and postings read."""
    if was_too_large:
        return share * np.float32(0.8)
    if 3 * CANDIDATE * n_candidates < n_read:
        return min(share * np.float32(1.1), _LARGEST_SHARE)
    return share
