"""Where the model of a name is: a folder, or on a model hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeGuard

from lexidex.errors import ParameterError

from .hub import fetch, looks_like_hub_id
from .shipped import shipped_folder


def locate(
    name: str | os.PathLike[str],
    revision: str | None,
    trust_remote_code: bool,
    options: tuple[str, str] = ("path", "revision"),
) -> tuple[str, str | None, Path]:
    """Where a model is, the commit that was taken of a hub's, and the folder that holds it.

    Args:
        name: a folder, or organisation/model.
        revision: branch, tag or commit on the hub.
        trust_remote_code: whether code of the repository may run.
        options: what messages call the first two.

    Raises:
        EncoderNotFound: no such folder and no such model.
        ParameterError: an argument is of another type; a revision of a folder.
    """
    place, of_revision = options
    if not _is_path(name):
        raise ParameterError(f"{place}: {name!r}; expected a folder, or organisation/model")
    if revision is not None and not isinstance(revision, str):
        raise ParameterError(f"{of_revision}: {revision!r}; expected a branch, tag or commit")
    check_trust(trust_remote_code)
    name = os.fspath(name)
    shipped = shipped_folder(name)
    folder = shipped or Path(os.path.abspath(name))
    if folder.is_dir() or not looks_like_hub_id(name):
        if revision is not None:
            raise ParameterError(f"{of_revision}: {revision!r}; {name!r} is a folder and has none")
        return name if shipped else str(folder), None, folder
    folder = fetch(name, revision, code=trust_remote_code)
    return name, folder.name, folder


def check_trust(given: object) -> bool:
    """Whether code of a repository may run: True or False alone, for "no" would pass for yes."""
    if not isinstance(given, bool):
        raise ParameterError(
            f"trust_remote_code: {given!r}; expected True or False, on the command line true or "
            "false"
        )
    return given


def _is_path(given: object) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(given, str) or (
        isinstance(given, os.PathLike) and isinstance(os.fspath(given), str)
    )
