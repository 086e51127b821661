"""What clients are told: the shape of every answer, and how results become one.

The shapes are typed dictionaries: the OpenAPI document describes them, mypy checks that they are
built as described, and msgspec writes them without another pass over the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired

from typing_extensions import TypedDict

from lexidex.collection import Collection
from lexidex.documents import Document
from lexidex.index import Counters
from lexidex.index.dense import Metric
from lexidex.index.filters import FacetCount
from lexidex.passages import PassageParams
from lexidex.results import Explanation, Hit, LegScore, SearchResult, TermContribution

from .backend import Encoded, Found
from .highlights import Highlight


class DenseAnswer(TypedDict):
    """A dense side: `kind` is "vectors", "joint" or a model's; `dimensions` once they are known."""

    kind: str
    metric: Metric
    dimensions: NotRequired[int]


class CollectionSummary(TypedDict):
    """A collection, as it stands.

    `passages`: what becomes of long documents. `dense`: its dense side, if it has one.
    """

    name: str
    documents: int
    generation: int
    encoder: str
    passages: PassageParams
    dense: NotRequired[DenseAnswer]


class CollectionAnswer(CollectionSummary):
    """One collection."""

    request_id: str


class CollectionError(TypedDict):
    """Why a collection cannot be used; requests to it answer 503 `corrupt_collection`."""

    code: str
    detail: str


class DamagedCollection(TypedDict):
    """A collection that cannot be used."""

    name: str
    error: CollectionError


class CollectionsAnswer(TypedDict):
    """Every collection that is served, or would be if it could be used."""

    collections: list[CollectionSummary | DamagedCollection]
    request_id: str


class DocumentAnswer(TypedDict):
    """A stored document."""

    id: str
    title: str | None
    text: str
    metadata: Mapping[str, Any]
    request_id: str


class PassageAnswer(TypedDict):
    """The passage of a document that has its score; `start` and `end` count code points.

    `number`: among the document's passages, from 0.
    `text`: if the request's `fields` name `passage`.
    """

    number: int
    start: int
    end: int
    text: NotRequired[str | None]


class HitAnswer(TypedDict):
    """A document found; title, text and metadata if the request's `fields` name them.

    `legs`, of a dense or hybrid search: what each leg that knows the document says of it; of a
    reranked one also `first`, the search before, and `rerank`, which add up to the score.
    `terms`, if asked for: those that make up the sparse score, whose passage may be another one
    than `passage` in a hybrid or reranked search.
    """

    id: str
    score: float
    passage: PassageAnswer
    title: NotRequired[str | None]
    text: NotRequired[str | None]
    metadata: NotRequired[Mapping[str, Any]]
    legs: NotRequired[Mapping[str, LegScore]]
    terms: NotRequired[list[TermContribution]]
    highlights: NotRequired[list[Highlight]]


class TimingsAnswer(TypedDict):
    """Wall time of the parts of a search, in microseconds; `rerank_us` of one that is reranked."""

    encode_us: float
    search_us: float
    fuse_us: float
    rerank_us: NotRequired[float]
    fetch_us: float
    explain_us: NotRequired[float]


class SearchAnswer(TypedDict):
    """Hits, best first, and how they came about.

    `plan`: how each segment was searched, "exact", "seismic", by an index of dense vectors such as
    "HNSW32_SQ8" or, where no document passes the filter, "skipped"; oldest segment first, those in
    memory last; in mode "hybrid" of the sparse leg, then of the dense one.
    `facets`: for each field asked for, its most frequent values among all documents that pass the
    filter, with their numbers of documents.
    `ignored_terms`: terms of the query that no document can match.
    `counters`: work done in the index.
    """

    hits: list[HitAnswer]
    timings: TimingsAnswer
    generation: int
    plan: Sequence[str]
    ignored_terms: list[str]
    facets: NotRequired[Mapping[str, list[FacetCount]]]
    counters: Counters
    request_id: str


class BatchResult(TypedDict):
    """The hits of one query of a batch, best first, and `plan` as a single search tells it."""

    hits: list[HitAnswer]
    plan: Sequence[str]
    ignored_terms: list[str]


class BatchAnswer(TypedDict):
    """A result for each query, in order; timings and counters are those of the whole batch."""

    results: list[BatchResult]
    timings: TimingsAnswer
    generation: int
    counters: Counters
    request_id: str


class ExplainAnswer(TypedDict):
    """Why a document has its score: the products of `terms`, largest first, add up to it."""

    id: str
    score: float
    terms: list[TermContribution]
    passage: int
    ignored_terms: list[str]
    generation: int
    request_id: str


class EncodeTimings(TypedDict):
    """Wall time of encoding, in microseconds."""

    encode_us: float


class EncodeAnswer(TypedDict):
    """The query that a text becomes: weights by term, largest first."""

    terms: dict[str, float]
    timings: EncodeTimings
    generation: int
    ignored_terms: list[str]
    request_id: str


class StatusAnswer(TypedDict):
    """How the server is."""

    status: str


def summary(name: str, collection: Collection) -> CollectionSummary:
    """A collection in a list of collections."""
    told: CollectionSummary = {
        "name": name,
        "documents": len(collection),
        "generation": collection.generation,
        "encoder": collection.encoder.name,
        "passages": collection.passages,
    }
    side, dimensions = collection.dense_side, collection.dense_dim
    if side is not None:
        told["dense"] = {"kind": side.kind, "metric": side.params.metric}
        if dimensions is not None:
            told["dense"]["dimensions"] = dimensions
    return told


def document_answer(document: Document, request_id: str) -> DocumentAnswer:
    """A stored document."""
    return {
        "id": document.id,
        "title": document.title,
        "text": document.text,
        "metadata": document.metadata,
        "request_id": request_id,
    }


def search_answer(found: Found, fields: Sequence[str], request_id: str) -> SearchAnswer:
    """The hits of one search, with the explanations and highlights that were asked for."""
    result = found.result
    hits = [_hit(one, fields) for one in result.hits]
    timings = _timings(result)
    for hit, explanation in zip(hits, found.explanations, strict=False):
        hit["terms"] = explanation.terms
    for hit, highlights in zip(hits, found.highlights, strict=False):
        hit["highlights"] = highlights
    if found.explain_us is not None:
        timings["explain_us"] = found.explain_us
    answer: SearchAnswer = {
        "hits": hits,
        "timings": timings,
        "generation": result.generation,
        "plan": result.plan,
        "ignored_terms": result.ignored_terms,
        "counters": result.counters,
        "request_id": request_id,
    }
    if result.facets:
        answer["facets"] = result.facets
    return answer


def batch_answer(
    results: Sequence[SearchResult], fields: Sequence[str], request_id: str
) -> BatchAnswer:
    """The hits of searches that ran together; there is at least one."""
    return {
        "results": [
            {
                "hits": [_hit(hit, fields) for hit in result.hits],
                "plan": result.plan,
                "ignored_terms": result.ignored_terms,
            }
            for result in results
        ],
        "timings": _timings(results[0]),
        "generation": results[0].generation,
        "counters": results[0].counters,
        "request_id": request_id,
    }


def explain_answer(explanation: Explanation, generation: int, request_id: str) -> ExplainAnswer:
    """One explanation."""
    return {
        "id": explanation.doc_id,
        "score": explanation.score,
        "terms": explanation.terms,
        "passage": explanation.passage,
        "ignored_terms": explanation.ignored_terms,
        "generation": generation,
        "request_id": request_id,
    }


def encode_answer(encoded: Encoded, request_id: str) -> EncodeAnswer:
    """One text as the query that it becomes."""
    return {
        "terms": encoded.weights,
        "timings": {"encode_us": encoded.encode_us},
        "generation": encoded.generation,
        "ignored_terms": encoded.ignored_terms,
        "request_id": request_id,
    }


def _hit(hit: Hit, fields: Sequence[str]) -> HitAnswer:
    passage: PassageAnswer = {
        "number": hit.passage.number,
        "start": hit.passage.start,
        "end": hit.passage.end,
    }
    if "passage" in fields:
        passage["text"] = hit.passage.text
    answer: HitAnswer = {"id": hit.doc_id, "score": hit.score, "passage": passage}
    if "title" in fields:
        answer["title"] = hit.title
    if "text" in fields:
        answer["text"] = hit.text
    if "metadata" in fields:
        answer["metadata"] = hit.metadata
    if hit.legs:
        answer["legs"] = hit.legs
    return answer


def _timings(result: SearchResult) -> TimingsAnswer:
    timings = result.timings
    answer: TimingsAnswer = {
        "encode_us": timings.encode_us,
        "search_us": timings.search_us,
        "fuse_us": timings.fuse_us,
        "fetch_us": timings.fetch_us,
    }
    if timings.rerank_us is not None:
        answer["rerank_us"] = timings.rerank_us
    return answer
