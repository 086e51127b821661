"""Visiting blocks, the best first, or a list of documents, and rating the documents.

Blocks of all lists are visited in the order of their estimates, where Seismic (arXiv 2404.18812)
takes one list after the other: the threshold is high almost from the start. Documents pass through
stages in batches: *found* in a block, *located* through the documents table, *kept* if the heads of
their records promise enough, *rated* from all codes. A stage empties the buffer that the stage
before it filled in the round before, so memory asked for has one round to arrive.

What a tail adds to its head is guessed, so a few documents are skipped wrongly: the fewer, the
lower heap_factor is. But a rating is within a known distance of the score. The threshold is the
k-th best lower bound of a score; what may reach it by its upper bound is a *candidate*, to be
scored in full in the end. So the codes cost no accuracy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..allowed import Words, is_allowed
from ..jit import lean_kernel
from ..topk import heap_push
from ..vectors import Float32s, Int64s
from .prefetch import prefetch
from .pruning import Ordinals
from .records import LINE, Records, Rows, part_of, rate
from .workspace import (
    BATCH,
    BLOCKS_SCORED,
    BLOCKS_SKIPPED,
    DOCUMENTS_SCORED,
    DOCUMENTS_SKIPPED,
    ORDINALS_READ,
    POSTINGS_SCORED,
    Workspace,
)

ALL_IN_ORDER: Ordinals = np.zeros(0, dtype=np.uint32)
"""Stands for the ordinals of all documents."""
ALL_IN_ORDER.flags.writeable = False


class Postings(NamedTuple):
    """The documents of blocks: block b has ordinals[starts[b]:starts[b + 1]]."""

    starts: Ordinals
    """uint32 (n_blocks + 1,)."""
    ordinals: Ordinals
    """uint32 (n_postings,)."""


class Margin(NamedTuple):
    """What is known of ratings by a query."""

    slack: np.float32
    """The most that a rating is off, in units of a document's scale."""
    rounding: np.float32
    """And as a fraction of itself."""
    tail: np.float32
    """What a tail is taken to add, as a share of the sum of its codes."""


class Place(NamedTuple):
    """How far the visit of blocks has come."""

    block: np.int64
    """The next block, in the order of visits."""
    posting: np.int64
    """The next posting of the block before."""
    end: np.int64
    """Where the postings of that block end."""
    n_seen: np.int64
    """Documents that were found."""


@lean_kernel
def visit_blocks(
    n_blocks: np.int64,
    heap_factor: np.float32,
    n_met: int,
    allowed: Words,
    postings: Postings,
    records: Records,
    work: Workspace,
    margin: Margin,
    top_scores: Float32s,
    top_ordinals: Int64s,
    counts: Int64s,
) -> int:
    """Rate the allowed documents of blocks that come best first; the number of candidates.

    Args:
        n_met: unless 0, every document that is rated is a candidate, and nothing is skipped before
            there are that many.
        work: sorted_estimates and sorted_blocks hold the blocks. On return, candidates and
            upper_bounds begin with every document whose score may be among the k best of those
            visited, and an upper bound of it.
        top_scores, top_ordinals: (k,), a heap of the best lower bounds on return.
    """
    k = top_scores.size
    size, n_candidates, n_found, n_located, n_kept = 0, 0, 0, 0, 0
    zero = np.int64(0)
    place = Place(zero, zero, zero, zero)
    while True:
        size, n_candidates = rate_batch(
            n_kept,
            n_met > 0,
            records,
            work,
            margin,
            size,
            n_candidates,
            top_scores,
            top_ordinals,
            counts,
        )
        full = size == k and n_candidates >= n_met
        bound = heap_factor * (top_scores[0] if full else np.float32(0.0))
        n_kept = keep_batch(n_located, bound, records, work, margin, counts)
        n_located = locate_batch(n_found, records, work)
        # Until there is a threshold, no document is taken that the heap may not have room for.
        room = BATCH if size == k else min(BATCH, k - size - n_located - n_kept)
        n_found, place = find_batch(
            room, n_blocks, bound, allowed, postings, records.documents, work, place, counts
        )
        if n_found + n_located + n_kept == 0:
            break
    for i in range(place.n_seen):
        work.visited[work.seen[i] >> 6] = 0
    return n_candidates


@lean_kernel
def visit_documents(
    ordinals: Ordinals,
    n: int,
    records: Records,
    work: Workspace,
    margin: Margin,
    top_scores: Float32s,
    top_ordinals: Int64s,
    counts: Int64s,
) -> int:
    """Rate n documents, those with the given ordinals; the number of candidates.

    Args:
        ordinals: uint32 (n,), distinct; ALL_IN_ORDER for the first n documents.
        work, top_scores, top_ordinals: as `visit_blocks` leaves them.
    """
    size, n_candidates, n_found, n_located, n_kept, first = 0, 0, 0, 0, 0, 0
    while True:
        size, n_candidates = rate_batch(
            n_kept,
            False,
            records,
            work,
            margin,
            size,
            n_candidates,
            top_scores,
            top_ordinals,
            counts,
        )
        n_kept = keep_batch(n_located, np.float32(0.0), records, work, margin, counts)
        n_located = locate_batch(n_found, records, work)
        n_found = min(BATCH, n - first)
        for i in range(n_found):
            ordinal = np.int64(ordinals[first + i]) if ordinals.size > 0 else first + i
            work.batches[0, i] = ordinal
            prefetch(records.documents, ordinal)
        first += n_found
        if n_found + n_located + n_kept == 0:
            break
    return n_candidates


@lean_kernel
def find_batch(
    room: int,
    n_blocks: np.int64,
    bound: np.float32,
    allowed: Words,
    postings: Postings,
    documents: Rows,
    work: Workspace,
    place: Place,
    counts: Int64s,
) -> tuple[int, Place]:
    """Fill batches[0] with the next allowed documents, at most `room`, that were not found before.

    Blocks whose estimate is below the bound are skipped. Returns the number of documents, fewer
    than `room` only when no blocks are left, and the place to go on from.
    """
    block, posting, end, n_seen = place
    n_found = 0
    while n_found < room:
        if posting == end:
            while block < n_blocks and work.sorted_estimates[block] < bound:
                block += 1
                counts[BLOCKS_SKIPPED] += 1
            if block == n_blocks:
                break
            ask_for_postings(block, n_blocks, work.sorted_blocks, postings)
            posting = np.int64(postings.starts[work.sorted_blocks[block]])
            end = np.int64(postings.starts[work.sorted_blocks[block] + 1])
            block += 1
            counts[BLOCKS_SCORED] += 1
            counts[ORDINALS_READ] += end - posting
        ordinal = np.int64(postings.ordinals[posting])
        posting += 1
        bit = np.uint64(1) << np.uint64(ordinal & 63)
        if work.visited[ordinal >> 6] & bit != 0 or not is_allowed(allowed, ordinal):
            continue
        work.visited[ordinal >> 6] |= bit
        work.seen[n_seen] = ordinal
        n_seen += 1
        work.batches[0, n_found] = ordinal
        n_found += 1
        prefetch(documents, ordinal)
    return n_found, Place(block, posting, end, n_seen)


@lean_kernel
def ask_for_postings(
    block: np.int64, n_blocks: np.int64, blocks: Ordinals, postings: Postings
) -> None:
    """Prefetch where the blocks after the next ones begin, and the next ones' postings."""
    if block + 8 < n_blocks:
        prefetch(postings.starts, np.int64(blocks[block + 8]))
    if block + 4 < n_blocks:
        prefetch(postings.ordinals, np.int64(postings.starts[blocks[block + 4]]))


@lean_kernel
def locate_batch(n_found: int, records: Records, work: Workspace) -> int:
    """Prefetch the heads of the found documents, which become the located ones."""
    for i in range(n_found):
        ordinal = work.batches[0, i]
        place = np.int64(records.documents[ordinal]["line"]) * LINE
        prefetch(records.codes, place)
        prefetch(records.codes, place + LINE)
        work.batches[1, i] = ordinal
    return n_found


@lean_kernel
def keep_batch(
    n_located: int,
    bound: np.float32,
    records: Records,
    work: Workspace,
    margin: Margin,
    counts: Int64s,
) -> int:
    """Rate the heads of the located documents. Those that promise at least the bound become the
    kept ones, their tails prefetched; how many they are."""
    documents, components, codes = records.documents, records.components, records.codes
    n_kept = 0
    for i in range(n_located):
        ordinal = work.batches[1, i]
        start = np.int64(documents[ordinal]["line"]) * LINE
        size = np.int64(documents[ordinal]["size"])
        head = part_of(start, size, components, 0)
        rating = rate(components, codes, work.query, head)
        counts[POSTINGS_SCORED] += head.size
        promise = rating + margin.tail * np.float32(documents[ordinal]["tail"])
        if np.float32(documents[ordinal]["scale"]) * promise < bound:
            continue
        work.batches[2, n_kept] = ordinal
        work.ratings[n_kept] = rating
        n_kept += 1
        for place in range(start + 2 * LINE, start + size * (components.itemsize + 1), LINE):
            prefetch(codes, place)
    counts[DOCUMENTS_SKIPPED] += n_located - n_kept
    return n_kept


@lean_kernel
def rate_batch(
    n_kept: int,
    keeps_all: bool,
    records: Records,
    work: Workspace,
    margin: Margin,
    size: int,
    n_candidates: int,
    top_scores: Float32s,
    top_ordinals: Int64s,
    counts: Int64s,
) -> tuple[int, int]:
    """Rate the kept documents from all codes, push their lower bounds into the heap, and append
    those that may be among the best, or all, to the candidates; the new sizes of both."""
    documents, components, codes = records.documents, records.components, records.codes
    threshold = top_scores[0] if size == top_scores.size else np.float32(0.0)
    for i in range(n_kept):
        ordinal = work.batches[2, i]
        start = np.int64(documents[ordinal]["line"]) * LINE
        scale = np.float32(documents[ordinal]["scale"])
        tail = part_of(start, np.int64(documents[ordinal]["size"]), components, 1)
        rating = work.ratings[i] + rate(components, codes, work.query, tail)
        distance = rating * margin.rounding + margin.slack
        upper = scale * (rating + distance)
        lower = scale * (rating - distance)
        counts[POSTINGS_SCORED] += tail.size
        if keeps_all or upper >= threshold:
            work.candidates[n_candidates] = ordinal
            work.upper_bounds[n_candidates] = upper
            n_candidates += 1
            if size < top_scores.size or lower > threshold:
                size = heap_push(top_scores, top_ordinals, size, lower, ordinal)
                if size == top_scores.size:
                    threshold = top_scores[0]
    counts[DOCUMENTS_SCORED] += n_kept
    return size, n_candidates
