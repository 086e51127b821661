"""The application: routes, guards and the page, put together over a backend.

    uvicorn --factory lexidex.server.app:from_environment

serves the collections in the folder that the environment variable LEXIDEX_COLLECTIONS names,
under any name of the machine: who is let in is for uvicorn's caller to decide.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.responses import RedirectResponse

from lexidex import __version__
from lexidex.errors import ParameterError

from . import problems, routes, snapshot_routes, task_routes, write_routes
from .answers import StatusAnswer
from .backend import Backend
from .body_limit import BodyLimit
from .following import Following
from .host_guard import HostGuard
from .page import Page
from .problems import NotReady, declared
from .request_ids import RequestIds
from .routing import install
from .tasks import Tasks
from .threads import Threads
from .writes import Direct, WriteAccess, Writes

ENVIRONMENT = "LEXIDEX_COLLECTIONS"
WRITERS = 16
"""Writes at a time: those that wait for the disk share its time."""

_FOLLOW_SECONDS = 1.0
_LOG = logging.getLogger("lexidex.server")


class Application(FastAPI):
    """FastAPI whose OpenAPI document has the schema that all problem documents refer to."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if not self.openapi_schema:
            super().openapi()["components"]["schemas"].update(problems.schemas())
        return super().openapi()


def create_app(
    backend: Backend,
    writes: WriteAccess | None = None,
    following: Following | None = None,
    hosts: Iterable[str] | None = None,
) -> FastAPI:
    """An ASGI application that serves `backend`.

    Args:
        writes: where writes go; None for this process.
        following: what tells that another process has written; None if writes are this one's.
        hosts: as clients may name the server, see `HostGuard`; None for any.
    """
    app = Application(
        title="Lexidex",
        version=__version__,
        summary="Search collections of documents, and see which words give every score.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        generate_unique_id_function=_operation,
    )
    app.state.backend = backend
    app.state.writes = writes or Direct(Writes(backend.catalog, Tasks()))
    app.state.following = following
    app.state.ready = app.state.stopping = False
    app.add_middleware(BodyLimit)
    app.add_middleware(HostGuard, hosts=hosts)
    app.add_middleware(RequestIds)
    problems.install(app)
    for module in (routes, write_routes, task_routes, snapshot_routes):
        install(app, module.ROUTES)
    app.add_api_route("/healthz", health, response_model=StatusAnswer, responses=declared())
    app.add_api_route("/readyz", readiness, response_model=StatusAnswer, responses=declared(503))
    for path in ("/", "/ui"):
        app.add_api_route(path, to_page, include_in_schema=False)
    app.mount("/ui", Page())
    return app


def from_environment() -> FastAPI:
    """The application over the folder that LEXIDEX_COLLECTIONS names.

    Raises:
        ParameterError: it is not set.
    """
    directory = os.environ.get(ENVIRONMENT)
    if not directory:
        raise ParameterError(f"{ENVIRONMENT}: not set; name the folder to serve")
    return create_app(Backend.open(directory))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.threads, app.state.writers = Threads(), Threads(WRITERS)
    stop = threading.Event()
    # Not in a pool, whose threads are waited for when the process ends: compiling takes long.
    follower = threading.Thread(
        target=_warm_up_and_follow, args=(app, stop), name="follow", daemon=True
    )
    follower.start()
    yield
    stop.set()
    await asyncio.to_thread(follower.join, _FOLLOW_SECONDS)
    app.state.threads.close()
    app.state.writers.close()
    await asyncio.to_thread(app.state.writes.close)


def _warm_up_and_follow(app: FastAPI, stop: threading.Event) -> None:
    """Become ready, then show what other processes write to the collections."""
    backend, told = app.state.backend, ""
    while not stop.is_set():
        try:
            if app.state.ready:
                backend.refresh()
            else:
                backend.warm_up()
            app.state.ready, told = True, ""
        except Exception as error:
            # What is served stays as it is; the next round tries again, and tells no news twice.
            if repr(error) != told and not stop.is_set():
                told = repr(error)
                _LOG.exception("cannot %s", "follow a write" if app.state.ready else "warm up")
        stop.wait(_FOLLOW_SECONDS)


async def health() -> StatusAnswer:
    """Whether the process answers."""
    return {"status": "ok"}


async def readiness(request: Request) -> StatusAnswer:
    """Whether searches run at full speed, and go on doing so."""
    state = request.app.state
    if state.stopping or not state.ready:
        raise NotReady(state.stopping)
    return {"status": "ready"}


async def to_page(request: Request) -> RedirectResponse:
    """To the page; relative, so that it works behind a proxy that serves it elsewhere."""
    return RedirectResponse(f"ui/?{request.url.query}" if request.url.query else "ui/")


def _operation(route: APIRoute) -> str:
    return route.name
