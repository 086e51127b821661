"""The search: choose lists, estimate their blocks, visit the best first, score documents.

Blocks of all lists are visited in the order of their estimates, where Seismic (arXiv 2404.18812)
takes one list after the other: the threshold is high almost from the start. Documents pass through
stages in batches: *found* in a block, *located* through the documents table, *rated* from the codes
of their records. A stage empties the buffer that the stage before it filled in the round before, so
memory asked for has one round to arrive.

A rating is within a known distance of the score. The threshold is the k-th best lower bound of a
score, what may reach it by its upper bound is a *candidate*, and in the end the candidates that
still may are scored in full. So the codes cost no accuracy.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel, strict_kernel
from ..topk import EMPTY_ORDINAL, heap_push, heap_sort, is_worse
from ..vectors import Components, Float32s, Int64s
from .blocks import Flags
from .estimates import estimate_blocks, order_blocks
from .prefetch import prefetch
from .pruning import Ordinals
from .records import LINE, Bytes, Numbers, Rows, first_residue, place_of, rate, score
from .summaries import Entries
from .vocabulary import number_of

Words: TypeAlias = NDArray[np.uint64]

BATCH = 16
"""Documents in a stage: enough to keep memory busy, few enough that the threshold stays fresh."""

BLOCKS_SCORED, BLOCKS_SKIPPED, DOCUMENTS_SCORED, POSTINGS_SCORED = 0, 1, 2, 3
"""Places in a row of `counts`."""

_HALF_STEP = 0.51
"""The most that a code is off, in steps, with room for rounding."""

_ROUNDING = 1e-5
"""The most that a sum of float32 is off, of its value."""


@kernel
def search_queries(
    query_components: Components,
    query_values: Float32s,
    query_indptr: Int64s,
    query_cut: int,
    heap_factor: float,
    allowed: Flags,
    known: Components,
    numbers: Components,
    lists: Rows,
    impacts: Bytes,
    buckets: Ordinals,
    entries: Entries,
    block_starts: Ordinals,
    ordinals: Ordinals,
    documents: Rows,
    components: Numbers,
    codes: Bytes,
    residues: NDArray[Any],
    residue_offset: int,
    weights: Float32s,
    query: Float32s,
    terms: Int64s,
    values: Float32s,
    chosen: Int64s,
    chosen_values: Float32s,
    places: Int64s,
    estimates: Float32s,
    blocks: Ordinals,
    sorted_estimates: Float32s,
    sorted_blocks: Ordinals,
    order_ends: Int64s,
    visited: Words,
    seen: Ordinals,
    batches: Int64s,
    candidates: Ordinals,
    upper_bounds: Float32s,
    top_scores: Float32s,
    top_ordinals: Int64s,
    counts: Int64s,
) -> None:
    """Fill top_scores and top_ordinals (n_queries, k) with each query's k best.

    Args:
        query_components: int32 (query nnz,), ascending within a query; unknown ones are left out.
        allowed: bool (n_documents,), or empty when every document is.
        query: float32 (n_components,), all zero; zero again on return.
        terms, values: scratch for the longest query.
        chosen, chosen_values: scratch for query_cut lists.
        places: int64 (2, terms of the longest query), scratch.
        estimates, blocks, sorted_...: scratch for the blocks of query_cut lists.
        visited: uint64 (n_documents / 64,), a bit a document, all zero; zero again on return.
        seen, candidates, upper_bounds: scratch for n_documents.
        batches: int64 (2, BATCH), scratch.
        top_scores, top_ordinals: empty places hold -inf and -1 on return.
        counts: int64 (4,), added to; see BLOCKS_SCORED.
    """
    for q in range(query_indptr.size - 1):
        n_terms = 0
        mass = np.float32(0.0)
        for i in range(query_indptr[q], query_indptr[q + 1]):
            number = number_of(query_components[i], known, numbers)
            if number >= 0:
                terms[n_terms] = number
                values[n_terms] = query_values[i]
                query[number] = query_values[i]
                mass += query_values[i]
                n_terms += 1
        n_chosen = choose_lists(
            terms[:n_terms], values, lists, chosen_values[:query_cut], chosen[:query_cut]
        )
        n_blocks = estimate_blocks(
            chosen[:n_chosen],
            chosen_values,
            terms[:n_terms],
            values,
            lists,
            impacts,
            buckets,
            entries,
            places,
            estimates,
            blocks,
        )
        order_blocks(estimates[:n_blocks], blocks, order_ends, sorted_estimates, sorted_blocks)
        # A value type without residues has no more to tell than its codes.
        slack = mass * np.float32(_HALF_STEP) if residue_offset > components.itemsize else 0.0
        n_candidates = visit_blocks(
            sorted_estimates[:n_blocks],
            sorted_blocks,
            np.float32(heap_factor),
            allowed,
            block_starts,
            ordinals,
            documents,
            components,
            codes,
            query,
            np.float32(slack),
            visited,
            seen,
            batches,
            candidates,
            upper_bounds,
            top_scores[q],
            top_ordinals[q],
            counts,
        )
        score_candidates(
            candidates[:n_candidates],
            upper_bounds,
            top_scores[q, 0] if n_candidates >= top_scores.shape[1] else np.float32(0.0),
            documents,
            components,
            codes,
            residues,
            residue_offset,
            weights,
            query,
            top_scores[q],
            top_ordinals[q],
        )
        for term in range(n_terms):
            query[terms[term]] = 0.0


@strict_kernel
def choose_lists(
    terms: Int64s, values: Float32s, lists: Rows, chosen_values: Float32s, chosen: Int64s
) -> int:
    """Fill chosen and chosen_values with the query's heaviest components whose lists have blocks,
    heaviest first, equal ones by component; their number, at most len(chosen)."""
    size = 0
    for i in range(terms.size):
        prefetch(lists, terms[i])
    for i in range(terms.size):
        if lists[terms[i]]["block"] == lists[terms[i] + 1]["block"]:
            continue
        if size < chosen.size or is_worse(chosen_values[0], chosen[0], values[i], terms[i]):
            size = heap_push(chosen_values, chosen, size, values[i], terms[i])
    heap_sort(chosen_values, chosen, size)
    return size


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
        slack: the most that a rating is off, in units of a document's scale.
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
        margin = rating * np.float32(_ROUNDING) + slack
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


@kernel
def score_candidates(
    candidates: Ordinals,
    upper_bounds: Float32s,
    threshold: np.float32,
    documents: Rows,
    components: Numbers,
    codes: Bytes,
    residues: NDArray[Any],
    residue_offset: int,
    weights: Float32s,
    query: Float32s,
    top_scores: Float32s,
    top_ordinals: Int64s,
) -> None:
    """Fill top_scores and top_ordinals with the k best of the candidates, best first.

    Args:
        candidates: rearranged.
        threshold: candidates with a lower upper bound are none of the k best.
    """
    n_left = 0
    for i in range(candidates.size):
        if upper_bounds[i] >= threshold:
            ordinal = candidates[i]
            candidates[n_left] = ordinal
            n_left += 1
            start = np.int64(documents[ordinal]["line"]) * LINE
            length = np.int64(documents[ordinal]["size"])
            begin = start + length * residue_offset
            for place in range(begin, begin + length * residues.itemsize + LINE, LINE):
                prefetch(codes, place)
    size = 0
    for i in range(n_left):
        ordinal = np.int64(candidates[i])
        start = np.int64(documents[ordinal]["line"]) * LINE
        length = np.int64(documents[ordinal]["size"])
        total = score(
            components,
            codes,
            residues,
            query,
            place_of(start, components),
            start + length * components.itemsize,
            first_residue(start, length, residue_offset, residues),
            length,
            np.float32(documents[ordinal]["scale"]),
            weights,
        )
        if total > 0.0 and (
            size < top_scores.size or is_worse(top_scores[0], top_ordinals[0], total, ordinal)
        ):
            size = heap_push(top_scores, top_ordinals, size, total, ordinal)
    heap_sort(top_scores, top_ordinals, size)
    top_scores[size:] = -np.inf
    top_ordinals[size:] = EMPTY_ORDINAL
