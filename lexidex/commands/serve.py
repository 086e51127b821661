"""`lexidex serve`: collections over HTTP, and the page to search them."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .output import err

if TYPE_CHECKING:
    from lexidex.server.backend import Backend

HOST = "127.0.0.1"
PORT = 8000
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""What browsers call a server on their own machine."""


def serve(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A collection, or a folder of collections.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = HOST,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = PORT,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let other machines in, without any key.")
    ] = False,
    workers: Annotated[
        int,
        typer.Option(
            min=1, help="Processes that answer requests; with several, one more does all writing."
        ),
    ] = 1,
    rerankers: Annotated[
        list[str] | None,
        typer.Option(
            "--reranker",
            metavar="MODEL",
            help="A reranker that clients may name, by the last part of this: a folder of trained "
            "attention, or the folder or hub id of a cross-encoder. May be repeated.",
        ),
    ] = None,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log every request.")] = False,
    trust_remote_code: Annotated[
        bool,
        typer.Option(
            "--trust-remote-code",
            help="Run code that the repositories of the collections' models bring; read it first. "
            "Clients may then name no models.",
        ),
    ] = False,
) -> None:
    """Serve collections over HTTP until interrupted: the API at /v1, a page at /ui.

    Whoever reaches the address can read and change every document, so others than this machine's
    own are refused unless --insecure says that something else guards it. Then the server also
    answers to any name; pages of other sites may change nothing either way.
    """
    from lexidex.errors import ParameterError

    if not (insecure or _is_loopback(host)):
        raise ParameterError(
            f"--host {host}: other machines could change every document, and there are no keys; "
            "add --insecure if something else guards this address"
        )
    try:
        listener = listen(host, port)
    except OSError as error:
        err.print(
            f"[red]error:[/] cannot listen on {host}:{port}: {error.strerror}; choose another "
            "--port, or --port 0 for a free one",
            highlight=False,
        )
        raise typer.Exit(1) from None
    hosts = None if insecure else (*LOOPBACK, host.lower())
    with listener:
        if workers > 1:
            _run_many(
                directory,
                listener,
                workers,
                rerankers or [],
                hosts,
                open_page=open_page,
                access_log=access_log,
                trust_remote_code=trust_remote_code,
            )
        else:
            from lexidex.server.backend import Backend

            backend = Backend.open(directory, rerankers or [], trust_remote_code)
            run(backend, listener, hosts, open_page=open_page, access_log=access_log)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; OSError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def run(
    backend: Backend,
    listener: socket.socket,
    hosts: Sequence[str] | None = LOOPBACK,
    *,
    open_page: bool = False,
    access_log: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first.

    Args:
        hosts: as clients may name the server; None for any.
    """
    from lexidex.server.app import create_app
    from lexidex.server.http_server import HttpServer

    _announce(backend.names, listener, open_page)
    app = create_app(backend, hosts=hosts)
    HttpServer(app, access_log=access_log).run_until_asked(listener)


def _run_many(
    directory: Path,
    listener: socket.socket,
    n_workers: int,
    rerankers: Sequence[str],
    hosts: Sequence[str] | None,
    *,
    open_page: bool,
    access_log: bool,
    trust_remote_code: bool,
) -> None:
    from lexidex.server.supervisor import Supervisor

    supervisor = Supervisor(
        directory,
        listener,
        n_workers,
        rerankers=rerankers,
        hosts=hosts,
        access_log=access_log,
        trust_remote_code=trust_remote_code,
    )
    status = supervisor.run(lambda names: _announce(names, listener, open_page))
    if status:
        raise typer.Exit(status)


def _announce(names: Sequence[str], listener: socket.socket, open_page: bool) -> None:
    url = _url(listener)
    what = ", ".join(names) or "an empty folder"
    err.print(f"Serving {what} at {url} (Ctrl-C stops)", highlight=False)
    if open_page:
        typer.launch(url)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    address = ip_address(host)
    if address.is_unspecified:
        address = ip_address(HOST)
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{shown}:{port}/ui"
