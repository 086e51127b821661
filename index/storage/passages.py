"""Which passages documents own, and where in their texts these stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

_STARTS = "passage_starts"
_SPANS = "passage_spans"


@dataclass(frozen=True, eq=False)
class Passages:
    """The passages of a sequence of documents: each owns one, or a contiguous range of them.

    Attributes:
        starts: int64 (documents + 1,), from 0: the first passage of each document, and the end.
        spans: int64 (passages, 2): where in its document's text each begins and ends, in code
            points.
    """

    starts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    spans: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))

    @classmethod
    def of_each(cls, counts: ArrayLike, spans: ArrayLike) -> Self:
        """From the number of passages of each document, and every passage's place."""
        starts = np.concatenate([[0], np.cumsum(np.asarray(counts, dtype=np.int64))])
        return cls(starts, np.asarray(spans, dtype=np.int64).reshape(-1, 2))

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
        return cls.of_each(counts, np.concatenate([part.spans for part in parts]))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `arrays` gave."""
        starts = arrays[_STARTS]
        none = np.broadcast_to(np.zeros(2, dtype=np.int64), (int(starts[-1]), 2))
        return cls(starts, arrays.get(_SPANS, none))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As files have them; without places where no passage has any text."""
        spans = {_SPANS: self.spans} if self.spans.any() else {}
        return {_STARTS: self.starts, **spans}

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return int(self.starts.size - 1)

    @property
    def n_passages(self) -> int:
        """Number of passages."""
        return int(self.starts[-1])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Passages of each document, int64 (documents,)."""
        return np.diff(self.starts)

    def of(self, documents: NDArray[np.int64]) -> NDArray[np.int64]:
        """The passages of documents, int64, in order."""
        if self.n_passages == self.n_documents:
            return documents
        starts, ends = self.starts[documents], self.starts[documents + 1]
        before = np.cumsum(ends - starts) - (ends - starts)
        places: NDArray[np.int64] = np.repeat(starts - before, ends - starts)
        return places + np.arange(places.size)

    def marked(self, documents: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """bool (passages,): those of the documents that a mask marks."""
        if self.n_passages == self.n_documents:
            return documents
        return np.repeat(documents, self.counts)

    def documents_of(self, passages: NDArray[np.int64]) -> NDArray[np.int64]:
        """The documents that passages belong to, int64, same shape."""
        if self.n_passages == self.n_documents:
            return passages
        return np.searchsorted(self.starts, passages, side="right") - 1

    def take(self, documents: NDArray[np.int64]) -> Self:
        """Those of some documents, in their order."""
        return type(self).of_each(self.counts[documents], self.spans[self.of(documents)])

    def between(self, first: int, last: int) -> Self:
        """Those of the documents from `first` to before `last`; copies no places."""
        starts = self.starts[first : last + 1]
        return type(self)(starts - starts[0], self.spans[int(starts[0]) : int(starts[-1])])
