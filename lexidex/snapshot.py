"""One generation of a collection, opened for reading: search, fetch, explain. Never changes.

Its segments are those of the manifest and, behind them, the fresh ones in memory that hold what the
log adds; what the log takes away is deleted in memory. `after` makes the next generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lexidex.encoders import Encoder
from lexidex.encoders.vocabulary import Vocabulary
from lexidex.index import Counters, SearchParams, TopK
from lexidex.index.planner import prefers_exact
from lexidex.index.storage.change import Change
from lexidex.index.storage.log import Place
from lexidex.index.storage.manifest import Manifest
from lexidex.index.storage.segment import Segment
from lexidex.index.vectors import Vectors, build_vectors

from .fresh import with_change

Method: TypeAlias = Literal["exact", "seismic"]
Plan: TypeAlias = tuple[Method, ...]
"""How each segment was searched, oldest first."""


class Searcher(Protocol):
    """The search of an index, its parameters chosen."""

    def __call__(
        self, queries: Vectors, k: int, *, n_threads: int, allowed: NDArray[np.bool_] | None
    ) -> TopK: ...


@dataclass(frozen=True, slots=True)
class Located:
    """A document found: which segment, which of its documents, which passage of that."""

    score: float
    segment: int
    document: int
    passage: int


class Snapshot:
    """The segments of one generation and the encoder, weighing by their statistics."""

    def __init__(
        self,
        manifest: Manifest,
        segments: Sequence[Segment],
        encoder: Encoder,
        place: Place,
        n_terms: int,
    ) -> None:
        """Compose what is open already; `lexidex.opening` opens it.

        Args:
            segments: those of the manifest in its order, then the fresh ones, oldest first.
            place: how far the log has been followed.
            n_terms: terms of the encoder's vocabulary that are on disk, 0 where it does not grow.
        """
        self.manifest = manifest
        self.segments = list(segments)
        self.place = place
        self.n_terms = n_terms
        self._live = [segment.live_passages() for segment in self.segments]
        self.encoder = encoder.bind(self) if encoder.needs_statistics else encoder

    @property
    def generation(self) -> int:
        """The number of the last commit; grows with every write."""
        return self.place.commit

    @property
    def stored(self) -> list[Segment]:
        """The manifest's segments, in its order."""
        return self.segments[: len(self.manifest.segments)]

    @property
    def fresh(self) -> list[Segment]:
        """The segments in memory that hold the log's documents, oldest first."""
        return self.segments[len(self.manifest.segments) :]

    def after(self, change: Change, place: Place) -> Snapshot:
        """The snapshot that a commit leads to; `place` is behind its record in the log."""
        ids = change.ids
        segments = [_without(segment, ids) for segment in self.segments]
        n_stored = len(self.manifest.segments)
        segments[n_stored:] = with_change(segments[n_stored:], change)
        encoder, n_terms = self.encoder, self.n_terms
        if change.terms:
            n_terms = change.first_term + len(change.terms)
            encoder = with_terms(encoder, change.first_term, change.terms)
        return Snapshot(self.manifest, segments, encoder, place, n_terms)

    def with_fresh(self, fresh: Sequence[Segment]) -> Snapshot:
        """The same content in other fresh segments."""
        return Snapshot(
            self.manifest, [*self.stored, *fresh], self.encoder, self.place, self.n_terms
        )

    def present(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that documents have."""
        return {
            segment.documents.fetch(place, ("id",))["id"]
            for segment in self.segments
            for place in segment.locate(ids).tolist()
        }

    @property
    def n_documents(self) -> int:
        """Documents that are not deleted."""
        return sum(segment.n_live for segment in self.segments)

    def document_frequencies(self, components: NDArray[np.int32]) -> NDArray[np.int64]:
        """For each component, how many live passages have it; int64, same shape."""
        total = np.zeros(components.shape, dtype=np.int64)
        for segment in self.segments:
            total += segment.exact.document_frequencies(components)
            if segment.deleted is not None:
                total -= segment.dead_terms.frequencies(components)
        return total

    def search(
        self,
        queries: Vectors,
        k: int,
        *,
        exact: bool = False,
        params: SearchParams | None = None,
        n_threads: int = 1,
    ) -> tuple[list[list[Located]], list[Plan], Counters]:
        """The k best documents of each query, scored by their best passage.

        Args:
            exact: search every segment exactly; otherwise the planner chooses.
            params: for segments that are searched approximately.

        Returns:
            Hits and plan of each query, and the work done.
        """
        counters = Counters()
        merged: list[list[Located]] = [[] for _ in range(queries.shape[0])]
        plans: list[list[Method]] = [[] for _ in range(queries.shape[0])]
        for number, segment in enumerate(self.segments):
            methods = self._methods(segment, queries, exact, params or SearchParams())
            for method in dict.fromkeys(methods):
                rows = [row for row, chosen in enumerate(methods) if chosen == method]
                some = queries if len(rows) == len(methods) else queries[rows]
                search = _searcher(segment, method, params)
                found, work = self._search_segment(number, search, some, k, n_threads)
                counters += work
                for row, more in zip(rows, found, strict=True):
                    merged[row] += more
                    plans[row].append(method)
        for hits in merged:
            # Stable: among equal scores the older segment and the lower document stay first.
            hits.sort(key=lambda hit: -hit.score)
            del hits[k:]
        return merged, [tuple(plan) for plan in plans], counters

    def warm_up(self) -> None:
        """Call every kernel that a search may need."""
        nothing = build_vectors([([], [])], 1)
        for segment in self.segments:
            segment.exact.search(nothing, 1)
            if segment.seismic is not None:
                segment.seismic.search(nothing, 1)

    def find(self, doc_id: str) -> tuple[int, int] | None:
        """Segment number and document ordinal of a live document, or None."""
        for number, segment in enumerate(self.segments):
            document = segment.find(doc_id)
            if document is not None:
                return number, document
        return None

    def passage_vectors(self, segment: int, document: int) -> Vectors:
        """The vectors of one document's passages, csr_array (n_passages, dim)."""
        starts = self.segments[segment].passage_starts
        return self.segments[segment].vectors[int(starts[document]) : int(starts[document + 1])]

    def _methods(
        self, segment: Segment, queries: Vectors, exact: bool, params: SearchParams
    ) -> list[Method]:
        """How each query is searched in a segment."""
        if exact or segment.seismic is None:
            return ["exact"] * queries.shape[0]
        postings, lists = segment.exact.work(queries)
        cheap = prefers_exact(postings, lists, segment.entry.n_passages, params.query_cut)
        return ["exact" if one else "seismic" for one in cheap.tolist()]

    def _search_segment(
        self, number: int, search: Searcher, queries: Vectors, k: int, n_threads: int
    ) -> tuple[list[list[Located]], Counters]:
        """Fetch passages until each query has k documents of the segment, or all that match."""
        segment, depth, work = self.segments[number], k, Counters()
        while True:
            top = search(queries, depth, n_threads=n_threads, allowed=self._live[number])
            work += top.counters
            found = [_documents(number, segment, top, row, k) for row in range(queries.shape[0])]
            short = any(
                len(hits) < k and top.ordinals[row, -1] >= 0 for row, hits in enumerate(found)
            )
            if not short or depth >= segment.entry.n_passages:
                return found, work
            depth = min(2 * depth, segment.entry.n_passages)


def _searcher(segment: Segment, method: Method, params: SearchParams | None) -> Searcher:
    if method == "seismic" and segment.seismic is not None:
        return partial(segment.seismic.search, params=params)
    return segment.exact.search


def with_terms(encoder: Encoder, first: int, terms: Sequence[str]) -> Encoder:
    """The encoder with these terms from component `first` on.

    Itself where its vocabulary agrees; else a copy with a vocabulary of its own: components in
    memory that no commit kept have been given to other terms by another process.
    """
    vocabulary = encoder.vocabulary
    if vocabulary is None or vocabulary.agree(first, terms):
        return encoder
    other = copy(encoder)
    other.use_vocabulary(Vocabulary([*vocabulary.terms[:first], *terms]))
    return other


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


def _without(segment: Segment, ids: Sequence[str]) -> Segment:
    named = segment.locate(ids)
    return segment.without(named) if named.size else segment
