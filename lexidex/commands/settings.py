"""`--set training.steps=100`: settings of a recipe on the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from lexidex.errors import ParameterError

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Another value of a setting: training.steps=100."
    ),
]


def parse_settings(given: Iterable[str]) -> dict[str, Any]:
    """{dotted name: value} of NAME=VALUE; values as in TOML, and bare words as strings.

    Raises:
        ParameterError: one without a name or a value.
    """
    settings: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name.strip() or not equals:
            raise ParameterError(f"--set {text!r}; expected NAME=VALUE, as in training.steps=100")
        try:
            settings[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            settings[name.strip()] = value.strip()
    return settings
