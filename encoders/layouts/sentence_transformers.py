"""sentence-transformers' layout: modules.json, and a folder for each module that it lists.

A masked language model and SpladePooling, perhaps with a table of token weights behind them that
leaves only a text's own tokens; or a Router over two sides, of which one may be a table alone.
Modules are known by the last part of their type, because the packages they live in have moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from lexidex.errors import CorruptFile, ParameterError

from ..activations import check_activation
from ..json_file import read_any_json, read_json
from ..projection import check_pooling
from ..pruning import NO_PRUNING, Pruning
from ..recipe import TABLE, Recipe, SideSpec
from .settings import (
    CONFIG,
    MODULES,
    ROUTER,
    SENTENCE_TRANSFORMERS,
    inside,
    is_count,
    model_side,
    read_prompts,
    tokenizer_says,
)

_MODELS = ("Transformer", "MLMTransformer")
_ROUTERS = ("Router", "Asym")
"""The present name and the former one."""

_TABLES = ("SparseStaticEmbedding", "IDF")

Module = tuple[str, Path]
"""Class name and folder."""


def read_sides(folder: Path) -> tuple[SideSpec, SideSpec]:
    """The document side and the query side of the checkpoint in `folder`.

    Raises:
        CorruptFile: a file is missing or unreadable.
        ParameterError: the modules are of kinds that make no sparse vectors known here.
    """
    file = folder / MODULES
    modules = read_modules(folder)
    routes = {"document": modules, "query": modules}
    if len(modules) == 1 and modules[0][0] in _ROUTERS:
        routes = _routes(modules[0][1])
    pruning, prompts = _pruning(folder / SENTENCE_TRANSFORMERS), read_prompts(folder)
    documents, queries = (
        replace(
            _side(routes[task], file, task).with_recipe(pruning=pruning),
            prompt=prompts.get(task, ""),
        )
        for task in ("document", "query")
    )
    return documents, queries


def read_modules(folder: Path) -> list[Module]:
    """What modules.json lists.

    Raises:
        CorruptFile: it is missing or unreadable.
    """
    file = folder / MODULES
    listed = read_any_json(file)
    try:
        return [(_class_name(m["type"]), inside(folder, m["path"])) for m in listed]
    except (TypeError, KeyError, AttributeError):
        raise CorruptFile(f"{file}: expected a list of modules with type and path") from None


def _routes(folder: Path) -> dict[str, list[Module]]:
    """The modules of the routes "document" and "query"."""
    file = folder / ROUTER
    if not file.is_file() and "structure" in read_json(folder / CONFIG, missing={}):
        file = folder / CONFIG  # as it was called when the class was called Asym
    settings = read_json(file)
    try:
        types, structure = settings["types"], settings["structure"]
        return {
            route: [(_class_name(types[path]), inside(folder, path)) for path in structure[route]]
            for route in ("document", "query")
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise CorruptFile(
            f"{file}: expected types and a structure with document and query; missing: {error}"
        ) from None


def _side(modules: Sequence[Module], file: Path, task: str) -> SideSpec:
    names, folders = [name for name, _ in modules], [folder for _, folder in modules]
    if len(modules) >= 2 and names[0] in _MODELS and names[1] == "SpladePooling":
        side = model_side(folders[0], task, _pooling(folders[1]), folders[1])
        if len(modules) == 2:
            return side
        if len(modules) == 3 and names[2] in _TABLES:
            return replace(side.with_recipe(own_terms=True), table=_table(folders[2]))
    if len(modules) == 1 and names[0] in _TABLES:
        table = _table(folders[0])
        return SideSpec(folders[0], Recipe(TABLE), tokenizer_says(folders[0]), table=table)
    raise ParameterError(
        f"{file}: {task} modules {' + '.join(names) or 'none'} are not supported; expected a "
        "masked language model and SpladePooling, or SparseStaticEmbedding"
    )


def _table(folder: Path) -> Path:
    """Where a table of weights is: the folder of a tensor, or a file."""
    path = read_json(folder / CONFIG, missing={}).get("path")
    return folder if path is None else inside(folder, PurePosixPath(str(path)).name)


def _pooling(folder: Path) -> Recipe:
    file = folder / CONFIG
    settings = read_json(file, missing={})
    strategy = settings.get("pooling_strategy", "max")
    activation = settings.get("activation_function", "relu")
    return Recipe(
        pooling=check_pooling(strategy, f"{file}: pooling_strategy"),
        activation=check_activation(activation, f"{file}: activation_function"),
    )


def _pruning(file: Path) -> Pruning:
    most = read_json(file, missing={}).get("max_active_dims")
    if most is None:
        return NO_PRUNING
    if not is_count(most):
        raise CorruptFile(f"{file}: max_active_dims: {most!r}; expected a whole number above 0")
    return Pruning(top_k=most)


def _class_name(dotted: str) -> str:
    return dotted.rpartition(".")[2]
