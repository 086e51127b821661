"""One write in the making: documents are encoded into new segments, then one commit shows them.

Nothing that is visible changes before `commit` renames the new manifest into place; `abandon`, or
a crash, leaves the generation before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lexidex.documents import Document, SparseInput, check_document, is_numbered
from lexidex.encoders import Encoder
from lexidex.errors import InputError
from lexidex.index.storage import layout
from lexidex.index.storage.building import Building
from lexidex.index.storage.files import Storage
from lexidex.index.storage.manifest import (
    FileEntry,
    Manifest,
    counted,
    sweep,
    write_manifest,
)
from lexidex.index.storage.segment import Segment, SegmentWriter, mark_deleted
from lexidex.index.vectors import Vectors, build_vectors
from lexidex.sparse_input import adopt

ENCODE_BATCH = 512
"""Documents encoded together."""

Progress = Callable[[int], None]
"""Called with the number of documents taken in so far."""


class Write:
    """Collects upserts and deletions on top of a generation; `commit` makes the next one."""

    def __init__(
        self,
        storage: Storage,
        base: Manifest,
        encoder: Encoder,
        building: Building | None = None,
    ) -> None:
        """Start from generation `base`; the caller holds the write lock until the end.

        What a crashed writer left behind is removed first.
        """
        self._storage = storage
        self._base = base
        self._encoder = encoder
        self._building = building
        self._generation = base.generation + 1
        self._segments = list(base.segments)
        self._next_segment = base.next_segment
        self._current: SegmentWriter | None = None
        self._by_words = _named_by_words(base, encoder)
        self.upserted = 0
        self.deleted = 0
        self.failed: list[tuple[str, str]] = []
        sweep(storage, base)

    def upsert(
        self, documents: Iterable[Document | Mapping[str, object]], progress: Progress | None = None
    ) -> None:
        """Encode documents and append them; one with a known id replaces that document."""
        batch: list[Document] = []
        for place, given in enumerate(documents):
            try:
                batch.append(self._checked(given))
            except InputError as error:
                self.failed.append((_name_of(given, place), str(error)))
            if len(batch) == ENCODE_BATCH:
                self._add(batch)
                batch = []
                if progress:
                    progress(self.upserted)
        self._add(batch)
        if progress:
            progress(self.upserted)

    def delete(self, ids: Iterable[str]) -> None:
        """Mark the documents with these ids as deleted; unknown ids are passed over."""
        self._complete_segment()
        self.deleted += self._delete_before(len(self._segments), pa.array(ids, pa.large_string()))

    def clear(self) -> None:
        """Leave out every document of the generations before."""
        self._segments = []
        self._by_words = None

    def commit(self) -> Manifest:
        """Write what is missing and make it the newest generation."""
        self._complete_segment()
        live = tuple(s for s in self._segments if s.n_deleted < s.n_documents)
        manifest = Manifest(
            generation=self._generation,
            encoder=describe(self._encoder),
            segments=live,
            vocabulary=self._vocabulary(),
            next_segment=self._next_segment,
        )
        write_manifest(self._storage, manifest)
        sweep(self._storage, manifest)
        return manifest

    def abandon(self) -> None:
        """Remove what was written; the generation before stays the newest."""
        if self._current:
            self._current.abandon()
        sweep(self._storage, self._base)

    def _checked(self, given: Document | Mapping[str, object]) -> Document:
        document = check_document(given)
        if document.vector is None:
            if self._encoder.kind == "vectors":
                raise InputError("field 'vector' is missing; this collection has no text encoder")
            return document
        if self._encoder.needs_statistics:
            raise InputError(
                f"vector: a collection with encoder {self._encoder.kind} makes its own; leave it "
                'out, or create the collection with encoder "vectors"'
            )
        if self._encoder.vocabulary is not None:
            self._check_form(document.vector)
        return document

    def _check_form(self, vector: SparseInput) -> None:
        """Hold every vector to the form of the first; an empty one has both."""
        words = not is_numbered(vector)
        if not len(vector if words else vector["components"]):
            return
        if self._by_words is None:
            self._by_words = words
        if words != self._by_words:
            forms = ("{term: weight}", '{"components": [...], "values": [...]}')
            raise InputError(
                f"vector: this collection's vectors are {forms[not self._by_words]}, "
                f"this one is {forms[not words]}; keep to one form"
            )

    def _add(self, batch: list[Document]) -> None:
        kept, vectors = self._encode(batch)
        if not kept:
            return
        if self._current is None:
            name = f"s{self._next_segment:06d}"
            self._current = SegmentWriter(self._storage, name, self._building)
            self._next_segment += 1
        self._current.add(kept, vectors)
        self.upserted += len(kept)
        if self._current.is_full:
            self._complete_segment()

    def _encode(self, batch: list[Document]) -> tuple[list[Document], Vectors]:
        """The documents that have a vector now, and their vectors (drafts)."""
        texts = [document.full_text for document in batch if document.vector is None]
        drafts = self._encoder.draft_documents(texts) if texts else None
        if drafts is not None and len(texts) == len(batch):
            return batch, drafts
        kept, rows, encoded = [], [], 0
        for document in batch:
            if document.vector is None and drafts is not None:
                row = drafts[encoded]
                rows.append((row.indices, row.data))
                encoded += 1
            elif document.vector is not None:
                try:
                    rows.append(adopt(document.vector, self._encoder))
                except InputError as error:
                    self.failed.append((document.id, str(error)))
                    continue
            kept.append(document)
        # No wider than needed: SciPy doubles the indices of batches that are 2**31 wide.
        dim = 1 + max((int(ids[-1]) for ids, _ in rows if ids.size), default=0)
        return kept, build_vectors(rows, dim)

    def _complete_segment(self) -> None:
        if self._current is None:
            return
        writer, self._current = self._current, None
        older = self._segments
        length = writer.total_length + sum(segment.total_length for segment in older)
        passages = writer.n_documents + sum(segment.n_passages for segment in older)
        average = length / max(passages, 1)
        entry = writer.finish(lambda drafts: self._encoder.finish_documents(drafts, average))
        ids = Segment(self._storage, entry, verify=False).documents.ids()
        self._delete_before(len(self._segments), ids)
        self._segments.append(entry)

    def _delete_before(self, end: int, ids: pa.Array | pa.ChunkedArray) -> int:
        """Mark documents with these ids in the first `end` segments; how many there were."""
        n_deleted = 0
        for place, entry in enumerate(self._segments[:end]):
            segment = Segment(self._storage, entry, verify=False)
            named = segment.passages_with_ids(ids)
            if named.any():
                n_deleted += int(named.sum())
                deleted: NDArray[np.bool_] = (
                    named if segment.deleted is None else named | segment.deleted
                )
                self._segments[place] = mark_deleted(
                    self._storage, entry, deleted, self._generation
                )
        return n_deleted

    def _vocabulary(self) -> FileEntry | None:
        """The vocabulary's file: written anew when it has grown."""
        vocabulary = self._encoder.vocabulary
        if vocabulary is None or not len(vocabulary):
            return None
        name = layout.vocabulary(self._generation)
        table = pa.table({"term": pa.array(vocabulary.terms, pa.large_string())})
        with (
            counted(self._storage, name) as file,
            pa.ipc.new_file(pa.PythonFile(file, mode="w"), table.schema) as writer,
        ):
            writer.write_table(table)
        return file.entry(name)


def describe(encoder: Encoder) -> dict[str, object]:
    """An encoder as a manifest keeps it."""
    return {
        "kind": encoder.kind,
        "options": encoder.options,
        "fingerprint": encoder.fingerprint,
    }


def _named_by_words(base: Manifest, encoder: Encoder) -> bool | None:
    """Whether documents name components by words; None while nothing tells."""
    if encoder.vocabulary is not None and len(encoder.vocabulary):
        return True
    return False if any(segment.n_postings for segment in base.segments) else None


def _name_of(given: object, place: int) -> str:
    if isinstance(given, Document):
        return given.id
    identifier = given.get("id") if isinstance(given, Mapping) else None
    return identifier if isinstance(identifier, str) and identifier else f"#{place}"
