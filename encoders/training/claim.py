"""Whose is the folder of a training? The recipe's that is written in it.

Before its first checkpoint a mended recipe may have the folder, as long as the negatives that were
mined there are those that it would mine; its start, the work of seconds, is made anew.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lexidex.errors import ParameterError

from ..json_file import read_json
from .checkpoints import complete_checkpoints, remove_incomplete
from .recipe import TrainingRecipe

RECIPE = "recipe.json"
START = "start"
CHECKPOINTS = "checkpoints"
CANDIDATES = "candidates.parquet"


def round_folder(folder: Path, number: int) -> Path:
    """Where a round of training writes; the first is 1."""
    return folder / f"round-{number}"


def claim(folder: Path, recipe: TrainingRecipe) -> None:
    """Take a folder for a recipe, and clear away what a kill left half written.

    Raises:
        ParameterError: another recipe has come too far in it.
        CorruptFile: the recipe in it cannot be read.
    """
    described = recipe.model_dump(mode="json")
    before = read_json(folder / RECIPE, missing={})
    if before != described:
        if not before and (folder / START).exists():
            raise ParameterError(
                f"{folder / START}: stands in the way of a training's; give another folder"
            )
        _check_free(folder, before, described)
        shutil.rmtree(folder / START, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{RECIPE}.tmp"
        temporary.write_text(json.dumps(described, indent=2), encoding="utf-8")
        os.replace(temporary, folder / RECIPE)
    for place in folder.glob("round-*"):
        remove_incomplete(place / CHECKPOINTS)


def _check_free(folder: Path, before: Mapping[str, Any], described: Mapping[str, Any]) -> None:
    """ParameterError where another recipe has trained in the folder, or mined other negatives."""
    for place in sorted(folder.glob("round-*")):
        if complete_checkpoints(place / CHECKPOINTS):
            raise ParameterError(
                f"{folder}: holds a training by another recipe; give another folder, or "
                "delete this one"
            )
        mined = place / CANDIDATES
        if mined.is_file() and _of_mining(before) != _of_mining(described):
            raise ParameterError(
                f"{mined}: mined by another recipe; give another folder, or delete that file"
            )


def _of_mining(described: Mapping[str, Any]) -> list[Any]:
    """What the mined negatives of a recipe depend on."""
    mining, training = described.get("mining") or {}, described.get("training") or {}
    found = [described.get("data"), described.get("held_out"), mining, training.get("seed")]
    if any(mining.get(name) is not None for name in ("absolute_margin", "relative_margin")):
        backbone = (described.get("model") or {}).get("backbone")
        found += [described.get("teacher"), described.get("ensemble"), backbone]
        found.append(training.get("precision"))
    return found
