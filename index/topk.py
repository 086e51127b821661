"""The k best: a bounded heap over two flat arrays, and the result type that it fills.

Order everywhere: higher score first, and among equal scores the lower ordinal first. The heap's
root is the worst of the kept, so that a full heap is entered only by something better than it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .jit import strict_kernel
from .vectors import Float32s, Int64s

Score: TypeAlias = float | np.float32
Ordinal: TypeAlias = int | np.integer[Any]

EMPTY_ORDINAL = -1
"""Stands in result places that no document fills; the score there is -inf."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Work done for a batch of queries; the same on every machine, so tests can hold to it.

    Attributes:
        postings_scored: (document, component) pairs that were scored.
        documents_scored, documents_skipped: documents that were scored one by one, or only by their
            heads. In exact search, those scored from their vectors; none is skipped so.
        blocks_scored, blocks_skipped: blocks whose documents were looked at or not.
        bytes_touched: bytes read of what grows with the collection. In exact search, 6 for each
            posting of a list, 8 for each entry of a document scored by itself, and 1 for each
            maximum of a block. In approximate search, 4 for each posting of the blocks scored and
            for each entry of the summaries' buckets that query terms fall into; for each document
            16 for its place, and 3 for each entry scored (5 where components are more than
            65,536); and, where it may be among the best, 0, 1 or 4 for each entry, by value type.
    """

    postings_scored: int = 0
    documents_scored: int = 0
    documents_skipped: int = 0
    blocks_scored: int = 0
    blocks_skipped: int = 0
    bytes_touched: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(
            self.postings_scored + other.postings_scored,
            self.documents_scored + other.documents_scored,
            self.documents_skipped + other.documents_skipped,
            self.blocks_scored + other.blocks_scored,
            self.blocks_skipped + other.blocks_skipped,
            self.bytes_touched + other.bytes_touched,
        )


@dataclass(frozen=True, slots=True)
class TopK:
    """The k best documents of each query; unpacks as `scores, ordinals`.

    scores: float32 (n_queries, k), descending, -inf in empty places.
    ordinals: int64 (n_queries, k), -1 in empty places.
    exact: of dense search, bool (n_queries,): whether every vector that may be found was compared.
    """

    scores: Float32s
    ordinals: Int64s
    counters: Counters = Counters()
    exact: NDArray[np.bool_] | None = None

    def __iter__(self) -> Iterator[NDArray[np.generic]]:
        yield self.scores
        yield self.ordinals


def empty_results(n_queries: int, k: int) -> tuple[Float32s, Int64s]:
    """Result arrays (n_queries, k) with every place empty."""
    scores = np.full((n_queries, k), -np.inf, dtype=np.float32)
    return scores, np.full((n_queries, k), EMPTY_ORDINAL, dtype=np.int64)


@strict_kernel
def is_worse(score: Score, ordinal: Ordinal, other_score: Score, other_ordinal: Ordinal) -> bool:
    """Whether the first of two results stands after the second."""
    return bool(score < other_score or (score == other_score and ordinal > other_ordinal))


@strict_kernel
def heap_push(scores: Float32s, ordinals: Int64s, size: int, score: Score, ordinal: Ordinal) -> int:
    """Insert into the heap scores/ordinals[:size] of capacity len(scores); the new size.

    Precondition: the heap has room, or (score, ordinal) is better than its root.
    Postcondition: the root is the worst kept result.
    """
    capacity = scores.size
    if size < capacity:
        place = size
        while place > 0:
            parent = (place - 1) // 2
            if not is_worse(score, ordinal, scores[parent], ordinals[parent]):
                break
            scores[place] = scores[parent]
            ordinals[place] = ordinals[parent]
            place = parent
        scores[place] = score
        ordinals[place] = ordinal
        return size + 1
    sift_down(scores, ordinals, size, score, ordinal)
    return size


@strict_kernel
def sift_down(
    scores: Float32s, ordinals: Int64s, size: int, score: Score, ordinal: Ordinal
) -> None:
    """Put (score, ordinal) in the root's stead and restore the heap of `size` results."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        right = child + 1
        if right < size and is_worse(
            scores[right], ordinals[right], scores[child], ordinals[child]
        ):
            child = right
        if not is_worse(scores[child], ordinals[child], score, ordinal):
            break
        scores[place] = scores[child]
        ordinals[place] = ordinals[child]
        place = child
    scores[place] = score
    ordinals[place] = ordinal


@strict_kernel
def heap_sort(scores: Float32s, ordinals: Int64s, size: int) -> None:
    """Turn the heap scores/ordinals[:size] into best-first order, in place."""
    for last in range(size - 1, 0, -1):
        score = scores[last]
        ordinal = ordinals[last]
        scores[last] = scores[0]
        ordinals[last] = ordinals[0]
        sift_down(scores, ordinals, last, score, ordinal)
