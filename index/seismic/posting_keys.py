"""Keys of postings: in which order pruning keeps them.

Postings are ranked by a 32-bit key: the upper 24 bits of the value's float32 pattern, below them 8
bits that hash document and component. Equal values, which quantised weights have in masses, are
thus kept or dropped evenly over all documents instead of by their order.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..jit import strict_kernel
from ..vectors import Float32s, Int64s
from .records import (
    LINE,
    Bytes,
    Numbers,
    Rows,
    entry_value,
    first_residue,
    largest_document,
    part_of,
)

Keys: TypeAlias = NDArray[np.uint32]
Ordinals: TypeAlias = NDArray[np.uint32]

BINS = 1 << 16
"""Half a key has this many values."""


@strict_kernel
def posting_keys(
    ordinal: int,
    documents: Rows,
    components: Numbers,
    codes: Bytes,
    residues: NDArray[Any],
    residue_offset: int,
    weights: Float32s,
    threshold: int,
    lists: Int64s,
    keys: Int64s,
) -> np.int64:
    """Fill lists and keys with component and key of a document's postings from `threshold` on.

    Returns their number; a key is in [0, 2**31), and the larger are kept.
    """
    start = np.int64(documents[ordinal]["line"]) * LINE
    size = np.int64(documents[ordinal]["size"])
    scale = documents[ordinal]["scale"]
    residue = first_residue(start, size, residue_offset, residues)
    # A value is within half a step of its code, so most postings are seen to be small by that.
    # (In double precision, where the quotient of a large value and a tiny scale has room.)
    least = np.float64(np.uint32(threshold // 256 * 256).view(np.float32)) / np.float64(scale) - 1
    least_code = np.uint8(min(max(least, 0.0), 255.0))
    n_found = np.int64(0)
    for is_tail in range(2):
        part = part_of(start, size, components, is_tail)
        for j in range(part.size):
            code = codes[part.code + j]
            if code < least_code:
                continue
            component = np.int64(components[part.component + j])
            value = entry_value(code, residues[residue + part.first + j], scale, weights)
            mixed = (ordinal * 48271 + component * 69621) % 2147483647
            key = np.int64(np.float32(value).view(np.uint32)) // 256 * 256 + mixed // 64 % 256
            if key >= threshold:
                lists[n_found] = component
                keys[n_found] = key
                n_found += 1
    return n_found


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
            ordinal,
            documents,
            components,
            codes,
            residues,
            residue_offset,
            weights,
            max(upper, 0) * BINS,
            lists,
            keys,
        )
        for j in range(size):
            if upper == -1:
                bins[keys[j] // BINS] += 1
            elif keys[j] // BINS == upper:
                bins[keys[j] % BINS] += 1


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
            ordinal,
            documents,
            components,
            codes,
            residues,
            residue_offset,
            weights,
            threshold,
            lists,
            keys,
        )
        for j in range(size):
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
            ordinal,
            documents,
            components,
            codes,
            residues,
            residue_offset,
            weights,
            threshold,
            lists,
            keys,
        )
        for j in range(size):
            place = starts[lists[j]]
            kept_keys[place] = keys[j]
            ordinals[place] = ordinal
            starts[lists[j]] = place + 1
