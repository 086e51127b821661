"""Encoders of our own kinds on disk: one JSON file in a folder."""

from __future__ import annotations

import json
import os
from os import PathLike
from pathlib import Path
from typing import Any

from lexidex.errors import CorruptFile, UnsupportedVersion

DESCRIPTION = "lexidex_encoder.json"
VERSION = 0


def write_description(
    path: str | PathLike[str], kind: str, options: dict[str, Any], state: dict[str, Any]
) -> None:
    """Write an encoder's kind, options and learned state into the folder `path`, atomically."""
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    described = {"version": VERSION, "kind": kind, "options": options, "state": state}
    temporary = folder / f".{DESCRIPTION}.tmp"
    temporary.write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")
    os.replace(temporary, folder / DESCRIPTION)


def read_description(path: Path) -> dict[str, Any]:
    """What `write_description` wrote; CorruptFile or UnsupportedVersion if it is unusable."""
    file = path / DESCRIPTION
    try:
        described: Any = json.loads(file.read_text(encoding="utf-8"))
        version = described["version"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CorruptFile(f"{file}: not an encoder's description: {error}") from None
    if version != VERSION:
        raise UnsupportedVersion(f"{file}: version {version}; this Lexidex reads {VERSION}")
    for name, kind in {"kind": str, "options": dict, "state": dict}.items():
        if not isinstance(described.get(name), kind):
            raise CorruptFile(f"{file}: not an encoder's description: {name} is missing")
    return dict(described)
