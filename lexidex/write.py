"""A manifest in the making: the log's documents, and new ones, become segments in one commit.

Nothing that is visible changes before `commit` renames the new manifest into place; `abandon`, or
a crash, leaves what was there before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from lexidex.encoders import Encoder
from lexidex.errors import LexidexError
from lexidex.index.storage import layout
from lexidex.index.storage.building import Building
from lexidex.index.storage.deletions import mark_deleted
from lexidex.index.storage.files import Storage
from lexidex.index.storage.log import Place, create_log
from lexidex.index.storage.manifest import (
    FileEntry,
    Manifest,
    SegmentEntry,
    counted,
    sweep,
    write_manifest,
)
from lexidex.index.storage.segment import Segment
from lexidex.index.storage.segment_writer import SegmentWriter

from .copying import copy_live, finished
from .drafting import Drafted, Drafter, Given
from .passages import PassageParams
from .resuming import Resumable
from .snapshot import Snapshot

Progress = Callable[[int], None]
"""Called with the number of documents taken in so far."""


class Write:
    """Collects segments and deletions on top of a snapshot; `commit` makes the next manifest."""

    def __init__(
        self,
        storage: Storage,
        base: Snapshot,
        encoder: Encoder,
        building: Building,
        *,
        keep: bool = True,
        resumable: Resumable | None = None,
        passages: PassageParams | None = None,
        name: Callable[[int], str] = layout.new_segment,
    ) -> None:
        """Start from `base`.

        Args:
            keep: go on from the documents that are there; otherwise from none.
            resumable: drafts documents, so that a crash costs no vector.
            passages: what becomes of long documents from now on; None for what did.
            name: of a segment with a number.
        """
        self._storage = storage
        self._base = base
        self._encoder = encoder
        self._building = building
        self._name = name
        self._number = base.manifest.number + 1
        self._next_segment = base.manifest.next_segment
        self._segments: list[SegmentEntry] = []
        self._current: SegmentWriter | None = None
        self._kept = keep
        self._resumable = resumable
        self._passages = passages or base.passage_params
        self.upserted = 0
        self.deleted = 0
        self.failed: list[tuple[str, str]] = []

    def start(self) -> None:
        """Make segments and deletions of what the log holds.

        The caller holds the write lock from now on. What a crashed writer left behind is removed
        first, but for vectors that it has staged.
        """
        sweep(self._storage, self._base.manifest)
        if not self._kept:
            return
        manifest = self._base.manifest
        for entry, segment in zip(manifest.segments, self._base.stored, strict=True):
            if segment.deleted is not None and segment.entry.n_deleted != entry.n_deleted:
                entry = mark_deleted(self._storage, entry, segment.deleted, self._number)
            self._segments.append(entry)
        fresh = [segment for segment in self._base.fresh if segment.n_live]
        if fresh:
            self._current = self._new_segment()
            length = copy_live(fresh, self._current)
            self._segments.append(finished(self._current, length))
            self._current = None

    def upsert(self, documents: Iterable[Given], progress: Progress | None = None) -> None:
        """Encode documents and append them; one with a known id replaces that document."""
        by_words = named_by_words(self._base) if self._kept else None
        draft = self._resumable.draft if self._resumable else None
        dense = self._base.dense_drafter(self._encoder)
        drafter = Drafter(self._encoder, self._passages, by_words, draft, dense)
        self.failed = drafter.failed
        for batch in drafter.draft(documents):
            if batch.documents:
                self._current = self._current or self._new_segment()
                self._current.add(batch.documents, batch.vectors, batch.passages)
                self.upserted += len(batch.documents)
                if self._current.is_full:
                    self._complete_segment()
            if progress:
                progress(self.upserted)

    def take(
        self, ready: Iterable[Drafted], average: float, progress: Progress | None = None
    ) -> None:
        """Append documents whose vectors are final; `average` is the length of their passages."""
        for batch in ready:
            self._current = self._current or self._new_segment()
            self._current.add(batch.documents, batch.vectors, batch.passages)
            self.upserted += len(batch.documents)
            if self._current.is_full:
                self._complete_ready(average)
            if progress:
                progress(self.upserted)
        self._complete_ready(average)

    def delete(self, ids: Sequence[str]) -> None:
        """Take away the documents with these ids; those that are not there are passed over."""
        self._complete_segment()
        self.deleted += self._delete(pa.array(ids, pa.large_string()))

    def rebase(self, base: Snapshot) -> None:
        """Go on from a later snapshot; the caller holds the write lock from now on."""
        self._base = base
        self._number = base.manifest.number + 1
        self._next_segment = max(self._next_segment, base.manifest.next_segment)

    def commit(self, generation: int) -> tuple[Manifest, Place]:
        """Write what is missing and make it the newest manifest, as of a generation."""
        self._complete_segment()
        vocabulary, n_terms = self._vocabulary()
        manifest = Manifest(
            number=self._number,
            generation=generation,
            encoder=describe(self._encoder),
            segments=tuple(s for s in self._segments if s.n_deleted < s.n_documents),
            vocabulary=vocabulary,
            n_terms=n_terms,
            next_segment=self._next_segment,
            passages=asdict(self._passages),
            dense=self._base.manifest.dense,
        )
        place = create_log(self._storage, generation)
        write_manifest(self._storage, manifest)
        with suppress(OSError, LexidexError):  # it is committed; the next write sweeps again
            sweep(self._storage, manifest)
        if self._resumable:
            self._resumable.commit()
        return manifest, place

    def abandon(self) -> None:
        """Remove what was written; what was there before stays. Not for a write that committed."""
        if self._resumable:
            self._resumable.stop()
        with suppress(OSError, LexidexError):  # why it is abandoned is the error to tell
            if self._current:
                self._current.abandon()
            sweep(self._storage, self._base.manifest)

    def stop(self) -> None:
        """Give up the segment that is being made, and nothing else; needs no lock."""
        if self._current:
            self._current.abandon()

    def _new_segment(self) -> SegmentWriter:
        self._next_segment += 1
        return SegmentWriter(self._storage, self._name(self._next_segment - 1), self._building)

    def _complete_segment(self) -> None:
        if self._current is None:
            return
        writer = self._current
        older = self._segments
        length = writer.total_length + sum(segment.total_length for segment in older)
        passages = writer.n_passages + sum(segment.n_passages for segment in older)
        average = length / max(passages, 1)
        self._append(writer.finish(lambda drafts: self._encoder.finish_documents(drafts, average)))

    def _complete_ready(self, average: float) -> None:
        """Complete a segment of vectors that are final."""
        if self._current:
            self._append(finished(self._current, average * self._current.n_passages))

    def _append(self, entry: SegmentEntry) -> None:
        """Put a complete segment behind the others; what it replaces in them is deleted."""
        self._current = None
        ids = Segment(self._storage, entry, verify=False).documents.ids()
        self._delete(ids)
        self._segments.append(entry)

    def _delete(self, ids: pa.Array | pa.ChunkedArray) -> int:
        """Mark documents with these ids in the segments so far; how many there were."""
        n_deleted = 0
        for place, entry in enumerate(self._segments):
            segment = Segment(self._storage, entry)
            named = segment.passages_with_ids(ids)
            if named.any():
                n_deleted += int(named.sum())
                known = np.False_ if segment.deleted is None else segment.deleted
                self._segments[place] = mark_deleted(
                    self._storage, entry, named | known, self._number
                )
        return n_deleted

    def _vocabulary(self) -> tuple[FileEntry | None, int]:
        """The vocabulary's file, written anew when it has grown, and its number of terms."""
        vocabulary, old = self._encoder.vocabulary, self._base.manifest
        if vocabulary is None or not len(vocabulary):
            return None, 0
        terms = vocabulary.terms[:]
        if vocabulary is self._base.encoder.vocabulary and len(terms) == old.n_terms:
            return old.vocabulary, old.n_terms
        name = layout.vocabulary(self._number)
        table = pa.table({"term": pa.array(terms, pa.large_string())})
        with (
            counted(self._storage, name) as file,
            pa.ipc.new_file(pa.PythonFile(file, mode="w"), table.schema) as writer,
        ):
            writer.write_table(table)
        return file.entry(name), len(terms)


def describe(encoder: Encoder) -> dict[str, object]:
    """An encoder as a manifest keeps it."""
    return {
        "kind": encoder.kind,
        "options": encoder.options,
        "fingerprint": encoder.fingerprint,
    }


def named_by_words(snapshot: Snapshot) -> bool | None:
    """Whether documents name components by words; None while nothing tells."""
    if snapshot.n_terms:
        return True
    return False if any(segment.entry.n_postings for segment in snapshot.segments) else None


def average_length(snapshot: Snapshot, length: float, n_passages: int) -> float:
    """The average length of passages in terms, with those that are about to be added."""
    entries = [segment.entry for segment in snapshot.segments]
    total = length + sum(entry.total_length for entry in entries)
    return total / max(n_passages + sum(entry.n_passages for entry in entries), 1)
