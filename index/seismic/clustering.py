"""Geometric blocking: the documents of a posting list in small blocks of similar ones.

A shallow k-means (Seismic, arXiv 2404.18812, with the inverted index over centroids of its later
releases): a random sample of the list's documents are the centroids, every document joins the one
with the largest inner product, blocks that stay too small are dissolved. There are no further
rounds. Documents are compared by their `doc_cut` largest entries (Seismic compares those with
whole centroids), and the list's own component, which all have, is left out.

Every list draws from a seed of its own, so the blocks do not depend on the number of threads.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel, strict_kernel
from ..vectors import Float32s, Int64s
from .posting_keys import Ordinals
from .records import Bytes, Numbers, Rows

Flags: TypeAlias = NDArray[np.bool_]

MAX_BLOCKS = 1 << 12
"""Blocks a list, at most: their numbers share 16 bits with a code of at least 4 (buckets.py)."""

_MODULUS = (1 << 31) - 1


@kernel
def cluster_lists(
    first: int,
    last: int,
    offsets: Int64s,
    ordinals: Ordinals,
    documents: Rows,
    leaders: Numbers,
    leader_codes: Bytes,
    centroid_fraction: float,
    min_cluster_size: int,
    seed: int,
    begins: Flags,
) -> None:
    """Order the lists [first, last) by block, in place, and mark where blocks begin.

    Args:
        ordinals: uint32 (n_postings,), ascending within each list; on return within each block.
        begins: bool (n_postings,), all False in these lists; True on return where a block begins.
    """
    longest = 0
    for component in range(first, last):
        longest = max(longest, offsets[component + 1] - offsets[component])
    most = min(longest, MAX_BLOCKS)
    run_starts = np.zeros(offsets.size - 1, np.int64)
    run_sizes = np.zeros(offsets.size - 1, np.int64)
    run_components = np.empty(most * leaders.shape[1], np.int64)
    entry_centroids = np.empty(run_components.size, np.int64)
    entry_values = np.empty(run_components.size, np.float32)
    similarities = np.empty(most, np.float32)
    alive = np.empty(most, np.bool_)
    sizes = np.empty(most + 1, np.int64)
    sample = np.empty(longest, np.int64)
    clusters = np.empty(longest, np.int64)
    former = np.empty(longest, np.uint32)
    for component in range(first, last):
        begin = offsets[component]
        size = offsets[component + 1] - begin
        n_centroids = min(
            max(np.int64(centroid_fraction * size + 0.5), np.int64(1)), np.int64(MAX_BLOCKS)
        )
        members = former[:size]
        members[:] = ordinals[begin : begin + size]
        clusters[:size] = 0
        if n_centroids > 1:
            draw(sample[:size], n_centroids, seed, component)
            n_runs = invert_centroids(
                members,
                sample[:n_centroids],
                component,
                documents,
                leaders,
                leader_codes,
                run_starts,
                run_sizes,
                run_components,
                entry_centroids,
                entry_values,
            )
            alive[:n_centroids] = True
            clusters[:size] = -1
            for _ in range(2):  # the second round places the documents of dissolved clusters
                join_nearest(
                    members,
                    leaders,
                    leader_codes,
                    run_starts,
                    run_sizes,
                    entry_centroids,
                    entry_values,
                    alive[:n_centroids],
                    similarities,
                    clusters,
                )
                dissolve(clusters[:size], min_cluster_size, alive[:n_centroids], sizes)
            for i in range(n_runs):
                run_sizes[run_components[i]] = 0
        group(members, clusters, sizes[: n_centroids + 1], begin, ordinals, begins)


@strict_kernel
def draw(sample: Int64s, size: int, seed: int, component: int) -> None:
    """Set sample[:size] to distinct random places in [0, len(sample)): a Fisher-Yates shuffle
    driven by Lehmer's generator (multiplier 48271), which 64-bit integers can hold."""
    state = (seed * 69621 + component * 16807) % (_MODULUS - 1) + 1
    for i in range(sample.size):
        sample[i] = i
    for i in range(size):
        state = state * 48271 % _MODULUS
        other = i + state // 8 % (sample.size - i)
        chosen = sample[other]
        sample[other] = sample[i]
        sample[i] = chosen


@strict_kernel
def invert_centroids(
    members: Ordinals,
    sample: Int64s,
    component: int,
    documents: Rows,
    leaders: Numbers,
    leader_codes: Bytes,
    run_starts: Int64s,
    run_sizes: Int64s,
    run_components: Int64s,
    entry_centroids: Int64s,
    entry_values: Float32s,
) -> int:
    """Make an inverted index over the centroids, without the list's own component.

    Args:
        sample: the centroids' places in `members`.
        run_starts, run_sizes: int64 (n_components,), the sizes all 0. On return component c has
            entries run_starts[c] to run_starts[c] + run_sizes[c] of entry_centroids and _values.

    Returns:
        the number of components that have entries; run_components begins with them.
    """
    n_runs = 0
    for i in range(sample.size):
        ordinal = members[sample[i]]
        for j in range(leaders.shape[1]):
            leader = leaders[ordinal, j]
            if leader_codes[ordinal, j] == 0 or leader == component:
                continue
            if run_sizes[leader] == 0:
                run_components[n_runs] = leader
                n_runs += 1
            run_sizes[leader] += 1
    place = 0
    for i in range(n_runs):
        leader = run_components[i]
        run_starts[leader] = place
        place += run_sizes[leader]
        run_sizes[leader] = 0
    for i in range(sample.size):
        ordinal = members[sample[i]]
        scale = np.float32(documents[ordinal]["scale"])
        for j in range(leaders.shape[1]):
            leader = leaders[ordinal, j]
            if leader_codes[ordinal, j] == 0 or leader == component:
                continue
            entry = run_starts[leader] + run_sizes[leader]
            entry_centroids[entry] = i
            entry_values[entry] = scale * np.float32(leader_codes[ordinal, j])
            run_sizes[leader] += 1
    return n_runs


@kernel
def join_nearest(
    members: Ordinals,
    leaders: Numbers,
    leader_codes: Bytes,
    run_starts: Int64s,
    run_sizes: Int64s,
    entry_centroids: Int64s,
    entry_values: Float32s,
    alive: Flags,
    similarities: Float32s,
    clusters: Int64s,
) -> None:
    """Give each document whose cluster is -1 the living centroid of the largest inner product.

    A document that has nothing in common with any gets one by its place in the list.
    """
    n_centroids = alive.size
    for i in range(members.size):
        if clusters[i] != -1:
            continue
        ordinal = members[i]
        similarities[:n_centroids] = 0.0
        best = -1
        largest = np.float32(0.0)
        for j in range(leaders.shape[1]):
            leader = leaders[ordinal, j]
            value = np.float32(leader_codes[ordinal, j])
            begin = run_starts[leader]
            for entry in range(begin, begin + run_sizes[leader]):
                # Values are positive, so a similarity is largest when it is last added to.
                centroid = entry_centroids[entry]
                similarities[centroid] += value * entry_values[entry]
                if similarities[centroid] > largest and alive[centroid]:
                    largest = similarities[centroid]
                    best = centroid
        if best == -1:
            best = i * n_centroids // members.size
            while not alive[best]:
                best = (best + 1) % n_centroids
        clusters[i] = best


@strict_kernel
def dissolve(clusters: Int64s, min_cluster_size: int, alive: Flags, sizes: Int64s) -> None:
    """Set to -1 the clusters with fewer than min_cluster_size documents, and end their lives.

    When all are that small, the largest lives on.
    """
    sizes[: alive.size] = 0
    for cluster in clusters:
        sizes[cluster] += 1
    largest = np.argmax(sizes[: alive.size])
    for centroid in range(alive.size):
        alive[centroid] = sizes[centroid] >= min_cluster_size or centroid == largest
    for i in range(clusters.size):
        if not alive[clusters[i]]:
            clusters[i] = -1


@strict_kernel
def group(
    members: Ordinals,
    clusters: Int64s,
    starts: Int64s,
    begin: int,
    ordinals: Ordinals,
    begins: Flags,
) -> None:
    """Counting sort of one list by cluster into ordinals[begin:], marking each cluster's begin.

    Args:
        starts: int64 (n_clusters + 1,), scratch.
    """
    starts[:] = 0
    for i in range(members.size):
        starts[clusters[i] + 1] += 1
    for cluster in range(1, starts.size):
        if starts[cluster] > 0:
            begins[begin + starts[cluster - 1]] = True
        starts[cluster] += starts[cluster - 1]
    for i in range(members.size):
        ordinals[begin + starts[clusters[i]]] = members[i]
        starts[clusters[i]] += 1
