"""What the routes have in common: how they are added to an application, reached and answered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

import msgspec
from fastapi import FastAPI, Path, Request, Response

from .backend import Backend
from .problems import declared
from .threads import Threads
from .writes import WriteAccess, Writes

P = ParamSpec("P")
R = TypeVar("R")

Name = Annotated[str, Path(alias="collection", description="The collection's name.")]
DocumentId = Annotated[str, Path(alias="id", description="The document's id, slashes included.")]

_READ_ONLY = ("GET", "HEAD")

encode_json = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Route:
    """A path, and what answers there.

    Attributes:
        answer: the shape of its answer, None where `more` describes that.
        status: the answer's.
        more: other arguments of FastAPI's `add_api_route`.
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    answer: type | None
    status: int = 200
    more: Mapping[str, Any] = field(default_factory=dict)


def install(app: FastAPI, routes: Iterable[Route]) -> None:
    """Add routes to `app`, with the errors that they may answer with; tried in this order."""
    # Not through an APIRouter: a router that is included is matched twice for every request.
    for route in routes:
        statuses = []
        if "body" in inspect.signature(route.endpoint).parameters:
            statuses += [400, 413, 415, 422]
        if "{" in route.path:
            statuses += [404]
        if "{collection}" in route.path:
            statuses += [503]
        if route.method not in _READ_ONLY and "{collection}" in route.path:
            statuses += [409]
        more = dict(route.more)
        app.add_api_route(
            route.path,
            route.endpoint,
            methods=[route.method],
            response_model=route.answer,
            status_code=route.status,
            responses=declared(*statuses) | more.pop("responses", {}),
            **more,
        )


async def reading(request: Request, name: str | None = None) -> Backend:
    """The backend, once its collection of that name shows every write that was acknowledged.

    Args:
        name: None for all collections.
    """
    backend: Backend = request.app.state.backend
    following = request.app.state.following
    if following is not None and following.is_behind(name):
        await threads(request).run(lambda: following.catch_up(name))
    return backend


async def write(
    request: Request,
    method: Callable[Concatenate[Writes, P], R],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Call a method of `Writes` in a thread for writes; many of these share the disk's time."""
    access: WriteAccess = request.app.state.writes
    return await writers(request).run(lambda: access.call(method, *args, **kwargs))


def writers(request: Request) -> Threads:
    """Where writes run."""
    found: Threads = request.app.state.writers
    return found


def threads(request: Request) -> Threads:
    """Where searches run."""
    found: Threads = request.app.state.threads
    return found


def json_reply(
    answer: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer as JSON."""
    return reply(encode_json(answer), status, headers)


def reply(encoded: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that is JSON already."""
    return Response(encoded, status, headers=headers, media_type="application/json")
