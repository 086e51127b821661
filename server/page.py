"""The page at /ui: static files that may load nothing from anywhere else."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).with_name("console")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""Documents are foreign text: whatever they hold, no script but the page's own runs."""


class Page(StaticFiles):
    """The files of the page, each with the headers above."""

    def __init__(self) -> None:
        """Serve the folder that comes with the package."""
        super().__init__(directory=FOLDER, html=True)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or an HTTPException that becomes a problem document."""
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response
