"""Many processes that serve the same collections: started, replaced when they die, and stopped.

All of them map the index, so it is in memory once. Processes are spawned, not forked: threads, and
libraries that have started some, do not survive a fork.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from .limits import GRACE_SECONDS
from .processes import Served, work, write

_WRITER_SECONDS = 60.0
"""How long the process that writes may take to end; what it has acknowledged is safe anyway."""

_MARGIN = 5.0
"""What workers may take beyond the time that they give to requests under way."""

_PAUSE = 1.0
"""Seconds before a process that did not even start is started again."""

_BACKLOG = 128
_LOG = logging.getLogger("lexidex.server")

_Target: TypeAlias = Callable[[Served, Connection], None]


@dataclass(eq=False)
class _Child:
    """A process, what it does, and the connection to it; `names` is what it told on starting."""

    target: _Target
    process: SpawnProcess
    connection: Connection
    started: bool = False
    names: Sequence[str] = ()

    def take_news(self) -> bool:
        """Note that it has started, or see it out; whether it is still there."""
        if not self.started and self.connection.poll():
            with suppress(EOFError, OSError):
                self.names = self.connection.recv() or ()
                self.started = True
                return True
        self.process.join()
        return False

    def end(self, seconds: float) -> None:
        """Return when it has ended, which it was asked to do; kill it if that takes longer."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            _LOG.warning("process %s does not end; it is killed", self.process.pid)
            self.process.kill()
            self.process.join()


class Supervisor:
    """Runs one process that writes, and others that answer requests."""

    def __init__(
        self,
        directory: str | PathLike[str],
        listener: socket.socket,
        n_workers: int,
        *,
        rerankers: Sequence[str] = (),
        hosts: Sequence[str] | None = None,
        access_log: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        """Serve `directory` through `listener`, by this many workers and one that writes.

        Args:
            hosts: as clients may name the server; None for any.
        """
        self._directory = fspath(directory)
        self._listener = listener
        self._n_workers = n_workers
        self._access_log = access_log
        self._rerankers = tuple(rerankers)
        self._hosts = None if hosts is None else tuple(hosts)
        self._trusts = trust_remote_code
        self._context = get_context("spawn")
        self._children: list[_Child] = []

    def run(self, on_start: Callable[[Sequence[str]], None]) -> int:
        """Serve until SIGINT or SIGTERM.

        Args:
            on_start: called with the names of the collections when all processes have started.

        Returns:
            An exit status: 0, or that of a process that could not start at first.
        """
        with (
            TemporaryDirectory(prefix="lexidex-") as folder,
            socket.socket(socket.AF_UNIX) as writer,
            _stop_signal() as stop,
        ):
            address = str(Path(folder) / "writer")
            writer.bind(address)
            writer.listen(_BACKLOG)
            self._served = Served(
                self._directory,
                self._listener,
                writer,
                address,
                self._context.RawValue("Q", 0),
                self._access_log,
                self._rerankers,
                self._hosts,
                self._trusts,
            )
            try:
                return self._run(stop, on_start)
            finally:
                self._stop()

    def _run(self, stop: int, on_start: Callable[[Sequence[str]], None]) -> int:
        for target, number in ((write, 1), (work, self._n_workers)):
            self._children += [self._spawn(target) for _ in range(number)]
            while not all(child.started for child in self._children):
                for child in self._news(stop):
                    if not child.take_news():
                        return max(child.process.exitcode or 0, 1)
                if _is_set(stop):
                    return 0
        on_start(self._children[0].names)
        while not _is_set(stop):
            for child in self._news(stop):
                if not child.take_news():
                    self._replace(child, stop)
        return 0

    def _news(self, stop: int) -> list[_Child]:
        """Children that have started or ended, once some have; none when it is time to stop."""
        sentinels = [child.process.sentinel for child in self._children]
        starting = [child.connection for child in self._children if not child.started]
        found = wait([stop, *sentinels, *starting])
        if stop in found:
            return []
        return [c for c in self._children if c.process.sentinel in found or c.connection in found]

    def _replace(self, child: _Child, stop: int) -> None:
        code = child.process.exitcode
        _LOG.warning("process %s ended with %s; starting another", child.process.pid, code)
        if not child.started:
            wait([stop], _PAUSE)
        child.connection.close()
        self._children[self._children.index(child)] = self._spawn(child.target)

    def _spawn(self, target: _Target) -> _Child:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=target, args=(self._served, theirs), daemon=True)
        process.start()
        theirs.close()
        return _Child(target, process, ours)

    def _stop(self) -> None:
        """End the workers, which may still write, and then the process that writes."""
        # Or clients would go on to connect, and wait for an answer that nobody is there to give.
        self._listener.close()
        workers = [child for child in self._children if child.target is work]
        writers = [child for child in self._children if child.target is write]
        for children, seconds in ((workers, GRACE_SECONDS + _MARGIN), (writers, _WRITER_SECONDS)):
            deadline = time.monotonic() + seconds
            for child in children:
                child.connection.close()
            for child in children:
                child.end(max(deadline - time.monotonic(), 0))


@contextmanager
def _stop_signal() -> Iterator[int]:
    """A descriptor that has something to read once SIGINT or SIGTERM has come."""
    readable, writable = os.pipe()
    before = {
        number: signal.signal(number, lambda *_: os.write(writable, b"."))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield readable
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(readable)
        os.close(writable)


def _is_set(stop: int) -> bool:
    return bool(wait([stop], 0))
