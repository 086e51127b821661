"""Where work runs: long work in a bounded number of threads, quick work in the event loop.

Handing a search to a thread costs some 80 microseconds of processor time and a wait for the
interpreter's lock; a search that takes a few hundred microseconds is better run where it arrived.
Which searches those are depends on collection, encoder and machine, so it is measured as they run.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

QUICK = 0.0005
"""Seconds that work may hold up the event loop."""

_MEMORY = 0.1
"""Weight of the newest measurement in a moving average."""


class Threads:
    """Runs work for the event loop."""

    def __init__(self, n_threads: int | None = None) -> None:
        """Use `n_threads` threads; None takes two more than there are processors."""
        self._pool = ThreadPoolExecutor(n_threads or (os.cpu_count() or 1) + 2, "lexidex")
        self._seconds: dict[str, float] = {}

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def run_quick(self, kind: str, work: Callable[[], T]) -> T:
        """Run `work` in the event loop if work of its kind has lately been quick, else in a thread.

        Args:
            kind: a name out of a bounded set, such as the collection's.
            work: work that is called again and again and always takes about as long.
        """
        # The clocks differ: in the loop waiting counts, since everybody waits; among threads it
        # would mostly measure how busy the others are.
        if self._seconds.get(kind, 1.0) < QUICK:
            result, seconds = _measured(work, time.perf_counter)
        else:
            result, seconds = await self.run(lambda: _measured(work, time.thread_time))
        average = self._seconds.get(kind, seconds)
        self._seconds[kind] = average + _MEMORY * (seconds - average)
        return result

    def close(self) -> None:
        """Let running work finish, and drop what waits."""
        self._pool.shutdown(cancel_futures=True)


def _measured(work: Callable[[], T], clock: Callable[[], float]) -> tuple[T, float]:
    started = clock()
    result = work()
    return result, clock() - started
