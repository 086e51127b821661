"""Merging: which segments become one, and how, while writes go on.

Size-tiered: neighbours of one tier are merged when there are `FAN_IN` of them, and a segment that
has lost many documents is written anew. Only neighbours, so that age goes on deciding between
equal scores. Vectors stay as they are: an encoder that weighs by the collection, as BM25 does,
weighed them by the average length of their time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from lexidex.errors import LexidexError
from lexidex.index.storage import layout
from lexidex.index.storage.building import Building
from lexidex.index.storage.deletions import mark_deleted
from lexidex.index.storage.files import Memory, Storage
from lexidex.index.storage.manifest import SegmentEntry, sweep, write_manifest
from lexidex.index.storage.segment import Segment
from lexidex.index.storage.segment_writer import SegmentWriter

from .copying import copy_live, deleted_since, finished
from .snapshot import Snapshot

FAN_IN = 4
"""Neighbours of one tier that are merged. A search pays for every segment, 25 microseconds and
more, so there should be few; a document is copied once a tier, so tiers should be far apart."""

SMALLEST_TIER = 1 << 20
"""Postings of live documents up to which segments count as equally small: a flushed log's worth."""

DEAD_SHARE = 0.15
"""Share of deleted documents from which a segment is written anew. Each document is copied seven
times in the long run, and with every fifth replaced a search stays within half as much again."""

FEW_DEAD = 1_000
"""Deleted documents up to which a segment is never written anew for them alone."""


def choose(entries: Sequence[SegmentEntry], largest: int) -> range:
    """The places of neighbouring segments that should become one; none when all is well.

    Args:
        largest: postings of live documents that a merge of several segments makes at most, as
            large as the segments that writes make; `compact` knows no such limit.
    """
    sizes = [_live_postings(entry) for entry in entries]
    tiers = [_tier(size) for size in sizes]
    for tier in sorted(set(tiers)):
        for run in _runs(tiers, tier):
            for start in run:
                fitting = _fitting(range(start, run.stop), sizes, largest)
                if sum(tiers[place] == tier for place in fitting) >= FAN_IN:
                    return fitting
    for place, entry in enumerate(entries):
        if entry.n_deleted > FEW_DEAD and entry.n_deleted >= DEAD_SHARE * entry.n_documents:
            return _with_smaller(place, sizes, largest)
    return range(0)


def _runs(tiers: Sequence[int], tier: int) -> list[range]:
    """Maximal runs of neighbours of a tier or below."""
    larger = [-1, *(place for place, other in enumerate(tiers) if other > tier), len(tiers)]
    return [range(one + 1, other) for one, other in itertools.pairwise(larger)]


def _fitting(run: range, sizes: Sequence[int], largest: int) -> range:
    """The run as far as it fits into one segment."""
    total = 0
    for place in run:
        total += sizes[place]
        if total > largest:
            return range(run.start, place)
    return run


def _with_smaller(place: int, sizes: Sequence[int], largest: int) -> range:
    """The segment and the smaller ones behind it, as far as they fit into one."""
    end = place + 1
    while end < len(sizes) and sizes[end] <= sizes[place]:
        end += 1
    return _fitting(range(place, end), sizes, largest) or range(place, place + 1)


def _live_postings(entry: SegmentEntry) -> int:
    live = entry.n_documents - entry.n_deleted
    return round(entry.n_postings * live / max(entry.n_documents, 1))


def _tier(size: int) -> int:
    tier = 0
    while size > SMALLEST_TIER * FAN_IN**tier:
        tier += 1
    return tier


class Merge:
    """Neighbouring segments on their way into one. The caller holds the merge lock throughout."""

    def __init__(
        self, storage: Storage, sources: Sequence[Segment], number: int, building: Building
    ) -> None:
        """Merge `sources`, the live documents they have now.

        Args:
            number: the manifest's next segment number, which names the result.
        """
        self._storage = storage
        self._sources = list(sources)
        self._name = layout.merged_segment(number)
        self._building = building
        self._entry: SegmentEntry | None = None

    def build(self, done: Callable[[int], None] | None = None) -> None:
        """Write the merged segment; nothing shows it yet.

        Args:
            done: called with the number of documents copied; what it raises abandons the merge.
        """
        if not any(segment.n_live for segment in self._sources):
            return
        writer = SegmentWriter(self._storage, self._name, self._building)
        try:
            length = copy_live(self._sources, writer, done)
            self._entry = finished(writer, length)
        except Exception:
            writer.abandon()
            raise

    def commit(self, now: Snapshot, memory: Memory) -> Snapshot | None:
        """Put the result in the place of its sources; None when these are not there any more.

        What was deleted meanwhile is deleted in the result. The caller holds the write lock.

        Args:
            now: the newest snapshot.
        """
        names = [segment.entry.name for segment in self._sources]
        sources = neighbours(now.stored, names)
        if sources is None:
            return None
        number = now.manifest.number + 1
        entry = self._entry
        if entry is not None:
            deleted = deleted_since(self._sources, sources)
            entry = mark_deleted(self._storage, entry, deleted, number)
        merged = () if entry is None or entry.n_deleted == entry.n_documents else (entry,)
        entries = list(now.manifest.segments)
        first = [old.name for old in entries].index(names[0])
        entries[first : first + len(names)] = merged
        manifest = replace(
            now.manifest,
            number=number,
            segments=tuple(entries),
            next_segment=now.manifest.next_segment + 1,
        )
        # Opened before it is committed: what cannot be opened is not put in place.
        segments = list(now.segments)
        opened = [Segment(self._storage, entry, memory, verify=False) for entry in merged]
        segments[first : first + len(names)] = opened
        write_manifest(self._storage, manifest)
        with suppress(OSError, LexidexError):  # it is committed; the next write sweeps again
            sweep(self._storage, manifest, merging=True)
        return now.rearranged(manifest, segments)

    def abandon(self) -> None:
        """Remove what was written."""
        with suppress(OSError, LexidexError):
            self._storage.remove(f"{layout.SEGMENTS}/{self._name}")


def neighbours(segments: Sequence[Segment], names: Sequence[str]) -> list[Segment] | None:
    """The segments of these names where they stand next to each other, else None."""
    present = [segment.entry.name for segment in segments]
    for first in range(len(present) - len(names) + 1):
        if present[first : first + len(names)] == list(names):
            return list(segments[first : first + len(names)])
    return None
