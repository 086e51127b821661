"""uvicorn's server as this package runs it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from .limits import GRACE_SECONDS


class HttpServer(uvicorn.Server):
    """A server that says when it listens, and that it is not ready once it is asked to stop."""

    def __init__(
        self,
        app: FastAPI,
        on_start: Callable[[], object] = lambda: None,
        *,
        access_log: bool = False,
    ) -> None:
        """Serve `app`; `on_start` is called when connections are accepted."""
        super().__init__(
            uvicorn.Config(
                app,
                log_level="info" if access_log else "warning",
                access_log=access_log,
                server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._app = app
        self._on_start = on_start

    def run_until_asked(self, listener: socket.socket) -> None:
        """Serve until SIGINT or SIGTERM; requests under way are answered first."""
        # uvicorn raises the signals that stopped it once more when it is done; they have done
        # their work then, and the process ends as one that was asked to.
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            self.run(sockets=[listener])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.state.stopping = True
        super().handle_exit(sig, frame)
