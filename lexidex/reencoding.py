"""Another encoder for a collection: its documents, encoded anew beside the old vectors.

Searches and writes go on meanwhile. What a snapshot holds is encoded into segments that no manifest
names; then what has changed since, and so on, until little is left. That is done under the write
lock, and one commit puts the new segments, the new encoder and its vocabulary in the place of the
old ones. Whatever happens before it leaves the collection as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import numpy as np

from lexidex.encoders import Encoder
from lexidex.errors import InputError, LexidexError
from lexidex.index.storage import layout
from lexidex.index.storage.building import Building
from lexidex.index.storage.files import Storage
from lexidex.index.storage.log import Place
from lexidex.index.storage.manifest import Manifest, read_manifest

from .differences import Chosen, Difference
from .passages import PassageParams
from .resuming import Resumable
from .snapshot import Snapshot
from .write import Progress, Write

SMALL_REST = 1_000
"""Documents that may be left for the end, when other writes have to wait."""

ROUNDS = 10
"""Times that the rest is made smaller before that; writes may come faster than they are encoded."""


class Reencoding:
    """New segments on their way. The caller holds the re-encoding lock throughout."""

    def __init__(
        self,
        storage: Storage,
        snapshot: Snapshot,
        encoder: Encoder,
        passages: PassageParams,
        building: Building,
        progress: Progress | None,
    ) -> None:
        """Encode what `snapshot` holds, and what comes, by `encoder`.

        Args:
            progress: called often; what it raises ends the work.
        """
        self._storage = storage
        self._progress = progress
        self._known: Snapshot | None = None
        remove_unfinished(storage, read_manifest(storage))
        self._resumable = Resumable.begin(storage, encoder, snapshot.encoder, self._tell)
        self._write = Write(
            storage,
            snapshot,
            encoder,
            building,
            keep=False,
            resumable=self._resumable,
            passages=passages,
            name=layout.reencoded_segment,
        )

    @property
    def n_encoded(self) -> int:
        """Documents that have new vectors; those that were written meanwhile count again."""
        return self._write.upserted

    @property
    def n_resumed(self) -> int:
        """Texts among them that an earlier run had encoded."""
        return self._resumable.n_resumed if self._resumable else 0

    def take(self, now: Snapshot) -> int:
        """Encode what has changed since the last snapshot; how many documents that were.

        Raises:
            InputError: a document cannot be encoded, or has a vector and no text.
        """
        before = self._write.upserted
        difference = Difference(self._known, now)
        check_texts(difference.come)
        gone = difference.gone()
        if gone:
            self._write.delete(gone)
        self._write.upsert(difference.new(), self._progress)
        if self._write.failed:
            doc_id, reason = self._write.failed[0]
            raise InputError(f"document {doc_id!r}: {reason}")
        self._known = now
        return self._write.upserted - before

    def commit(self, now: Snapshot) -> tuple[Manifest, Place]:
        """Put the new segments in the place of all, as the next generation.

        Args:
            now: the newest snapshot, which has been taken; the caller holds the write lock.
        """
        self._write.rebase(now)
        return self._write.commit(now.generation + 1)

    def abandon(self) -> None:
        """Remove the new segments, unless they are committed; what was encoded stays staged."""
        if self._resumable:
            self._resumable.stop()
        with suppress(OSError, LexidexError):
            self._write.stop()
            remove_unfinished(self._storage, read_manifest(self._storage))

    def _tell(self) -> None:
        if self._progress:
            self._progress(self._write.upserted)


def check_texts(chosen: Iterable[Chosen]) -> None:
    """Raise InputError if a document has a vector and no text that another could be made of."""
    for segment, wanted in chosen:
        n_postings = np.diff(segment.vectors.indptr[segment.passages.starts])
        for first, batch in segment.documents.batches():
            for place in np.flatnonzero(wanted[first : first + len(batch)]).tolist():
                document = batch[place]
                if not document.text and not document.title and n_postings[first + place]:
                    raise InputError(
                        f"document {document.id!r}: brought its own vector, and has no text to "
                        "make another of; delete it, or give it a text"
                    )


def remove_unfinished(storage: Storage, manifest: Manifest) -> None:
    """Remove segments that a run left which did not end; the caller holds the re-encoding lock."""
    needed = {segment.name for segment in manifest.segments}
    for name in storage.list(layout.SEGMENTS):
        if layout.is_reencoded(name) and name not in needed:
            storage.remove(f"{layout.SEGMENTS}/{name}")
