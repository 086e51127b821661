"""Keeps pages of other sites away: they reach this machine's servers through its user's browser.

Such a page may send what needs no answer to any address ("cross-site request forgery"), which its
`Origin` gives away. Or its own name is made to lead to this machine after it was loaded ("DNS
rebinding"); then the page and the server are one site to the browser, and `Host` gives it away.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from .problems import refusal

_READ_ONLY = ("GET", "HEAD")

_HOST = (
    "this server is asked for by another name than its own; use the address that it told, or, "
    "behind a proxy that guards it, start it with --insecure"
)
_ORIGIN = "a page of another site asks to change something; a proxy has to pass Host on as it came"


class HostGuard:
    """Refuses requests to other hosts than the server's, and changes that other sites ask for."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] | None) -> None:
        """Guard `app`.

        Args:
            hosts: as clients name them in `Host`, lower case, without the port; None for any.
        """
        self._app = app
        self._hosts = None if hosts is None else frozenset(host.encode() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host, origin = b"", None
            for name, value in scope["headers"]:
                if name == b"host":
                    host = value.lower()
                elif name == b"origin":
                    origin = value.lower()
            if self._hosts is not None and _without_port(host) not in self._hosts:
                await refusal(scope, 403, "host_not_allowed", _HOST)(scope, receive, send)
                return
            if (
                origin is not None
                and scope["method"] not in _READ_ONLY
                and not _is_of(origin, host)
            ):
                await refusal(scope, 403, "origin_not_allowed", _ORIGIN)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _without_port(host: bytes) -> bytes:
    name, colon, port = host.rpartition(b":")
    return name if colon and port.isdigit() else host


def _is_of(origin: bytes, host: bytes) -> bool:
    """Whether a page of this origin came from this host; "null" is no page's that did."""
    _, separator, authority = origin.partition(b"://")
    return bool(separator) and authority == host
