"""The threads of a build: work in shares, results in order, progress, a soon end on interruption.

A share is at most some tenths of a second of a kernel, so an interrupt (which only the calling
thread gets, between shares or while it waits for one) ends a build within a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, SupportsInt, TypeAlias, TypeVar

from lexidex.errors import ParameterError

T = TypeVar("T")

STAGES = ("encoding", "records", "pruning", "blocks", "summaries")
"""What a build goes through, in this order."""

_AHEAD = 2
"""Shares a thread that may be under way or wait for an earlier one's result to be taken."""


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """How far a build has come.

    Attributes:
        stage: one of STAGES.
        done, total: steps of this stage, 0 <= done <= total; steps take about the same time within
            a stage, not in different ones.
    """

    stage: str
    done: int
    total: int


Progress: TypeAlias = Callable[[BuildProgress], None]
"""Called from the thread that builds, some hundred times; what it raises ends the build."""


class Stopped(Exception):
    """A share gave up because the build has ended; seen by nobody outside of the crew."""


class Crew:
    """Runs the shares of a build's stages over threads."""

    def __init__(self, n_threads: int, progress: Progress | None = None) -> None:
        """Start with no stage.

        Raises:
            ParameterError: n_threads is no integer of at least 1.
        """
        if isinstance(n_threads, bool) or not isinstance(n_threads, int) or n_threads < 1:
            raise ParameterError(f"n_threads: {n_threads!r}; expected an integer of at least 1")
        self.n_threads = n_threads
        self._report = progress
        self._stage, self._done, self._total = STAGES[0], 0, 0
        self._stopped = False

    def begin(self, stage: str, total: int) -> None:
        """Go on to a stage of `total` steps."""
        self._stage, self._done, self._total = stage, 0, total
        self._advance(0)

    def check(self) -> None:
        """Give up when the build has ended; for shares that call a kernel several times."""
        if self._stopped:
            raise Stopped

    def run(
        self,
        share: Callable[[int, int], T],
        bounds: Iterable[SupportsInt],
        take: Callable[[T], None] | None = None,
    ) -> None:
        """Call share(first, last) for all neighbours among the bounds.

        Args:
            take: called from this thread with every result, in order of the shares; a result is
                kept only until then.

        Whatever is raised, by a share, by `take` or by the progress callback, no share is under way
        any more when it leaves here.
        """
        shares = [(int(first), int(last)) for first, last in pairwise(bounds)]
        if self.n_threads == 1 or len(shares) <= 1:
            for first, last in shares:
                self._take(share(first, last), take, last - first)
            return
        pending: deque[tuple[Future[T], int]] = deque()
        pool = ThreadPoolExecutor(min(self.n_threads, len(shares)))
        try:
            for first, last in shares:
                if len(pending) == _AHEAD * self.n_threads:
                    self._take_first(pending, take)
                pending.append((pool.submit(share, first, last), last - first))
            while pending:
                self._take_first(pending, take)
        except BaseException:
            self._stopped = True
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _take_first(
        self, pending: deque[tuple[Future[T], int]], take: Callable[[T], None] | None
    ) -> None:
        future, steps = pending.popleft()
        self._take(future.result(), take, steps)

    def _take(self, result: T, take: Callable[[T], Any] | None, steps: int) -> None:
        if take:
            take(result)
        self._advance(steps)

    def _advance(self, steps: int) -> None:
        self._done += steps
        if self._report:
            self._report(BuildProgress(self._stage, self._done, self._total))
