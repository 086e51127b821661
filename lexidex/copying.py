"""Segments -> one segment: what lives is copied batch by batch, and never encoded again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lexidex.index.storage.documents import StoredDocument
from lexidex.index.storage.manifest import SegmentEntry
from lexidex.index.storage.passages import Passages
from lexidex.index.storage.segment import Segment
from lexidex.index.storage.segment_writer import SegmentWriter
from lexidex.index.vectors import Vectors, csr


def copy_live(
    segments: Sequence[Segment], writer: SegmentWriter, done: Callable[[int], None] | None = None
) -> float:
    """Add the documents that are not deleted, in order of age.

    Args:
        done: called after each batch with the number of documents copied; what it raises ends
            the copying.

    Returns:
        The sum of their lengths in terms, for `finished`; of a segment that has lost some, by
        their share.
    """
    length = 0.0
    for segment in segments:
        live = segment.live
        share = 1.0 if live is None else live.count / max(live.n_documents, 1)
        length += segment.entry.total_length * share
        for documents, vectors, passages in live_batches(segment):
            writer.add(documents, vectors, passages)
            if done:
                done(writer.n_documents)
    return length


def live_batches(segment: Segment) -> Iterator[tuple[list[StoredDocument], Vectors, Passages]]:
    """The documents that are not deleted batch by batch, with their vectors and passages.

    Vectors of batches that have lost none are not copied from where they are mapped.
    """
    passages = segment.laden_passages
    for first, documents in segment.documents.batches():
        last = first + len(documents)
        if segment.deleted is None or not segment.deleted[first:last].any():
            rows = passages.starts[[first, last]].tolist()
            yield documents, _slice(segment.vectors, *rows), passages.between(first, last)
        else:
            kept = np.flatnonzero(~segment.deleted[first:last])
            chosen = [documents[place] for place in kept.tolist()]
            vectors = segment.vectors[passages.of(first + kept)]
            yield chosen, vectors, passages.take(first + kept)


def finished(writer: SegmentWriter, length: float) -> SegmentEntry:
    """Complete a segment of vectors that are ready; `length` is that of its documents in terms."""
    return replace(writer.finish(lambda vectors: vectors), total_length=length)


def deleted_since(before: Sequence[Segment], now: Sequence[Segment]) -> NDArray[np.bool_]:
    """bool (copied documents,): those that `copy_live` took from `before` and are deleted `now`."""
    masks = []
    for old, new in zip(before, now, strict=True):
        none = np.zeros(old.entry.n_documents, dtype=np.bool_)
        copied = none if old.deleted is None else old.deleted
        masks.append((none if new.deleted is None else new.deleted)[~copied])
    return np.concatenate(masks) if masks else np.zeros(0, dtype=np.bool_)


def _slice(vectors: Vectors, first: int, last: int) -> Vectors:
    """Rows of a batch, without copying components and values."""
    start, end = int(vectors.indptr[first]), int(vectors.indptr[last])
    indptr = vectors.indptr[first : last + 1] - start
    return csr(vectors.data[start:end], vectors.indices[start:end], indptr, vectors.shape[1])
