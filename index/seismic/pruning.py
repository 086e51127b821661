"""Static pruning: which postings an index keeps.

The `budget` largest values of the whole collection are kept, whatever their list, but of each list
at most its `cap` largest (Seismic's global threshold, arXiv 2404.18812 and later releases; there a
bounded heap over all postings, here a radix selection in two passes over the records).

Postings are ranked by a 32-bit key: the upper 24 bits of the value's float32 pattern, below them 8
bits that hash document and component. Equal values, which quantised weights have in masses, are
thus kept or dropped evenly over all documents instead of by their order.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lexidex.errors import ParameterError

from ..batch import in_threads
from ..jit import strict_kernel
from ..vectors import Float32s, Int64s
from .records import (
    LINE,
    Bytes,
    Numbers,
    Records,
    Rows,
    entry_value,
    first_residue,
    largest_document,
    place_of,
)

Keys: TypeAlias = NDArray[np.uint32]
Ordinals: TypeAlias = NDArray[np.uint32]

_BINS = 1 << 16
_SHARES = 64


class PostingLists(NamedTuple):
    """The postings kept: list c is ordinals[offsets[c]:offsets[c + 1]], ascending."""

    offsets: Int64s
    ordinals: Ordinals


def prune(
    records: Records, n_components: int, budget: int, cap: int, n_threads: int
) -> PostingLists:
    """Keep the `budget` largest postings (all that share the last key), at most `cap` a list.

    The result does not depend on the number of threads.

    Raises:
        ParameterError: 2**32 postings or more are left.
    """
    n_documents = records.documents.size
    bounds = np.linspace(0, n_documents, n_threads + 1).astype(np.int64)
    threshold = _threshold(records, budget, n_threads)
    counts = np.zeros((n_threads, n_components), dtype=np.int64)

    def count(first: int, last: int) -> None:
        for share in range(first, last):
            count_kept(*bounds[share : share + 2], *records, threshold, counts[share])

    in_threads(count, n_threads, n_threads)
    offsets = _offsets(counts.sum(axis=0))
    starts = offsets[:-1] + np.cumsum(counts, axis=0) - counts
    keys = np.empty(int(offsets[-1]), dtype=np.uint32)
    ordinals = np.empty(keys.size, dtype=np.uint32)

    def scatter(first: int, last: int) -> None:
        for share in range(first, last):
            scatter_kept(
                *bounds[share : share + 2], *records, threshold, starts[share], keys, ordinals
            )

    in_threads(scatter, n_threads, n_threads)
    kept = _offsets(np.minimum(np.diff(offsets), cap))
    if kept[-1] >= 1 << 32:
        raise ParameterError(
            f"n_postings: {kept[-1]:,} postings would be kept; an index holds 2**32: lower it, or "
            "make several indexes"
        )
    capped = np.empty(int(kept[-1]), dtype=np.uint32)

    def cut(first: int, last: int) -> None:
        keep_largest(first, last, offsets, keys, ordinals, kept, capped)

    in_threads(cut, n_components, n_threads)
    return PostingLists(kept, capped)


def even_shares(offsets: Int64s) -> Int64s:
    """Bounds (65,) of 64 ranges of lists with about as many postings each, for threads to take."""
    bounds = np.searchsorted(offsets, np.linspace(0, offsets[-1], _SHARES + 1))
    bounds[0], bounds[-1] = 0, offsets.size - 1
    return bounds


def _offsets(sizes: Int64s) -> Int64s:
    offsets = np.zeros(sizes.size + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def _threshold(records: Records, budget: int, n_threads: int) -> int:
    """The least key that is kept: at most `budget` postings have a larger one."""
    n_documents = records.documents.size
    if int(records.documents["size"].sum(dtype=np.int64)) <= budget:
        return 0

    def histogram(upper: int) -> Int64s:
        def share(first: int, last: int) -> Int64s:
            bins = np.zeros(_BINS, dtype=np.int64)
            count_keys(first, last, *records, upper, bins)
            return bins

        total: Int64s = np.sum(in_threads(share, n_documents, n_threads), axis=0)
        return total

    upper, above = _last_bin(histogram(-1), budget)
    lower, _ = _last_bin(histogram(upper), budget - above)
    return upper * _BINS + lower


def _last_bin(bins: Int64s, budget: int) -> tuple[int, int]:
    """The bin in which the budget ends, counted from the top, and how many lie above that bin."""
    reached = np.cumsum(bins[::-1])
    place = min(int(np.searchsorted(reached, budget)), bins.size - 1)
    return bins.size - 1 - place, int(reached[place] - bins[bins.size - 1 - place])


@strict_kernel
def posting_keys(
    ordinal: int,
    documents: Rows,
    components: Numbers,
    codes: Bytes,
    residues: NDArray[Any],
    residue_offset: int,
    weights: Float32s,
    lists: Int64s,
    keys: Int64s,
) -> np.int64:
    """Fill lists and keys with the component and the rank of each posting of a document.

    Returns the number of postings; a key is in [0, 2**31), and the larger are kept.
    """
    start = np.int64(documents[ordinal]["line"]) * LINE
    size = np.int64(documents[ordinal]["size"])
    scale = documents[ordinal]["scale"]
    first = place_of(start, components)
    code = start + size * components.itemsize
    residue = first_residue(start, size, residue_offset, residues)
    for j in range(size):
        component = np.int64(components[first + j])
        value = entry_value(codes[code + j], residues[residue + j], scale, weights)
        mixed = (ordinal * 48271 + component * 69621) % 2147483647
        lists[j] = component
        keys[j] = np.int64(np.float32(value).view(np.uint32)) // 256 * 256 + mixed // 64 % 256
    return size


@strict_kernel
def count_keys(
    first: int,
    last: int,
    documents: Rows,
    components: Numbers,
    codes: Bytes,
    residues: NDArray[Any],
    residue_offset: int,
    weights: Float32s,
    upper: int,
    bins: Int64s,
) -> None:
    """Count the postings of documents [first, last) in bins (65536,): by the upper 16 bits of
    their keys, or, unless `upper` is -1, by the lower 16 bits of those whose upper bits it is."""
    lists = np.empty(largest_document(documents), np.int64)
    keys = np.empty(lists.size, np.int64)
    for ordinal in range(first, last):
        size = posting_keys(
            ordinal, documents, components, codes, residues, residue_offset, weights, lists, keys
        )
        for j in range(size):
            if upper == -1:
                bins[keys[j] // _BINS] += 1
            elif keys[j] // _BINS == upper:
                bins[keys[j] % _BINS] += 1


@strict_kernel
def count_kept(
    first: int,
    last: int,
    documents: Rows,
    components: Numbers,
    codes: Bytes,
    residues: NDArray[Any],
    residue_offset: int,
    weights: Float32s,
    threshold: int,
    counts: Int64s,
) -> None:
    """Add the kept postings of documents [first, last) to counts (n_components,)."""
    lists = np.empty(largest_document(documents), np.int64)
    keys = np.empty(lists.size, np.int64)
    for ordinal in range(first, last):
        size = posting_keys(
            ordinal, documents, components, codes, residues, residue_offset, weights, lists, keys
        )
        for j in range(size):
            if keys[j] >= threshold:
                counts[lists[j]] += 1


@strict_kernel
def scatter_kept(
    first: int,
    last: int,
    documents: Rows,
    components: Numbers,
    codes: Bytes,
    residues: NDArray[Any],
    residue_offset: int,
    weights: Float32s,
    threshold: int,
    starts: Int64s,
    kept_keys: Keys,
    ordinals: Ordinals,
) -> None:
    """Write the kept postings of documents [first, last) to their lists.

    Args:
        starts: int64 (n_components,), where each list goes on; advanced in place.
    """
    lists = np.empty(largest_document(documents), np.int64)
    keys = np.empty(lists.size, np.int64)
    for ordinal in range(first, last):
        size = posting_keys(
            ordinal, documents, components, codes, residues, residue_offset, weights, lists, keys
        )
        for j in range(size):
            if keys[j] >= threshold:
                place = starts[lists[j]]
                kept_keys[place] = keys[j]
                ordinals[place] = ordinal
                starts[lists[j]] = place + 1


@strict_kernel
def keep_largest(
    first: int,
    last: int,
    offsets: Int64s,
    keys: Keys,
    ordinals: Ordinals,
    kept: Int64s,
    capped: Ordinals,
) -> None:
    """Copy each of the lists [first, last) to its place, of a longer one its largest keys.

    Args:
        kept: int64 (n_components + 1,), the offsets after the cut.
    """
    for component in range(first, last):
        begin = offsets[component]
        size = offsets[component + 1] - begin
        room = kept[component + 1] - kept[component]
        least = np.int64(0)
        equal = room
        if room < size:
            descending = np.sort(keys[begin : begin + size])[::-1]
            least = np.int64(descending[room - 1])
            equal = np.int64(0)
            while equal < room and descending[room - 1 - equal] == least:
                equal += 1
        place = kept[component]
        for i in range(begin, begin + size):
            if keys[i] < least or (keys[i] == least and equal == 0):
                continue
            if keys[i] == least:
                equal -= 1
            capped[place] = ordinals[i]
            place += 1
