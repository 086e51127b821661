"""One generation of a collection, opened for reading: search, fetch, explain. Never changes.

Its segments are those of the manifest and, behind them, the fresh ones in memory that hold what the
log adds; what the log takes away is deleted in memory. `after` makes the next generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lexidex.encoders import Encoder
from lexidex.encoders.vocabulary import Vocabulary
from lexidex.index import Allowed, Counters, DenseSearchParams, SearchParams
from lexidex.index.filters import Expression, FacetCount, FacetCounts, MaskCache, Selection
from lexidex.index.filters.expression import And
from lexidex.index.storage.change import Change
from lexidex.index.storage.log import Place
from lexidex.index.storage.manifest import Manifest
from lexidex.index.storage.segment import Segment
from lexidex.index.vectors import Float32s, Vectors, build_vectors

from .dense_side import DenseDrafter, DenseSide
from .fresh import with_change
from .passages import PassageParams
from .segment_search import (
    Hits,
    Plan,
    chosen_params,
    methods_for,
    search_dense,
    search_segment,
)

EVERYTHING = And(())
"""The filter that lets every live document through."""


class Snapshot:
    """The segments of one generation and the encoder, weighing by their statistics."""

    def __init__(
        self,
        manifest: Manifest,
        segments: Sequence[Segment],
        encoder: Encoder,
        place: Place,
        n_terms: int,
        former: Snapshot | None = None,
        dense_side: DenseSide | None = None,
    ) -> None:
        """Compose what is open already; `lexidex.opening` opens it.

        Args:
            segments: those of the manifest in its order, then the fresh ones, oldest first.
            place: how far the log has been followed.
            n_terms: terms of the encoder's vocabulary that are on disk, 0 where it does not grow.
            former: a snapshot of the same collection; what filters left of segments is kept.
            dense_side: where dense vectors come from; None for a collection without.
        """
        self.manifest = manifest
        self.segments = list(segments)
        self.place = place
        self.n_terms = n_terms
        self.dense_side = dense_side
        self._live = [segment.live for segment in self.segments]
        self._selections: MaskCache = former._selections if former else MaskCache()
        self.encoder = encoder.bind(PassageStatistics(self))

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
        side = self.dense_side
        return Snapshot(self.manifest, segments, encoder, place, n_terms, self, side)

    def with_fresh(self, fresh: Sequence[Segment]) -> Snapshot:
        """The same content in other fresh segments."""
        return self.rearranged(self.manifest, [*self.stored, *fresh])

    def rearranged(self, manifest: Manifest, segments: Sequence[Segment]) -> Snapshot:
        """The same content as another manifest of the same generation has it."""
        kept = self.encoder, self.place, self.n_terms
        return Snapshot(manifest, segments, *kept, self, self.dense_side)

    def present(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that documents have."""
        return {
            segment.documents.fetch(place, ("id",))["id"]
            for segment in self.segments
            for place in segment.locate(ids).tolist()
        }

    @property
    def passage_params(self) -> PassageParams:
        """What becomes of long documents that are written."""
        return PassageParams(**self.manifest.passages)

    @property
    def dense_dim(self) -> int | None:
        """Dimensions of the dense vectors; None while there are none."""
        return next((s.dense_dim for s in self.segments if s.dense_dim is not None), None)

    @property
    def dense_lower_bound(self) -> float | None:
        """The least score of a dense search: -1 for cosines; None where there is no such bound."""
        side = self.dense_side
        return -1.0 if side is not None and side.params.metric == "cosine" else None

    def dense_drafter(self, encoder: Encoder) -> DenseDrafter | None:
        """What drafts the dense vectors of documents to be written; None without a dense side.

        Args:
            encoder: that their sparse vectors are made by.

        Raises:
            ParameterError: the dense side is another encoder's own.
        """
        side = self.dense_side
        return None if side is None else DenseDrafter(side.beside(encoder), self.dense_dim)

    @property
    def n_documents(self) -> int:
        """Documents that are not deleted."""
        return sum(segment.n_live for segment in self.segments)

    @property
    def n_passages(self) -> int:
        """Passages of those."""
        return sum(segment.n_live_passages for segment in self.segments)

    def document_frequencies(self, components: NDArray[np.int32]) -> NDArray[np.int64]:
        """For each component, how many live passages have it; int64, same shape."""
        total = np.zeros(components.shape, dtype=np.int64)
        for segment in self.segments:
            total += segment.directory.document_frequencies(components)
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
        accuracy: float | None = None,
        n_threads: int = 1,
        expression: Expression | None = None,
        sought: int | None = None,
    ) -> tuple[list[Hits], list[Plan], Counters]:
        """The k best documents of each query, scored by their best passage.

        Args:
            exact: search every segment exactly; otherwise the planner chooses.
            params: for segments that are searched approximately.
            accuracy: instead of params: each segment takes the cheapest that tuning found to reach
                it for k, or as many as are sought, and is searched exactly where there are none.
            expression: a filter that documents must pass.
            sought: see `SeismicIndex.search`; of candidates that are to be scored anew.

        Returns:
            Hits and plan of each query, and the work done.
        """
        counters = Counters()
        parts: list[list[Hits]] = [[] for _ in range(queries.shape[0])]
        plans: list[list[str]] = [[] for _ in range(queries.shape[0])]
        for number, segment in enumerate(self.segments):
            allowed = self._allowed(number, expression)
            if allowed and not allowed.count:
                for plan in plans:
                    plan.append("skipped")
                continue
            searched = min(k, sought or k)
            chosen = None if exact else chosen_params(segment, searched, params, accuracy)
            methods = methods_for(segment, queries, k, chosen, allowed)
            found, methods, work = search_segment(
                number,
                segment,
                queries,
                k,
                methods,
                chosen,
                allowed,
                n_threads=n_threads,
                sought=sought,
            )
            counters += work
            for row, (more, method) in enumerate(zip(found, methods, strict=True)):
                parts[row].append(more)
                plans[row].append(method)
        merged = [Hits.best(some, k) for some in parts]
        return merged, [tuple(plan) for plan in plans], counters

    def search_dense(
        self,
        queries: Float32s,
        k: int,
        *,
        params: DenseSearchParams | None = None,
        n_threads: int = 1,
        expression: Expression | None = None,
    ) -> tuple[list[Hits], list[Plan], Counters]:
        """The k best documents of each query, scored by the best dense vector of theirs.

        Args:
            queries: float32 (n, d).
            params: how; None takes the defaults.
            expression: a filter that documents must pass.

        Returns:
            Hits and plan of each query, and the work done.
        """
        counters = Counters()
        parts: list[list[Hits]] = [[] for _ in queries]
        plans: list[list[str]] = [[] for _ in queries]
        chosen = params or DenseSearchParams()
        for number, segment in enumerate(self.segments):
            allowed = self._allowed(number, expression)
            if allowed and not allowed.count:
                for plan in plans:
                    plan.append("skipped")
                continue
            found, ways, work = search_dense(
                number, segment, queries, k, allowed, params=chosen, n_threads=n_threads
            )
            counters += work
            for row, (more, way) in enumerate(zip(found, ways, strict=True)):
                parts[row].append(more)
                plans[row].append(way)
        return [Hits.best(some, k) for some in parts], [tuple(plan) for plan in plans], counters

    def select(self, number: int, expression: Expression) -> Selection:
        """The live documents of one segment that a filter lets through; kept for the next time."""
        segment = self.segments[number]
        key = (segment.version, expression)
        return self._selections.get(key, lambda: segment.select(expression))

    def count(self, expression: Expression) -> int:
        """How many live documents a filter lets through."""
        numbers = range(len(self.segments))
        return sum(self.select(number, expression).n_documents for number in numbers)

    def ids(self, expression: Expression) -> list[str]:
        """Ids of the live documents that a filter lets through."""
        found: list[str] = []
        for number, segment in enumerate(self.segments):
            mask = pa.array(self.select(number, expression).documents)
            found += segment.documents.ids().filter(mask).to_pylist()
        return found

    def facets(
        self, fields: Sequence[str], expression: Expression, n: int
    ) -> dict[str, list[FacetCount]]:
        """The `n` most frequent values of each field, over live documents that pass a filter."""
        counts = {field: FacetCounts(field) for field in fields}
        for number, segment in enumerate(self.segments):
            selection = self.select(number, expression)
            for one in counts.values() if selection.n_documents else ():
                one.add(segment.metadata, selection.documents)
        return {field: one.most_frequent(n) for field, one in counts.items()}

    def warm_up(self) -> None:
        """Call every kernel that a search may need."""
        nothing = build_vectors([([], [])], 1)
        for segment in self.segments:
            segment.exact.search(nothing, 1)
            if segment.seismic is not None:
                segment.seismic.search(nothing, 1)
                segment.seismic.search(nothing, 1, allowed=np.zeros(0, dtype=np.int64))

    def find(self, doc_id: str) -> tuple[int, int] | None:
        """Segment number and document ordinal of a live document, or None."""
        for number, segment in enumerate(self.segments):
            document = segment.find(doc_id)
            if document is not None:
                return number, document
        return None

    def passage_vectors(self, segment: int, document: int) -> Vectors:
        """The vectors of one document's passages, csr_array (n_passages, dim)."""
        chosen = self.segments[segment]
        return chosen.rows(chosen.passages.of(np.array([document])))

    def dense_vectors(self, segment: int, document: int, dim: int) -> Float32s:
        """The dense vectors of one document's passages, float32 (n, dim)."""
        chosen = self.segments[segment]
        if chosen.dense is None:
            return np.zeros((0, dim), dtype=np.float32)
        return chosen.dense.rows_of(chosen.passages.of(np.array([document])))[0]

    def _allowed(self, number: int, expression: Expression | None) -> Allowed | None:
        """The passages of a segment that a search may find; None for all.

        The one place where filters and deletions are handed to the indexes.
        """
        if expression is None:
            return self._live[number]
        selection = self.select(number, expression)
        if selection.n_documents == self.segments[number].n_live:
            return self._live[number]
        return selection.passages


@dataclass(frozen=True)
class PassageStatistics:
    """What encoders weigh by: passages are their documents."""

    snapshot: Snapshot

    @property
    def n_documents(self) -> int:
        """Number of live passages."""
        return self.snapshot.n_passages

    def document_frequencies(self, components: NDArray[np.int32]) -> NDArray[np.int64]:
        """For each component, how many of them have it."""
        return self.snapshot.document_frequencies(components)


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


def _without(segment: Segment, ids: Sequence[str]) -> Segment:
    named = segment.locate(ids)
    return segment.without(named) if named.size else segment
