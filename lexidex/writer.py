"""The writing side of a collection: small writes to the log, large ones to segments, flush, merge.

Three locks, taken in this order. A merge (`Tidying`) holds the *merge lock*, in the process, then
in the storage, throughout. The *write lock* (`Turn`), of the same two parts, is held for a whole
write, and by a merge only while it puts its result in place: there is one writer at a time.
`Newest.lock` is held for moments, while what a commit wrote becomes durable and visible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Any

from lexidex.encoders import Encoder
from lexidex.errors import Locked, NothingTaken, StorageFull
from lexidex.index.filters import Expression
from lexidex.index.storage import layout
from lexidex.index.storage.building import Building
from lexidex.index.storage.change import encode_change
from lexidex.index.storage.log import Place, append_record
from lexidex.index.storage.manifest import Manifest
from lexidex.index.storage.staging import sweep_staging
from lexidex.results import WriteResult

from .drafting import Given, text_length
from .group_commit import GroupCommit
from .importing import Export
from .opening import Newest
from .passages import PassageParams
from .reencoding import ROUNDS, SMALL_REST, Reencoding
from .resuming import Resumable
from .small_writes import Delete, GroupState, SmallWrite, Update, Upsert, combined
from .snapshot import Snapshot
from .tidying import SWAP_SECONDS, Merging, Tidying
from .tuning import Tuned, commit_tuning
from .turn import Turn
from .write import Progress, Write, named_by_words

SMALL_WRITE = 1_000
"""Documents up to which an upsert goes into the log; from there on, writing a segment costs less
a document than writing it twice."""

SMALL_CHARACTERS = 1 << 24
"""Characters of text up to which it does."""

SMALL_DELETE = 10_000
"""Deleted documents up to which their ids go into the log; for more, masks are written at once."""

LOG_DOCUMENTS = 10_000
"""Documents in memory from which the log is flushed: a tenth of a second to build a segment of."""

LOG_BYTES = 1 << 25
"""Bytes of log from which it is flushed."""

LOG_COMMITS = 2_000
"""Commits in the log from which it is flushed: a fifth of a second to read on opening."""


class Writer:
    """Everything that changes a collection. Safe to use from many threads."""

    def __init__(self, newest: Newest, merging: Merging) -> None:
        """Write on top of `newest`."""
        self._newest = newest
        self._storage = newest.storage
        self._turn = Turn(newest)
        self._tidying = Tidying(newest, self._turn, merging)
        self._group = GroupCommit[SmallWrite, WriteResult](self._commit)
        self._unflushed = False

    def upsert(
        self,
        documents: Iterable[Given],
        progress: Progress | None = None,
        building: Building | None = None,
        resumable: bool = False,
    ) -> WriteResult:
        """Few documents go into the log, many, and those of a resumable run, into segments."""
        self._keep_within(building)
        if resumable and self._newest.snapshot.encoder.costly:
            return self._write_segments(documents, progress, building)
        given = iter(documents)
        head: list[Given] = []
        n_characters = 0
        for document in given:
            head.append(document)
            n_characters += text_length(document)
            if len(head) > SMALL_WRITE or n_characters > SMALL_CHARACTERS:
                return self._write_segments(chain(head, given), progress, building)
        # Not refreshed: that would wait for the commit under way, and this one could not join
        # the next. What other processes have changed is seen to when its turn comes.
        result = self._group.submit(Upsert(head, self._newest.snapshot))
        if progress:
            progress(result.upserted)
        self._tidying.tidy()
        return result

    def delete(self, ids: Sequence[str]) -> WriteResult:
        """Remove documents."""
        if len(ids) > SMALL_DELETE:
            return self._delete_chosen(lambda _: ids)
        result = self._group.submit(Delete(ids))
        self._tidying.tidy()
        return result

    def delete_matching(self, expression: Expression) -> WriteResult:
        """Remove what a filter lets through when the write has its turn."""
        return self._delete_chosen(lambda snapshot: snapshot.ids(expression))

    def update(self, updates: Sequence[Mapping[str, Any]]) -> WriteResult:
        """Change metadata."""
        (result,) = self._commit([Update(updates)])
        self._tidying.tidy()
        return result

    def replace(
        self,
        documents: Iterable[Given],
        encoder: Encoder,
        passages: PassageParams,
        progress: Progress | None = None,
        building: Building | None = None,
    ) -> WriteResult:
        """Put documents in the place of everything."""
        self._keep_within(building)
        return self._write_segments(documents, progress, building, encoder, passages)

    def reencode(
        self,
        encoder: Encoder,
        passages: PassageParams,
        progress: Progress | None = None,
        building: Building | None = None,
    ) -> WriteResult:
        """Encode everything anew beside what is there, and put it in its place."""
        self._keep_within(building)
        with self._storage.lock(layout.REENCODE_LOCK):
            snapshot = self._newest.refresh()
            work = Reencoding(
                self._storage,
                snapshot,
                encoder,
                passages,
                building or self._building,
                progress,
            )
            try:
                generation = self._swap(work, encoder)
            except BaseException:
                work.abandon()
                raise
        self._tidying.tidy()
        return WriteResult(work.n_encoded, generation=generation, resumed=work.n_resumed)

    def take(
        self,
        export: Export,
        encoder: Encoder | None = None,
        progress: Progress | None = None,
        building: Building | None = None,
    ) -> WriteResult:
        """Add an export's documents with their vectors, or put them in the place of everything.

        Args:
            encoder: the export's, when it replaces everything.
        """
        self._keep_within(building)
        with self._turn.taken() as snapshot:
            chosen, keep = encoder or snapshot.encoder, encoder is None
            side = snapshot.dense_side
            export.check(chosen, named_by_words(snapshot) if keep else None, side)
            passages = None if keep else PassageParams(**export.header.passages)
            building = building or self._building
            write = Write(self._storage, snapshot, chosen, building, keep=keep, passages=passages)
            average, generation = export.header.average_length, snapshot.generation + 1
            ready = export.ready(chosen, side, snapshot.dense_dim if keep else None)
            self._finish(write, chosen, generation, lambda: write.take(ready, average, progress))
        self._tidying.tidy()
        return WriteResult(upserted=write.upserted, generation=generation)

    def keep_tuning(self, found: Sequence[Tuned]) -> None:
        """Commit what tuning has found."""
        with self._turn.taken() as snapshot, self._newest.lock:
            self._newest.snapshot = commit_tuning(self._storage, snapshot, found)

    def flush(self) -> None:
        """Make a segment of what the log holds."""
        with self._turn.taken() as snapshot:
            self._flush(snapshot)
        self._tidying.tidy()

    def compact(self, progress: Progress | None = None, building: Building | None = None) -> None:
        """Make one segment of everything."""
        self._keep_within(building)
        self._tidying.stop()
        with self._turn.taken() as snapshot:
            self._flush(snapshot)
            sweep_staging(self._storage)
        self._tidying.merge_all(progress, building)

    def close(self) -> None:
        """Stop merging, and flush what this writer has put into the log."""
        self._tidying.stop()
        if self._unflushed:
            with self._turn.taken() as snapshot:
                self._flush(snapshot)

    def settle(self) -> None:
        """Return when merging in the background has nothing left to do."""
        self._tidying.settle()

    @property
    def _building(self) -> Building:
        """Within how much memory segments are made, unless a write says so."""
        return self._tidying.building

    def _keep_within(self, building: Building | None) -> None:
        """Flush and merge within the memory of the last write that named any."""
        if building is not None and building.memory is not None:
            self._tidying.building = Building(building.memory)

    def _commit(self, writes: Sequence[SmallWrite]) -> list[WriteResult]:
        """Append the changes of some small writes as one record."""
        with self._turn.taken() as snapshot:
            return self._append(snapshot, writes)

    def _append(self, snapshot: Snapshot, writes: Sequence[SmallWrite]) -> list[WriteResult]:
        """`_commit` on the newest snapshot, under the write lock."""
        state = GroupState(snapshot, named_by_words(snapshot))
        changes, results = [], []
        for write in writes:
            change, result = write.change(state)
            state.changed.update(dict.fromkeys(change.deleted, False))
            state.changed.update({document.id: True for document in change.documents})
            changes.append(change)
            results.append(result)
        if any(change.ids for change in changes):
            change = combined(changes, snapshot)
            with self._newest.lock:
                place = append_record(self._storage, snapshot.place, encode_change(change))
                self._turn.wrote(place)
                snapshot = self._newest.snapshot = snapshot.after(change, place)
            self._unflushed = True
        if _is_large(snapshot):
            with suppress(StorageFull):  # the write is done; the next one tries again
                self._flush(snapshot)
        return [replace(result, generation=snapshot.generation) for result in results]

    def _delete_chosen(self, choose_ids: Callable[[Snapshot], Sequence[str]]) -> WriteResult:
        """Remove the documents whose ids are chosen on the newest snapshot."""
        with self._turn.taken() as snapshot:
            ids = choose_ids(snapshot)
            if len(ids) <= SMALL_DELETE:
                (result,) = self._append(snapshot, [Delete(ids)])
            else:
                write = Write(self._storage, snapshot, snapshot.encoder, self._building)
                generation = snapshot.generation + 1
                self._finish(write, snapshot.encoder, generation, lambda: write.delete(ids))
                result = WriteResult(deleted=write.deleted, generation=generation)
        self._tidying.tidy()
        return result

    def _write_segments(
        self,
        documents: Iterable[Given],
        progress: Progress | None,
        building: Building | None,
        encoder: Encoder | None = None,
        passages: PassageParams | None = None,
    ) -> WriteResult:
        """A large write; encoder and passages are given when it replaces everything."""
        building = building or self._building
        with self._turn.taken() as snapshot:
            chosen = encoder or snapshot.encoder
            kept = Resumable.begin(self._storage, chosen, snapshot.encoder)
            write = Write(
                self._storage,
                snapshot,
                chosen,
                building,
                keep=encoder is None,
                resumable=kept,
                passages=passages,
            )

            def run() -> None:
                write.upsert(documents, progress)
                if encoder is not None:
                    _check_taken(write)

            generation = snapshot.generation + 1
            self._finish(write, chosen, generation, run)
        self._tidying.tidy()
        resumed = kept.n_resumed if kept else 0
        return WriteResult(write.upserted, 0, write.failed, generation, resumed)

    def _swap(self, work: Reencoding, encoder: Encoder) -> int:
        """Encode until little is left, then the rest while other writes wait, and commit."""
        while True:
            for _ in range(ROUNDS):
                if work.take(self._newest.refresh()) <= SMALL_REST:
                    break
            with suppress(Locked), self._turn.taken(SWAP_SECONDS) as snapshot:
                work.take(snapshot)
                return self._show(*work.commit(snapshot), encoder).generation

    def _flush(self, snapshot: Snapshot) -> Snapshot:
        if snapshot.generation == snapshot.manifest.generation:
            return snapshot
        write = Write(self._storage, snapshot, snapshot.encoder, self._building)
        return self._finish(write, snapshot.encoder, snapshot.generation)

    def _finish(
        self,
        write: Write,
        encoder: Encoder,
        generation: int,
        run: Callable[[], None] | None = None,
    ) -> Snapshot:
        """Run a write to its end and show it; undo it when it fails."""
        try:
            write.start()
            if run:
                run()
            manifest, place = write.commit(generation)
        except BaseException:
            write.abandon()
            raise
        return self._show(manifest, place, encoder)

    def _show(self, manifest: Manifest, place: Place, encoder: Encoder) -> Snapshot:
        """Let searches see what was committed."""
        with self._newest.lock:
            former = self._newest.snapshot
            self._newest.snapshot = self._newest.compose(manifest, encoder, place, former)
        self._turn.wrote(place)
        self._unflushed = False
        return self._newest.snapshot


def _is_large(snapshot: Snapshot) -> bool:
    """Whether the log should be flushed."""
    n_documents = sum(segment.entry.n_documents for segment in snapshot.fresh)
    n_commits = snapshot.generation - snapshot.manifest.generation
    return (
        n_documents >= LOG_DOCUMENTS or n_commits >= LOG_COMMITS or snapshot.place.end >= LOG_BYTES
    )


def _check_taken(write: Write) -> None:
    """Raise NothingTaken where everything would make way for documents that are all left out."""
    if write.failed and not write.upserted:
        doc_id, reason = write.failed[0]
        raise NothingTaken(
            f"none of {len(write.failed):,} documents can be taken, so nothing is changed; the "
            f"first is {doc_id!r}: {reason}",
            write.failed,
        )
