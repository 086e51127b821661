"""Long work that goes on after its request is answered: started, watched, cancelled, remembered."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from lexidex.errors import LexidexError, TaskNotFound

Status: TypeAlias = Literal["waiting", "running", "succeeded", "failed", "cancelled"]

AT_ONCE = 2
"""Tasks that run at a time; others wait."""

REMEMBERED = 1_000
"""Tasks that have ended and can still be asked about."""

_LOG = logging.getLogger("lexidex.server")


@dataclass(frozen=True, slots=True)
class Task:
    """A task, as it stood at one moment.

    Attributes:
        kind: what it does, such as "compact".
        created, started, ended: in ISO 8601, UTC; None for what has not come yet.
        stage, done, total: how far it is; total None where that is not known beforehand.
        result: what a task that succeeded has to tell.
        error: why one failed.
    """

    id: str
    kind: str
    collection: str
    created: str
    status: Status = "waiting"
    started: str | None = None
    ended: str | None = None
    stage: str | None = None
    done: int = 0
    total: int | None = None
    result: Mapping[str, Any] | None = None
    error: LexidexError | None = None


class Cancelled(Exception):
    """The task was asked to end."""


class Running:
    """A task from the inside: what the work tells, and whether it should end."""

    def __init__(self, task: Task) -> None:
        """Begin with `task`."""
        self.task = task
        self._cancelled = threading.Event()

    def progress(self, done: int, total: int | None = None, stage: str | None = None) -> None:
        """Tell how far the work is; raises Cancelled when it should end."""
        self.check()
        self.task = replace(self.task, done=done, total=total, stage=stage)

    def check(self) -> None:
        """Raise Cancelled when the work should end."""
        if self._cancelled.is_set():
            raise Cancelled

    def cancel(self) -> None:
        """Have the next check raise Cancelled."""
        self._cancelled.set()


Work: TypeAlias = Callable[[Running], Mapping[str, Any]]
"""Does a task's work; returns its result, as JSON can hold it."""


class Tasks:
    """Runs tasks in threads and remembers them until the process ends. Safe for many threads."""

    def __init__(
        self, on_end: Callable[[], None] = lambda: None, remembered: int = REMEMBERED
    ) -> None:
        """Nothing runs yet.

        Args:
            on_end: called after each task, before it counts as ended.
            remembered: tasks that have ended and are kept.
        """
        self._on_end = on_end
        self._remembered = remembered
        self._lock = threading.Lock()
        self._known: dict[str, Running] = {}
        self._pool = ThreadPoolExecutor(AT_ONCE, "task")

    def start(self, kind: str, collection: str, work: Work) -> Task:
        """Have `work` done as soon as a thread is free."""
        task = Task(secrets.token_hex(8), kind, collection, created=_now())
        running = Running(task)
        with self._lock:
            self._forget_old()
            self._known[task.id] = running
        self._pool.submit(self._run, running, work)
        return task

    def get(self, task_id: str) -> Task:
        """The task of that id; TaskNotFound if there is none."""
        return self._find(task_id).task

    def all(self) -> list[Task]:
        """The tasks that are known, newest first."""
        with self._lock:
            return [running.task for running in reversed(self._known.values())]

    def cancel(self, task_id: str) -> Task:
        """Ask a task to end; one that has ended stays as it is."""
        running = self._find(task_id)
        running.cancel()
        return running.task

    def cancel_all(self, collection: str | None = None) -> None:
        """Ask all tasks to end, or those of one collection."""
        with self._lock:
            for running in self._known.values():
                if collection in (None, running.task.collection):
                    running.cancel()

    def close(self) -> None:
        """End all tasks; returns when they have."""
        self.cancel_all()
        self._pool.shutdown()

    def _find(self, task_id: str) -> Running:
        with self._lock:
            if task_id not in self._known:
                raise TaskNotFound(f"no task {task_id!r}; it never was, or is long over")
            return self._known[task_id]

    def _run(self, running: Running, work: Work) -> None:
        running.task = replace(running.task, status="running", started=_now())
        outcome: dict[str, Any]
        try:
            running.check()
            outcome = {"status": "succeeded", "result": work(running)}
        except Cancelled:
            outcome = {"status": "cancelled"}
        except LexidexError as error:
            outcome = {"status": "failed", "error": error}
            _LOG.error("task %s: %s: %s", running.task.id, error.code, error)
        except Exception as error:
            outcome = {"status": "failed", "error": LexidexError(repr(error))}
            _LOG.exception("task %s", running.task.id)
        self._on_end()
        running.task = replace(running.task, ended=_now(), **outcome)

    def _forget_old(self) -> None:
        ended = [task_id for task_id, running in self._known.items() if running.task.ended]
        for task_id in ended[: max(len(ended) - self._remembered + 1, 0)]:
            del self._known[task_id]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
