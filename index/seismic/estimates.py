"""Estimates of blocks: summary scores of whole lists, and the order in which blocks are visited."""

from __future__ import annotations

import numpy as np

from ..jit import lean_kernel
from ..vectors import Float32s, Int64s
from .buckets import FOLD, bucket_of
from .prefetch import prefetch
from .pruning import Ordinals
from .records import Bytes
from .summaries import IMPACT_UNIT, Summaries
from .workspace import ENTRIES_READ, ORDER_BUCKETS, Workspace


@lean_kernel
def estimate_blocks(
    n_chosen: int, n_compared: int, summaries: Summaries, work: Workspace, counts: Int64s
) -> np.int64:
    """Fill estimates and blocks with the summary score and the number of every block of the
    chosen lists, list by list; the number of blocks.

    Args:
        work: chosen and chosen_values hold lists that have blocks and the query's value of each,
            compared and compared_values what summaries are compared with.
    """
    lists, terms = summaries.lists, work.compared[:n_compared]
    for component in work.chosen[:n_chosen]:
        ask_for_buckets(lists[component], terms, summaries.buckets)
    n_blocks = np.int64(0)
    for i in range(n_chosen + 1):
        # One list's entries are on their way while those of the list before are added up.
        if i < n_chosen:
            ask_for_entries(lists[work.chosen[i]], terms, summaries, work.places[i % 2])
        if i == 0:
            continue
        component = work.chosen[i - 1]
        first = np.int64(lists[component]["block"])
        size = np.int64(lists[component + 1]["block"]) - first
        scores = work.estimates[n_blocks : n_blocks + size]
        rate_impacts(lists[component], work.chosen_values[i - 1], summaries.impacts, scores)
        for j in range(size):
            work.blocks[n_blocks + j] = first + j
        places = work.places[(i - 1) % 2]
        counts[ENTRIES_READ] += add_entries(
            lists[component], terms, work.compared_values, summaries, places, scores
        )
        n_blocks += size
    return n_blocks


@lean_kernel
def rate_impacts(row: np.void, value: np.float32, impacts: Bytes, scores: Float32s) -> None:
    """Fill scores with what a list's own component adds to its blocks' estimates."""
    first = np.int64(row["block"])
    codes = (1 << 16 - np.int64(row["block_bits"])) - 1
    unit = value * np.float32(row["unit"]) * np.float32(codes * IMPACT_UNIT)
    for j in range(scores.size):
        scores[j] = unit * np.float32(impacts[first + j])


@lean_kernel
def ask_for_buckets(row: np.void, query_components: Int64s, buckets: Ordinals) -> None:
    """Prefetch where the query's buckets of a list begin."""
    first = np.int64(row["bucket"])
    bits = np.int64(row["bucket_bits"])
    for component in query_components:
        prefetch(buckets, first + bucket_of(component, bits))


@lean_kernel
def ask_for_entries(
    row: np.void, query_components: Int64s, summaries: Summaries, places: Int64s
) -> None:
    """Note in `places` where the query's buckets of a list begin, and prefetch their entries."""
    first = np.int64(row["bucket"])
    bits = np.int64(row["bucket_bits"])
    for term in range(query_components.size):
        place = np.int64(summaries.buckets[first + bucket_of(query_components[term], bits)])
        places[term] = place
        prefetch(summaries.entries, place)


@lean_kernel
def add_entries(
    row: np.void,
    query_components: Int64s,
    query_values: Float32s,
    summaries: Summaries,
    places: Int64s,
    scores: Float32s,
) -> int:
    """Add the query's inner products with a list's summaries to scores (n_blocks,).

    Returns how many entries the query's buckets hold.
    """
    buckets, entries = summaries.buckets, summaries.entries
    n_entries = 0
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
        n_entries += np.int64(end) - places[term]
    return n_entries


@lean_kernel
def order_blocks(n_blocks: np.int64, work: Workspace) -> None:
    """Sort blocks by estimate, the best first, to within 1/512 of the highest estimate."""
    estimates, ends = work.estimates[:n_blocks], work.order_ends
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
    for i in range(n_blocks):
        home = ORDER_BUCKETS - 1 - np.int64(estimates[i] * to_bucket)
        place = ends[home]
        work.sorted_estimates[place] = estimates[i]
        work.sorted_blocks[place] = work.blocks[i]
        ends[home] = place + 1


@lean_kernel
def list_blocks(n_chosen: int, summaries: Summaries, work: Workspace) -> np.int64:
    """Put the blocks of the chosen lists where `order_blocks` does, without estimates: in order of
    lists, rated 0. Returns their number."""
    n_blocks = np.int64(0)
    for component in work.chosen[:n_chosen]:
        first = np.int64(summaries.lists[component]["block"])
        for block in range(first, np.int64(summaries.lists[component + 1]["block"])):
            work.sorted_blocks[n_blocks] = block
            work.sorted_estimates[n_blocks] = 0.0
            n_blocks += 1
    return n_blocks
