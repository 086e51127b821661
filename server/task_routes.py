"""The routes of long work: what starts it here, and what tells how far it is."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request, Response

from .request_ids import request_id
from .routing import Name, Route, json_reply, write
from .tasks import Task
from .write_answers import TaskAnswer, TasksAnswer, task_answer, task_summary
from .write_schemas import ReencodeRequest
from .writes import Writes

TaskId = Annotated[str, Path(alias="id", description="The task's id.")]


async def compact(name: Name, request: Request) -> Response:
    """Start to make one segment of a collection, without what was deleted; answers with a task."""
    return started(request, await write(request, Writes.compact, name))


async def reencode(name: Name, body: ReencodeRequest, request: Request) -> Response:
    """Start to encode every document anew by another encoder; answers with a task.

    Searches and writes go on by the old one, which changes to the new one in one step.
    """
    return started(request, await write(request, Writes.reencode, name, **body.model_dump()))


async def list_tasks(request: Request) -> Response:
    """The tasks that are known, newest first: all that run, and the last thousand that ended."""
    tasks = await write(request, Writes.tasks)
    answer: TasksAnswer = {
        "tasks": [task_summary(task) for task in tasks],
        "request_id": request_id(request),
    }
    return json_reply(answer)


async def get_task(task_id: TaskId, request: Request) -> Response:
    """A task: how far it is, and what came of it."""
    task = await write(request, Writes.task, task_id)
    return json_reply(task_answer(task, request_id(request)))


async def cancel_task(task_id: TaskId, request: Request) -> Response:
    """Ask a task to end; one that has ended stays as it is."""
    task = await write(request, Writes.cancel_task, task_id)
    return json_reply(task_answer(task, request_id(request)))


def started(request: Request, task: Task) -> Response:
    """The answer to a request that started a task."""
    headers = {"Location": f"/v1/tasks/{task.id}"}
    return json_reply(task_answer(task, request_id(request)), 202, headers)


ROUTES = (
    Route("POST", "/v1/collections/{collection}:compact", compact, TaskAnswer, 202),
    Route("POST", "/v1/collections/{collection}:reencode", reencode, TaskAnswer, 202),
    Route("POST", "/v1/tasks/{id}:cancel", cancel_task, TaskAnswer),
    Route("GET", "/v1/tasks/{id}", get_task, TaskAnswer),
    Route("GET", "/v1/tasks", list_tasks, TasksAnswer),
)
