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

from ..jit import kernel, strict_kernel
from ..vectors import Float32s, Int64s
from .blocks import Blocks
from .buckets import FOLD, Entries, bits_below, bits_of_buckets, fill_buckets
from .crew import Crew
from .posting_keys import Ordinals
from .records import LINE, Bytes, Numbers, Records, Rows, part_of
from .scratch import Scratch, Spool
from .shares import list_shares

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

_FORESEEN = 8
"""Summary entries a posting, foreseen."""


class Summaries(NamedTuple):
    """The lists table, the blocks' own maxima and the buckets of entries."""

    lists: Rows
    """LIST rows (n_components + 1,); the last one only ends the one before."""
    impacts: Bytes
    """uint8 (n_blocks,): the block's largest value of its list's component, of list scale / 255."""
    buckets: Ordinals
    """uint32 (n_buckets + 1,), where each bucket begins in `entries`."""
    entries: Entries


def summarise(
    records: Records, blocks: Blocks, energy: float, scratch: Scratch, crew: Crew
) -> Summaries:
    """Summarise all blocks; the result does not depend on the number of threads.

    Raises:
        ParameterError: the summaries have 2**32 entries or more.
    """
    n_lists, n_blocks = blocks.first.size - 1, blocks.starts.size - 1
    lists = np.zeros(n_lists + 1, dtype=LIST)
    lists["block"] = blocks.first
    impacts = scratch.zeros(n_blocks, np.uint8)
    entries = Spool(scratch, np.uint32, _FORESEEN * blocks.ordinals.size)
    buckets = Spool(scratch, np.uint32, n_lists + 1)
    buckets.append(np.zeros(1, np.uint32))

    def share(first: int, last: int) -> tuple[Entries, Ordinals]:
        return summarise_lists(first, last, *blocks, *records[:3], energy, lists, impacts)

    def take(summaries: tuple[Entries, Ordinals]) -> None:
        found, sizes = summaries
        if entries.size + found.size >= 1 << 32:
            raise ParameterError(
                f"summary_energy: {energy} makes 2**32 summary entries and more, which an index "
                "cannot hold: lower it, or make several indexes"
            )
        buckets.append(np.cumsum(sizes, dtype=np.uint32) + np.uint32(entries.size))
        entries.append(found)

    crew.begin("summaries", n_lists)
    offsets = blocks.starts[blocks.first].astype(np.int64)
    crew.run(share, list_shares(offsets, _postings_of_share(records)), take)
    n_buckets = np.where(np.diff(blocks.first) > 0, 1 << lists["bucket_bits"][:-1].astype(int), 0)
    lists["bucket"][1:] = np.cumsum(n_buckets)
    return Summaries(lists, impacts, buckets.array(), entries.array())


def _postings_of_share(records: Records) -> int:
    """Postings of a share, whose summaries hold at most about 2**20 entries."""
    sizes = records.documents["size"]
    mean = int(sizes.sum(dtype=np.int64)) // max(sizes.size, 1) + 1
    return min(max((1 << 20) // mean, 1), 1 << 17)


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
    touched = np.empty(maxima.size + 1, np.uint32)
    taken = np.empty(maxima.size, np.float32)
    levels = np.zeros(_LEVELS, np.float64)
    staged = np.empty(1024, np.uint32)
    entries = np.empty(1024, np.uint32)
    sizes = np.empty(1024, np.uint32)
    n_entries = np.int64(0)
    n_buckets = 0
    for component in range(first, last):
        begin = first_blocks[component]
        end = first_blocks[component + 1]
        if begin == end:
            continue
        scale = largest_value(ordinals[block_starts[begin] : block_starts[end]], documents)
        block_bits = bits_below(end - begin)
        n_staged = np.int64(0)
        for block in range(begin, end):
            members = ordinals[block_starts[block] : block_starts[block + 1]]
            n_touched = take_maxima(members, documents, components, codes, maxima, touched)
            own = maxima[component] / scale * np.float32(255.0)
            impacts[block] = min(np.int64(own + np.float32(0.5)), np.int64(255))
            maxima[component] = 0.0
            staged = grown(staged, n_staged + n_touched + 1)
            n_staged += cut_summary(
                maxima,
                touched[:n_touched],
                taken,
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
    touched: Ordinals,
) -> np.int64:
    """Set maxima (n_components,), all 0 before, to the coordinate-wise maximum of the documents.

    Args:
        touched: uint32 (n_components + 1,), which begins with the components that are not 0 now.

    Returns:
        the number of these components. (Written without a branch: which way it would go is as good
        as random, and a wrong guess costs more than all the rest.)
    """
    n_touched = np.int64(0)
    for ordinal in members:
        start = np.int64(documents[ordinal]["line"]) * LINE
        size = np.int64(documents[ordinal]["size"])
        scale = np.float32(documents[ordinal]["scale"])
        for is_tail in range(2):
            part = part_of(start, size, components, is_tail)
            entry, code = np.uint64(part.component), np.uint64(part.code)
            for j in range(np.uint64(part.size)):
                component = components[entry + j]
                former = maxima[component]
                touched[np.uint64(n_touched)] = component
                value = scale * np.float32(codes[code + j])  # 0 where a code rounds to that
                n_touched += np.int64((former == 0.0) & (value > 0.0))
                maxima[component] = max(former, value)
    return n_touched


@strict_kernel
def cut_summary(
    maxima: Float32s,
    touched: Ordinals,
    taken: Float32s,
    energy: float,
    scale: np.float32,
    block: int,
    block_bits: int,
    levels: NDArray[np.float64],
    staged: Entries,
) -> np.int64:
    """Write the entries of one block's summary to `staged`, and clear its maxima; their number.

    The largest coordinates are found by a histogram of 256 levels of the list's scale, so among
    those of the last level they are taken in the order of `touched`.

    Args:
        taken: float32, scratch at least as long as `touched`.
        staged: one longer than `touched`.
    """
    to_level = (_LEVELS - 1) / np.float64(scale)
    total = 0.0
    for i in range(touched.size):
        value = maxima[touched[i]]
        maxima[touched[i]] = 0.0
        taken[i] = value
        levels[np.uint64(value * to_level)] += value
        total += value
    kept = 0.0
    last = np.int64(_LEVELS - 1)
    while last >= 0 and kept + levels[last] < energy * total:
        kept += levels[last]
        last -= 1
    levels[:] = 0.0
    code_bits = 16 - block_bits
    to_code = ((1 << code_bits) - 1) / np.float64(scale)
    n_staged = np.int64(0)
    for i in range(touched.size):
        # Without a branch on the level, as in take_maxima; the list's own component is 0.
        code = max(np.int64(taken[i] * to_code + 0.5), np.int64(1))
        component = np.int64(touched[i])
        staged[n_staged] = (component % FOLD << 16) | (block << code_bits) | code
        n_staged += np.int64((np.int64(taken[i] * to_level) > last) & (taken[i] > 0.0))
    for i in range(touched.size):
        if kept >= energy * total:
            break
        if np.int64(taken[i] * to_level) == last:
            kept += taken[i]
            code = max(np.int64(taken[i] * to_code + 0.5), np.int64(1))
            component = np.int64(touched[i])
            staged[n_staged] = (component % FOLD << 16) | (block << code_bits) | code
            n_staged += 1
    return n_staged
