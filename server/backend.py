"""Reading the collections behind the server: requests in, typed results out; no HTTP in it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import Self

from lexidex.collection import Collection
from lexidex.documents import Document, SparseInput
from lexidex.encoders import Encoder
from lexidex.errors import DocumentNotFound
from lexidex.results import Explanation, SearchResult

from .catalog import Catalog
from .highlights import Highlight, highlights
from .rerankers import ServedRerankers
from .schemas import Asked, BatchRequest, ExplainRequest, SearchRequest
from .snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        result: its hits are those from the request's offset on.
        explanations: one a hit when terms were asked for, else empty.
        highlights: one list a hit when they were asked for, else empty.
        explain_us: wall time of explanations and highlights, in microseconds, if there are any.
    """

    result: SearchResult
    explanations: list[Explanation]
    highlights: list[list[Highlight]]
    explain_us: float | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text as the query that it becomes: weights by term, largest first."""

    weights: dict[str, float]
    ignored_terms: list[str]
    encode_us: float
    generation: int


class Backend:
    """Reads the collections of a catalog. Safe to use from many threads."""

    def __init__(self, catalog: Catalog, rerankers: ServedRerankers | None = None) -> None:
        """Read these collections, and rerank by these."""
        self.catalog = catalog
        self.snapshots = Snapshots(catalog)
        self.rerankers = rerankers or ServedRerankers()

    @classmethod
    def open(
        cls,
        directory: str | PathLike[str],
        rerankers: Sequence[str] = (),
        trust_remote_code: bool = False,
    ) -> Self:
        """Read what is in a folder; see `Catalog.open` and `ServedRerankers.load`."""
        catalog = Catalog.open(directory, trust_remote_code)
        return cls(catalog, ServedRerankers.load(rerankers))

    @property
    def names(self) -> list[str]:
        """Names of the collections, in order."""
        return self.catalog.names

    @property
    def collections(self) -> list[tuple[str, Collection]]:
        """The collections with their names, in their order."""
        return self.catalog.items

    def collection(self, name: str) -> Collection:
        """The collection of that name; CollectionNotFound if there is none."""
        return self.catalog.get(name)

    def warm_up(self) -> None:
        """Do now what would make a first search slow."""
        self.catalog.warm_up()

    def refresh(self) -> None:
        """Follow what other processes have written."""
        self.catalog.refresh_all()

    def search(self, name: str, request: SearchRequest) -> Found:
        """Hits of one query, explained and highlighted when the request asks for it."""
        collection = self.collection(name)
        reranking = self.rerankers.params(request.rerank)
        while True:
            result = collection.search(
                request.query,
                request.k,
                mode=request.mode,
                sparse=request.vector,
                dense=request.dense,
                exact=request.exact,
                fusion=request.fusion.params() if request.fusion else None,
                accuracy=request.accuracy,
                fields=request.fields,
                filter=request.filter,
                facets=request.facets,
                rerank=reranking,
                offset=request.offset,
            )
            if not (request.explain or request.highlight):
                return Found(result, [], [])
            try:
                found = _explained(collection, request, result)
            except DocumentNotFound:
                # Gone since the search: only a newer generation can lack it.
                continue
            if collection.generation == result.generation:
                return found

    def search_batch(self, name: str, request: BatchRequest) -> list[SearchResult]:
        """Hits of many texts, in order of the texts."""
        return self.collection(name).search_batch(
            request.queries,
            request.k,
            mode=request.mode,
            exact=request.exact,
            accuracy=request.accuracy,
            fusion=request.fusion.params() if request.fusion else None,
            fields=request.fields,
            filter=request.filter,
            rerank=self.rerankers.params(request.rerank),
        )

    def explain(self, name: str, request: ExplainRequest) -> tuple[Explanation, int]:
        """Why a document has its score for a query, and in which generation."""
        collection = self.collection(name)
        asked = request.query if request.query is not None else request.vector or {}
        generation = collection.generation
        with _named(name):
            return collection.explain(asked, request.id), generation

    def encode(self, name: str, query: str) -> Encoded:
        """The query that a text becomes."""
        collection = self.collection(name)
        encoder, generation = collection.encoder, collection.generation
        started = time.perf_counter()
        vector = encoder.encode_queries([query])
        ignored = encoder.ignored_terms(query)
        seconds = time.perf_counter() - started
        weights = sorted(
            zip(vector.data.tolist(), vector.indices.tolist(), strict=True), reverse=True
        )
        named = {encoder.term(component): weight for weight, component in weights}
        return Encoded(named, ignored, round(1e6 * seconds, 1), generation)

    def document(self, name: str, doc_id: str) -> Document:
        """The stored document with that id.

        Raises:
            DocumentNotFound: there is none.
        """
        with _named(name):
            return self.collection(name).get(doc_id)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Errors about documents name the collection; its folder is none of a client's business."""
    try:
        yield
    except DocumentNotFound:
        raise DocumentNotFound(f"collection {name!r} has no such document") from None


def _explained(collection: Collection, request: SearchRequest, result: SearchResult) -> Found:
    """`result` with what is asked of terms and highlights; the query is encoded once for all."""
    started = time.perf_counter()
    encoder = collection.encoder
    asked = _as_vector(encoder, request)
    explanations, shown = [], []
    for hit in result:
        known = {}
        if request.explain:
            known[hit.sparse_passage] = collection.explain(asked, hit.doc_id, hit.sparse_passage)
            explanations.append(known[hit.sparse_passage])
        if request.highlight:  # of the passage that is shown, which may be another one
            number = hit.passage.number
            explanation = known.get(number) or collection.explain(asked, hit.doc_id, number)
            shown.append(highlights(encoder, explanation, hit))
    microseconds = 1e6 * (time.perf_counter() - started)
    return Found(result, explanations, shown, round(microseconds, 1))


def _as_vector(encoder: Encoder, request: Asked) -> SparseInput:
    if request.query is None:
        return request.vector or {}
    vector = encoder.encode_queries([request.query])
    return {"components": vector.indices.tolist(), "values": vector.data.tolist()}
