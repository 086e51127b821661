"""The routes that change documents, and which collections there are."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Body, Path, Request, Response
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from lexidex.errors import InputError

from .answers import CollectionAnswer, summary
from .importing import BATCH_BYTES, BATCH_LINES, BadLine, Import, ImportSummary, Line, Lines
from .problems import declared
from .request_ids import request_id
from .routing import DocumentId, Name, Route, json_reply, reading, write, writers
from .write_answers import (
    DeleteAnswer,
    RemovedAnswer,
    UpdateAnswer,
    UpsertAnswer,
    WriteAnswer,
    delete_answer,
    update_answer,
    upsert_answer,
    write_answer,
)
from .write_schemas import (
    COLLECTION_NAME,
    CreateRequest,
    DeleteRequest,
    DocumentBody,
    DocumentList,
    MetadataBody,
    UpdateList,
    UpdateRequest,
    UpsertRequest,
)
from .writes import WriteAccess, Writes

NewName = Annotated[
    str, Path(alias="collection", pattern=COLLECTION_NAME, description="The collection's name.")
]

JSON_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
"""Media types of JSON lines; none of them is registered, all are in use."""


async def create_collection(name: NewName, body: CreateRequest, request: Request) -> Response:
    """Make an empty collection in the folder that is served."""
    await write(request, Writes.create_collection, name, **body.model_dump())
    backend = await reading(request, name)
    found = summary(name, backend.collection(name))
    answer: CollectionAnswer = {**found, "request_id": request_id(request)}
    return json_reply(answer, 201, {"Location": f"/v1/collections/{quote(name)}"})


async def remove_collection(name: Name, request: Request) -> Response:
    """Remove a collection with all of its documents; tasks that work on it are cancelled."""
    await write(request, Writes.remove_collection, name)
    answer: RemovedAnswer = {"name": name, "request_id": request_id(request)}
    return json_reply(answer)


async def put_documents(
    name: Name, body: Annotated[UpsertRequest, Body()], request: Request
) -> Response:
    """Add documents; one whose id is known replaces that document.

    When the answer comes, they are on disk and searches see them.
    """
    documents = body.documents if isinstance(body, DocumentList) else body
    result = await write(request, Writes.upsert, name, documents)
    return json_reply(upsert_answer(result, request_id(request)))


async def patch_documents(
    name: Name, body: Annotated[UpdateRequest, Body()], request: Request
) -> Response:
    """Give documents other metadata, without encoding them again."""
    documents = body.documents if isinstance(body, UpdateList) else body
    updates = [one.model_dump() for one in documents]
    result = await write(request, Writes.update, name, updates)
    return json_reply(update_answer(result, request_id(request)))


async def delete_documents(name: Name, body: DeleteRequest, request: Request) -> Response:
    """Remove documents by their ids, or all that a filter lets through."""
    return await _delete(name, body, request)


async def delete_documents_by_post(name: Name, body: DeleteRequest, request: Request) -> Response:
    """The same for clients that cannot send a body with DELETE."""
    return await _delete(name, body, request)


async def put_document(
    name: Name, doc_id: DocumentId, body: DocumentBody, request: Request
) -> Response:
    """Add a document, or replace the one of that id."""
    document = {"id": doc_id, **body.model_dump(exclude_none=True)}
    if document["id"] != doc_id:
        raise InputError(f"id: {document['id']!r} is not the path's; leave it out")
    result = await write(request, Writes.put, name, document)
    return json_reply(write_answer(doc_id, result, request_id(request)))


async def patch_document(
    name: Name, doc_id: DocumentId, body: MetadataBody, request: Request
) -> Response:
    """Give a document other metadata, without encoding it again."""
    update = {"id": doc_id, "metadata": body.metadata}
    result = await write(request, Writes.patch, name, update)
    return json_reply(write_answer(doc_id, result, request_id(request)))


async def delete_document(name: Name, doc_id: DocumentId, request: Request) -> Response:
    """Remove a document."""
    result = await write(request, Writes.delete_one, name, doc_id)
    return json_reply(write_answer(doc_id, result, request_id(request)))


async def import_documents(name: Name, request: Request) -> Response:
    """Add documents from JSON lines, one a line, of any number; see `index` for their fields.

    The body is read as it comes and written every few thousand lines. The answer, when all is
    read, has a line for each bad line, and a closing line that counts. Where it has to stop, the
    problem's `imported` tells which lines are in; the next import goes on behind them.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in JSON_LINES:
        raise HTTPException(415, f"send the body as {JSON_LINES[0]}, one JSON object a line")
    backend = await reading(request, name)
    backend.collection(name)
    access: WriteAccess = request.app.state.writes
    under_way = Import(
        lambda documents: access.call(Writes.upsert, name, documents), request_id(request)
    )
    try:
        await _take_all(request, under_way)
    except BaseException as error:
        under_way.close()
        if isinstance(error, ClientDisconnect):
            return Response(status_code=400)  # read by nobody
        raise
    return StreamingResponse(under_way.answer(), media_type=JSON_LINES[0])


_IMPORT: dict[str, Any] = {
    "response_class": Response,  # without a media type of its own, which would be described, too
    "responses": {
        **declared(415),
        200: {
            "description": "A line for each bad line, and the summary",
            "content": {
                JSON_LINES[0]: {
                    "schema": {
                        "oneOf": [
                            TypeAdapter(shape).json_schema() for shape in (BadLine, ImportSummary)
                        ]
                    }
                }
            },
        },
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {media_type: {"schema": {"type": "string"}} for media_type in JSON_LINES},
        }
    },
}

_ONE = "/v1/collections/{collection}"
ROUTES = (
    Route("PUT", f"{_ONE}/documents", put_documents, UpsertAnswer),
    Route("PATCH", f"{_ONE}/documents", patch_documents, UpdateAnswer),
    Route("DELETE", f"{_ONE}/documents", delete_documents, DeleteAnswer),
    Route("POST", f"{_ONE}/documents:delete", delete_documents_by_post, DeleteAnswer),
    Route("POST", f"{_ONE}/documents:import", import_documents, None, more=_IMPORT),
    Route("PUT", f"{_ONE}/documents/{{id:path}}", put_document, WriteAnswer),
    Route("PATCH", f"{_ONE}/documents/{{id:path}}", patch_document, WriteAnswer),
    Route("DELETE", f"{_ONE}/documents/{{id:path}}", delete_document, WriteAnswer),
    Route("PUT", _ONE, create_collection, CollectionAnswer, 201),
    Route("DELETE", _ONE, remove_collection, RemovedAnswer),
)


async def _delete(name: str, body: DeleteRequest, request: Request) -> Response:
    result = await write(request, Writes.delete, name, body.ids, body.filter)
    return json_reply(delete_answer(result, request_id(request)))


async def _take_all(request: Request, under_way: Import) -> None:
    """Read the body to its end, a batch of lines at a time; while one is written, none is read."""
    run_in, lines = writers(request), Lines()
    batch: list[Line] = []
    n_bytes = 0
    async for chunk in request.stream():
        for line in lines.feed(chunk):
            batch.append(line)
            n_bytes += len(line[1] or b"")
            if len(batch) >= BATCH_LINES or n_bytes >= BATCH_BYTES:
                await run_in.run(partial(under_way.take, batch))
                batch, n_bytes = [], 0
    batch += lines.end()
    if batch:
        await run_in.run(partial(under_way.take, batch))
