"""Merging segments where there are too many: at the end of a write, or soon after, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Literal, TypeAlias

from lexidex.errors import Locked, StorageFull
from lexidex.index.storage import layout
from lexidex.index.storage.building import Building
from lexidex.index.storage.files import waiting

from . import fresh
from .background import Background
from .copying import deleted_since
from .merging import Merge, choose, neighbours
from .opening import Newest
from .turn import Turn
from .write import Progress

Merging: TypeAlias = Literal["background", "inline", "off"]
"""When segments are merged: by a thread of the process that writes, at the end of writes, never."""

QUIET_SECONDS = 0.5
"""Time without writes after which fresh segments are merged into one."""

SWAP_SECONDS = 10.0
"""How long what was made beside writes waits for another process to end its own, before it is
abandoned."""

COMPACT_SECONDS = 1.0
"""How long compacting waits for another process that sweeps; one that merges takes longer."""


class Tidying:
    """Merges the segments of a collection. Safe to use from many threads.

    Attributes:
        building: within how much memory.
    """

    def __init__(self, newest: Newest, turn: Turn, merging: Merging) -> None:
        """Merge what stands in `newest`, and put it in place when it has its turn."""
        self.building = Building()
        self._newest = newest
        self._storage = newest.storage
        self._turn = turn
        self._merging = merging
        self._one_merge = threading.Lock()
        self._background = Background(self._work)

    def tidy(self) -> None:
        """Merge what should be merged, now or soon."""
        if self._merging == "inline":
            while self._merge_next(None):
                pass
        elif self._merging == "background":
            snapshot = self._newest.snapshot
            if len(snapshot.fresh) > 2 or self._next_merge():
                self._background.wake()

    def stop(self) -> None:
        """End merging in the background; what is under way is abandoned."""
        self._background.stop()

    def settle(self) -> None:
        """Return when merging in the background has nothing left to do."""
        self._background.join()

    def merge_all(self, progress: Progress | None, building: Building | None) -> None:
        """Make one segment of all that are stored, without what was deleted."""
        with self._one_merge, waiting(self._storage, layout.MERGE_LOCK, COMPACT_SECONDS):
            stored = self._newest.snapshot.stored
            if len(stored) > 1 or any(segment.deleted is not None for segment in stored):
                self._merge(range(len(stored)), progress, building)

    def merge_fresh(self) -> None:
        """Make one fresh segment of all."""
        before = self._newest.snapshot.fresh
        merged = fresh.merge(before)
        self._background.check()
        with self._turn.among_threads, self._newest.lock:
            snapshot = self._newest.snapshot
            now = neighbours(snapshot.fresh, [segment.entry.name for segment in before])
            if now is not None:
                gone = deleted_since(before, now).nonzero()[0]
                newer = snapshot.fresh[len(before) :]
                self._newest.snapshot = snapshot.with_fresh([merged.without(gone), *newer])

    def _work(self) -> None:
        """What the thread in the background does."""
        while True:
            while self._merge_next(self._background.check):
                pass
            if len(self._newest.snapshot.fresh) <= 2:
                return
            if not self._background.pause(QUIET_SECONDS):
                self.merge_fresh()

    def _merge_next(self, check: Callable[[int], None] | None) -> bool:
        """Merge what is most in need of it; whether anything was."""
        if not self._next_merge():
            return False
        with (
            suppress(Locked, StorageFull),
            self._one_merge,
            self._storage.lock(layout.MERGE_LOCK),
        ):
            chosen = self._next_merge()
            building = self.building
            if check is not None:
                building = replace(building, progress=lambda _: check(0))  # may end it, too
            return bool(chosen) and self._merge(chosen, check, building)
        return False

    def _next_merge(self) -> range:
        """Which segments are most in need of merging."""
        entries = [segment.entry for segment in self._newest.snapshot.stored]
        return choose(entries, self.building.segment_postings)

    def _merge(
        self,
        places: range,
        done: Callable[[int], None] | None,
        building: Building | None = None,
    ) -> bool:
        """Merge neighbouring segments; False when others have changed them meanwhile."""
        snapshot = self._newest.snapshot
        sources = snapshot.stored[places.start : places.stop]
        number = snapshot.manifest.next_segment
        merge = Merge(self._storage, sources, number, building or self.building)
        merge.build(done)
        try:
            with self._turn.taken(SWAP_SECONDS) as snapshot, self._newest.lock:
                merged = merge.commit(snapshot, self._newest.memory)
                if merged is not None:
                    self._newest.snapshot = merged
                    return True
        except Exception:
            merge.abandon()
            raise
        merge.abandon()
        return False
