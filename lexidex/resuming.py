"""Texts -> vectors, where a run that was killed need not encode again what it has staged."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Self

import numpy as np

from lexidex.encoders import Encoder
from lexidex.encoders.base import Texts
from lexidex.errors import LexidexError
from lexidex.index.storage.files import Storage
from lexidex.index.storage.staging import Row, Staging, keys_of, open_staging
from lexidex.index.vectors import Vectors, build_vectors, stack

TOGETHER = 128
"""Texts that are encoded, and staged, together. Which texts stand in one batch moves a vector by
rounding; always the same ones do, so that a run that was killed ends with the very same vectors."""


class Resumable:
    """An encoder's drafts, taken from what is staged where they are there."""

    def __init__(
        self, encoder: Encoder, staging: Staging, check: Callable[[], None] | None = None
    ) -> None:
        """Stage what `encoder`, which is costly, drafts.

        Args:
            check: called before texts are encoded; what it raises ends the run.
        """
        self._encoder = encoder
        self._staging = staging
        self._check = check
        self.n_resumed = 0

    @classmethod
    def begin(
        cls,
        storage: Storage,
        encoder: Encoder,
        current: Encoder,
        check: Callable[[], None] | None = None,
    ) -> Self | None:
        """Make a long run by `encoder` resumable; None where encoding costs less than staging.

        Args:
            current: the encoder that the collection has now.
            check: see `__init__`.
        """
        if not encoder.costly:
            return None
        prints = encoder.fingerprint, current.fingerprint
        return cls(encoder, open_staging(storage, *prints, encoder.vocabulary), check)

    def draft(self, texts: Texts) -> Vectors:
        """What `Encoder.draft_documents` gives, csr_array (len(texts), dim)."""
        parts = [
            self._drafted(texts[first : first + TOGETHER])
            for first in range(0, len(texts), TOGETHER)
        ]
        return stack(parts, max((part.shape[1] for part in parts), default=0))

    def stop(self) -> None:
        """Keep what is encoded for a later run, because this one ends before its time."""
        with suppress(OSError, LexidexError):  # why it ends is the error to tell
            self._staging.write()

    def commit(self) -> None:
        """What is staged is committed now."""
        with suppress(OSError, LexidexError):
            self._staging.remove()

    def _drafted(self, texts: Texts) -> Vectors:
        keys = keys_of(texts)
        rows = self._staging.find(keys)
        missing = [place for place, row in enumerate(rows) if row is None]
        self.n_resumed += len(rows) - len(missing)
        if not missing:
            return _joined(rows, self._encoder.dim)
        if self._check:
            self._check()
        fresh = self._encoder.draft_documents([texts[place] for place in missing])
        self._staging.put(keys[missing], fresh)
        if len(missing) == len(texts):
            return fresh
        for number, place in enumerate(missing):
            start, end = fresh.indptr[number : number + 2].tolist()
            rows[place] = fresh.indices[start:end], fresh.data[start:end]
        return _joined(rows, fresh.shape[1])


def _joined(rows: list[Row | None], dim: int) -> Vectors:
    nothing = np.empty(0, np.int32), np.empty(0, np.float32)
    return build_vectors([row or nothing for row in rows], dim)
