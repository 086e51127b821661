"""Writing a segment: batches of any size, in bounded memory.

Documents stream to disk; vectors and the metadata's values are held until the segment is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
import pyarrow as pa

from lexidex.errors import LexidexError

from .. import planner
from ..dense import DenseIndex
from ..exact import ExactIndex
from ..filters import ColumnsWriter
from ..seismic import SeismicIndex
from ..vectors import Vectors
from . import checksums, layout
from .arrays import write_arrays
from .building import Building
from .checksums import ChunkSums, write_checksums
from .deletions import mark_deleted
from .documents import MAP_KIND, DocumentWriter, StorableDocument, repeated_ids, sort_ids
from .files import FileStorage, Storage
from .manifest import CountedFile, FileEntry, SegmentEntry, counted
from .passages import Passages
from .segment import VECTORS_KIND, read_vectors

METADATA_LIMIT = 1 << 28
"""A segment is completed when the distinct strings in its metadata, which are held meanwhile, have
this many characters."""


class SegmentWriter:
    """Collects documents with their passages' vectors; `finish` makes a segment of them."""

    def __init__(self, storage: Storage, name: str, building: Building | None = None) -> None:
        """Start the segment `name`; nothing of it is searchable before `finish`."""
        self._storage = storage
        self._building = building or Building()
        self._name = name
        self._open = ExitStack()
        self._file = self._open.enter_context(counted(storage, self._path(layout.DOCUMENTS)))
        self._documents = DocumentWriter(self._file)
        self._metadata = ColumnsWriter()
        self._passages: list[Passages] = []
        self._ids: list[str] = []
        self._drafts: list[Vectors] = []
        self._sums: dict[str, ChunkSums] = {}
        self.n_postings = 0
        self._dense_bytes = 0

    @property
    def n_documents(self) -> int:
        """Documents added so far."""
        return len(self._ids)

    @property
    def n_passages(self) -> int:
        """Passages of those."""
        return sum(draft.shape[0] for draft in self._drafts)

    @property
    def is_full(self) -> bool:
        """Whether it is time to finish."""
        return (
            self.n_postings >= self._building.segment_postings
            or self._metadata.n_characters >= METADATA_LIMIT
            or self._dense_bytes >= self._building.dense_bytes
        )

    @property
    def total_length(self) -> float:
        """Sum of all values of the vectors added so far."""
        return sum(float(draft.data.sum(dtype=np.float64)) for draft in self._drafts)

    def add(
        self,
        documents: Sequence[StorableDocument],
        vectors: Vectors,
        passages: Passages | None = None,
    ) -> None:
        """Append documents.

        Args:
            vectors: csr_array, one row a passage, in order of the documents.
            passages: which of them each document owns, and their dense vectors, if they have any;
                one, its whole text, when None.
        """
        for document in documents:
            self._documents.add(document)
            self._metadata.add(document.metadata)
            self._ids.append(document.id)
        self._passages.append(passages or Passages.whole([d.text for d in documents]))
        self._drafts.append(vectors)
        self.n_postings += int(vectors.nnz)
        if passages and passages.dense:
            self._dense_bytes += passages.dense.vectors.nbytes

    def finish(self, weigh: Callable[[Vectors], Vectors]) -> SegmentEntry:
        """Weigh the drafts, write every file, and describe the segment.

        Documents whose id comes again later in the segment count as deleted.
        """
        total_length = self.total_length
        batches = self._documents.finish()
        self._open.close()
        files = [self._written(layout.DOCUMENTS, self._file), self._write_metadata()]
        ids = pa.chunked_array([pa.array(self._ids, pa.large_string())])
        id_order = sort_ids(ids)
        passages = Passages.join(self._passages)
        self._passages.clear()
        dense, passages = passages.dense, passages.with_dense(None)
        mapped = {**batches, "id_order": id_order, **passages.arrays()}
        files.append(self._write(layout.DOCUMENT_MAP, MAP_KIND, mapped))
        if dense:
            built = dense.build(self._building.n_threads)
            files.append(self._write_index(layout.DENSE, built))
            del built
        del dense  # the sparse indexes in the making need the room
        drafts, self._drafts = self._drafts, []
        for place, draft in enumerate(drafts):
            drafts[place] = weigh(draft)
        files.append(self._write_vectors(drafts))
        drafts.clear()
        vectors = read_vectors(self._storage, self._name)
        files.append(self._write_index(layout.EXACT, ExactIndex.build(vectors)))
        if vectors.shape[0] >= planner.SEISMIC_FROM:
            files.append(self._write_seismic(vectors))
        if self._sums:
            files.append(self._write_checksums())
        self._storage.sync_folder(f"{layout.SEGMENTS}/{self._name}")
        self._storage.sync_folder(layout.SEGMENTS)
        entry = SegmentEntry(
            name=self._name,
            n_documents=len(self._ids),
            n_passages=passages.n_passages,
            n_postings=self.n_postings,
            n_deleted=0,
            total_length=total_length,
            files=tuple(files),
        )
        return mark_deleted(self._storage, entry, repeated_ids(ids, id_order), number=0)

    def abandon(self) -> None:
        """Remove what was written."""
        with suppress(OSError, LexidexError):  # on a full disk, what is left cannot be written
            self._open.close()
        self._storage.remove(f"{layout.SEGMENTS}/{self._name}")

    def _path(self, file: str) -> str:
        return layout.segment_file(self._name, file)

    def _write(
        self, file: str, kind: str, arrays: Mapping[str, Any], meta: Mapping[str, Any] | None = None
    ) -> FileEntry:
        with counted(self._storage, self._path(file)) as target:
            write_arrays(target, kind, arrays, meta or {})
        return self._written(file, target)

    def _write_metadata(self) -> FileEntry:
        with counted(self._storage, self._path(layout.METADATA)) as target:
            self._metadata.write(target)
        self._metadata = ColumnsWriter()
        return self._written(layout.METADATA, target)

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
        return self._write(layout.VECTORS, VECTORS_KIND, arrays, {"dim": dim})

    def _write_seismic(self, vectors: Vectors) -> FileEntry:
        """Build, tune and write the approximate index; the exact one is written already."""
        path = self._path(layout.EXACT)
        oracle = ExactIndex.read(
            self._storage.view(path), f"{self._storage.location}/{path}", vectors
        )
        folder = self._storage.root if isinstance(self._storage, FileStorage) else None
        return self._write_index(layout.SEISMIC, self._building.seismic(vectors, oracle, folder))

    def _write_index(self, file: str, index: ExactIndex | SeismicIndex | DenseIndex) -> FileEntry:
        with counted(self._storage, self._path(file)) as target:
            index.write(target)
        return self._written(file, target)

    def _write_checksums(self) -> FileEntry:
        with counted(self._storage, self._path(layout.CHECKSUMS)) as target:
            write_checksums(target, self._sums)
        return target.entry(self._path(layout.CHECKSUMS))

    def _written(self, file: str, target: CountedFile) -> FileEntry:
        """Describe a file that is complete; of a large one, the checksums of chunks are kept."""
        if target.size > checksums.LARGE:
            self._sums[file] = target.chunks
        return target.entry(self._path(file))
