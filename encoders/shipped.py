"""The models that the package brings: no hub and no download is needed for them."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "models"

SHIPPED = ("lexidex-mini",)
"""Their names, which `load_encoder` takes before any folder or hub id."""


def shipped_folder(name: str) -> Path | None:
    """The folder of the shipped model of that name; None where there is none."""
    return _FOLDER / name if name in SHIPPED else None
