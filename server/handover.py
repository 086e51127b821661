"""Writes handed over to the one process that writes, through a socket that its parent keeps open.

A request is the name of a method of `Writes` and its arguments; an answer says whether it
succeeded, and what it returned or raised. Both are pickled: the socket stands in a folder that no
other user can enter. While the process that writes is replaced, connections wait for the next one.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Client, Connection, wait
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from lexidex.errors import LexidexError, WriterLost

from .writes import Writes

P = ParamSpec("P")
R = TypeVar("R")

_LOG = logging.getLogger("lexidex.server")


class HandedOver:
    """Reaches the `Writes` of the process that writes. Safe to use from many threads."""

    def __init__(self, address: str) -> None:
        """Connect, when first asked, to the socket at this path; a connection for each thread."""
        self._address = address
        self._own = threading.local()

    def call(
        self, method: Callable[Concatenate[Writes, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        connection = self._send((method.__name__, args, kwargs))
        try:
            succeeded, outcome = connection.recv()
        except (EOFError, OSError) as error:
            raise WriterLost(f"{method.__name__}: the process that writes is gone") from error
        if not succeeded:
            raise outcome
        return cast(R, outcome)

    def close(self) -> None:
        """Nothing to do: connections end with the threads that made them."""

    def _send(self, request: tuple[Any, ...]) -> Connection:
        known: Connection | None = getattr(self._own, "connection", None)
        if known is not None:
            with suppress(OSError):
                known.send(request)
                return known
        # The first of this thread; or the process at the other end is gone, and has not begun with
        # a request that did not reach it.
        fresh = Client(self._address, "AF_UNIX")
        self._own.connection = fresh
        fresh.send(request)
        return fresh


def answer_all(
    listener: socket.socket, until: Connection, writes: Writes, on_write: Callable[[], None]
) -> None:
    """Answer requests that come through `listener`, each connection's in a thread of its own.

    Args:
        until: where something comes, or which is closed, when it is time to return.
        on_write: called after each request, before it is answered.
    """
    while until not in wait([listener, until]):
        accepted, _ = listener.accept()
        arguments = (Connection(accepted.detach()), writes, on_write)
        threading.Thread(target=_answer, args=arguments, name="handed over", daemon=True).start()


def _answer(connection: Connection, writes: Writes, on_write: Callable[[], None]) -> None:
    with connection, suppress(EOFError, OSError):
        while True:
            name, args, kwargs = connection.recv()
            try:
                outcome = (True, getattr(writes, name)(*args, **kwargs))
            except LexidexError as error:
                outcome = (False, error)
            except Exception as error:
                _LOG.exception("%s", name)
                outcome = (False, LexidexError(repr(error)))
            on_write()
            connection.send(outcome)
