"""Buckets of summary entries: how a query term finds its part of a list's summaries.

A list's summary coordinates are *entries* of 32 bits,

    component (16 bits) | block (b bits) | code (16 - b bits),  b = bits of the list's block numbers

scattered over the list's 2**bits *buckets* by a hash of the component and ascending within each.
A bucket holds 4 to 8 on average, so that one or two cache lines answer for a query term. Components
are taken modulo 65,536: where a vocabulary is larger, estimates err upward now and then.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..jit import strict_kernel
from .posting_keys import Ordinals

Entries: TypeAlias = NDArray[np.uint32]

FOLD = 1 << 16
"""Entries hold components modulo this."""

_PER_BUCKET = 8
_FEW = 24


@strict_kernel
def bits_below(limit: int) -> int:
    """Bits of the numbers in [0, limit)."""
    bits = 0
    while 1 << bits < limit:
        bits += 1
    return bits


@strict_kernel
def bits_of_buckets(n_entries: int) -> int:
    """How many bits number a list's buckets."""
    bits = 0
    while bits < 16 and n_entries > _PER_BUCKET << bits:
        bits += 1
    return bits


@strict_kernel
def bucket_of(component: int, bits: int) -> np.int64:
    """The bucket of a component among 2**bits: Fibonacci hashing of its lower 16 bits."""
    return np.int64(component) % FOLD * 40503 % FOLD >> (16 - bits)


@strict_kernel
def fill_buckets(staged: Entries, bits: int, sizes: Ordinals, entries: Entries) -> None:
    """Counting sort of a list's entries by bucket; ascending within each.

    Args:
        sizes: uint32 (2**bits,), filled with the buckets' sizes.
    """
    ends = np.zeros(sizes.size, np.int64)
    for entry in staged:
        ends[bucket_of(entry >> 16, bits)] += 1
    place = 0
    for bucket in range(sizes.size):
        sizes[bucket] = ends[bucket]
        ends[bucket] = place
        place += sizes[bucket]
    for entry in staged:
        home = bucket_of(entry >> 16, bits)
        entries[ends[home]] = entry
        ends[home] += 1
    begin = np.int64(0)
    for bucket in range(sizes.size):
        sort_bucket(entries, begin, ends[bucket])
        begin = ends[bucket]


@strict_kernel
def sort_bucket(entries: Entries, begin: int, end: int) -> None:
    """Sort entries[begin:end], mostly a handful: by insertion where it is no more than that."""
    if end - begin > _FEW:
        entries[begin:end].sort()
        return
    for i in range(begin + 1, end):
        entry = entries[i]
        place = i
        while place > begin and entries[place - 1] > entry:
            entries[place] = entries[place - 1]
            place -= 1
        entries[place] = entry
