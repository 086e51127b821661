"""Fresh segments: what the log holds, searchable in memory before it becomes a segment on disk."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from lexidex.index.storage.change import Change
from lexidex.index.storage.files import MemoryStorage
from lexidex.index.storage.segment import Segment
from lexidex.index.storage.segment_writer import SegmentWriter

from .copying import copy_live, finished

GROWTH = 4
"""Each fresh segment has at least this many times the documents of the next. So a thousand single
writes leave five at most (a search spends some 25 microseconds on each), and copy a document a
dozen times, in bulk."""

_numbers = count()


def with_change(fresh: Sequence[Segment], change: Change) -> list[Segment]:
    """Fresh segments with the documents of a change; what it replaces is deleted there already."""
    kept = [segment for segment in fresh if segment.n_live]
    size = len(change.documents)
    if not size:
        return kept
    joined: list[Segment] = []
    while kept and kept[-1].n_live < GROWTH * size:
        size += kept[-1].n_live
        joined.insert(0, kept.pop())
    return [*kept, merge(joined, change)]


def merge(segments: Sequence[Segment], change: Change | None = None) -> Segment:
    """One segment in memory of the live documents of others, and of a change behind them."""
    storage = MemoryStorage()
    writer = SegmentWriter(storage, f"f{next(_numbers):06d}")
    length = copy_live(segments, writer)
    if change is not None:
        writer.add(change.documents, change.vectors, change.passages)
        length += change.total_length
    return Segment(storage, finished(writer, length), verify=False)
