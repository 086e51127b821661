"""Group commit: while one write reaches the disk, those that come collect, and go together next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")


class _Waiting(Generic[T, R]):
    """One write in the queue, and what became of it."""

    def __init__(self, item: T) -> None:
        self.item = item
        self.done = False
        self.result: R | None = None
        self.error: BaseException | None = None


class GroupCommit(Generic[T, R]):
    """Passes writes of many threads on in groups, one group at a time."""

    def __init__(self, commit: Callable[[Sequence[T]], Sequence[R]]) -> None:
        """Call `commit` with all that waits; it returns a result for each, or fails for all."""
        self._commit = commit
        self._changed = threading.Condition()
        self._queue: list[_Waiting[T, R]] = []
        self._busy = False

    def submit(self, item: T) -> R:
        """The result for `item`, once the group that it went with is committed."""
        mine = _Waiting[T, R](item)
        with self._changed:
            self._queue.append(mine)
            while self._busy and not mine.done:
                self._changed.wait()
            if not mine.done:
                self._busy = True
                group, self._queue = self._queue, []
        if not mine.done:
            self._lead(group)
        if mine.error is not None:
            raise mine.error
        return cast(R, mine.result)

    def _lead(self, group: list[_Waiting[T, R]]) -> None:
        try:
            results = self._commit([waiting.item for waiting in group])
            for waiting, result in zip(group, results, strict=True):
                waiting.result = result
        except BaseException as error:
            for waiting in group:
                waiting.error = error
        with self._changed:
            for waiting in group:
                waiting.done = True
            self._busy = False
            self._changed.notify_all()
