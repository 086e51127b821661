"""Whose turn is it to write? One writer's at a time, among all threads and processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lexidex.index.storage import layout
from lexidex.index.storage.files import waiting
from lexidex.index.storage.log import Place

from .opening import Newest
from .snapshot import Snapshot


class Turn:
    """The write lock of a collection: one of the process, and within it one of the storage.

    Attributes:
        among_threads: the first part, for what concerns nothing that other processes see.
    """

    def __init__(self, newest: Newest) -> None:
        """Take turns on top of `newest`."""
        self.among_threads = threading.Lock()
        self._newest = newest
        self._synced: Place | None = None

    @contextmanager
    def taken(self, patience: float = 0.0) -> Iterator[Snapshot]:
        """Hold the write lock; gives the newest snapshot.

        Args:
            patience: seconds to wait for another process; a writer in this one is waited for.
        """
        storage = self._newest.storage
        with self.among_threads, waiting(storage, layout.LOCK, patience):
            place = self._newest.refresh().place
            if place != self._synced:
                # Another process wrote, and may have died before that was durable.
                storage.sync(place.name)
                storage.sync_folder()
                self._synced = place
            yield self._newest.snapshot

    def wrote(self, place: Place) -> None:
        """Note how far the log is durable; whoever has the turn says so."""
        self._synced = place
