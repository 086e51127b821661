"""What clients are told of writes and tasks: the shape of every answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import TypedDict

from lexidex.results import WriteResult

from .problems import describe
from .tasks import Status, Task


class Refused(TypedDict):
    """A document that was left out, and why; its id is "#7" for number 7 (from 0) without one."""

    id: str
    reason: str


class UpsertAnswer(TypedDict):
    """How many documents were added or replaced; searches see them from that generation on."""

    upserted: int
    failed: list[Refused]
    generation: int
    request_id: str


class UpdateAnswer(TypedDict):
    """How many documents have other metadata, from that generation on."""

    updated: int
    failed: list[Refused]
    generation: int
    request_id: str


class DeleteAnswer(TypedDict):
    """How many documents were removed, and the generation from which on they are gone."""

    deleted: int
    generation: int
    request_id: str


class WriteAnswer(TypedDict):
    """The document that was written, and the generation from which on searches see it."""

    id: str
    generation: int
    request_id: str


class RemovedAnswer(TypedDict):
    """The collection that is gone."""

    name: str
    request_id: str


class TaskError(TypedDict):
    """Why a task failed; match on `code`."""

    code: str
    detail: str


class TaskSummary(TypedDict):
    """A task; `status` is succeeded, failed or cancelled once it has ended.

    `done` of `total` steps of `stage`; `total` is null where it is not known beforehand.
    """

    id: str
    kind: str
    collection: str
    status: Status
    created: str
    started: str | None
    ended: str | None
    stage: str | None
    done: int
    total: int | None
    result: Mapping[str, Any] | None
    error: TaskError | None


class TaskAnswer(TaskSummary):
    """One task."""

    request_id: str


class TasksAnswer(TypedDict):
    """The tasks that are known, newest first."""

    tasks: list[TaskSummary]
    request_id: str


def upsert_answer(result: WriteResult, request_id: str) -> UpsertAnswer:
    """Documents that were added or replaced."""
    return {
        "upserted": result.upserted,
        "failed": _refused(result.failed),
        "generation": result.generation,
        "request_id": request_id,
    }


def update_answer(result: WriteResult, request_id: str) -> UpdateAnswer:
    """Documents that have other metadata."""
    return {
        "updated": result.upserted,
        "failed": _refused(result.failed),
        "generation": result.generation,
        "request_id": request_id,
    }


def delete_answer(result: WriteResult, request_id: str) -> DeleteAnswer:
    """One deletion."""
    return {
        "deleted": result.deleted,
        "generation": result.generation,
        "request_id": request_id,
    }


def write_answer(doc_id: str, result: WriteResult, request_id: str) -> WriteAnswer:
    """One document."""
    return {"id": doc_id, "generation": result.generation, "request_id": request_id}


def task_answer(task: Task, request_id: str) -> TaskAnswer:
    """One task."""
    return {**task_summary(task), "request_id": request_id}


def task_summary(task: Task) -> TaskSummary:
    """A task in a list of tasks."""
    error: TaskError | None = None
    if task.error is not None:
        error = {"code": task.error.code, "detail": describe(task.error)}
    return {
        "id": task.id,
        "kind": task.kind,
        "collection": task.collection,
        "status": task.status,
        "created": task.created,
        "started": task.started,
        "ended": task.ended,
        "stage": task.stage,
        "done": task.done,
        "total": task.total,
        "result": task.result,
        "error": error,
    }


def _refused(failed: Sequence[tuple[str, str]]) -> list[Refused]:
    return [{"id": _encodable(doc_id), "reason": reason} for doc_id, reason in failed]


def _encodable(doc_id: str) -> str:
    """The id as it came, but for halves of surrogate pairs: no UTF-8 holds them."""
    return doc_id.encode(errors="backslashreplace").decode()
