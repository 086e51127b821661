"""Making a collection, opening its newest generation, and following what other processes write."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import asdict, replace
from typing import NamedTuple

import pyarrow as pa

from lexidex.dense_side import DenseSide
from lexidex.encoders import Encoder
from lexidex.encoders.loading import load_stored_encoder
from lexidex.encoders.vocabulary import Vocabulary
from lexidex.errors import CollectionExists, CorruptFile, EncoderMismatch, LexidexError
from lexidex.index.storage import layout
from lexidex.index.storage.change import combine, decode_change
from lexidex.index.storage.files import Memory, Storage
from lexidex.index.storage.log import Place, create_log, open_log, read_log
from lexidex.index.storage.manifest import (
    Manifest,
    SegmentEntry,
    check_file,
    newest_manifest,
    read_manifest,
    write_manifest,
)
from lexidex.index.storage.segment import Segment
from lexidex.passages import PassageParams
from lexidex.snapshot import Snapshot, with_terms
from lexidex.write import describe


def create_empty(
    storage: Storage, encoder: Encoder, passages: PassageParams, dense: DenseSide | None = None
) -> None:
    """Make a collection without documents.

    Raises:
        CollectionExists: one is there, or other files are.
    """
    if newest_manifest(storage) is not None:
        raise CollectionExists(
            f"{storage.location}: a collection exists here; open it, or remove the folder"
        )
    foreign = [name for name in storage.list() if not layout.is_ours(name)]
    if foreign:
        raise CollectionExists(
            f"{storage.location}: the folder holds other files ({foreign[0]}); choose a new one"
        )
    with storage.lock():
        create_log(storage, generation=1)
        described = {} if dense is None else dense.describe()
        empty = Manifest(1, 1, describe(encoder), passages=asdict(passages), dense=described)
        write_manifest(storage, empty)


def remove_unwritten(storage: Storage) -> None:
    """Take away a collection that nothing was written to; vectors that a run has staged stay.

    Nothing is done where another process has written to it, or is writing.
    """
    with suppress(LexidexError, OSError), storage.lock():
        manifest = read_manifest(storage)
        place = open_log(storage, manifest.generation)
        if manifest.number > 1 or read_log(storage, place)[0]:
            return
        storage.remove(layout.manifest(manifest.number))  # from here on it is none
        storage.remove(place.name)
        storage.remove(layout.SEGMENTS)
        if not any(
            storage.list(f"{layout.STAGING}/{name}") for name in storage.list(layout.STAGING)
        ):
            storage.remove(layout.STAGING)
            storage.remove(layout.LOCK)


class Trusted(NamedTuple):
    """Whose repository may have its code run: the encoder's, the dense encoder's.

    Known to whoever opens a collection, and never kept with it.
    """

    sparse: bool = False
    dense: bool = False


NO_TRUST = Trusted()


class Newest:
    """The newest snapshot of a collection. Safe to use from many threads.

    Attributes:
        snapshot: what searches see; only ever replaced by a later one.
        lock: held while that happens, and by commits until what they wrote is durable.
    """

    def __init__(self, storage: Storage, memory: Memory, trusted: Trusted = NO_TRUST) -> None:
        """Open it.

        Raises:
            CollectionNotFound, CorruptFile, UnsupportedVersion, EncoderMismatch: it cannot be.
        """
        self.storage = storage
        self.memory = memory
        self._trusted = trusted
        self.lock = threading.RLock()
        self.snapshot = self._open(None)

    def refresh(self) -> Snapshot:
        """Follow what other processes have written; costs little when that is nothing."""
        with self.lock:
            self.snapshot = self._follow(self.snapshot)
            return self.snapshot

    def compose(
        self, manifest: Manifest, encoder: Encoder, place: Place, former: Snapshot | None
    ) -> Snapshot:
        """A manifest's segments, opened or taken from a former snapshot; nothing of the log."""
        known = {_content(s.entry): s for s in former.segments} if former else {}
        segments = []
        for entry in manifest.segments:
            same = known.get(_content(entry))
            segments.append(
                same.as_of(entry) if same else Segment(self.storage, entry, self.memory)
            )
        n_terms = 0 if encoder.vocabulary is None else manifest.n_terms
        side = former.dense_side if former else None
        dense = DenseSide.from_manifest(
            manifest.dense, side, self.storage.location, encoder, self._trusted.dense
        )
        return Snapshot(manifest, segments, encoder, place, n_terms, former, dense)

    def _follow(self, known: Snapshot) -> Snapshot:
        place = known.place
        with suppress(CorruptFile):  # what is wrong with it, opening anew will tell
            if newest_manifest(self.storage) == known.manifest.number:
                size = self.storage.size(place.name)
                if size == place.end:
                    return known
                if size > place.end:
                    return self._with_log(known, place)
        return self._open(known)

    def _open(self, former: Snapshot | None) -> Snapshot:
        """The newest manifest and its log; a writer may remove them while they are opened."""
        while True:
            manifest = read_manifest(self.storage)
            try:
                encoder = self._encoder(manifest, former)
                place = open_log(self.storage, manifest.generation)
                return self._with_log(self.compose(manifest, encoder, place, former), place)
            except CorruptFile:
                if newest_manifest(self.storage) == manifest.number:
                    raise

    def _with_log(self, snapshot: Snapshot, place: Place) -> Snapshot:
        payloads, last = read_log(self.storage, place)
        if not payloads:
            return snapshot
        where = f"{self.storage.location}/{place.name}"
        return snapshot.after(combine([decode_change(p, where) for p in payloads]), last)

    def _encoder(self, manifest: Manifest, former: Snapshot | None) -> Encoder:
        """The encoder that a manifest was made with; a loaded model is kept."""
        if former is not None and former.manifest.encoder == manifest.encoder:
            encoder = former.encoder
        else:
            kind, options = manifest.encoder["kind"], manifest.encoder["options"]
            encoder = load_stored_encoder(kind, options, self._trusted.sparse)
            if encoder.fingerprint != manifest.encoder["fingerprint"]:
                raise EncoderMismatch(
                    f"{self.storage.location}: made with encoder {manifest.encoder['kind']} of "
                    f"fingerprint {manifest.encoder['fingerprint']}, the one loaded has "
                    f"{encoder.fingerprint}; give back the model it was made with, or index the "
                    "documents anew"
                )
        if encoder.vocabulary is None:
            return encoder
        return with_terms(encoder, 0, read_vocabulary(self.storage, manifest).terms)


def _content(entry: SegmentEntry) -> SegmentEntry:
    """What describes an entry but for its deletions."""
    return replace(entry, n_deleted=0, deletions=None)


def read_vocabulary(storage: Storage, manifest: Manifest) -> Vocabulary:
    """The terms that a manifest names, of an encoder whose vocabulary grows."""
    if manifest.vocabulary is None:
        return Vocabulary()
    data = storage.view(manifest.vocabulary.name)
    check_file(storage, manifest.vocabulary, data)
    table = pa.ipc.open_file(pa.py_buffer(data)).read_all()
    return Vocabulary(table.column("term").to_pylist())
