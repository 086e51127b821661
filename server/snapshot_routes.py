"""The routes of snapshots: taken and restored by tasks, listed, downloaded and removed."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request, Response
from starlette.responses import FileResponse
from typing_extensions import TypedDict

from .problems import declared
from .request_ids import request_id
from .routing import Name, Route, json_reply, reading, threads, write
from .task_routes import started
from .write_answers import RemovedAnswer, TaskAnswer
from .writes import Writes

SnapshotName = Annotated[str, Path(alias="snapshot", description="The snapshot's name.")]

_MEDIA_TYPE = "application/x-tar"


class SnapshotSummary(TypedDict):
    """A snapshot; `created` in ISO 8601, UTC."""

    name: str
    created: str
    bytes: int


class SnapshotsAnswer(TypedDict):
    """The snapshots of a collection, oldest first."""

    snapshots: list[SnapshotSummary]
    request_id: str


async def take_snapshot(name: Name, request: Request) -> Response:
    """Start to keep the collection as it is now in a file; its name is in the task's result."""
    return started(request, await write(request, Writes.take_snapshot, name))


async def restore_snapshot(name: Name, snapshot: SnapshotName, request: Request) -> Response:
    """Start to put a snapshot in the place of its collection, which may have been removed.

    It is verified before anything changes, and takes the place in one step.
    """
    return started(request, await write(request, Writes.restore_snapshot, name, snapshot))


async def list_snapshots(name: Name, request: Request) -> Response:
    """The snapshots of a collection, also of one that was removed."""
    backend = await reading(request, name)
    found = await threads(request).run(lambda: backend.snapshots.all(name))
    answer: SnapshotsAnswer = {
        "snapshots": [
            {"name": one.name, "created": one.created, "bytes": one.n_bytes} for one in found
        ],
        "request_id": request_id(request),
    }
    return json_reply(answer)


async def get_snapshot(name: Name, snapshot: SnapshotName, request: Request) -> Response:
    """The file, a tar archive that `lexidex restore` takes, on any machine."""
    backend = await reading(request, name)
    path = backend.snapshots.find(name, snapshot)
    return FileResponse(path, media_type=_MEDIA_TYPE, filename=f"{name}-{path.name}")


async def remove_snapshot(name: Name, snapshot: SnapshotName, request: Request) -> Response:
    """Delete a snapshot."""
    await write(request, Writes.remove_snapshot, name, snapshot)
    answer: RemovedAnswer = {"name": snapshot, "request_id": request_id(request)}
    return json_reply(answer)


_NO_FOLDER = {"responses": declared(409)}
_FILE = {
    "response_class": Response,
    "responses": {
        **declared(409),
        200: {
            "description": "The file",
            "content": {_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        },
    },
}

_ALL = "/v1/collections/{collection}/snapshots"
ROUTES = (
    Route("POST", _ALL, take_snapshot, TaskAnswer, 202),
    Route("GET", _ALL, list_snapshots, SnapshotsAnswer, more=_NO_FOLDER),
    Route("POST", f"{_ALL}/{{snapshot}}:restore", restore_snapshot, TaskAnswer, 202),
    Route("GET", f"{_ALL}/{{snapshot}}", get_snapshot, None, more=_FILE),
    Route("DELETE", f"{_ALL}/{{snapshot}}", remove_snapshot, RemovedAnswer),
)
