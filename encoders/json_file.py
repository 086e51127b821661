"""JSON files of a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lexidex.errors import CorruptFile


def read_json(file: Path, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        file: where it is.
        missing: what to return when there is no such file; None makes that an error.

    Raises:
        CorruptFile: the file is missing, is not JSON, or holds something else than an object.
    """
    found = read_any_json(file, missing)
    if not isinstance(found, dict):
        raise CorruptFile(f"{file}: expected a JSON object, got {type(found).__name__}")
    return found


def write_json(file: Path, content: Any) -> None:
    """Write a JSON file, and the folders that lead to it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def update_json(file: Path, changes: dict[str, Any]) -> None:
    """Change settings in a JSON file, made if it is not there; None takes a setting away."""
    settings = read_json(file, missing={}) | changes
    write_json(
        file,
        {key: value for key, value in settings.items() if value is not None or key not in changes},
    )


def read_any_json(file: Path, missing: Any = None) -> Any:
    """What a JSON file holds; see `read_json`."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if missing is not None:
            return missing
        raise CorruptFile(f"{file}: not there") from None
    except (OSError, ValueError) as error:
        raise CorruptFile(f"{file}: not JSON: {error}") from None
