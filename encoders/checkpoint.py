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

from lexidex.errors import CorruptFile, EncoderNotFound

from . import lora
from .json_file import read_json
from .layouts import own, plain, sentence_transformers
from .layouts.settings import CONFIG, MODULES, read_licence
from .recipe import Checkpoint, SideSpec
from .scalar_weights import BGE_M3


def is_checkpoint(folder: Path) -> bool:
    """Whether the folder has one of the layouts read here."""
    files = (own.DESCRIPTION, lora.CONFIG, MODULES, CONFIG)
    return any((folder / name).is_file() for name in files)


def read_checkpoint(folder: Path, fetch: Callable[[str], Path] | None = None) -> Checkpoint:
    """What the folder holds; reads settings, no weights and no tokenizer.

    Args:
        folder: of the checkpoint.
        fetch: from a folder's path or a hub id to a folder, for the model under an adapter.

    Raises:
        EncoderNotFound: no such folder, or no layout known here.
        CorruptFile: a file is missing or unreadable.
        ParameterError: the model is of a kind that cannot be loaded.
    """
    if not is_checkpoint(folder):
        there = "no such folder" if not folder.is_dir() else f"no {MODULES} and no {CONFIG} there"
        raise EncoderNotFound(f"encoder {str(folder)!r}: {there}")
    undecided = None
    if (folder / own.DESCRIPTION).is_file():
        documents, queries = own.read_sides(folder)
    elif (folder / lora.CONFIG).is_file():
        return _adapted(folder, fetch or Path)
    elif (folder / MODULES).is_file() and not (folder / BGE_M3).is_file():
        documents, queries = sentence_transformers.read_sides(folder)
    else:
        documents, queries, undecided = plain.read_sides(folder)
    return Checkpoint(folder, documents, queries, read_licence(folder), undecided)


def _adapted(folder: Path, fetch: Callable[[str], Path]) -> Checkpoint:
    """The model that an adapter's settings name, with the adapter over it."""
    base_name = read_json(folder / lora.CONFIG).get("base_model_name_or_path")
    if not isinstance(base_name, str) or not base_name:
        raise CorruptFile(f"{folder / lora.CONFIG}: base_model_name_or_path: {base_name!r}")
    beside = folder / base_name
    base = read_checkpoint(beside if beside.is_dir() else fetch(base_name), fetch)

    def adapted(side: SideSpec) -> SideSpec:
        return replace(side, adapter=folder) if side.recipe.has_model else side

    return replace(
        base,
        documents=adapted(base.documents),
        queries=adapted(base.queries),
        licence=read_licence(folder) or base.licence,
    )
