"""Which documents one snapshot has and another has not, by what they hold, not where they stand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lexidex.documents import Document, GivenPassage
from lexidex.index.storage.documents import StoredDocument
from lexidex.index.storage.passages import Passages
from lexidex.index.storage.segment import Segment
from lexidex.index.storage.staging import KeyOrder, Keys, keys_of
from lexidex.index.vectors import Float32s

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
        side = now.dense_side
        self._brought = side is not None and side.encoder is None

    def gone(self) -> list[str]:
        """Ids that no document has any more."""
        left, come = _ids(self._left), _ids(self.come)
        ids: list[str] = left.filter(pc.invert(pc.is_in(left, value_set=come))).to_pylist()
        return ids

    def new(self) -> Iterator[Document]:
        """Documents that are new, or hold something else than before, with their dense vectors.

        One that was merged into another segment has left one place and come to another; it is
        neither.
        """
        known = KeyOrder([batch.keys() for batch in _batches(self._left)])
        for batch in _batches(self.come):
            for number, place in enumerate(known.find(batch.keys()).tolist()):
                if place < 0:
                    yield batch.given(number, self._brought)


@dataclass(frozen=True)
class _Batch:
    """Some documents of a segment, and the passages that they own."""

    documents: list[StoredDocument]
    passages: Passages

    def keys(self) -> Keys:
        """Equal for documents that hold the same."""
        contents = []
        for number, one in enumerate(self.documents):
            dense = b"".join(rows.tobytes() for rows in self._dense(number))
            content = [one.id, one.title, one.text, one.metadata]
            if dense:
                content.append(hashlib.blake2b(dense, digest_size=16).hexdigest())
            contents.append(json.dumps(content))
        return keys_of(contents)

    def given(self, number: int, brought: bool) -> Document:
        """A document as it may have been given.

        Args:
            brought: whether documents bring their dense vectors. Several passages that have some
                stay the passages they are; where a model makes them, it does so again for others.
        """
        one = self.documents[number]
        dense = self._dense(number)
        passages: tuple[GivenPassage, ...] = ()
        whole = dense[0] if dense and dense[0].size else None
        if any(rows.size for rows in dense[1:]):
            whole = None
            if brought:
                first = int(self.passages.starts[number])
                spans = self.passages.spans[first : first + len(dense)].tolist()
                passages = tuple(
                    GivenPassage(start, end, dense=rows)
                    for (start, end), rows in zip(spans, dense, strict=True)
                )
        return Document(one.id, one.text, one.title, one.metadata, None, passages, whole)

    def _dense(self, number: int) -> list[Float32s]:
        """The dense vectors of each passage of a document; none where no passage has any."""
        rows = self.passages.dense
        if rows is None:
            return []
        first, last = self.passages.starts[number : number + 2].tolist()
        bounds = rows.starts[first : last + 1].tolist()
        return [rows.vectors[start:end] for start, end in pairwise(bounds)]


def live_documents(snapshot: Snapshot | None) -> Iterator[Chosen]:
    """Every segment and its documents that are not deleted."""
    for segment in snapshot.segments if snapshot else ():
        all_live = np.ones(segment.entry.n_documents, dtype=np.bool_)
        yield segment, all_live if segment.deleted is None else ~segment.deleted


def _batches(chosen: list[Chosen]) -> Iterator[_Batch]:
    for segment, wanted in chosen:
        if wanted.any():
            for first, batch in segment.documents.batches():
                places = np.flatnonzero(wanted[first : first + len(batch)])
                documents = [batch[place] for place in places.tolist()]
                yield _Batch(documents, segment.laden_passages.take(first + places))


def _ids(chosen: list[Chosen]) -> pa.ChunkedArray:
    found = [
        segment.documents.ids().filter(pa.array(wanted))
        for segment, wanted in chosen
        if wanted.any()
    ]
    chunks = [chunk for ids in found for chunk in ids.chunks]
    return pa.chunked_array(chunks, pa.large_string())
