"""Searching one segment: how, and which documents its best passages belong to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

from lexidex.index import Allowed, Counters, ExactIndex, SearchParams, SeismicIndex, TopK
from lexidex.index.planner import prefers_exact
from lexidex.index.storage.segment import Segment
from lexidex.index.vectors import Vectors

Method: TypeAlias = Literal["exact", "seismic", "skipped"]
Plan: TypeAlias = tuple[Method, ...]
"""How each segment was searched, oldest first; those of which filter and deletions leave nothing
are not."""


Searcher: TypeAlias = Callable[[int], TopK]
"""A search for k passages, everything else chosen."""


@dataclass(frozen=True, slots=True)
class Located:
    """A document found: which segment, which of its documents, which passage of that."""

    score: float
    segment: int
    document: int
    passage: int


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
) -> tuple[list[list[Located]], Counters]:
    """The k best documents of a segment for each query, scored by their best passage.

    Args:
        number: the segment's, for what is found.
        methods: how to search for each query.
    """
    located: list[list[Located]] = [[] for _ in methods]
    counters = Counters()
    for method in dict.fromkeys(methods):
        rows = [row for row, one in enumerate(methods) if one == method]
        some = queries if len(rows) == len(methods) else queries[rows]
        search = _searcher(segment, method, some, params, allowed, n_threads)
        found, work = _search_deep(number, segment, search, len(rows), k)
        counters += work
        for row, hits in zip(rows, found, strict=True):
            located[row] = hits
    return located, counters


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
    postings, lists = segment.exact.work(queries)
    route = segment.seismic.route(params, k, allowed)
    cheap = prefers_exact(postings, lists, segment.entry.n_passages, k, route)
    return ["exact" if one else "seismic" for one in cheap.tolist()]


def _searcher(
    segment: Segment,
    method: Method,
    queries: Vectors,
    params: SearchParams | None,
    allowed: Allowed | None,
    n_threads: int,
) -> Searcher:
    index: ExactIndex | SeismicIndex = segment.exact
    options: dict[str, Any] = {}
    if method == "seismic" and segment.seismic is not None:
        index, options = segment.seismic, {"params": params}
    if queries.shape[0] == 1:  # the short way
        one = partial(index.search_one, queries.indices, queries.data)
        return partial(one, allowed=allowed, **options)
    many = partial(index.search, queries)
    return partial(many, n_threads=n_threads, allowed=allowed, **options)


def _search_deep(
    number: int, segment: Segment, search: Searcher, n_queries: int, k: int
) -> tuple[list[list[Located]], Counters]:
    """Fetch passages until each query has k documents of the segment, or all that match."""
    depth, work = k, Counters()
    while True:
        top = search(depth)
        work += top.counters
        found = [_documents(number, segment, top, row, k) for row in range(n_queries)]
        short = any(len(hits) < k and top.ordinals[row, -1] >= 0 for row, hits in enumerate(found))
        if not short or depth >= segment.entry.n_passages:
            return found, work
        depth = min(2 * depth, segment.entry.n_passages)


def _documents(number: int, segment: Segment, top: TopK, row: int, k: int) -> list[Located]:
    """The first k distinct documents among a query's passages, best passage first."""
    passages = top.ordinals[row][top.ordinals[row] >= 0]
    documents = segment.documents_of(passages)
    hits: dict[int, Located] = {}
    for score, passage, document in zip(
        top.scores[row].tolist(), passages.tolist(), documents.tolist(), strict=False
    ):
        if document not in hits:
            first = int(segment.passage_starts[document])
            hits[document] = Located(score, number, document, passage - first)
            if len(hits) == k:
                break
    return list(hits.values())
