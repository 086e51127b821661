"""Estimates of blocks: summary scores of whole lists, and the order in which blocks are visited."""

from __future__ import annotations

import numpy as np

from ..jit import kernel, strict_kernel
from ..vectors import Float32s, Int64s
from .buckets import FOLD, Entries, bucket_of
from .prefetch import prefetch
from .pruning import Ordinals
from .records import Bytes, Rows
from .summaries import IMPACT_UNIT

ORDER_BUCKETS = 512
"""Steps of a summary score, from 0 to a query's highest, by which blocks are sorted."""


@kernel
def estimate_blocks(
    chosen: Int64s,
    chosen_values: Float32s,
    query_components: Int64s,
    query_values: Float32s,
    lists: Rows,
    impacts: Bytes,
    buckets: Ordinals,
    entries: Entries,
    places: Int64s,
    estimates: Float32s,
    blocks: Ordinals,
) -> np.int64:
    """Fill estimates and blocks with the summary score and the number of every block of the
    chosen lists, list by list; the number of blocks.

    Args:
        chosen, chosen_values: lists that have blocks, and the query's value of each.
        query_components, query_values: the whole query: all of it is compared with summaries.
        places: int64 (2, terms), scratch.
    """
    for component in chosen:
        ask_for_buckets(lists[component], query_components, buckets)
    n_blocks = np.int64(0)
    for i in range(chosen.size + 1):
        # One list's entries are on their way while those of the list before are added up.
        if i < chosen.size:
            ask_for_entries(lists[chosen[i]], query_components, buckets, entries, places[i % 2])
        if i == 0:
            continue
        row = lists[chosen[i - 1]]
        first = np.int64(row["block"])
        size = np.int64(lists[chosen[i - 1] + 1]["block"]) - first
        scores = estimates[n_blocks : n_blocks + size]
        codes = (1 << 16 - np.int64(row["block_bits"])) - 1
        unit = chosen_values[i - 1] * np.float32(row["unit"]) * np.float32(codes * IMPACT_UNIT)
        for j in range(size):
            scores[j] = unit * np.float32(impacts[first + j])
            blocks[n_blocks + j] = first + j
        add_entries(
            row, query_components, query_values, buckets, entries, places[(i - 1) % 2], scores
        )
        n_blocks += size
    return n_blocks


@kernel
def ask_for_buckets(row: np.void, query_components: Int64s, buckets: Ordinals) -> None:
    """Prefetch where the query's buckets of a list begin."""
    first = np.int64(row["bucket"])
    bits = np.int64(row["bucket_bits"])
    for component in query_components:
        prefetch(buckets, first + bucket_of(component, bits))


@kernel
def ask_for_entries(
    row: np.void, query_components: Int64s, buckets: Ordinals, entries: Entries, places: Int64s
) -> None:
    """Note in `places` where the query's buckets of a list begin, and prefetch their entries."""
    first = np.int64(row["bucket"])
    bits = np.int64(row["bucket_bits"])
    for term in range(query_components.size):
        place = np.int64(buckets[first + bucket_of(query_components[term], bits)])
        places[term] = place
        prefetch(entries, place)


@kernel
def add_entries(
    row: np.void,
    query_components: Int64s,
    query_values: Float32s,
    buckets: Ordinals,
    entries: Entries,
    places: Int64s,
    scores: Float32s,
) -> None:
    """Add the query's inner products with a list's summaries to scores (n_blocks,)."""
    first = np.int64(row["bucket"])
    bits = np.int64(row["bucket_bits"])
    code_bits = 16 - np.int64(row["block_bits"])
    codes = (1 << code_bits) - 1
    unit = np.float32(row["unit"])
    for term in range(query_components.size):
        component = query_components[term] % FOLD
        value = query_values[term] * unit
        end = buckets[first + bucket_of(component, bits) + 1]
        # Unsigned, so that no index is checked for counting from the end.
        for i in range(np.uint64(places[term]), np.uint64(end)):
            entry = np.int64(entries[i])
            owner = entry >> 16
            if owner == component:
                scores[(entry & 65535) >> code_bits] += value * np.float32(entry & codes)
            elif owner > component:
                break


@strict_kernel
def order_blocks(
    estimates: Float32s,
    blocks: Ordinals,
    ends: Int64s,
    sorted_estimates: Float32s,
    sorted_blocks: Ordinals,
) -> None:
    """Sort blocks by estimate, the best first, to within 1/512 of the highest estimate.

    Args:
        ends: int64 (ORDER_BUCKETS,), scratch.
    """
    highest = np.float32(0.0)
    for score in estimates:
        highest = max(highest, score)
    to_bucket = np.float32(0.0)
    if highest > 0.0:
        to_bucket = np.float32(ORDER_BUCKETS - 1) / highest
    ends[:] = 0
    for score in estimates:
        ends[ORDER_BUCKETS - 1 - np.int64(score * to_bucket)] += 1
    place = np.int64(0)
    for bucket in range(ORDER_BUCKETS):
        size = ends[bucket]
        ends[bucket] = place
        place += size
    for i in range(estimates.size):
        home = ORDER_BUCKETS - 1 - np.int64(estimates[i] * to_bucket)
        place = ends[home]
        sorted_estimates[place] = estimates[i]
        sorted_blocks[place] = blocks[i]
        ends[home] = place + 1
