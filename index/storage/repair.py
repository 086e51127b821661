"""Repairing a damaged collection: what is lost is dropped and told, what is sound stays as it is.

An index is made anew from the vectors that it was made of. A segment whose documents, vectors or
deletions are damaged is dropped: without its deletions, deleted documents would come back. A log is
cut at the first damaged record, for those behind it may build on what is lost. The manifest and the
vocabulary cannot be repaired: nothing else knows what they say.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from lexidex.errors import CorruptFile, FormatError, LexidexError

from ..dense import DenseIndex, DenseRows
from . import layout
from .arrays import verify_arrays
from .change import decode_change
from .deletions import mark_deleted, read_deletions
from .documents import read_documents
from .files import Storage
from .integrity import check_file, check_segment, check_vocabulary
from .log import create_log, mark_commit, marked_commit, open_log, read_sound, restore_head
from .manifest import FileEntry, Manifest, SegmentEntry, read_manifest, sweep, write_manifest
from .segment import read_vectors
from .segment_writer import SegmentWriter

_SOURCES = (layout.DOCUMENTS, layout.DOCUMENT_MAP, layout.VECTORS)
"""Files of a segment that its others are made from."""


@dataclass(frozen=True)
class Repair:
    """What a repair did.

    Attributes:
        actions: a line for everything that was done; empty when nothing was damaged.
        lost_ids: ids of documents that are lost, or may be, as far as they could be read.
        n_unnamed: documents of dropped segments whose ids could not be read.
    """

    actions: list[str] = field(default_factory=list)
    lost_ids: list[str] = field(default_factory=list)
    n_unnamed: int = 0


def repair(storage: Storage) -> Repair:
    """Drop what is damaged, so that the rest can be used again.

    Raises:
        CorruptFile: the manifest or the vocabulary is damaged.
        Locked: another process is writing or merging.
    """
    with storage.lock(), storage.lock(layout.MERGE_LOCK):
        manifest = read_manifest(storage)
        for problem in check_vocabulary(storage, manifest):
            raise CorruptFile(
                f"{problem}; it holds the words of every document and cannot be repaired: restore "
                "it from a backup, or index again"
            )
        actions: list[str] = []
        lost_ids = _cut_log(storage, manifest, actions)
        kept, n_unnamed = [], 0
        for number, entry in enumerate(manifest.segments):
            if entry.tuning and _damaged(storage, [entry.tuning]):
                actions.append(f"{entry.tuning.name}: damaged and dropped; tune again")
                entry = replace(entry, tuning=None)
            problems = check_segment(storage, entry)
            if not problems:
                kept.append(entry)
                continue
            rebuilt = _rebuild(storage, entry, manifest, number)
            if rebuilt:
                kept.append(rebuilt)
                actions.append(f"{problems[0]}: made anew from the vectors, as {rebuilt.name}")
                continue
            ids = _ids_of(storage, entry)
            actions.append(
                f"{problems[0]}: dropped segment {entry.name}, "
                f"{entry.n_documents - entry.n_deleted} documents"
            )
            lost_ids += ids
            n_unnamed += 0 if ids else entry.n_documents - entry.n_deleted
        if tuple(kept) != manifest.segments:
            manifest = replace(
                manifest,
                number=manifest.number + 1,
                segments=tuple(kept),
                next_segment=manifest.next_segment + len(manifest.segments),
            )
            write_manifest(storage, manifest)
        sweep(storage, manifest, merging=True)
        return Repair(actions, lost_ids, n_unnamed)


def _cut_log(storage: Storage, manifest: Manifest, actions: list[str]) -> list[str]:
    """Cut the log at its first damaged record; ids in the records behind."""
    where = f"{storage.location}/{manifest.log}"
    try:
        place = open_log(storage, manifest.generation)
    except FormatError as error:
        restored = restore_head(storage, manifest.generation)
        if restored is None:
            create_log(storage, manifest.generation)
            storage.sync_folder()
            actions.append(f"{error}: started an empty log; every write in the old one is lost")
            return []
        actions.append(f"{error}: wrote its head anew")
        place = restored
    _, last, later = read_sound(storage, place)
    rest = storage.size(manifest.log) - last.end
    n_missing = max(marked_commit(storage, last) - last.commit, 0)
    if not rest and not n_missing:
        return []
    storage.append(manifest.log, last.end, b"")
    mark_commit(storage, last)
    storage.sync(manifest.log)
    actions.append(
        f"{where}: cut {rest} bytes at byte {last.end}, behind commit {last.commit}: a damaged "
        f"or unfinished record and {len(later)} behind it"
        + (f"; {n_missing} commits are lost" if n_missing else "")
    )
    return [doc_id for payload in later for doc_id in decode_change(payload, where).ids]


def _rebuild(
    storage: Storage, entry: SegmentEntry, manifest: Manifest, number: int
) -> SegmentEntry | None:
    """The segment written anew where all that it is made from is sound."""
    sources = [file for file in entry.files if file.name.endswith(_SOURCES)]
    beside = [entry.deletions] if entry.deletions else []
    if _damaged(storage, [*sources, *beside]) or len(sources) < len(_SOURCES):
        return None
    documents, passages = read_documents(storage, entry)
    try:
        passages = passages.with_dense(_dense_rows(storage, entry))
    except LexidexError:
        return None
    vectors = read_vectors(storage, entry.name)
    name = layout.merged_segment(manifest.next_segment + number)
    writer = SegmentWriter(storage, name)
    for first, batch in documents.batches():
        last = first + len(batch)
        rows = vectors[int(passages.starts[first]) : int(passages.starts[last])]
        writer.add(batch, rows, passages.between(first, last))
    # The writer's own deletions are those of repeated ids; the entry's include them.
    made = replace(writer.finish(lambda drafts: drafts), total_length=entry.total_length)
    deleted = read_deletions(storage, entry)
    return made if deleted is None else mark_deleted(storage, made, deleted, manifest.number + 1)


def _dense_rows(storage: Storage, entry: SegmentEntry) -> DenseRows | None:
    """The segment's dense vectors, which may be sound where FAISS's index over them is not.

    Raises:
        FormatError: they are not.
    """
    for file in entry.files:
        if file.name.endswith(f"/{layout.DENSE}"):
            data, where = storage.view(file.name), f"{storage.location}/{file.name}"
            verify_arrays(data, where, but="faiss")
            return DenseRows.of_index(DenseIndex.read(data, where))
    return None


def _damaged(storage: Storage, files: Sequence[FileEntry]) -> bool:
    return any(True for file in files for _ in check_file(storage, file))


def _ids_of(storage: Storage, entry: SegmentEntry) -> list[str]:
    """Ids of a damaged segment's documents: of the live ones, where the deletions are sound."""
    name = layout.segment_file(entry.name, layout.DOCUMENTS)
    if _damaged(storage, [file for file in entry.files if file.name == name]):
        return []
    table = pa.ipc.open_file(pa.py_buffer(storage.view(name))).read_all()
    ids: list[str] = table.column("id").to_pylist()
    with suppress(LexidexError):
        if not (entry.deletions and _damaged(storage, [entry.deletions])):
            deleted = read_deletions(storage, entry)
            if deleted is not None:
                return [ids[place] for place in np.flatnonzero(~deleted).tolist()]
    return ids
