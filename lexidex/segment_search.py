"""Searching one segment: how, and which documents its best passages belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, TypeAlias

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
from lexidex.index.planner import prefers_exact
from lexidex.index.storage.segment import Segment
from lexidex.index.vectors import Float32s, Vectors

from .results import LegScore

Method: TypeAlias = Literal["exact", "seismic", "skipped"]
Plan: TypeAlias = tuple[Method, ...]
"""How each segment was searched, oldest first; those of which filter and deletions leave nothing
are not."""


FIRST_DEPTH = 2
"""Passages that are fetched for each document wanted, where documents have several."""

DEEPER = 4
"""How many times as many are fetched where that was not enough."""


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
) -> tuple[list[list[Located]], list[Method], Counters]:
    """The k best documents of a segment for each query, scored by their best passage.

    Args:
        number: the segment's, for what is found.
        methods: how to search for each query.

    Returns:
        Documents of each query; how it was searched in the end; the work done.
    """
    located: list[list[Located]] = [[] for _ in methods]
    used, counters = list(methods), Counters()
    several = segment.entry.n_passages > segment.entry.n_documents
    for method in ("seismic", "exact"):
        rows = [row for row, one in enumerate(used) if one == method]
        if not rows:
            continue
        some = queries if len(rows) == len(used) else queries[rows]
        search = _searcher(segment, method, params)
        found, work = _search_deep(number, segment, search, some, k, n_threads, allowed)
        counters += work
        for row, hits in zip(rows, found, strict=True):
            located[row] = hits
            if method == "seismic" and several and len(hits) < k:
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
    exact: bool,
    n_threads: int,
) -> tuple[list[list[Located]], str, Counters]:
    """The k best documents of a segment for each query, by the best dense vector of theirs.

    Returns:
        Documents of each query; the kind of index that was searched; the work done.
    """
    if segment.dense is None:
        return [[] for _ in queries], "skipped", Counters()
    search = partial(segment.dense.search, params=DenseSearchParams(exact=exact))
    found, work = _search_deep(number, segment, search, queries, k, n_threads, allowed)
    return found, segment.dense.factory, work


def chosen_params(
    segment: Segment, k: int, params: SearchParams | None, accuracy: float | None
) -> SearchParams | None:
    """The parameters to search a segment with approximately; None to search it exactly."""
    if accuracy is None:
        return params or SearchParams()
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
    postings, lists = segment.directory.work(queries)
    route = segment.seismic.route(params, k, allowed)
    cheap = prefers_exact(postings, lists, segment.entry.n_passages, k, route)
    return ["exact" if one else "seismic" for one in cheap.tolist()]


def _searcher(segment: Segment, method: Method, params: SearchParams | None) -> Searcher:
    approximate = segment.seismic if method == "seismic" else None
    index: ExactIndex | SeismicIndex = approximate or segment.exact
    options: dict[str, Any] = {"params": params} if approximate else {}

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
) -> tuple[list[list[Located]], Counters]:
    """Fetch passages until each query has k documents of the segment, or all that match.

    Passages come best first, so the first k documents among them are the best k, however many
    passages each has.
    """
    entry = segment.entry
    most = min(entry.n_passages, K_LIMIT)
    depth = k if entry.n_passages == entry.n_documents else min(FIRST_DEPTH * k, most)
    found: list[list[Located]] = [[] for _ in range(queries.shape[0])]
    rows, work = list(range(queries.shape[0])), Counters()
    while True:
        some = queries if len(rows) == queries.shape[0] else queries[rows]
        top = search(some, depth, n_threads=n_threads, allowed=allowed)
        work += top.counters
        for place, row in enumerate(rows):
            found[row] = _documents(number, segment, top, place, k)
        more = top.ordinals[:, -1] >= 0
        rows = [row for place, row in enumerate(rows) if more[place] and len(found[row]) < k]
        if not rows or depth >= most:
            return found, work
        depth = min(DEEPER * depth, most)


def _documents(number: int, segment: Segment, top: TopK, row: int, k: int) -> list[Located]:
    """The first k distinct documents among a query's passages, best passage first."""
    passages = top.ordinals[row][top.ordinals[row] >= 0]
    documents = segment.passages.documents_of(passages)
    hits: dict[int, Located] = {}
    for score, passage, document in zip(
        top.scores[row].tolist(), passages.tolist(), documents.tolist(), strict=False
    ):
        if document not in hits:
            first = int(segment.passages.starts[document])
            hits[document] = Located(score, number, document, passage - first)
            if len(hits) == k:
                break
    return list(hits.values())
