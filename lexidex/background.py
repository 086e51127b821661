"""A thread that merges while writes and searches go on, and ends when there is nothing to do."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections.abc import Callable

_log = logging.getLogger(__name__)
_running: weakref.WeakSet[Background] = weakref.WeakSet()


class Stopped(Exception):
    """The work was asked to stop."""


class Background:
    """Runs `work` in a daemon thread, started when it is asked for and not running."""

    def __init__(self, work: Callable[[], None]) -> None:
        """Run `work`, which calls `check` now and then, and returns when nothing is left to do."""
        self._work = work
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wanted = False
        self._stopping = threading.Event()

    def wake(self) -> None:
        """There may be something to do."""
        with self._lock:
            self._wanted = True
            if self._thread is None and not self._stopping.is_set():
                _running.add(self)
                self._thread = threading.Thread(target=self._run, name="merge", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Return when the thread has ended; what it was doing is abandoned at the next check."""
        self._stopping.set()
        try:
            self.join()
        finally:
            self._stopping.clear()

    def join(self) -> None:
        """Return when nothing is being done."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def check(self, n_done: int = 0) -> None:
        """Raise Stopped if the thread should end."""
        if self._stopping.is_set():
            raise Stopped

    def pause(self, seconds: float) -> bool:
        """Wait; whether more was asked for meanwhile. Raises Stopped if the thread should end."""
        self._wanted = False
        self._stopping.wait(seconds)
        self.check()
        return self._wanted

    def _run(self) -> None:
        while True:
            self._wanted = False
            try:
                self._work()
            except Stopped:
                pass
            except Exception:
                # Nothing is lost: merges only rearrange. The next write tries again.
                _log.warning("merging segments failed", exc_info=True)
                self._wanted = False
            with self._lock:
                if not self._wanted or self._stopping.is_set():
                    self._thread = None
                    return


@atexit.register
def _stop_all() -> None:
    for background in list(_running):
        background.stop()
