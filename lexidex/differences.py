"""Which documents one snapshot has and another has not, by what they hold, not where they stand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lexidex.documents import Document
from lexidex.index.storage.documents import StoredDocument
from lexidex.index.storage.segment import Segment
from lexidex.index.storage.staging import KeyOrder, Keys, keys_of

from .snapshot import Snapshot

Chosen: TypeAlias = "tuple[Segment, NDArray[np.bool_]]"
"""Some documents of a segment, as bool (n_documents,)."""


class Difference:
    """What must be done to a copy of one snapshot's documents to make it a copy of another's.

    Attributes:
        come: documents that stand where none stood before; what is `new` is among them.
    """

    def __init__(self, before: Snapshot | None, now: Snapshot) -> None:
        """Compare by place first: segments in both, without further deletions, are passed over."""
        then = {segment.entry.name: (segment, live) for segment, live in live_documents(before)}
        self._left: list[Chosen] = []
        self.come: list[Chosen] = []
        for segment, live in live_documents(now):
            _, lived = then.pop(segment.entry.name, (segment, np.zeros_like(live)))
            self._left.append((segment, lived & ~live))
            self.come.append((segment, live & ~lived))
        self._left += then.values()

    def gone(self) -> list[str]:
        """Ids that no document has any more."""
        left, come = _ids(self._left), _ids(self.come)
        ids: list[str] = left.filter(pc.invert(pc.is_in(left, value_set=come))).to_pylist()
        return ids

    def new(self) -> Iterator[Document]:
        """Documents that are new, or hold something else than before.

        One that was merged into another segment has left one place and come to another; it is
        neither.
        """
        known = KeyOrder([_keys(batch) for batch in _documents(self._left)])
        for batch in _documents(self.come):
            places = known.find(_keys(batch))
            for document, place in zip(batch, places.tolist(), strict=True):
                if place < 0:
                    title, metadata = document.title, document.metadata
                    yield Document(document.id, document.text, title, metadata)


def live_documents(snapshot: Snapshot | None) -> Iterator[Chosen]:
    """Every segment and its documents that are not deleted."""
    for segment in snapshot.segments if snapshot else ():
        all_live = np.ones(segment.entry.n_documents, dtype=np.bool_)
        yield segment, all_live if segment.deleted is None else ~segment.deleted


def _documents(chosen: list[Chosen]) -> Iterator[list[StoredDocument]]:
    for segment, wanted in chosen:
        if wanted.any():
            for first, batch in segment.documents.batches():
                places = np.flatnonzero(wanted[first : first + len(batch)])
                yield [batch[place] for place in places.tolist()]


def _ids(chosen: list[Chosen]) -> pa.ChunkedArray:
    found = [
        segment.documents.ids().filter(pa.array(wanted))
        for segment, wanted in chosen
        if wanted.any()
    ]
    chunks = [chunk for ids in found for chunk in ids.chunks]
    return pa.chunked_array(chunks, pa.large_string())


def _keys(documents: list[StoredDocument]) -> Keys:
    """Equal for documents that hold the same."""
    return keys_of([json.dumps([d.id, d.title, d.text, d.metadata]) for d in documents])
