"""Errors over HTTP: RFC 9457 problem documents, each with a stable `code`.

A problem says what is wrong and where, and never repeats the request's body. What goes wrong inside
the server is told in the log under the same request id; the client learns no more than that.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NotRequired

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.types import Scope
from typing_extensions import TypedDict

from lexidex.errors import (
    CollectionExists,
    CollectionsFixed,
    CorruptCollection,
    EncoderMismatch,
    InputError,
    LexidexError,
    Locked,
    NotFound,
    ParameterError,
    StorageFull,
    WriterLost,
)

from .importing import ImportStopped, ImportSummary
from .request_ids import HEADER, request_id
from .schemas import NUMBERED_FORM, TERMS_FORM
from .write_schemas import LIST_FORM, OBJECT_FORM

MEDIA_TYPE = "application/problem+json"
_SHOWN_ERRORS = 20
_SHOWN_PATH = 120
_LOG = logging.getLogger("lexidex.server")

STATUSES: Mapping[type[LexidexError], int] = {
    ParameterError: 422,
    InputError: 422,
    NotFound: 404,
    CollectionExists: 409,
    CollectionsFixed: 409,
    EncoderMismatch: 409,
    Locked: 409,
    CorruptCollection: 503,
    StorageFull: 507,
    WriterLost: 503,
    LexidexError: 500,
}
"""Status of an error: that of the first of its classes that is here."""

CODES = {
    400: "malformed_body",
    404: "route_not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    503: "not_ready",
}
"""Codes of what has no LexidexError: the request is wrong before anything is searched."""

_PASSING = (Locked, WriterLost)
_RETRY_SECONDS = "1"
"""Errors after which the same request may well succeed, and when."""

_IN_THE_LOG = "the server's log says more under this id"
_DETAILS: Mapping[type[LexidexError], str] = {
    CorruptCollection: "this collection cannot be opened, the others are served; the server's log "
    "says why, 'lexidex check' what is damaged; a snapshot of it can be restored in its place",
    StorageFull: "no space is left where the collection is stored; nothing of this write was kept, "
    "searches go on; free some space and send it again",
    WriterLost: "the process that writes ended before it answered; the write may be done or not; "
    "send it again",
}
"""What clients are told where the error's own text would tell them about the server's disks."""

_FORMS = (NUMBERED_FORM, TERMS_FORM, LIST_FORM, OBJECT_FORM)

_MESSAGES = {
    "extra_forbidden": "there is no such field here",
    "missing": "this field is missing",
}


class InvalidValue(TypedDict):
    """What is wrong with one value of a body; `path` is its JSONPath, `$` the whole body."""

    path: str
    message: str


class Problem(TypedDict):
    """A problem document; match on `code`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: NotRequired[list[InvalidValue]]
    imported: NotRequired[ImportSummary]


class NotReady(HTTPException):
    """The kernels are still being compiled, or the server is about to end."""

    def __init__(self, stopping: bool) -> None:
        """Say which."""
        detail = "warming up; searches are answered already, but slowly"
        super().__init__(503, "stopping; send requests elsewhere" if stopping else detail)


def schemas() -> dict[str, Any]:
    """JSON schemas by name, for an OpenAPI document: a problem's, and those that it refers to."""
    problem = TypeAdapter(Problem).json_schema(ref_template="#/components/schemas/{model}")
    return {**problem.pop("$defs"), "Problem": problem}


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: problem documents of these statuses, and of any other."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    named: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }
    return named | {"default": {"description": "Any other error", "content": content}}


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""
    app.add_exception_handler(LexidexError, _on_lexidex_error)
    app.add_exception_handler(ImportStopped, _on_import_stopped)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unexpected)


def refusal(scope: Scope, status: int, code: str, detail: str) -> Response:
    """The problem document of a request that no route gets to see."""
    return _problem(Request(scope), status, code, detail)


async def _on_lexidex_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, LexidexError)
    return _of_error(request, error)


async def _on_import_stopped(request: Request, stopped: Exception) -> Response:
    assert isinstance(stopped, ImportStopped)
    return _of_error(request, stopped.error, stopped.done)


def _of_error(
    request: Request, error: LexidexError, imported: ImportSummary | None = None
) -> Response:
    status = _status(error)
    if status >= 500:
        _LOG.error("request %s: %s: %s", request_id(request), error.code, error)
    headers = {"Retry-After": _RETRY_SECONDS} if isinstance(error, _PASSING) else {}
    return _problem(
        request, status, error.code, describe(error), headers=headers, imported=imported
    )


def describe(error: LexidexError) -> str:
    """What a client is told of an error: what it can change, and nothing of the server's inside."""
    if _status(error) < 500:
        return str(error)
    return next((told for kind, told in _DETAILS.items() if isinstance(error, kind)), _IN_THE_LOG)


def _status(error: LexidexError) -> int:
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if found[0]["type"] == "json_invalid":
        where = f"character {found[0]['loc'][-1]}: {found[0]['ctx']['error']}"
        return _problem(request, 400, CODES[400], f"the body is not JSON: {where}")
    if isinstance(error.body, bytes):
        return _problem(request, 415, CODES[415], "send the body as application/json")
    wrong = [
        InvalidValue(path=_path(one["loc"]), message=_message(one)) for one in found[:_SHOWN_ERRORS]
    ]
    detail = f"{wrong[0]['path']}: {wrong[0]['message']}"
    return _problem(request, 422, "invalid_request", detail, errors=wrong)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "http_error")
    detail = f"no route {request.method} {request.url.path}"
    if error.status_code not in (404, 405):
        detail = error.detail
    return _problem(request, error.status_code, code, detail, headers=error.headers)


async def _on_unexpected(request: Request, error: Exception) -> Response:
    _LOG.error("request %s: %r", request_id(request), error)
    # This answer is made outside of the middleware that adds the header to all others.
    headers = {HEADER: request_id(request)}
    return _problem(request, 500, LexidexError.code, _IN_THE_LOG, headers=headers)


def _problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[InvalidValue] | None = None,
    imported: ImportSummary | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    problem: Problem = {
        "type": f"urn:problem-type:lexidex:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id(request),
    }
    if errors:
        problem["errors"] = errors
    if imported:
        problem["imported"] = imported
    return Response(
        msgspec.json.encode(problem), status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    message: str = error["msg"]
    return _MESSAGES.get(error["type"], message)


def _path(location: Sequence[int | str]) -> str:
    """`("body", "queries", 3)` as `$.queries[3]`, without the names of forms of one value."""
    steps: Iterable[int | str] = (s for s in location[1:] if s not in _FORMS)
    path = "$" if location[0] == "body" else str(location[0])
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if re.fullmatch(r"[A-Za-z_]\w*", step) else f"[{step!r}]"
    return path if len(path) <= _SHOWN_PATH else f"{path[: _SHOWN_PATH - 3]}..."
