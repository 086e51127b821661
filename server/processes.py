"""What the processes of `lexidex serve --workers` do: one writes, the others answer requests.

Each has a connection to its parent, through which it tells that it has started; when the parent
closes its end, or dies, it is time to stop. What they need loads inside of the functions: the
parent, which starts them, needs none of it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from lexidex.errors import LexidexError

if TYPE_CHECKING:
    from .following import Count


@dataclass(frozen=True)
class Served:
    """What all processes share.

    Attributes:
        directory: a collection, or a folder of them.
        listener: where clients connect.
        writer: where workers connect to the process that writes, and that socket's path.
        written: raised by the process that writes before it acknowledges anything.
        rerankers: folders or hub ids of those that clients may name.
        hosts: as clients may name the server; None for any.
        trust_remote_code: whether code that models bring may run.
    """

    directory: str
    listener: socket.socket
    writer: socket.socket
    address: str
    written: Count
    access_log: bool
    rerankers: tuple[str, ...] = ()
    hosts: tuple[str, ...] | None = None
    trust_remote_code: bool = False


def work(served: Served, parent: Connection) -> None:
    """Answer requests until SIGTERM or SIGINT, and hand writes over."""
    from .app import create_app
    from .backend import Backend
    from .following import Following
    from .handover import HandedOver
    from .http_server import HttpServer

    with _told():
        backend = Backend.open(served.directory, served.rerankers, served.trust_remote_code)
        following = Following(backend.catalog, served.written)
        app = create_app(backend, HandedOver(served.address), following, served.hosts)
        server = HttpServer(app, lambda: _tell(parent, None), access_log=served.access_log)
        threading.Thread(target=_stop_with, args=(parent,), daemon=True).start()
        server.run_until_asked(served.listener)


def write(served: Served, parent: Connection) -> None:
    """Do what workers hand over; tells the names of the collections first."""
    from .catalog import Catalog
    from .handover import answer_all
    from .tasks import Tasks
    from .writes import Writes

    served.listener.close()  # only workers answer clients
    # Whoever signals all processes at once must not end this one before the workers.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with _told():
        catalog = Catalog.open(served.directory, served.trust_remote_code)
        on_write = _raising(served.written)
        writes = Writes(catalog, Tasks(on_end=on_write))
        on_write()  # one that died before may not have told of its last
        _tell(parent, catalog.names)
        try:
            answer_all(served.writer, parent, writes, on_write)
        finally:
            writes.close()


@contextmanager
def _told() -> Iterator[None]:
    """Tell what is wrong as the command line does."""
    try:
        yield
    except LexidexError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _tell(parent: Connection, what: object) -> None:
    with suppress(OSError):  # it has let go already: it is time to stop
        parent.send(what)


def _stop_with(parent: Connection) -> None:
    """Wait for the parent to let go, or to die; then stop as if it had asked to."""
    wait([parent])
    os.kill(os.getpid(), signal.SIGTERM)


def _raising(count: Count) -> Callable[[], None]:
    lock = threading.Lock()

    def add() -> None:
        with lock:
            count.value += 1

    return add
