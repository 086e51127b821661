"""Stops request bodies before they fill the memory."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import BODY_BYTES, DOCUMENTS_BYTES

IMPORT = ":import"
"""How paths end whose bodies are read as they come, and may be of any length."""


class BodyLimit:
    """Refuses bodies over a limit with 413, by their declared length or while they come in."""

    def __init__(self, app: ASGIApp) -> None:
        """Guard `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD") or _is_import(scope):
            await self._app(scope, receive, send)
            return
        limit = DOCUMENTS_BYTES if scope["method"] in ("PUT", "PATCH") else BODY_BYTES
        taken = 0
        declared = _declared_length(scope)

        async def limited() -> Message:
            nonlocal taken
            if declared > limit:
                raise _too_large(limit)
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _too_large(limit)
            return message

        await self._app(scope, limited, send)


def _is_import(scope: Scope) -> bool:
    return scope["method"] == "POST" and str(scope["path"]).endswith(IMPORT)


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {limit:,} bytes")


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
