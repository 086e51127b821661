"""Recipes as files: one that the package brings for each published recipe, and users' own."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from lexidex.errors import InputError, NotFound

from .recipe import TrainingRecipe, parse_recipe

_SUFFIX = ".toml"


def recipe_names() -> list[str]:
    """The recipes that the package brings."""
    return sorted(
        file.name.removesuffix(_SUFFIX)
        for file in (files(__package__) / "recipes").iterdir()
        if file.name.endswith(_SUFFIX)
    )


def read_recipe(name: str | Path) -> TrainingRecipe:
    """The recipe in a file, or the shipped one of that name.

    Raises:
        NotFound: neither.
        InputError: the file is no TOML.
        ParameterError: an unknown key, or a value out of its range; every one is named.
    """
    path = Path(name)
    if path.suffix == _SUFFIX and path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read: {error}") from None
        return parse_recipe(_toml(text, path), str(path))
    names = recipe_names()
    if str(name) not in names:
        near = get_close_matches(str(name), names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise NotFound(
            f"recipe {str(name)!r}: no such .toml file, and no recipe of that name; {hint}"
        )
    shipped = files(__package__) / "recipes" / f"{name}{_SUFFIX}"
    return parse_recipe(
        _toml(shipped.read_text(encoding="utf-8"), Path(f"{name}{_SUFFIX}")), str(name)
    )


def _toml(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not TOML: {error}") from None
