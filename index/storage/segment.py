"""A segment: documents, their vectors and an index over them. Writer -> files -> reader.

The writer takes batches of any size in bounded memory: documents stream to disk, vectors are held
until the segment is complete. The reader never changes; what was deleted since is a mask beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .. import planner
from ..exact import ExactIndex
from ..seismic import SeismicIndex
from ..seismic.seismic_index import KIND as SEISMIC_KIND
from ..vectors import Vectors, csr
from . import layout
from .arrays import read_arrays, write_arrays
from .deletions import DeadTerms, mark_deleted, read_deletions
from .documents import (
    MAP_KIND,
    DocumentWriter,
    StorableDocument,
    read_documents,
    repeated_ids,
    sort_ids,
)
from .files import Memory, Storage
from .manifest import FileEntry, SegmentEntry, check_file, counted

VERIFIED_AT_OPEN = 1 << 26
"""Bytes of a file that opening it may read through: some 50 milliseconds."""

LOOK_UP_COST = 500
"""Looking one id up costs as much as comparing this many: 40 microseconds, 80 nanoseconds."""

_VECTORS_KIND = "vectors"


class SegmentWriter:
    """Collects documents with their passages' vectors; `finish` makes a segment of them."""

    def __init__(self, storage: Storage, name: str) -> None:
        """Start the segment `name`; nothing of it is searchable before `finish`."""
        self._storage = storage
        self._name = name
        self._open = ExitStack()
        self._file = self._open.enter_context(counted(storage, self._path(layout.DOCUMENTS)))
        self._documents = DocumentWriter(self._file)
        self._passage_counts: list[int] = []
        self._ids: list[str] = []
        self._drafts: list[Vectors] = []
        self.n_postings = 0

    @property
    def n_documents(self) -> int:
        """Documents added so far."""
        return len(self._ids)

    @property
    def total_length(self) -> float:
        """Sum of all values of the vectors added so far."""
        return sum(float(draft.data.sum(dtype=np.float64)) for draft in self._drafts)

    def add(
        self,
        documents: Sequence[StorableDocument],
        vectors: Vectors,
        passage_counts: Sequence[int] | None = None,
    ) -> None:
        """Append documents.

        Args:
            vectors: csr_array, one row a passage, in order of the documents.
            passage_counts: passages of each document; one each when None.
        """
        for document in documents:
            self._documents.add(document)
            self._ids.append(document.id)
        self._passage_counts += passage_counts or [1] * len(documents)
        self._drafts.append(vectors)
        self.n_postings += int(vectors.nnz)

    def finish(self, weigh: Callable[[Vectors], Vectors]) -> SegmentEntry:
        """Weigh the drafts, write every file, and describe the segment.

        Documents whose id comes again later in the segment count as deleted.
        """
        total_length = self.total_length
        batch_starts = self._documents.finish()
        self._open.close()
        files = [self._file.entry(self._path(layout.DOCUMENTS))]
        ids = pa.chunked_array([pa.array(self._ids, pa.large_string())])
        id_order = sort_ids(ids)
        passage_starts = np.zeros(len(self._ids) + 1, dtype=np.int64)
        np.cumsum(self._passage_counts, out=passage_starts[1:])
        files.append(
            self._write(
                layout.DOCUMENT_MAP,
                MAP_KIND,
                {
                    "batch_starts": batch_starts,
                    "id_order": id_order,
                    "passage_starts": passage_starts,
                },
            )
        )
        drafts, self._drafts = self._drafts, []
        for place, draft in enumerate(drafts):
            drafts[place] = weigh(draft)
        files.append(self._write_vectors(drafts))
        drafts.clear()
        vectors = read_vectors(self._storage, self._name)
        files.append(self._write_index(layout.EXACT, ExactIndex.build(vectors)))
        if vectors.shape[0] >= planner.SEISMIC_FROM:
            n_threads = len(os.sched_getaffinity(0))
            files.append(
                self._write_index(layout.SEISMIC, SeismicIndex.build(vectors, n_threads=n_threads))
            )
        self._storage.sync_folder(f"{layout.SEGMENTS}/{self._name}")
        self._storage.sync_folder(layout.SEGMENTS)
        entry = SegmentEntry(
            name=self._name,
            n_documents=len(self._ids),
            n_passages=int(passage_starts[-1]),
            n_postings=self.n_postings,
            n_deleted=0,
            total_length=total_length,
            files=tuple(files),
        )
        return mark_deleted(self._storage, entry, repeated_ids(ids, id_order), number=0)

    def abandon(self) -> None:
        """Remove what was written."""
        self._open.close()
        self._storage.remove(f"{layout.SEGMENTS}/{self._name}")

    def _path(self, file: str) -> str:
        return layout.segment_file(self._name, file)

    def _write(
        self, file: str, kind: str, arrays: Mapping[str, Any], meta: Mapping[str, Any] | None = None
    ) -> FileEntry:
        with counted(self._storage, self._path(file)) as target:
            write_arrays(target, kind, arrays, meta or {})
        return target.entry(self._path(file))

    def _write_vectors(self, batches: list[Vectors]) -> FileEntry:
        dim = max((batch.shape[1] for batch in batches), default=0)
        counts = [np.diff(batch.indptr) for batch in batches]
        indptr = np.zeros(sum(c.size for c in counts) + 1, dtype=np.int64)
        if counts:
            np.cumsum(np.concatenate(counts), out=indptr[1:])
        arrays = {
            "indptr": indptr,
            "components": ("<i4", (batch.indices for batch in batches)),
            "values": ("<f4", (batch.data for batch in batches)),
        }
        return self._write(layout.VECTORS, _VECTORS_KIND, arrays, {"dim": dim})

    def _write_index(self, file: str, index: ExactIndex | SeismicIndex) -> FileEntry:
        with counted(self._storage, self._path(file)) as target:
            index.write(target)
        return target.entry(self._path(file))


class Segment:
    """A committed segment, memory-mapped."""

    def __init__(
        self, storage: Storage, entry: SegmentEntry, memory: Memory = "map", verify: bool = True
    ) -> None:
        """Open the segment that a manifest describes.

        Args:
            verify: compare files of up to 64 MiB with their checksums, and not only their lengths.

        Raises:
            CorruptFile: a file is missing, of another length, or damaged.
        """
        for file in entry.files + ((entry.deletions,) if entry.deletions else ()):
            small = verify and file.size <= VERIFIED_AT_OPEN
            check_file(storage, file, storage.view(file.name) if small else None)
        self.entry = entry
        self._storage = storage
        self.documents, self.passage_starts = read_documents(storage, entry)
        self.vectors = read_vectors(storage, entry.name)
        self.exact = ExactIndex.read(*self._view(layout.EXACT, memory))
        self.seismic: SeismicIndex | None = None
        if any(file.name.endswith(f"/{layout.SEISMIC}") for file in entry.files):
            data, where = self._view(layout.SEISMIC, memory)
            self.seismic = SeismicIndex.restore(*read_arrays(data, SEISMIC_KIND, where), where)
        self.deleted = read_deletions(storage, entry)
        self._live: NDArray[np.bool_] | None = None
        self._dead_terms: DeadTerms | None = None

    @property
    def n_live(self) -> int:
        """Documents that are not deleted."""
        return self.entry.n_documents - self.entry.n_deleted

    def documents_of(self, passages: NDArray[np.int64]) -> NDArray[np.int64]:
        """The documents that passages belong to, int64, same shape."""
        if self.entry.n_passages == self.entry.n_documents:
            return passages
        return np.searchsorted(self.passage_starts, passages, side="right") - 1

    def live_passages(self) -> NDArray[np.bool_] | None:
        """bool (n_passages,): passages of documents that are not deleted; None when all are."""
        if self.deleted is not None and self._live is None:
            live = ~self.deleted
            if self.entry.n_passages != self.entry.n_documents:
                live = np.repeat(live, np.diff(self.passage_starts))
            self._live = live
        return self._live

    @property
    def dead_terms(self) -> DeadTerms:
        """How many deleted passages have each component."""
        if self._dead_terms is None:
            live, none = self.live_passages(), DeadTerms()
            dead = None if live is None else self.vectors[np.flatnonzero(~live)]
            self._dead_terms = none if dead is None else none.add(dead)
        return self._dead_terms

    def without(self, documents: NDArray[np.int64]) -> Self:
        """This segment with more of its live documents deleted, in memory only."""
        other = copy(self)
        known = np.zeros(self.entry.n_documents, np.bool_) if self.deleted is None else self.deleted
        other.deleted = known.copy()
        other.deleted[documents] = True
        other.entry = replace(self.entry, n_deleted=self.entry.n_deleted + documents.size)
        other._live = None
        if self._dead_terms is not None:
            other._dead_terms = self._dead_terms.add(self.vectors[self.passages_of(documents)])
        return other

    def as_of(self, entry: SegmentEntry) -> Self:
        """This segment with the deletions that another manifest names."""
        deleted = read_deletions(self._storage, entry)
        known = np.False_ if self.deleted is None else self.deleted
        if deleted is not None and not (known & ~deleted).any():
            other = self.without(np.flatnonzero(deleted & ~known))
        else:
            other = copy(self)
            other.deleted, other._live, other._dead_terms = deleted, None, None
        other.entry = entry
        return other

    def passages_of(self, documents: NDArray[np.int64]) -> NDArray[np.int64]:
        """The passages of documents, int64, in order."""
        if self.entry.n_passages == self.entry.n_documents:
            return documents
        starts, ends = self.passage_starts[documents], self.passage_starts[documents + 1]
        before = np.cumsum(ends - starts) - (ends - starts)
        places: NDArray[np.int64] = np.repeat(starts - before, ends - starts)
        return places + np.arange(places.size)

    def locate(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The ordinals of live documents whose id is among `ids`, int64, each once."""
        if len(ids) * LOOK_UP_COST < self.entry.n_documents:
            found = (self.find(doc_id) for doc_id in dict.fromkeys(ids))
            return np.array([place for place in found if place is not None], dtype=np.int64)
        return np.flatnonzero(self.passages_with_ids(pa.array(ids, pa.large_string())))

    def passages_with_ids(self, ids: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
        """bool (n_documents,): live documents whose id is among `ids`."""
        found = pc.is_in(self.documents.ids(), value_set=ids)
        named: NDArray[np.bool_] = found.to_numpy(zero_copy_only=False)
        return named if self.deleted is None else named & ~self.deleted

    def find(self, doc_id: str) -> int | None:
        """The live document with that id, or None."""
        ordinal = self.documents.find(doc_id)
        if ordinal is None or (self.deleted is not None and self.deleted[ordinal]):
            return None
        return ordinal

    def _view(self, file: str, memory: Memory) -> tuple[memoryview, str]:
        """A file's bytes, and what to call it in messages."""
        name = layout.segment_file(self.entry.name, file)
        return self._storage.view(name, memory), f"{self._storage.location}/{name}"


def read_vectors(storage: Storage, segment: str) -> Vectors:
    """The vectors of the segment of that name, mapped."""
    name = layout.segment_file(segment, layout.VECTORS)
    where = f"{storage.location}/{name}"
    arrays, meta = read_arrays(storage.view(name), _VECTORS_KIND, where)
    return csr(arrays["values"], arrays["components"], arrays["indptr"], int(meta["dim"]))
