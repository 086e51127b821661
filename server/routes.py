"""The routes of version 1: collections, their documents, and searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Path, Request, Response

from .answers import (
    BatchAnswer,
    CollectionAnswer,
    CollectionsAnswer,
    DeleteAnswer,
    DocumentAnswer,
    EncodeAnswer,
    ExplainAnswer,
    SearchAnswer,
    batch_answer,
    delete_answer,
    document_answer,
    encode_answer,
    explain_answer,
    search_answer,
    summary,
)
from .backend import Backend
from .problems import declared
from .request_ids import request_id
from .schemas import BatchRequest, DeleteRequest, EncodeRequest, ExplainRequest, SearchRequest
from .threads import Threads

_QUICK_DEPTH = 100
"""Hits that a search may fetch and still be quick."""

Name = Annotated[str, Path(alias="collection", description="The collection's name.")]
DocumentId = Annotated[str, Path(alias="id", description="The document's id, slashes included.")]

_encode_json = msgspec.json.Encoder().encode


async def list_collections(request: Request) -> Response:
    """Every collection that is served."""
    backend = _backend(request)
    found = [summary(name, backend.collection(name)) for name in backend.names]
    answer: CollectionsAnswer = {"collections": found, "request_id": request_id(request)}
    return _json(answer)


async def get_collection(name: Name, request: Request) -> Response:
    """One collection."""
    found = summary(name, _backend(request).collection(name))
    answer: CollectionAnswer = {**found, "request_id": request_id(request)}
    return _json(answer)


async def get_document(name: Name, doc_id: DocumentId, request: Request) -> Response:
    """A stored document."""
    document = _backend(request).document(name, doc_id)
    return _json(document_answer(document, request_id(request)))


async def delete_documents(name: Name, body: DeleteRequest, request: Request) -> Response:
    """Remove documents by their ids, or all that a filter lets through."""
    backend = _backend(request)
    result = await _threads(request).run(lambda: backend.delete(name, body))
    return _json(delete_answer(result, request_id(request)))


async def search(name: Name, body: SearchRequest, request: Request) -> Response:
    """The best documents for a text or a sparse vector."""
    backend, threads = _backend(request), _threads(request)

    def work() -> bytes:
        found = backend.search(name, body)
        return _encode_json(search_answer(found, body.fields, body.explain, request_id(request)))

    slow = body.exact or body.accuracy == 1 or body.explain or body.highlight
    # A filter that is new takes far longer than one that is known.
    slow = slow or body.filter is not None or bool(body.facets)
    if slow or body.offset + body.k > _QUICK_DEPTH:
        return _reply(await threads.run(work))
    kind = name if body.accuracy is None else f"{name} by accuracy"
    return _reply(await threads.run_quick(kind, work))


async def search_batch(name: Name, body: BatchRequest, request: Request) -> Response:
    """The best documents for each of many texts."""
    backend = _backend(request)

    def work() -> bytes:
        results = backend.search_batch(name, body)
        return _encode_json(batch_answer(results, body.fields, request_id(request)))

    return _reply(await _threads(request).run(work))


async def explain(name: Name, body: ExplainRequest, request: Request) -> Response:
    """Which terms give a document its score for a query."""
    backend = _backend(request)
    explanation, generation = await _threads(request).run(lambda: backend.explain(name, body))
    return _json(explain_answer(explanation, generation, request_id(request)))


async def encode(name: Name, body: EncodeRequest, request: Request) -> Response:
    """The query that a text becomes: its terms and their weights."""
    backend = _backend(request)
    encoded = await _threads(request).run(lambda: backend.encode(name, body.query))
    return _json(encode_answer(encoded, request_id(request)))


_ROUTES: tuple[tuple[str, str, Callable[..., Any], type], ...] = (
    ("POST", "/{collection}/search", search, SearchAnswer),
    ("POST", "/{collection}/search:batch", search_batch, BatchAnswer),
    ("POST", "/{collection}/explain", explain, ExplainAnswer),
    ("POST", "/{collection}/encode", encode, EncodeAnswer),
    ("POST", "/{collection}/documents:delete", delete_documents, DeleteAnswer),
    ("GET", "/{collection}/documents/{id:path}", get_document, DocumentAnswer),
    ("GET", "/{collection}", get_collection, CollectionAnswer),
    ("GET", "", list_collections, CollectionsAnswer),
)
"""Tried in this order."""


def install(app: FastAPI) -> None:
    """Add the routes to `app`."""
    # Not through an APIRouter: a router that is included is matched twice for every request.
    for method, path, endpoint, answer in _ROUTES:
        asks = (400, 413, 415, 422) if method == "POST" else ()
        names = (404,) if path else ()
        app.add_api_route(
            f"/v1/collections{path}",
            endpoint,
            methods=[method],
            response_model=answer,
            responses=declared(*asks, *names),
        )


def _backend(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


def _threads(request: Request) -> Threads:
    threads: Threads = request.app.state.threads
    return threads


def _json(answer: Any) -> Response:
    return _reply(_encode_json(answer))


def _reply(encoded: bytes) -> Response:
    return Response(encoded, media_type="application/json")
