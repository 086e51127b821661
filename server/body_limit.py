"""Stops request bodies before they fill the memory."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import BODY_BYTES


class BodyLimit:
    """Refuses bodies over a limit with 413, by their declared length or while they come in."""

    def __init__(self, app: ASGIApp, n_bytes: int = BODY_BYTES) -> None:
        """Guard `app`."""
        self._app = app
        self._limit = n_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        taken = 0
        declared = _declared_length(scope)

        async def limited() -> Message:
            nonlocal taken
            if declared > self._limit:
                raise self._too_large()
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limit:
                raise self._too_large()
            return message

        await self._app(scope, limited, send)

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"the body is larger than {self._limit:,} bytes")


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
