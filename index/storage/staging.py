"""Vectors on their way into a collection, kept for when the run that makes them is killed.

A staged vector is found by the text that it was made of: what else a run does, and in which order,
is its own business. Where a vocabulary grows, parts have terms for components, which another run
numbers otherwise. Parts are written as they come and never changed; one that is damaged, or gone,
counts as never written. So staging can only save work, and may be removed at any time.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexidex.errors import FormatError, LexidexError

from ..by_names import Names, by_names
from ..vectors import Components, Float32s, Int64s, Vectors, as_vector, stack
from . import layout
from .arrays import read_arrays, verify_arrays, write_arrays
from .files import Storage

KIND = "staged"

PART_SECONDS = (1.0, 10.0)
"""Time after which what was encoded is written: at first the former, after a quarter of an hour the
latter, so that there are not too many parts. A run that is killed loses at most that."""

STALE_SECONDS = 7 * 24 * 3600.0
"""Age of its last part at which nobody is expected to go on from what is staged."""

_MAPPED = 64
"""Parts that are mapped at a time: the system allows only so many of all."""

Row = tuple[Components, Float32s]
Keys = NDArray[np.uint64]


def keys_of(texts: Sequence[str]) -> Keys:
    """What texts are found by, uint64 (n, 2): their BLAKE2b hashes of 128 bits."""
    hashes = (
        hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        for text in texts
    )
    return np.frombuffer(b"".join(hashes), dtype="<u8").reshape(-1, 2)


class KeyOrder:
    """Keys in ascending order, to be looked up. Takes 24 bytes a key."""

    def __init__(self, parts: Iterable[Keys]) -> None:
        """Take the keys of some parts, one behind the other; equal ones are welcome."""
        keys = np.concatenate([np.empty((0, 2), np.uint64), *parts])
        self._places = np.argsort(keys[:, 0], kind="stable")
        self._keys: Keys = keys[self._places]

    def find(self, keys: Keys) -> Int64s:
        """The place of each among all the keys, int64 (n,); -1 where it is not there."""
        if not len(self._keys):
            return np.full(len(keys), -1)
        # Keys that differ and agree in their first halves are found by the first of them alone.
        found = np.searchsorted(self._keys[:, 0], keys[:, 0])
        found = np.minimum(found, len(self._keys) - 1)
        return np.where((self._keys[found] == keys).all(axis=1), self._places[found], -1)


class Staging:
    """The vectors of one encoder, by its fingerprint, that are staged in a collection's folder."""

    def __init__(self, storage: Storage, fingerprint: str, names: Names | None = None) -> None:
        """Find out what is there; damaged parts are removed.

        Args:
            names: the encoder's vocabulary, where it grows.
        """
        self._storage = storage
        self._names = names
        self._folder = layout.staging(fingerprint)
        self._parts: list[str] = []
        self._mapped = lru_cache(_MAPPED)(self._read)
        self._waiting: list[tuple[Keys, Vectors]] = []
        self._began = self._written = time.monotonic()
        parts = self._sound_parts()
        self._order = KeyOrder(parts)
        self._starts = np.cumsum([0, *map(len, parts)])

    def find(self, keys: Keys) -> list[Row | None]:
        """For each key the staged vector, as components and values, or None."""
        places = self._order.find(keys)
        parts = np.searchsorted(self._starts, places, side="right") - 1
        rows = places - self._starts[parts]
        return [
            None if part < 0 else self._row(part, row)
            for part, row in zip(parts.tolist(), rows.tolist(), strict=True)
        ]

    def put(self, keys: Keys, vectors: Vectors) -> None:
        """Stage vectors; on disk within some seconds. `find` sees them in a later run."""
        self._waiting.append((keys, vectors))
        now = time.monotonic()
        soon, late = PART_SECONDS
        if now - self._written >= min(max(soon, (now - self._began) / 90), late):
            self.write()

    def write(self) -> None:
        """Put on disk what waits for it."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        vectors = stack([part for _, part in waiting], max(part.shape[1] for _, part in waiting))
        meta: dict[str, Any] = {}
        if self._names is not None:
            vectors, meta["terms"] = by_names(vectors, self._names.terms)
        # Unlike any other's, so that two runs of one encoder do no harm to each other.
        name = f"{self._folder}/{layout.staged_part(secrets.token_hex(8))}"
        arrays = {
            "keys": np.concatenate([keys for keys, _ in waiting]),
            "indptr": vectors.indptr.astype(np.int64),
            "components": vectors.indices.astype(np.int32, copy=False),
            "values": vectors.data,
        }
        with self._storage.create(name) as file:
            meta |= {"dim": vectors.shape[1], "time": time.time()}
            write_arrays(file, KIND, arrays, meta)
        self._storage.sync_folder(self._folder)
        self._written = time.monotonic()

    def remove(self) -> None:
        """Take away all that is staged: it is committed, or given up."""
        self._waiting = []
        self._storage.remove(self._folder)

    def _sound_parts(self) -> list[Keys]:
        found = []
        for file in self._storage.list(self._folder):
            name = f"{self._folder}/{file}"
            try:
                verify_arrays(self._storage.view(name), name)
                arrays, _ = self._read(name)
            except FormatError:
                with suppress(OSError, LexidexError):
                    self._storage.remove(name)
                continue
            self._parts.append(name)
            found.append(arrays["keys"])
        return found

    def _row(self, part: int, row: int) -> Row | None:
        try:
            arrays, meta = self._mapped(self._parts[part])
        except FormatError:  # another run has committed the same vectors, and removed them here
            return None
        start, end = arrays["indptr"][row : row + 2].tolist()
        components, values = arrays["components"][start:end], arrays["values"][start:end]
        if self._names is None:
            return components, values
        terms = [meta["terms"][component] for component in components.tolist()]
        return as_vector(np.array(list(map(self._names.add, terms)), dtype=np.int32), values)

    def _read(self, name: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        where = f"{self._storage.location}/{name}"
        return read_arrays(self._storage.view(name), KIND, where)


def open_staging(
    storage: Storage, fingerprint: str, current: str, names: Names | None = None
) -> Staging:
    """The staging of an encoder.

    What is staged of other encoders goes, but for the collection's own, and so does what is stale.

    Args:
        current: fingerprint of the encoder that the collection has now.
        names: see `Staging`.
    """
    sweep_staging(storage, {fingerprint, current})
    return Staging(storage, fingerprint, names)


def sweep_staging(storage: Storage, wanted: set[str] | None = None) -> None:
    """Remove what is stale; of what is staged for others than these fingerprints, everything."""
    for fingerprint in storage.list(layout.STAGING):
        foreign = wanted is not None and fingerprint not in wanted
        if foreign or _age(storage, fingerprint) > STALE_SECONDS:
            storage.remove(layout.staging(fingerprint))


def _age(storage: Storage, fingerprint: str) -> float:
    """Seconds since its last part was written; 0 where no part tells."""
    folder = layout.staging(fingerprint)
    times = []
    for file in storage.list(folder):
        name = f"{folder}/{file}"
        with suppress(FormatError):
            times.append(read_arrays(storage.view(name), KIND, name)[1]["time"])
    return time.time() - max(times) if times else 0.0
