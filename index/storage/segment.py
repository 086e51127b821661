"""Reading a segment: documents, their vectors and the indexes over them.

A segment never changes: what was deleted since is a mask beside it, and deleting makes another
`Segment` over the same files.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from itertools import count
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lexidex.errors import UnsupportedVersion

from ..allowed import Allowed
from ..dense import DenseIndex, DenseRows
from ..exact import ExactIndex
from ..filters import Columns, Expression, Selection, evaluate
from ..seismic import SeismicIndex
from ..seismic.frontier import Frontier
from ..seismic.seismic_index import KIND as SEISMIC_KIND
from ..vectors import Float32s, Vectors, csr
from . import layout
from .arrays import array_spans, read_arrays
from .deletions import DeadTerms, read_deletions
from .documents import read_documents
from .files import Memory, Storage
from .manifest import FileEntry, SegmentEntry
from .passages import Passages
from .tuned import read_tuning
from .verification import verify_files

LOOK_UP_COST = 500
"""Looking one id up costs as much as comparing this many: 40 microseconds, 80 nanoseconds."""

VECTORS_KIND = "vectors"
"""Kind of the file of vectors."""

_versions = count()


class Segment:
    """A segment, memory-mapped; what is deleted may be more than on disk.

    Attributes:
        deleted: bool (n_documents,), or None when nothing is.
        directory: the exact index for telling how long its lists are; to search it, take `exact`.
        version: another number for every segment and every other `deleted` of one; what is derived
            of both may be kept under it.
    """

    def __init__(
        self, storage: Storage, entry: SegmentEntry, memory: Memory = "map", verify: bool = True
    ) -> None:
        """Open the segment that a manifest describes.

        Args:
            verify: compare files with their checksums: those of up to 64 MiB now, of larger ones
                what is touched, when it is.

        Raises:
            CorruptFile: a file is missing, of another length, or damaged. Reading the segment
                raises it, too, where a large one is.
        """
        # Shared by all that are made of this one: a chunk is verified once.
        self._guards = verify_files(storage, entry) if verify else {}
        self.entry = entry
        self._storage = storage
        guard = self._guards.get(layout.DOCUMENTS)
        self.documents, self.passages = read_documents(storage, entry, guard)
        self._vectors = self._read_vectors()
        self.directory = self._read_exact(memory)
        self._dense: DenseIndex | None = None
        if self._has(layout.DENSE):
            self._dense = DenseIndex.read(*self._view(layout.DENSE, memory))
        self._seismic: SeismicIndex | None = None
        if self._has(layout.SEISMIC):
            self._seismic = self._read_seismic(memory)
            if entry.tuning is not None:
                self._seismic.frontier = read_tuning(storage, entry.tuning)
        self.deleted = read_deletions(storage, entry)
        self.version = next(_versions)
        self._live: Allowed | None = None
        self._dead_terms: DeadTerms | None = None

    @property
    def exact(self) -> ExactIndex:
        """The exact index, verified, and the vectors that it scores documents from."""
        self._verify(layout.EXACT)
        self._verify(layout.VECTORS)
        return self.directory

    @property
    def seismic(self) -> SeismicIndex | None:
        """The approximate index, verified; None where there is none."""
        self._verify(layout.SEISMIC)
        return self._seismic

    @property
    def dense(self) -> DenseIndex | None:
        """The passages' dense vectors, verified; None where none has any."""
        self._verify(layout.DENSE)
        return self._dense

    @property
    def dense_dim(self) -> int | None:
        """Dimensions of the dense vectors; None where there are none."""
        return None if self._dense is None else self._dense.dim

    @cached_property
    def laden_passages(self) -> Passages:
        """The passages with their dense vectors, for those who copy them; verified."""
        dense = self.dense
        return self.passages.with_dense(None if dense is None else DenseRows.of_index(dense))

    @property
    def vectors(self) -> Vectors:
        """The vectors of all passages, verified; `rows` for some of them."""
        self._verify(layout.VECTORS)
        return self._vectors

    def rows(self, passages: NDArray[np.int64]) -> Vectors:
        """The vectors of some passages, verified."""
        self._verify_rows(passages)
        return self._vectors[passages]

    def score(self, query: Vectors, passages: NDArray[np.int64]) -> Float32s:
        """The inner products of some passages, verified, with one query (1, any); float32."""
        self._verify_rows(passages)
        return self.directory.score(query, passages)

    @property
    def n_live(self) -> int:
        """Documents that are not deleted."""
        return self.entry.n_documents - self.entry.n_deleted

    @property
    def n_live_passages(self) -> int:
        """Passages of documents that are not deleted."""
        return self.entry.n_passages if self.live is None else self.live.count

    @property
    def live(self) -> Allowed | None:
        """The passages of documents that are not deleted; None when all are."""
        if self._live is None and self.deleted is not None:
            self._live = self._allowed(~self.deleted)
        return self._live

    @property
    def dead_terms(self) -> DeadTerms:
        """How many deleted passages have each component."""
        if self._dead_terms is None:
            terms = DeadTerms()
            if self.deleted is not None:
                dead = self.passages.of(np.flatnonzero(self.deleted))
                terms = terms.add(self.rows(dead))
            self._dead_terms = terms
        return self._dead_terms

    def without(self, documents: NDArray[np.int64]) -> Self:
        """This segment with more of its live documents deleted, in memory only."""
        other = copy(self)
        known = np.zeros(self.entry.n_documents, np.bool_) if self.deleted is None else self.deleted
        other.deleted = known.copy()
        other.deleted[documents] = True
        other.entry = replace(self.entry, n_deleted=self.entry.n_deleted + documents.size)
        other.version, other._live = next(_versions), None
        if self._dead_terms is not None:
            other._dead_terms = self._dead_terms.add(self.rows(self.passages.of(documents)))
        return other

    def as_of(self, entry: SegmentEntry) -> Self:
        """This segment with the deletions that another manifest names."""
        deleted = read_deletions(self._storage, entry)
        none = np.zeros(self.entry.n_documents, dtype=np.bool_)
        known = none if self.deleted is None else self.deleted
        wanted = none if deleted is None else deleted
        other = copy(self)
        if (known & ~wanted).any():
            other.deleted, other.version = deleted, next(_versions)
            other._live = other._dead_terms = None
        elif (wanted & ~known).any():
            other = self.without(np.flatnonzero(wanted & ~known))
        other.entry = entry
        return other

    def with_frontier(self, file: FileEntry | None, frontier: Frontier) -> Self:
        """This segment with another table of points, as a file beside it has it."""
        other = copy(self)
        other.entry = replace(self.entry, tuning=file)
        other._seismic = copy(self._seismic)
        if other._seismic is not None:
            other._seismic.frontier = frontier
        return other

    @cached_property
    def metadata(self) -> Columns:
        """The metadata's values, by field.

        Raises:
            CorruptFile: the file cannot be used.
            UnsupportedVersion: the segment was written before there were such files.
        """
        if not self._has(layout.METADATA):
            raise UnsupportedVersion(
                f"{self._storage.location}: segment {self.entry.name} has no {layout.METADATA}, "
                "which filters need; index the documents anew"
            )
        self._verify(layout.METADATA)
        return Columns(*self._view(layout.METADATA, "map"))

    def select(self, expression: Expression) -> Selection:
        """The live documents that a filter lets through."""
        documents = evaluate(expression, self.metadata)
        if self.deleted is not None:
            documents &= ~self.deleted
        n_documents = int(np.count_nonzero(documents))
        return Selection(documents, self._allowed(documents), n_documents)

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

    def _allowed(self, documents: NDArray[np.bool_]) -> Allowed:
        """The passages of the documents that a mask marks."""
        passages = self.passages.marked(documents)
        return Allowed(passages, passages.size)

    def _verify_rows(self, passages: NDArray[np.int64]) -> None:
        """Compare what the vectors of some passages lie in with its checksums."""
        guard = self._guards.get(layout.VECTORS)
        if guard and not guard.is_done:
            indptr = self._vectors.indptr
            starts, ends = indptr[passages].astype(np.int64), indptr[passages + 1].astype(np.int64)
            for name in ("components", "values"):  # of 4 bytes each
                first = self._vector_spans[name][0]
                guard.verify_spans(first + 4 * starts, first + 4 * ends)

    @cached_property
    def _vector_spans(self) -> dict[str, tuple[int, int]]:
        """Where the arrays of the vectors lie in their file."""
        return array_spans(*self._view(layout.VECTORS, "map"))

    def _read_vectors(self) -> Vectors:
        """The vectors, verified where each begins."""
        guard = self._guards.get(layout.VECTORS)
        if guard:
            guard.verify(*self._vector_spans["indptr"])
        return read_vectors(self._storage, self.entry.name)

    def _read_exact(self, memory: Memory) -> ExactIndex:
        """The exact index, all verified that stands before the postings."""
        data, where = self._view(layout.EXACT, memory)
        guard = self._guards.get(layout.EXACT)
        if guard:
            guard.verify(0, array_spans(data, where)["ordinals"][0])
        return ExactIndex.read(data, where, self._vectors)

    def _read_seismic(self, memory: Memory) -> SeismicIndex:
        """The approximate index, all verified that opening it follows from array to array."""
        data, where = self._view(layout.SEISMIC, memory)
        guard = self._guards.get(layout.SEISMIC)
        if guard:
            spans = array_spans(data, where)
            for name in ("components", "lists", "block_starts"):
                guard.verify(*spans[name])
        return SeismicIndex.restore(*read_arrays(data, SEISMIC_KIND, where), where)

    def _has(self, file: str) -> bool:
        """Whether the segment has a file of that name."""
        return any(entry.name.endswith(f"/{file}") for entry in self.entry.files)

    def _verify(self, file: str) -> None:
        """Compare a file with its checksums, unless that was done."""
        guard = self._guards.get(file)
        if guard:
            guard.verify()
            self._guards.pop(file, None)

    def _view(self, file: str, memory: Memory) -> tuple[memoryview, str]:
        """A file's bytes, and what to call it in messages."""
        name = layout.segment_file(self.entry.name, file)
        return self._storage.view(name, memory), f"{self._storage.location}/{name}"


def read_vectors(storage: Storage, segment: str) -> Vectors:
    """The vectors of the segment of that name, mapped."""
    name = layout.segment_file(segment, layout.VECTORS)
    where = f"{storage.location}/{name}"
    arrays, meta = read_arrays(storage.view(name), VECTORS_KIND, where)
    return csr(arrays["values"], arrays["components"], arrays["indptr"], int(meta["dim"]))
