"""Hard negatives: documents that a retriever ranks high and that do not answer the query.

A retriever is one of our encoders searched through our own index, or a dense model by matrix
products; several take turns rank by rank. From the ranking come bands of ranks with so many
negatives each (SPLADE-v3 takes 50 of the first 50 and 50 of the first 1,000, arXiv 2403.06789);
what a teacher holds for as good as the positive, up to a margin, is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from pydantic import ConfigDict

from lexidex.errors import ParameterError
from lexidex.index.vectors import Float32s, Int64s

from ..base import Encoder
from ..dense import DenseEncoder
from .candidates import Candidates
from .pairs import Pairs
from .teachers import Ensemble

EXACT_UP_TO = 50_000
"""Documents that are searched exactly; beyond it the approximate index is worth its build."""

_SCORED_TOGETHER = 256
"""Queries whose candidates a teacher scores, or a matrix product ranks, in one go."""


class Retriever(Protocol):
    """What ranks the documents for each query."""

    def ranking(self, pairs: Pairs, k: int) -> Int64s:
        """Rows of the k best documents of each query, int64 (queries, k), best first; -1: none."""


@dataclass(frozen=True)
class SparseRetriever:
    """One of our encoders, searched through our index."""

    encoder: Encoder
    n_threads: int = 1

    def ranking(self, pairs: Pairs, k: int) -> Int64s:
        """See `Retriever`."""
        from lexidex.index import ExactIndex, SeismicIndex

        if self.encoder.needs_statistics:
            self.encoder.fit(pairs.documents)
        documents = self.encoder.encode_documents(pairs.documents)
        queries = self.encoder.encode_queries(pairs.queries)
        if documents.shape[0] <= EXACT_UP_TO:
            exact = ExactIndex.build(documents)
            return exact.search(queries, k, n_threads=self.n_threads).ordinals
        index = SeismicIndex.build(documents, n_threads=self.n_threads)
        return index.search(queries, k, n_threads=self.n_threads).ordinals


@dataclass(frozen=True)
class DenseRetriever:
    """A dense model; every document is compared, some hundred queries at a time."""

    encoder: DenseEncoder

    def ranking(self, pairs: Pairs, k: int) -> Int64s:
        """See `Retriever`."""
        documents = self.encoder.encode_documents(pairs.documents)
        queries = self.encoder.encode_queries(pairs.queries)
        k = min(k, len(documents))
        found = np.empty((len(queries), k), dtype=np.int64)
        for first in range(0, len(queries), _SCORED_TOGETHER):
            scores = queries[first : first + _SCORED_TOGETHER] @ documents.T
            best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable")
            found[first : first + len(scores)] = np.take_along_axis(best, order, 1)
        return found


@dataclass(frozen=True)
class Band:
    """Negatives taken of the ranks first to last (from 1, both included)."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    first: int
    last: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last or self.count < 1:
            raise ParameterError(
                f"band {self.first}-{self.last}:{self.count}; expected first and last rank, from "
                "1, and a number of negatives above 0"
            )


@dataclass(frozen=True)
class Mining:
    """Which negatives are taken.

    Attributes:
        bands: ranks, and how many negatives of each; a document is taken once.
        draw: whether a band's negatives are drawn at random; otherwise its best are taken.
        absolute_margin: a negative's teacher score must be below the positive's less this.
        relative_margin: and below the positive's less this share of its absolute value.
        seed: of the draws.
    """

    bands: Sequence[Band] = (Band(1, 100, 8),)
    draw: bool = True
    absolute_margin: float | None = None
    relative_margin: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("absolute_margin", "relative_margin"):
            margin = getattr(self, name)
            if margin is not None and not math.isfinite(margin):
                raise ParameterError(f"{name}: {margin}; expected a finite number")

    @property
    def depth(self) -> int:
        """How many ranks are looked at."""
        return max(band.last for band in self.bands)

    @property
    def filters(self) -> bool:
        """Whether a teacher's scores decide which candidates stay."""
        return self.absolute_margin is not None or self.relative_margin is not None


def mine(
    pairs: Pairs,
    retrievers: Sequence[Retriever],
    mining: Mining,
    teacher: Ensemble | None = None,
    progress: Callable[[int], None] | None = None,
) -> Candidates:
    """Candidate lists, one for each query and each of its positives.

    Args:
        pairs: what is searched, and by what.
        retrievers: at least one.
        mining: which of the documents found become negatives.
        teacher: scores the lists, and with margins decides about them; None scores nothing.
        progress: called with the number of queries done.

    Raises:
        ParameterError: margins without a teacher to score by.
    """
    if mining.filters and teacher is None:
        raise ParameterError("margins compare a teacher's scores: give a teacher")
    ranked = [retriever.ranking(pairs, mining.depth) for retriever in retrievers]
    queries: list[int] = []
    documents: list[Int64s] = []
    scores: list[Float32s] = []
    for query in range(len(pairs)):
        found = take_turns([ranking[query] for ranking in ranked], pairs.positives[query])
        for positive in pairs.positives[query]:
            kept, known = found, None
            if teacher is not None:
                kept, known = _judged(query, int(positive), found, mining, teacher)
            chosen = _chosen(kept, mining, [mining.seed, query, int(positive)])
            documents.append(np.concatenate([[positive], kept.rows[chosen]]))
            if known is not None:
                scores.append(np.concatenate([known[:1], known[1:][chosen]]))
            queries.append(query)
        if progress:
            progress(query + 1)
    return Candidates(
        np.array(queries, dtype=np.int64), documents, scores if teacher is not None else None
    )


@dataclass(frozen=True)
class Ranked:
    """Documents that are no positives, best first: their rows and ranks, from 1; int64 both."""

    rows: Int64s
    ranks: Int64s


def take_turns(rankings: Sequence[Int64s], positives: Int64s) -> Ranked:
    """Several rankings as one: the first of each, the second of each; each document once.

    A document's rank is the best that one of the retrievers gave it, positives counted.
    """
    depth = max(ranking.size for ranking in rankings)
    padded = np.full((len(rankings), depth), -1, dtype=np.int64)
    for number, ranking in enumerate(rankings):
        padded[number, : ranking.size] = ranking
    flat = padded.T.ravel()
    rows, places = np.unique(flat, return_index=True)
    order = np.argsort(places)
    rows, ranks = rows[order], places[order] // len(rankings) + 1
    kept = (rows >= 0) & ~np.isin(rows, positives)
    return Ranked(rows[kept], ranks[kept])


def _judged(
    query: int, positive: int, found: Ranked, mining: Mining, teacher: Ensemble
) -> tuple[Ranked, Float32s]:
    """What is left of the ranking by a teacher's scores, and these, the positive's first."""
    rows = np.concatenate([[positive], found.rows])
    scores = teacher.lists(np.array([query]), rows[None, :])[0]
    limit = np.inf
    if mining.absolute_margin is not None:
        limit = min(limit, scores[0] - mining.absolute_margin)
    if mining.relative_margin is not None:
        limit = min(limit, scores[0] - mining.relative_margin * abs(scores[0]))
    kept = scores[1:] < limit if mining.filters else np.ones(found.rows.size, dtype=np.bool_)
    left = Ranked(found.rows[kept], found.ranks[kept])
    return left, np.concatenate([scores[:1], scores[1:][kept]])


def _chosen(found: Ranked, mining: Mining, seed: list[int]) -> Int64s:
    """Places in the ranking whose documents become negatives, in the order of their ranks."""
    rng = np.random.default_rng(seed)
    taken = np.zeros(found.rows.size, dtype=np.bool_)
    for band in mining.bands:
        inside = (found.ranks >= band.first) & (found.ranks <= band.last) & ~taken
        places = np.flatnonzero(inside)
        if mining.draw and places.size > band.count:
            places = rng.choice(places, band.count, replace=False)
        taken[places[: band.count]] = True
    return np.flatnonzero(taken)
