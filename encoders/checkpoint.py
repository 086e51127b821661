"""What a folder with a published model holds: how its documents and its queries are encoded.

Each layout has a module of its own; the first whose files are there is taken:

- our own (lexidex_model.json);
- a LoRA adapter (adapter_config.json), over whatever layout its base model has;
- sentence-transformers' (modules.json), unless BGE-M3's sparse head lies there: that file
  describes its dense side;
- transformers' (config.json), with the heads and tables that families put beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from lexidex.errors import CorruptFile, EncoderNotFound

from . import lora
from .json_file import read_json
from .layouts import own, plain, sentence_transformers
from .layouts.settings import CONFIG, MODULES, read_licence
from .recipe import Checkpoint, SideSpec
from .scalar_weights import BGE_M3

Fetch: TypeAlias = Callable[[str, str | None], Path]


def is_checkpoint(folder: Path) -> bool:
    """Whether the folder has one of the layouts read here."""
    files = (own.DESCRIPTION, lora.CONFIG, MODULES, CONFIG)
    return any((folder / name).is_file() for name in files)


def read_checkpoint(folder: Path, fetch: Fetch | None = None) -> Checkpoint:
    """What the folder holds; reads settings, no weights and no tokenizer.

    Args:
        folder: of the checkpoint.
        fetch: from a folder's path, or a hub's id and its revision, to a folder; for the model
            under an adapter. None for folders alone.

    Raises:
        EncoderNotFound: no such folder, or no layout known here.
        CorruptFile: a file is missing or unreadable.
        ParameterError: the model is of a kind that cannot be loaded.
    """
    if not is_checkpoint(folder):
        there = "no such folder" if not folder.is_dir() else f"no {MODULES} and no {CONFIG} there"
        raise EncoderNotFound(f"encoder {str(folder)!r}: {there}")
    undecided = joint = None
    if (folder / own.DESCRIPTION).is_file():
        documents, queries, joint = own.read_sides(folder)
    elif (folder / lora.CONFIG).is_file():
        return _adapted(folder, fetch or (lambda name, _: Path(name)))
    elif (folder / MODULES).is_file() and not (folder / BGE_M3).is_file():
        documents, queries = sentence_transformers.read_sides(folder)
    else:
        documents, queries, undecided = plain.read_sides(folder)
    return Checkpoint(folder, documents, queries, read_licence(folder), undecided, joint)


def _adapted(folder: Path, fetch: Fetch) -> Checkpoint:
    """The model that an adapter's settings name, with the adapter over it."""
    config = read_json(folder / lora.CONFIG)
    name = config.get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise CorruptFile(f"{folder / lora.CONFIG}: base_model_name_or_path: {name!r}")
    beside = folder / name
    base = beside if beside.is_dir() else fetch(name, config.get("revision"))
    checkpoint = read_checkpoint(base, fetch)

    def adapted(side: SideSpec) -> SideSpec:
        return replace(side, adapter=folder) if side.recipe.has_model else side

    return replace(
        checkpoint,
        documents=adapted(checkpoint.documents),
        queries=adapted(checkpoint.queries),
        licence=read_licence(folder) or checkpoint.licence,
    )
