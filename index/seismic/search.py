"""The search of a batch of queries, from components and values to the k best documents."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel, strict_kernel
from ..topk import EMPTY_ORDINAL, heap_push, heap_sort, is_worse
from ..vectors import Components, Float32s, Int64s
from .blocks import Flags
from .buckets import Entries
from .estimates import estimate_blocks, order_blocks
from .prefetch import prefetch
from .pruning import Ordinals
from .records import LINE, Bytes, Numbers, Rows, first_residue, place_of, score
from .traversal import Words, visit_blocks
from .vocabulary import number_of

_HALF_STEP = 0.51
"""The most that a code is off, in steps, with room for rounding."""

_ROUNDING = 1.2e-7
"""The most that two float32 sums differ, as a fraction, for each number that is added."""


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
        n_terms, mass = take_query(
            query_components[query_indptr[q] : query_indptr[q + 1]],
            query_values[query_indptr[q] : query_indptr[q + 1]],
            known,
            numbers,
            query,
            terms,
            values,
        )
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
        steps = _HALF_STEP if residue_offset > components.itemsize else 0.0
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
            np.float32(steps) * mass,
            np.float32(_ROUNDING * (n_terms + 2)),
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
def is_canonical(components: Components, values: Float32s) -> bool:
    """Whether components ascend strictly from 0 and values are positive and finite."""
    last = -1
    for i in range(components.size):
        if components[i] <= last or not 0.0 < values[i] < np.inf:
            return False
        last = components[i]
    return True


@strict_kernel
def take_query(
    components: Components,
    weights: Float32s,
    known: Components,
    numbers: Components,
    query: Float32s,
    terms: Int64s,
    values: Float32s,
) -> tuple[int, np.float32]:
    """Fill terms and values with the components that documents have, and `query` by number.

    Returns their number and the sum of their values.
    """
    n_terms = 0
    mass = np.float32(0.0)
    for i in range(components.size):
        number = number_of(components[i], known, numbers)
        if number >= 0:
            terms[n_terms] = number
            values[n_terms] = weights[i]
            query[number] = weights[i]
            mass += weights[i]
            n_terms += 1
    return n_terms, mass


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
