"""Visiting blocks, the best first, and rating their documents.

Blocks of all lists are visited in the order of their estimates, where Seismic (arXiv 2404.18812)
takes one list after the other: the threshold is high almost from the start. Documents pass through
stages in batches: *found* in a block, *located* through the documents table, *rated* from the codes
of their records. A stage empties the buffer that the stage before it filled in the round before, so
memory asked for has one round to arrive.

A rating is within a known distance of the score. The threshold is the k-th best lower bound of a
score; what may reach it by its upper bound is a *candidate*, to be scored in full in the end. So
the codes cost no accuracy.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel
from ..topk import heap_push
from ..vectors import Float32s, Int64s
from .blocks import Flags
from .prefetch import prefetch
from .pruning import Ordinals
from .records import LINE, Bytes, Numbers, Rows, place_of, rate

Words: TypeAlias = NDArray[np.uint64]

BATCH = 16
"""Documents in a stage: enough to keep memory busy, few enough that the threshold stays fresh."""

BLOCKS_SCORED, BLOCKS_SKIPPED, DOCUMENTS_SCORED, POSTINGS_SCORED = 0, 1, 2, 3
"""Places in a row of `counts`."""


@kernel
def visit_blocks(
    estimates: Float32s,
    blocks: Ordinals,
    heap_factor: np.float32,
    allowed: Flags,
    block_starts: Ordinals,
    ordinals: Ordinals,
    documents: Rows,
    components: Numbers,
    codes: Bytes,
    query: Float32s,
    slack: np.float32,
    rounding: np.float32,
    visited: Words,
    seen: Ordinals,
    batches: Int64s,
    candidates: Ordinals,
    upper_bounds: Float32s,
    top_scores: Float32s,
    top_ordinals: Int64s,
    counts: Int64s,
) -> int:
    """Rate the documents of blocks that come best first; the number of candidates.

    Args:
        slack, rounding: the most that a rating is off, in units of a document's scale and as a
            fraction of itself.
        candidates, upper_bounds: (n_documents,), begin on return with every document whose score
            may be among the k best, and an upper bound of it.
        top_scores, top_ordinals: (k,), a heap of the best lower bounds on return.
    """
    k = top_scores.size
    size = 0
    n_candidates = 0
    n_seen = 0
    n_found = 0
    n_located = 0
    block = 0
    posting = np.int64(0)
    end = np.int64(0)
    while True:
        size, n_candidates = rate_batch(
            batches[1, :n_located],
            documents,
            components,
            codes,
            query,
            slack,
            rounding,
            size,
            n_candidates,
            candidates,
            upper_bounds,
            top_scores,
            top_ordinals,
            counts,
        )
        threshold = top_scores[0] if size == k else np.float32(0.0)
        n_located = locate_batch(batches[0, :n_found], documents, components, codes, batches[1])
        # Until there is a threshold, no document is taken that the heap may not have room for.
        room = BATCH if size == k else min(BATCH, k - size - n_located)
        n_found = 0
        while n_found < room:
            if posting == end:
                while block < estimates.size and estimates[block] < heap_factor * threshold:
                    block += 1
                    counts[BLOCKS_SKIPPED] += 1
                if block == estimates.size:
                    break
                ask_for_postings(block, estimates.size, blocks, block_starts, ordinals)
                posting = np.int64(block_starts[blocks[block]])
                end = np.int64(block_starts[blocks[block] + 1])
                block += 1
                counts[BLOCKS_SCORED] += 1
            ordinal = np.int64(ordinals[posting])
            posting += 1
            bit = np.uint64(1) << np.uint64(ordinal & 63)
            if visited[ordinal >> 6] & bit != 0 or (allowed.size > 0 and not allowed[ordinal]):
                continue
            visited[ordinal >> 6] |= bit
            seen[n_seen] = ordinal
            n_seen += 1
            batches[0, n_found] = ordinal
            n_found += 1
            prefetch(documents, ordinal)
        if n_found + n_located == 0 and block == estimates.size and posting == end:
            break
    for i in range(n_seen):
        visited[seen[i] >> 6] = 0
    return n_candidates


@kernel
def ask_for_postings(
    block: int, n_blocks: int, blocks: Ordinals, block_starts: Ordinals, ordinals: Ordinals
) -> None:
    """Prefetch where the blocks after the next ones begin, and the next ones' postings."""
    if block + 8 < n_blocks:
        prefetch(block_starts, np.int64(blocks[block + 8]))
    if block + 4 < n_blocks:
        prefetch(ordinals, np.int64(block_starts[blocks[block + 4]]))


@kernel
def locate_batch(
    found: Int64s, documents: Rows, components: Numbers, codes: Bytes, located: Int64s
) -> int:
    """Prefetch the components and codes of the found documents, which become the located ones."""
    for i in range(found.size):
        ordinal = found[i]
        start = np.int64(documents[ordinal]["line"]) * LINE
        size = np.int64(documents[ordinal]["size"]) * (components.itemsize + 1)
        for place in range(start, start + size, LINE):
            prefetch(codes, place)
        located[i] = ordinal
    return found.size


@kernel
def rate_batch(
    located: Int64s,
    documents: Rows,
    components: Numbers,
    codes: Bytes,
    query: Float32s,
    slack: np.float32,
    rounding: np.float32,
    size: int,
    n_candidates: int,
    candidates: Ordinals,
    upper_bounds: Float32s,
    top_scores: Float32s,
    top_ordinals: Int64s,
    counts: Int64s,
) -> tuple[int, int]:
    """Rate documents from their codes, push their lower bounds into the heap, and append those
    that may be among the best to the candidates; the new sizes of both."""
    threshold = top_scores[0] if size == top_scores.size else np.float32(0.0)
    for i in range(located.size):
        ordinal = located[i]
        start = np.int64(documents[ordinal]["line"]) * LINE
        length = np.int64(documents[ordinal]["size"])
        scale = np.float32(documents[ordinal]["scale"])
        code = start + length * components.itemsize
        rating = rate(components, codes, query, place_of(start, components), code, length)
        margin = rating * rounding + slack
        upper = scale * (rating + margin)
        lower = scale * (rating - margin)
        counts[POSTINGS_SCORED] += length
        if upper >= threshold:
            candidates[n_candidates] = ordinal
            upper_bounds[n_candidates] = upper
            n_candidates += 1
            if size < top_scores.size or lower > threshold:
                size = heap_push(top_scores, top_ordinals, size, lower, ordinal)
                if size == top_scores.size:
                    threshold = top_scores[0]
    counts[DOCUMENTS_SCORED] += located.size
    return size, n_candidates
