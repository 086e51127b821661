"""Dense vectors on their way into an index: those of a sequence of passages, any number each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..ranges import ranges
from ..vectors import Float32s, Int64s
from .dense_index import DenseIndex
from .params import FLAT, SQ8, DenseParams, TooFewVectors

INDEX_FROM = 10_000
"""Vectors from which an index that was asked for by name is made: it has to be trained on some.
Where it needs still more of them, their 8-bit values are compared with all."""

_STARTS = "dense_starts"
_VECTORS = "dense_vectors"
_PARAMS = "dense_params"


@dataclass(frozen=True, eq=False)
class DenseRows:
    """The dense vectors of a sequence of passages, and what index is to be made of them.

    Attributes:
        starts: int64 (passages + 1,), from 0: each passage's first vector, and the end.
        vectors: float32 (n_vectors, d), checked as `as_dense` does.
    """

    params: DenseParams
    starts: Int64s
    vectors: Float32s

    @classmethod
    def of_each(cls, params: DenseParams, counts: ArrayLike, vectors: Float32s) -> Self:
        """From the number of vectors of each passage."""
        starts = np.concatenate([[0], np.cumsum(np.asarray(counts, dtype=np.int64))])
        return cls(params, starts, vectors)

    @classmethod
    def join(cls, parts: Sequence[tuple[Self | None, int]]) -> Self | None:
        """Those of several sequences of passages, one behind the other; None without any vector.

        Args:
            parts: rows, or None where there are none, and the number of passages that they are of.
        """
        some = [rows for rows, _ in parts if rows is not None and rows.vectors.size]
        if not some:
            return None
        counts = [np.zeros(n, dtype=np.int64) if rows is None else rows.counts for rows, n in parts]
        vectors = some[0].vectors
        if len(some) > 1:
            vectors = np.concatenate([rows.vectors for rows in some])
        return cls.of_each(some[0].params, np.concatenate(counts), vectors)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self | None:
        """What `arrays` gave; None where there is nothing of it."""
        if _VECTORS not in arrays:
            return None
        params = DenseParams(**json.loads(arrays[_PARAMS].tobytes()))
        return cls(params, arrays[_STARTS], arrays[_VECTORS])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As records of the log have them."""
        params = json.dumps(asdict(self.params)).encode()
        return {
            _STARTS: self.starts,
            _VECTORS: self.vectors,
            _PARAMS: np.frombuffer(params, dtype=np.uint8),
        }

    @classmethod
    def of_index(cls, index: DenseIndex) -> Self:
        """The vectors that an index was built of."""
        counts = np.bincount(index.owners, minlength=index.n_passages)
        return cls.of_each(index.params, counts, index.vectors)

    def build(self, n_threads: int = 1) -> DenseIndex:
        """An index over them; few are compared one after another, whatever was asked for.

        Where they are too few for what was asked for, 8-bit values are.
        """
        params = self.params
        if self.vectors.shape[0] < INDEX_FROM:
            params = replace(params, factory=FLAT)
        try:
            index = self._build(params, n_threads)
        except TooFewVectors:
            index = self._build(replace(params, factory=SQ8), n_threads)
        return index.asked_for(self.params)

    def _build(self, params: DenseParams, n_threads: int) -> DenseIndex:
        n_passages = self.starts.size - 1
        several = n_passages != self.vectors.shape[0] or bool((self.counts != 1).any())
        owners = np.repeat(np.arange(n_passages), self.counts) if several else None
        return DenseIndex.build(
            self.vectors,
            params,
            owners=owners,
            n_passages=n_passages,
            n_threads=n_threads,
            checked=True,
        )

    @property
    def counts(self) -> Int64s:
        """Vectors of each passage, int64 (passages,)."""
        return np.diff(self.starts)

    def grouped(self, starts: Int64s) -> Self:
        """The same vectors as those of groups of passages, of which each has all of its own.

        Args:
            starts: int64 (groups + 1,): the first passage of each group, and the end.
        """
        return type(self)(self.params, self.starts[starts], self.vectors)

    def take(self, passages: Int64s) -> Self:
        """Those of some passages, in their order."""
        counts = self.counts[passages]
        places = ranges(self.starts[passages], counts)
        return self.of_each(self.params, counts, self.vectors[places])

    def between(self, first: int, last: int) -> Self:
        """Those of the passages from `first` to before `last`; copies no vectors."""
        starts = self.starts[first : last + 1]
        return type(self)(
            self.params, starts - starts[0], self.vectors[int(starts[0]) : int(starts[-1])]
        )
