"""Block summaries: what a query needs to estimate the best score of every block of a list.

A summary is the coordinate-wise maximum of a block's documents, cut to its largest coordinates
until they hold `summary_energy` of their sum (Seismic, arXiv 2404.18812). An estimate is the
summary's inner product with the query, and no bound: what was cut off is missing in it.

Differences from Seismic: one scale serves a whole list, where there each summary has a scale and an
offset of its own; coordinates are found through buckets (buckets.py), there by merging; and the
maximum of the list's own component, which every query that comes here has, is always kept, as a
byte a block outside of the summary.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexidex.errors import ParameterError

from ..batch import in_threads
from ..jit import kernel, strict_kernel
from ..vectors import Float32s, Int64s
from .blocks import Blocks
from .buckets import FOLD, Entries, bits_below, bits_of_buckets, fill_buckets
from .pruning import Ordinals, even_shares
from .records import LINE, Bytes, Numbers, Records, Rows, place_of

LIST = np.dtype(
    [
        ("block", "<u4"),
        ("bucket", "<u4"),
        ("unit", "<f4"),
        ("block_bits", "u1"),
        ("bucket_bits", "u1"),
        ("unused", "<u2"),
    ]
)
"""A row of the lists table: first block, first bucket, the value of one step of a code."""

IMPACT_UNIT = 1 / 255
"""The value of one step of an impact, of the list's largest value."""

_LEVELS = 256


class Summaries(NamedTuple):
    """The lists table, the blocks' own maxima and the buckets of entries."""

    lists: Rows
    """LIST rows (n_components + 1,); the last one only ends the one before."""
    impacts: Bytes
    """uint8 (n_blocks,): the block's largest value of its list's component, of list scale / 255."""
    buckets: Ordinals
    """uint32 (n_buckets + 1,), where each bucket begins in `entries`."""
    entries: Entries


def summarise(records: Records, blocks: Blocks, energy: float, n_threads: int) -> Summaries:
    """Summarise all blocks; the result does not depend on the number of threads.

    Raises:
        ParameterError: the summaries have 2**32 entries or more.
    """
    lists = np.zeros(blocks.first.size, dtype=LIST)
    lists["block"] = blocks.first
    impacts = np.zeros(blocks.starts.size - 1, dtype=np.uint8)
    bounds = even_shares(blocks.starts[blocks.first].astype(np.int64))

    def run(first: int, last: int) -> list[tuple[Entries, Ordinals]]:
        return [
            summarise_lists(
                *bounds[share : share + 2],
                *blocks,
                *records[:3],
                energy,
                lists,
                impacts,
            )
            for share in range(first, last)
        ]

    parts = [part for share in in_threads(run, bounds.size - 1, n_threads) for part in share]
    sizes = np.concatenate([sizes for _, sizes in parts])
    n_entries = sum(entries.size for entries, _ in parts)
    if n_entries >= 1 << 32:
        raise ParameterError(
            f"summary_energy: {energy} makes {n_entries:,} summary entries; an index holds 2**32: "
            "lower it, or make several indexes"
        )
    buckets = np.zeros(sizes.size + 1, dtype=np.uint32)
    np.cumsum(sizes, dtype=np.uint32, out=buckets[1:])
    n_buckets = np.where(np.diff(blocks.first) > 0, 1 << lists["bucket_bits"][:-1].astype(int), 0)
    lists["bucket"][1:] = np.cumsum(n_buckets)
    entries = np.empty(n_entries, dtype=np.uint32)
    place = 0
    while parts:
        part, _ = parts.pop(0)
        entries[place : place + part.size] = part
        place += part.size
    return Summaries(lists, impacts, buckets, entries)


@kernel
def summarise_lists(
    first: int,
    last: int,
    first_blocks: Int64s,
    block_starts: Ordinals,
    ordinals: Ordinals,
    documents: Rows,
    components: Numbers,
    codes: Bytes,
    energy: float,
    lists: Rows,
    impacts: Bytes,
) -> tuple[Entries, Ordinals]:
    """Summarise the lists [first, last): their entries, and the sizes of their buckets.

    Args:
        lists: LIST rows; unit and bits of these lists are filled.
        impacts: uint8 (n_blocks,); those of these lists' blocks are filled.
    """
    maxima = np.zeros(first_blocks.size - 1, np.float32)
    touched = np.empty(maxima.size, np.int64)
    levels = np.zeros(_LEVELS, np.float64)
    staged = np.empty(1024, np.uint32)
    entries = np.empty(1024, np.uint32)
    sizes = np.empty(1024, np.uint32)
    n_entries = 0
    n_buckets = 0
    for component in range(first, last):
        begin = first_blocks[component]
        end = first_blocks[component + 1]
        if begin == end:
            continue
        scale = largest_value(ordinals[block_starts[begin] : block_starts[end]], documents)
        block_bits = bits_below(end - begin)
        n_staged = 0
        for block in range(begin, end):
            members = ordinals[block_starts[block] : block_starts[block + 1]]
            n_touched = take_maxima(members, documents, components, codes, maxima, touched)
            own = maxima[component] / scale * np.float32(255.0)
            impacts[block] = min(np.int64(own + np.float32(0.5)), np.int64(255))
            maxima[component] = 0.0
            staged = grown(staged, n_staged + n_touched)
            n_staged += cut_summary(
                maxima,
                touched[:n_touched],
                energy,
                scale,
                block - begin,
                block_bits,
                levels,
                staged[n_staged:],
            )
        bucket_bits = bits_of_buckets(n_staged)
        entries = grown(entries, n_entries + n_staged)
        sizes = grown(sizes, n_buckets + (1 << bucket_bits))
        fill_buckets(
            staged[:n_staged],
            bucket_bits,
            sizes[n_buckets : n_buckets + (1 << bucket_bits)],
            entries[n_entries : n_entries + n_staged],
        )
        n_entries += n_staged
        n_buckets += 1 << bucket_bits
        lists[component]["unit"] = scale / np.float32((1 << 16 - block_bits) - 1)
        lists[component]["block_bits"] = block_bits
        lists[component]["bucket_bits"] = bucket_bits
    return entries[:n_entries].copy(), sizes[:n_buckets].copy()


@strict_kernel
def grown(array: Entries, size: int) -> Entries:
    """The array, or a copy of at least twice its length when `size` does not fit."""
    if size <= array.size:
        return array
    larger = np.empty(max(size, 2 * array.size), np.uint32)
    larger[: array.size] = array
    return larger


@strict_kernel
def largest_value(members: Ordinals, documents: Rows) -> np.float32:
    """The largest value of any of the documents: what code 255 stands for, of each."""
    largest = np.float32(0.0)
    for ordinal in members:
        largest = max(largest, np.float32(documents[ordinal]["scale"]))
    return largest * np.float32(255.0)


@strict_kernel
def take_maxima(
    members: Ordinals,
    documents: Rows,
    components: Numbers,
    codes: Bytes,
    maxima: Float32s,
    touched: Int64s,
) -> int:
    """Set maxima (n_components,), all 0 before, to the coordinate-wise maximum of the documents.

    Returns the number of components that are not 0; `touched` begins with them.
    """
    n_touched = 0
    for ordinal in members:
        start = np.int64(documents[ordinal]["line"]) * LINE
        size = np.int64(documents[ordinal]["size"])
        scale = np.float32(documents[ordinal]["scale"])
        entry = place_of(start, components)
        code = start + size * components.itemsize
        for j in range(size):
            component = components[entry + j]
            value = scale * np.float32(codes[code + j])
            if value > maxima[component]:
                if maxima[component] == 0.0:
                    touched[n_touched] = component
                    n_touched += 1
                maxima[component] = value
    return n_touched


@strict_kernel
def cut_summary(
    maxima: Float32s,
    touched: Int64s,
    energy: float,
    scale: np.float32,
    block: int,
    block_bits: int,
    levels: NDArray[np.float64],
    staged: Entries,
) -> int:
    """Write the entries of one block's summary to `staged`, and clear its maxima; their number.

    The largest coordinates are found by a histogram of 256 levels of the list's scale, so among
    those of the last level they are taken in the order of `touched`.
    """
    to_level = (_LEVELS - 1) / np.float64(scale)
    top = np.int64(0)
    total = 0.0
    for component in touched:
        level = np.int64(maxima[component] * to_level)
        levels[level] += maxima[component]
        total += maxima[component]
        top = max(top, level)
    kept = 0.0
    last = top
    while last >= 0 and kept + levels[last] < energy * total:
        kept += levels[last]
        last -= 1
    levels[: top + 1] = 0.0
    code_bits = 16 - block_bits
    to_code = ((1 << code_bits) - 1) / np.float64(scale)
    n_staged = 0
    for component in touched:
        value = maxima[component]
        maxima[component] = 0.0
        level = np.int64(value * to_level)
        if value == 0.0 or level < last or (level == last and kept >= energy * total):
            continue
        if level == last:
            kept += value
        code = max(np.int64(value * to_code + 0.5), 1)
        staged[n_staged] = (component % FOLD << 16) | (block << code_bits) | code
        n_staged += 1
    return n_staged
