"""Which passages documents own, where in their texts these stand, and their dense vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dense import DenseRows
from ..ranges import ranges

_STARTS = "passage_starts"
_SPANS = "passage_spans"


@dataclass(frozen=True, eq=False)
class Passages:
    """The passages of a sequence of documents: each owns one, or a contiguous range of them.

    Attributes:
        starts: int64 (documents + 1,), from 0: the first passage of each document, and the end.
        spans: int64 (passages, 2): where in its document's text each begins and ends, in code
            points.
        dense: the passages' dense vectors; None where none has any.
    """

    starts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    spans: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    dense: DenseRows | None = None

    @classmethod
    def of_each(cls, counts: ArrayLike, spans: ArrayLike, dense: DenseRows | None = None) -> Self:
        """From the number of passages of each document, and every passage's place."""
        starts = np.concatenate([[0], np.cumsum(np.asarray(counts, dtype=np.int64))])
        return cls(starts, np.asarray(spans, dtype=np.int64).reshape(-1, 2), dense)

    @classmethod
    def whole(cls, texts: Sequence[str]) -> Self:
        """One passage a document: all of its text."""
        return cls.of_each(np.ones(len(texts)), [(0, len(text)) for text in texts])

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Those of several sequences of documents, one behind the other."""
        if not parts:
            return cls()
        counts = np.concatenate([part.counts for part in parts])
        spans = np.concatenate([part.spans for part in parts])
        dense = DenseRows.join([(part.dense, part.n_passages) for part in parts])
        return cls.of_each(counts, spans, dense)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `arrays` gave."""
        starts = arrays[_STARTS]
        none = np.broadcast_to(np.zeros(2, dtype=np.int64), (int(starts[-1]), 2))
        return cls(starts, arrays.get(_SPANS, none), DenseRows.from_arrays(arrays))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As files have them; without places where no passage has any text."""
        spans = {_SPANS: self.spans} if self.spans.any() else {}
        return {_STARTS: self.starts, **spans, **(self.dense.arrays() if self.dense else {})}

    def with_dense(self, dense: DenseRows | None) -> Self:
        """These with other dense vectors, or without."""
        return replace(self, dense=dense)

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return int(self.starts.size - 1)

    @property
    def n_passages(self) -> int:
        """Number of passages."""
        return int(self.starts[-1])

    @cached_property
    def one_each(self) -> bool:
        """Whether every document has one passage, whose number is then its own."""
        return self.n_passages == self.n_documents

    @property
    def counts(self) -> NDArray[np.int64]:
        """Passages of each document, int64 (documents,)."""
        return np.diff(self.starts)

    def of(self, documents: NDArray[np.int64]) -> NDArray[np.int64]:
        """The passages of documents, int64, in order."""
        if self.one_each:
            return documents
        return ranges(self.starts[documents], self.counts[documents])

    def marked(self, documents: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """bool (passages,): those of the documents that a mask marks."""
        if self.one_each:
            return documents
        return np.repeat(documents, self.counts)

    def documents_of(self, passages: NDArray[np.int64]) -> NDArray[np.int64]:
        """The documents that passages belong to, int64, same shape."""
        if self.one_each:
            return passages
        return np.searchsorted(self.starts, passages, side="right") - 1

    def places_of(
        self, passages: NDArray[np.int64], documents: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Which of its document's each passage is, from 0; `documents` are those it belongs to."""
        if self.one_each:  # without reading where each begins
            return np.zeros(passages.size, dtype=np.int64)
        return passages - self.starts[documents]

    def take(self, documents: NDArray[np.int64]) -> Self:
        """Those of some documents, in their order."""
        chosen = self.of(documents)
        dense = None if self.dense is None else self.dense.take(chosen)
        return type(self).of_each(self.counts[documents], self.spans[chosen], dense)

    def between(self, first: int, last: int) -> Self:
        """Those of the documents from `first` to before `last`; copies no places."""
        starts = self.starts[first : last + 1]
        begin, end = int(starts[0]), int(starts[-1])
        dense = None if self.dense is None else self.dense.between(begin, end)
        return type(self)(starts - starts[0], self.spans[begin:end], dense)
