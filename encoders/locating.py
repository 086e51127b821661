"""Where the model of a name is: a folder, or on a model hub."""

from __future__ import annotations

import os
from pathlib import Path

from lexidex.errors import ParameterError

from .hub import fetch, looks_like_hub_id
from .shipped import shipped_folder


def locate(
    name: str, revision: str | None, trust_remote_code: bool
) -> tuple[str, str | None, Path]:
    """Where a model is, the commit that was taken of a hub's, and the folder that holds it."""
    shipped = shipped_folder(name)
    folder = shipped or Path(os.path.abspath(name))
    if folder.is_dir() or not looks_like_hub_id(name):
        if revision is not None:
            raise ParameterError(f"revision: {revision!r}; {name!r} is a folder and has none")
        return name if shipped else str(folder), None, folder
    folder = fetch(name, revision, code=trust_remote_code)
    return name, folder.name, folder
