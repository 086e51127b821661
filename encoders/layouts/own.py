"""Our own layout, for models that sentence-transformers' cannot express: lexidex_model.json.

    {"version": 0,
     "documents": {"folder": ".", "max_length": 512, "recipe": {"head": "scalar", ...}, ...},
     "queries": {...},
     "joint": {"folder": "dense", "shared_layers": 3}}

Folders are relative. What a recipe is made of: `lexidex.encoders.recipe`. Backbones are in
transformers' layout; scalar heads stand in scalar_head.safetensors, see
`lexidex.encoders.scalar_weights`, and tables of weights in folders of sentence-transformers' kind.
"joint" stands there where a dense model shares layers with the sparse one, see
`lexidex.encoders.joint`. Where such a model is a masked language model all the same, modules.json
stands beside, and sentence-transformers loads it, without what it cannot express.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lexidex.errors import CorruptFile, ParameterError, UnsupportedVersion

from ..json_file import read_any_json, read_json, write_json
from ..recipe import JointSpec, Recipe, SideSpec
from .settings import inside, model_side

DESCRIPTION = "lexidex_model.json"
WORDS = "lexidex_words.json"
VERSION = 0


def read_sides(folder: Path) -> tuple[SideSpec, SideSpec, JointSpec | None]:
    """The document side, the query side and the dense model that `write_description` described.

    Raises:
        CorruptFile: the file is unreadable.
        UnsupportedVersion: another version wrote it.
    """
    file = folder / DESCRIPTION
    described = read_json(file)
    if described.get("version") != VERSION:
        raise UnsupportedVersion(
            f"{file}: version {described.get('version')!r}; this Lexidex reads {VERSION}"
        )
    documents, queries = (
        _side(folder, described.get(name), file, task)
        for name, task in (("documents", "document"), ("queries", "query"))
    )
    return documents, queries, _joint(folder, described.get("joint"), file)


def write_description(
    folder: Path, documents: SideSpec, queries: SideSpec, joint: JointSpec | None = None
) -> None:
    """Describe the sides of the checkpoint in `folder`, in which all of their files lie."""
    folder = folder.absolute()
    described: dict[str, Any] = {
        "version": VERSION,
        "documents": _described(folder, documents),
        "queries": _described(folder, queries),
    }
    if joint is not None:
        described["joint"] = {
            "folder": joint.folder.absolute().relative_to(folder).as_posix(),
            "shared_layers": joint.shared_layers,
        }
    write_json(folder / DESCRIPTION, described)


def read_words(folder: Path) -> list[str]:
    """The vocabulary that `write_words` wrote; none where there is none.

    Raises:
        CorruptFile: the file holds something else.
    """
    found = read_any_json(folder / WORDS, missing=[])
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise CorruptFile(f"{folder / WORDS}: expected a list of words")
    return found


def write_words(folder: Path, words: list[str]) -> None:
    """Write a vocabulary of words, in order of their components."""
    write_json(folder / WORDS, words)


def _described(folder: Path, side: SideSpec) -> dict[str, Any]:
    table = None if side.table is None else side.table.absolute().relative_to(folder).as_posix()
    return {
        "folder": side.folder.absolute().relative_to(folder).as_posix(),
        "recipe": side.recipe.described(),
        "max_length": side.max_length,
        "prompt": side.prompt,
        "lowercase": side.lowercase,
        "table": table,
    }


def has_dense_side(folder: Path) -> bool:
    """Whether a joint model lies there."""
    file = folder / DESCRIPTION
    return file.is_file() and "joint" in read_json(file)


def _joint(folder: Path, described: Any, file: Path) -> JointSpec | None:
    if described is None:
        return None
    try:
        place, shared = inside(folder, described["folder"]), described["shared_layers"]
    except (TypeError, KeyError) as error:
        raise CorruptFile(f"{file}: joint: not described: {error!r}") from None
    if not isinstance(shared, int) or shared < 1:
        raise CorruptFile(f"{file}: joint: shared_layers: {shared!r}; expected 1 or more")
    return JointSpec(place, shared)


def _side(folder: Path, described: Any, file: Path, task: str) -> SideSpec:
    try:
        recipe = Recipe.parse(described["recipe"])
        place, table = inside(folder, described["folder"]), described["table"]
        side = SideSpec(place, recipe, None)
        if recipe.has_model:
            side = model_side(place, task, recipe)
        return replace(
            side,
            max_length=described["max_length"],
            prompt=described["prompt"],
            lowercase=described["lowercase"],
            table=None if table is None else inside(folder, table),
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise CorruptFile(f"{file}: a side is not described: {error!r}") from None
    except ParameterError as error:
        raise CorruptFile(f"{file}: {error}") from None
