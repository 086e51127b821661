"""Writing a checkpoint: sentence-transformers' layout where that can express it, else our own.

Weights, tokenizers and settings are copied as they are; beside them go the files that say how they
work together. Weights that no file has as they are, because they were trained or an adapter
changed them, are written from memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from lexidex.index.vectors import Float32s

from .collection_idf import IDF_FILE
from .hub import is_needed
from .json_file import write_json
from .language_model import LanguageModel
from .layouts import own, sentence_transformers_writer
from .layouts.settings import CONFIG, MODULES, SENTENCE_TRANSFORMERS
from .recipe import TABLE, Checkpoint, Recipe, SideSpec
from .scalar_weights import head_files
from .tokenizer import FILES
from .weights import weight_files, write_safetensors

DENSE_FOLDER = "dense"
"""Where the dense model of a joint one lies."""

_ROUTES = ("document", "query")


def write_checkpoint(
    checkpoint: Checkpoint,
    path: str | PathLike[str],
    dim: int,
    tables: Mapping[str, Float32s],
    models: Mapping[SideSpec, LanguageModel],
    *,
    packed: bool = False,
) -> None:
    """Write the checkpoint into the folder `path`, which is made if it is not there.

    Args:
        checkpoint: what to write, with the settings that are in force.
        path: may be the checkpoint's own folder; its settings are then brought up to date.
        dim: number of components.
        tables: weights of tokens, float32 (terms,), for "document" and "query" where a side
            multiplies by them.
        models: of the sides that have one.
        packed: leave weights as they are that this package alone can read, and with them the
            encoder's fingerprint; otherwise they are written so that others can.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    _copy(checkpoint.folder, folder, only=("README.md", SENTENCE_TRANSFORMERS))
    sides = (checkpoint.documents, checkpoint.queries)
    as_modules = all(map(sentence_transformers_writer.can_express, sides))
    moved = []
    for route, side in zip(_ROUTES, sides, strict=True):
        beside_model = any(one.recipe.has_model and one.folder == side.folder for one in sides)
        side = _moved_model(side, checkpoint, folder, route, models.get(side), packed)
        if route in tables and (side.recipe.head == TABLE or as_modules):
            number = 2 if side.recipe.has_model else 0
            place = folder / f"{route}_{number}_SparseStaticEmbedding"
            side = _with_table(side, place if beside_model else side.folder, tables[route])
        moved.append(side)
    if as_modules:
        sentence_transformers_writer.write(folder, dim, *moved)
    else:
        (folder / MODULES).unlink(missing_ok=True)
    joint = checkpoint.joint
    if joint is not None:
        _copy(joint.folder, folder / DENSE_FOLDER)
        joint = replace(joint, folder=folder / DENSE_FOLDER)
    exact = as_modules and sentence_transformers_writer.is_exact(*(side.recipe for side in moved))
    if exact and joint is None:
        (folder / own.DESCRIPTION).unlink(missing_ok=True)
    else:
        own.write_description(folder, moved[0], moved[1], joint)


def _moved_model(
    side: SideSpec,
    checkpoint: Checkpoint,
    folder: Path,
    route: str,
    model: LanguageModel | None,
    packed: bool,
) -> SideSpec:
    """The side with its tokenizer and model in the folder that is written."""
    place = folder / _place(side, checkpoint, route)
    if model is not None and (model.is_changed or (model.is_packed and not packed)):
        held = {*weight_files(side.folder), *head_files(side.folder)}
        _copy(side.folder, place, without={file.name for file in held})
        model.network().write(place)
    else:
        _copy(side.folder, place, only=() if side.recipe.has_model else FILES)
    pooling = side.pooling_folder
    if pooling is not None and pooling.is_relative_to(checkpoint.folder):
        pooling = folder / pooling.relative_to(checkpoint.folder)
    else:
        pooling = None
    return replace(side, folder=place, pooling_folder=pooling, adapter=None)


def _place(side: SideSpec, checkpoint: Checkpoint, route: str) -> str:
    """Where a side's files go: where they lay, or beside what they were joined with."""
    if side.folder.is_relative_to(checkpoint.folder):
        return side.folder.relative_to(checkpoint.folder).as_posix()
    return "." if side.folder == checkpoint.documents.folder else route


def _with_table(side: SideSpec, place: Path, table: Float32s) -> SideSpec:
    """The side with its weights of tokens in `place`, those of masked tokens 0."""
    write_table(place, side.folder, table)
    if side.recipe.has_model:
        return replace(side.with_recipe(masked=()), table=place)
    if side.table is not None and (side.table / IDF_FILE).is_file():
        _copy(side.table, place, only=(IDF_FILE,))
    recipe = Recipe(TABLE, pruning=side.recipe.pruning, collection_idf=side.recipe.collection_idf)
    return replace(side, folder=place, recipe=recipe, table=place)


def write_table(folder: Path, tokenizer: Path, table: Float32s) -> Path:
    """Write weights of tokens, float32 (terms,), into `folder`, with the tokenizer of another."""
    _copy(tokenizer, folder, only=FILES)
    write_safetensors({"weight": np.ascontiguousarray(table)}, folder / "model.safetensors")
    write_json(folder / CONFIG, {"frozen": True})
    return folder


def _copy(
    source: Path, folder: Path, *, only: tuple[str, ...] = (), without: set[str] | None = None
) -> None:
    """Copy the files of one folder that are used, but not others that lie among them."""
    if folder.exists() and folder.samefile(source):
        return
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.iterdir()):
        wanted = file.name in only if only else is_needed(file.name)
        if file.is_file() and wanted and file.name not in (without or ()):
            shutil.copyfile(file, folder / file.name)
