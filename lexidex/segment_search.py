"""Searching one segment: how, and which documents its best passages belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np

from lexidex.index import (
    Allowed,
    Counters,
    DenseSearchParams,
    ExactIndex,
    SearchParams,
    SeismicIndex,
    TopK,
)
from lexidex.index.batch import K_LIMIT
from lexidex.index.planner import never_exact, prefers_exact
from lexidex.index.storage.segment import Segment
from lexidex.index.vectors import Float32s, Int64s, Vectors

from .results import LegScore

Method: TypeAlias = Literal["exact", "seismic", "skipped"]
Plan: TypeAlias = tuple[str, ...]
"""How each segment was searched, oldest first: by a `Method`, or, in dense search, by an index of
FAISS's name; those of which filter and deletions leave nothing are not."""


FIRST_DEPTH = 2
"""Passages that are fetched for each document wanted, where documents have several."""

DEEPER = 4
"""How many times as many are fetched where that was not enough."""

DOCUMENT_BITS = 40
"""Of a key: enough for the documents of any segment."""

_DEFAULTS = SearchParams()


class Searcher(Protocol):
    """The search of an index, its parameters chosen."""

    def __call__(
        self, queries: Any, k: int, *, n_threads: int, allowed: Allowed | None
    ) -> TopK: ...


@dataclass(frozen=True, slots=True)
class Located:
    """A document found: which segment, which of its documents, which passage of that."""

    score: float
    segment: int
    document: int
    passage: int
    legs: Mapping[str, LegScore] | None = None


class Hits(NamedTuple):
    """Documents that one query finds, best first, in arrays: fusion looks at hundreds of them.

    Attributes:
        scores: float32 (n,).
        segments, documents, passages: int64 (n,), as `Located` has them.
    """

    scores: Float32s
    segments: Int64s
    documents: Int64s
    passages: Int64s

    @classmethod
    def none(cls) -> Hits:
        """No hits."""
        nothing = np.empty(0, dtype=np.int64)
        return cls(np.empty(0, dtype=np.float32), nothing, nothing, nothing)

    @classmethod
    def joined(cls, parts: Sequence[Hits]) -> Hits:
        """The hits of all parts, one part behind the other; at least one."""
        return cls(*map(np.concatenate, zip(*parts, strict=True)))

    @classmethod
    def best(cls, parts: Sequence[Hits], k: int) -> Hits:
        """The k best of several segments' hits, oldest first; of equal scores the first stay so."""
        if len(parts) < 2:
            return parts[0].at(slice(k)) if parts else cls.none()
        joined = cls.joined(parts)
        return joined.at(np.argsort(-joined.scores, kind="stable")[:k])

    @property
    def keys(self) -> Int64s:
        """A number for each document, int64 (n,); those of older segments are less."""
        return self.segments << DOCUMENT_BITS | self.documents

    def followed_by(self, others: Hits) -> Hits:
        """These, and behind them those of the others that are not among them, in their order."""
        fresh = others.at(np.flatnonzero(~np.isin(others.keys, self.keys)))
        return Hits.joined([self, fresh])

    def at(self, places: Int64s | slice) -> Hits:
        """Some of them."""
        return Hits(
            self.scores[places],
            self.segments[places],
            self.documents[places],
            self.passages[places],
        )

    def located(self) -> list[Located]:
        """One by one."""
        return [Located(*one) for one in zip(*(a.tolist() for a in self), strict=True)]


def search_segment(
    number: int,
    segment: Segment,
    queries: Vectors,
    k: int,
    methods: Sequence[Method],
    params: SearchParams | None,
    allowed: Allowed | None,
    *,
    n_threads: int,
    sought: int | None = None,
) -> tuple[list[Hits], list[Method], Counters]:
    """The k best documents of a segment for each query, scored by their best passage.

    Args:
        number: the segment's, for what is found.
        methods: how to search for each query.
        sought: see `SeismicIndex.search`; of candidates that are to be scored anew.

    Returns:
        Documents of each query; how it was searched in the end; the work done.
    """
    located = [Hits.none()] * len(methods)
    used, counters = list(methods), Counters()
    several = segment.entry.n_passages > segment.entry.n_documents
    for method in ("seismic", "exact"):
        rows = [row for row, one in enumerate(used) if one == method]
        if not rows:
            continue
        some = queries if len(rows) == len(used) else queries[rows]
        search = _searcher(segment, method, params, sought)
        found, _, work = _search_deep(number, segment, search, some, k, n_threads, allowed)
        counters += work
        for row, hits in zip(rows, found, strict=True):
            located[row] = hits
            if method == "seismic" and several and hits.scores.size < k:
                # Few documents may fill all that an approximate index keeps of a term.
                used[row] = "exact"
    return located, used, counters


def search_dense(
    number: int,
    segment: Segment,
    queries: Float32s,
    k: int,
    allowed: Allowed | None,
    *,
    params: DenseSearchParams,
    n_threads: int,
) -> tuple[list[Hits], list[str], Counters]:
    """The k best documents of a segment for each query, by the best dense vector of theirs.

    Returns:
        Documents of each query; "exact", or the index that was searched; the work done.
    """
    if segment.dense is None:
        return [Hits.none()] * len(queries), ["skipped"] * len(queries), Counters()
    search = partial(segment.dense.search, params=params)
    found, exact, work = _search_deep(number, segment, search, queries, k, n_threads, allowed)
    return found, ["exact" if one else segment.dense.factory for one in exact], work


def chosen_params(
    segment: Segment, k: int, params: SearchParams | None, accuracy: float | None
) -> SearchParams | None:
    """The parameters to search a segment with approximately; None to search it exactly."""
    if accuracy is None:
        return params or _DEFAULTS
    if accuracy == 1 or segment.seismic is None:
        return None
    return segment.seismic.frontier.find(k, accuracy)


def methods_for(
    segment: Segment,
    queries: Vectors,
    k: int,
    params: SearchParams | None,
    allowed: Allowed | None,
) -> list[Method]:
    """How each query is searched in a segment; exactly without parameters."""
    # Of the two that miss nothing, exact search is the faster, and its values are float32.
    if params is None or params.rank_safe or segment.seismic is None:
        return ["exact"] * queries.shape[0]
    route = segment.seismic.route(params, k, allowed)
    if never_exact(segment.entry.n_passages, route):
        return ["seismic"] * queries.shape[0]
    postings, lists = segment.directory.work(queries)
    cheap = prefers_exact(postings, lists, segment.entry.n_passages, k, route)
    return ["exact" if one else "seismic" for one in cheap.tolist()]


def _searcher(
    segment: Segment, method: Method, params: SearchParams | None, sought: int | None
) -> Searcher:
    approximate = segment.seismic if method == "seismic" else None
    index: ExactIndex | SeismicIndex = approximate or segment.exact
    options: dict[str, Any] = {"params": params, "sought": sought} if approximate else {}

    def search(queries: Vectors, k: int, *, n_threads: int, allowed: Allowed | None) -> TopK:
        if queries.shape[0] == 1:  # without the checks and conversions of a batch
            one = queries.indices, queries.data
            return index.search_one(*one, k, allowed=allowed, **options)
        return index.search(queries, k, n_threads=n_threads, allowed=allowed, **options)

    return search


def _search_deep(
    number: int,
    segment: Segment,
    search: Searcher,
    queries: Vectors | Float32s,
    k: int,
    n_threads: int,
    allowed: Allowed | None,
) -> tuple[list[Hits], list[bool], Counters]:
    """Fetch passages until each query has k documents of the segment, or all that match.

    Passages come best first, so the first k documents among them are the best k, however many
    passages each has.

    Returns:
        Documents of each query; see `TopK.exact`, False where that is not told; the work done.
    """
    entry = segment.entry
    most = min(entry.n_passages, K_LIMIT)
    depth = k if entry.n_passages == entry.n_documents else min(FIRST_DEPTH * k, most)
    found, exact = [Hits.none()] * queries.shape[0], [False] * queries.shape[0]
    rows, work = list(range(queries.shape[0])), Counters()
    while True:
        some = queries if len(rows) == queries.shape[0] else queries[rows]
        top = search(some, depth, n_threads=n_threads, allowed=allowed)
        work += top.counters
        for place, row in enumerate(rows):
            found[row] = _documents(number, segment, top, place, k)
            exact[row] = top.exact is not None and bool(top.exact[place])
        more = top.ordinals[:, -1] >= 0
        rows = [row for place, row in enumerate(rows) if more[place] and found[row].scores.size < k]
        if not rows or depth >= most:
            return found, exact, work
        depth = min(DEEPER * depth, most)


def _documents(number: int, segment: Segment, top: TopK, row: int, k: int) -> Hits:
    """The first k distinct documents among a query's passages, best passage first."""
    scores, passages = top.scores[row], top.ordinals[row]
    if passages[-1] < 0:
        known = passages >= 0
        scores, passages = scores[known], passages[known]
    documents = segment.passages.documents_of(passages)
    if segment.entry.n_passages > segment.entry.n_documents:
        first = np.sort(np.unique(documents, return_index=True)[1])
        scores, passages, documents = scores[first], passages[first], documents[first]
    places = segment.passages.places_of(passages, documents)
    return Hits(scores, np.full(scores.size, number), documents, places).at(slice(k))
