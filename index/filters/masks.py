"""What a filter leaves of a segment, and a cache of that, bounded by its bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..allowed import Allowed

CACHE_BYTES = 1 << 27
"""Masks that one collection keeps: what some hundred filters leave of a million documents."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Documents of a segment that are not deleted and that a filter lets through.

    Attributes:
        documents: bool (n_documents,).
        passages: passages of those, as the indexes take them.
        n_documents: how many documents there are in it.
    """

    documents: NDArray[np.bool_]
    passages: Allowed
    n_documents: int

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return self.documents.nbytes + self.passages.words.nbytes


class MaskCache:
    """Selections by key; the least recently used make room. Safe to use from many threads."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        """Keep up to `limit` bytes of masks."""
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Selection] = OrderedDict()
        self._n_bytes = 0

    def get(self, key: Hashable, select: Callable[[], Selection]) -> Selection:
        """The selection kept under a key, or else what `select` makes, which is kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        # Not under the lock: threads with other filters need not wait for this one.
        made = select()
        with self._lock:
            if key not in self._kept and made.n_bytes <= self._limit:
                self._kept[key] = made
                self._n_bytes += made.n_bytes
            while self._n_bytes > self._limit:
                self._n_bytes -= self._kept.popitem(last=False)[1].n_bytes
        return made
