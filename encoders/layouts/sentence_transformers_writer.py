"""Writing the settings of sentence-transformers' layout, for the sides that it can express."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..json_file import update_json, write_json
from ..pruning import Pruning
from ..recipe import BINARY, TABLE, Recipe, SideSpec
from .settings import CONFIG, MODULES, ROUTER, SENTENCE_TRANSFORMERS, TOKENIZER, TRANSFORMER

_SPARSE = "sentence_transformers.sparse_encoder.modules"
_TYPES = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "SpladePooling": f"{_SPARSE}.splade_pooling.SpladePooling",
    "SparseStaticEmbedding": f"{_SPARSE}.sparse_static_embedding.SparseStaticEmbedding",
    "Router": "sentence_transformers.base.modules.router.Router",
}

Module = tuple[str, Path]
"""Class name and folder."""


def can_express(side: SideSpec) -> bool:
    """Whether there are modules for a side's parts, perhaps but for pruning.

    A table's module has no setting that lower-cases texts, which a model's has.
    """
    recipe = side.recipe
    if recipe.head in (TABLE, BINARY):
        return recipe.terms == "tokens" and not side.lowercase
    usual = recipe.pooling in ("max", "sum") and recipe.activation in ("relu", "log1p_relu")
    bare = not recipe.skipped and (recipe.own_terms or not recipe.masked)
    return recipe.head == "mlm" and usual and bare


def is_exact(documents: Recipe, queries: Recipe) -> bool:
    """Whether sides that can be expressed are so wholly, pruning to one number of terms too."""
    pruning = documents.pruning
    alike = pruning == queries.pruning and pruning == Pruning(top_k=pruning.top_k)
    return alike and not queries.collection_idf


def write(folder: Path, dim: int, documents: SideSpec, queries: SideSpec) -> None:
    """Write modules.json and the settings of modules, for sides whose files lie in `folder`."""
    routes = {"query": queries, "document": documents}
    routed = documents != queries
    modules = {route: _modules(folder, side, route, routed) for route, side in routes.items()}
    for route, side in routes.items():
        _write_settings(side, modules[route], dim, documents, queries)
    if documents == queries:
        listed = modules["document"]
    else:
        listed = [("Router", folder)]
        _write_router(folder, modules)
    write_json(
        folder / MODULES,
        [
            {"idx": n, "name": str(n), "path": _relative(place, folder), "type": _TYPES[name]}
            for n, (name, place) in enumerate(listed)
        ],
    )
    prompts = {route: side.prompt for route, side in routes.items() if side.prompt}
    settings: dict[str, Any] = {"model_type": "SparseEncoder"}
    settings["max_active_dims"] = (
        documents.recipe.pruning.top_k if is_exact(documents.recipe, queries.recipe) else None
    )
    if prompts:
        settings["prompts"] = prompts
    update_json(folder / SENTENCE_TRANSFORMERS, settings)


def _modules(folder: Path, side: SideSpec, route: str, routed: bool) -> list[Module]:
    if side.recipe.head == TABLE:
        return [("SparseStaticEmbedding", side.folder)]
    pooling = side.pooling_folder
    if pooling is None:
        pooling = folder / (f"{route}_1_SpladePooling" if routed else "1_SpladePooling")
    modules = [("Transformer", side.folder), ("SpladePooling", pooling)]
    return modules + ([("SparseStaticEmbedding", side.table)] if side.table else [])


def _write_settings(
    side: SideSpec, modules: list[Module], dim: int, documents: SideSpec, queries: SideSpec
) -> None:
    if not side.recipe.has_model:
        if side.max_length is not None:
            update_json(side.folder / TOKENIZER, {"model_max_length": side.max_length})
        return
    differ = documents.folder == queries.folder and documents.max_length != queries.max_length
    lengths = {
        "transformer_task": "fill-mask",
        "max_seq_length": side.max_length,
        "query_length": queries.max_length if differ else None,
        "document_length": documents.max_length if differ else None,
    }
    if side.lowercase:
        lengths["do_lower_case"] = True
    update_json(side.folder / TRANSFORMER, lengths)
    pooling = {
        "pooling_strategy": side.recipe.pooling,
        "activation_function": side.recipe.activation,
        "embedding_dimension": dim,
    }
    update_json(modules[1][1] / CONFIG, pooling)


def _write_router(folder: Path, modules: dict[str, list[Module]]) -> None:
    places = {
        route: [(name, _relative(place, folder)) for name, place in listed]
        for route, listed in modules.items()
    }
    types = {place: _TYPES[name] for listed in places.values() for name, place in listed}
    structure = {route: [place for _, place in listed] for route, listed in places.items()}
    parameters = {"default_route": "document", "allow_empty_key": True, "route_mappings": {}}
    described = {"types": types, "structure": structure, "parameters": parameters}
    write_json(folder / ROUTER, described)


def _relative(path: Path, folder: Path) -> str:
    place = path.relative_to(folder).as_posix()
    return "" if place == "." else place
