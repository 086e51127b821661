"""Restoring: a snapshot becomes a collection, perhaps in the place of one.

It is a commit like any other: the snapshot is verified wholly, its files are written beside those
that are there, and one manifest is renamed into place. So readers see the old content or the new,
and a crash leaves one of the two.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath

from lexidex.errors import CollectionExists, LexidexError, NotFound

from . import layout
from .archive import Archive, Done, SnapshotReport, pieces
from .files import Storage
from .log import encode_log, highest_commit
from .manifest import (
    FileEntry,
    Manifest,
    SegmentEntry,
    counted,
    newest_manifest,
    sweep,
    write_manifest,
)
from .segment import Segment


def restore_snapshot(
    source: Storage, name: str, target: Storage, *, over: bool = False, done: Done | None = None
) -> SnapshotReport:
    """Make a collection of a snapshot.

    Args:
        over: put it in the place of the collection that is there, damaged as that may be, in one
            step; its generation is above all that there were.

    Raises:
        NotFound: there is no such snapshot.
        CorruptFile, UnsupportedVersion: the snapshot cannot be used; nothing was changed.
        CollectionExists: the folder holds a collection, or other files.
        Locked: another process is writing to it.
        StorageFull: no space left; what was there is untouched.
    """
    if name not in source.list():
        raise NotFound(f"{source.location}/{name}: no such file")
    snapshot = Archive(source.view(name), f"{source.location}/{name}")
    _check_free(target, over)  # before the lock, which leaves a file
    with target.lock():
        _check_free(target, over)
        number, generation, segment = _beyond(target)
        made = _Restored(target, snapshot, segment, number)
        try:
            manifest = made.write(max(generation, snapshot.manifest.generation), done)
            write_manifest(target, manifest)
        except BaseException:
            made.abandon()
            raise
        with suppress(OSError, LexidexError):  # it is committed; the next write sweeps again
            sweep(target, manifest)
    n_bytes = sum(file.size for file in snapshot.files)
    last = manifest.generation + len(snapshot.payloads)
    return SnapshotReport(last, len(snapshot.files), n_bytes)


class _Restored:
    """A snapshot's files on their way into a collection's folder."""

    def __init__(self, target: Storage, snapshot: Archive, segment: int, number: int) -> None:
        """Write them as manifest `number` and as segments from number `segment` on."""
        self._target = target
        self._snapshot = snapshot
        self._number = number
        self._written: list[str] = []
        self._copied = 0
        manifest = snapshot.manifest
        self._names = {
            old.name: layout.new_segment(segment + place)
            for place, old in enumerate(manifest.segments)
        }
        self._next = segment + len(manifest.segments)

    def write(self, generation: int, done: Done | None) -> Manifest:
        """Write and sync every file but the manifest, which is returned.

        Args:
            generation: what the manifest goes on from.
        """
        manifest, target = self._snapshot.manifest, self._target
        vocabulary = manifest.vocabulary
        if vocabulary:
            vocabulary = self._copy(vocabulary, layout.vocabulary(self._number), done)
        segments = tuple(self._segment(entry, done) for entry in manifest.segments)
        if segments:
            target.sync_folder(layout.SEGMENTS)
        for entry in segments:
            Segment(target, entry, verify=False)  # what cannot be opened is not put in place
        log = layout.log(generation)
        self._written.append(log)
        with target.create(log) as file:
            file.write(encode_log(generation, self._snapshot.payloads))
        return replace(
            manifest,
            number=self._number,
            generation=generation,
            segments=segments,
            vocabulary=vocabulary,
            next_segment=self._next,
        )

    def abandon(self) -> None:
        """Remove what was written."""
        folders = [f"{layout.SEGMENTS}/{name}" for name in self._names.values()]
        for name in [*folders, *self._written]:
            with suppress(OSError, LexidexError):  # why it is abandoned is the error to tell
                self._target.remove(name)

    def _segment(self, entry: SegmentEntry, done: Done | None) -> SegmentEntry:
        name = self._names[entry.name]
        copied = replace(
            entry,
            name=name,
            files=tuple(
                self._copy(file, layout.segment_file(name, PurePosixPath(file.name).name), done)
                for file in entry.files
            ),
            deletions=entry.deletions
            and self._copy(entry.deletions, layout.deletions(name, self._number), done),
            tuning=entry.tuning
            and self._copy(entry.tuning, layout.tuning(name, self._number), done),
        )
        self._target.sync_folder(f"{layout.SEGMENTS}/{name}")
        return copied

    def _copy(self, file: FileEntry, name: str, done: Done | None) -> FileEntry:
        self._written.append(name)
        with counted(self._target, name) as target:
            for piece in pieces(self._snapshot.member(file.name)):
                target.write(piece)
                self._copied += len(piece)
                if done:
                    done(self._copied)
        return target.entry(name)


def _check_free(target: Storage, over: bool) -> None:
    """Refuse a folder that holds a collection, unless it is to be replaced, or other files."""
    if newest_manifest(target) is None:
        foreign = [
            name for name in target.list() if not layout.is_ours(name) and name != layout.SEGMENTS
        ]
        if foreign:
            raise CollectionExists(
                f"{target.location}: the folder holds other files ({foreign[0]}); choose a new one"
            )
    elif not over:
        raise CollectionExists(
            f"{target.location}: a collection exists here; restore to another folder, or replace it"
        )


def _beyond(target: Storage) -> tuple[int, int, int]:
    """Numbers above all that a folder's files have: of a manifest, a generation, a segment.

    Taken from their names alone, for what they hold may be damaged.
    """
    logs = [g for g in map(layout.log_generation, target.list()) if g is not None]
    generation = max((highest_commit(target, log) for log in logs), default=0)
    segments = map(layout.segment_number, target.list(layout.SEGMENTS))
    number = newest_manifest(target) or 0
    return (
        number + 1,
        generation + 1,
        max((number for number in segments if number is not None), default=-1) + 1,
    )
