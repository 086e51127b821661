"""The routes of version 1: collections, their documents, and searches."""

from __future__ import annotations

from fastapi import Request, Response

from lexidex.errors import CorruptCollection

from .answers import (
    BatchAnswer,
    CollectionAnswer,
    CollectionsAnswer,
    CollectionSummary,
    DamagedCollection,
    DocumentAnswer,
    EncodeAnswer,
    ExplainAnswer,
    SearchAnswer,
    batch_answer,
    document_answer,
    encode_answer,
    explain_answer,
    search_answer,
    summary,
)
from .problems import describe
from .request_ids import request_id
from .routing import DocumentId, Name, Route, encode_json, json_reply, reading, reply, threads
from .schemas import BatchRequest, EncodeRequest, ExplainRequest, SearchRequest

_QUICK_DEPTH = 100
"""Hits that a search may fetch and still be quick."""


async def list_collections(request: Request) -> Response:
    """Every collection that is served."""
    backend = await reading(request)
    found: dict[str, CollectionSummary | DamagedCollection] = {
        name: {"name": name, "error": {"code": code, "detail": describe(CorruptCollection())}}
        for name, code in backend.catalog.damaged.items()
    }
    found |= {name: summary(name, collection) for name, collection in backend.collections}
    answer: CollectionsAnswer = {
        "collections": [found[name] for name in sorted(found)],
        "request_id": request_id(request),
    }
    return json_reply(answer)


async def get_collection(name: Name, request: Request) -> Response:
    """One collection."""
    backend = await reading(request, name)
    found = summary(name, backend.collection(name))
    answer: CollectionAnswer = {**found, "request_id": request_id(request)}
    return json_reply(answer)


async def get_document(name: Name, doc_id: DocumentId, request: Request) -> Response:
    """A stored document."""
    backend = await reading(request, name)
    document = backend.document(name, doc_id)
    return json_reply(document_answer(document, request_id(request)))


async def search(name: Name, body: SearchRequest, request: Request) -> Response:
    """The best documents for a text or a sparse vector."""
    backend, run_in = await reading(request, name), threads(request)

    def work() -> bytes:
        found = backend.search(name, body)
        return encode_json(search_answer(found, body.fields, request_id(request)))

    slow = body.exact or body.accuracy == 1 or body.explain or body.highlight
    # A filter that is new takes far longer than one that is known.
    slow = slow or body.filter is not None or bool(body.facets) or body.rerank is not None
    if slow or body.offset + body.k > _QUICK_DEPTH:
        return reply(await run_in.run(work))
    kind = name if body.accuracy is None else f"{name} by accuracy"
    return reply(await run_in.run_quick(kind, work))


async def search_batch(name: Name, body: BatchRequest, request: Request) -> Response:
    """The best documents for each of many texts."""
    backend = await reading(request, name)

    def work() -> bytes:
        results = backend.search_batch(name, body)
        return encode_json(batch_answer(results, body.fields, request_id(request)))

    return reply(await threads(request).run(work))


async def explain(name: Name, body: ExplainRequest, request: Request) -> Response:
    """Which terms give a document its score for a query."""
    backend = await reading(request, name)
    explanation, generation = await threads(request).run(lambda: backend.explain(name, body))
    return json_reply(explain_answer(explanation, generation, request_id(request)))


async def encode(name: Name, body: EncodeRequest, request: Request) -> Response:
    """The query that a text becomes: its terms and their weights."""
    backend = await reading(request, name)
    encoded = await threads(request).run(lambda: backend.encode(name, body.query))
    return json_reply(encode_answer(encoded, request_id(request)))


ROUTES = (
    Route("POST", "/v1/collections/{collection}/search", search, SearchAnswer),
    Route("POST", "/v1/collections/{collection}/search:batch", search_batch, BatchAnswer),
    Route("POST", "/v1/collections/{collection}/explain", explain, ExplainAnswer),
    Route("POST", "/v1/collections/{collection}/encode", encode, EncodeAnswer),
    Route("GET", "/v1/collections/{collection}/documents/{id:path}", get_document, DocumentAnswer),
    Route("GET", "/v1/collections/{collection}", get_collection, CollectionAnswer),
    Route("GET", "/v1/collections", list_collections, CollectionsAnswer),
)
