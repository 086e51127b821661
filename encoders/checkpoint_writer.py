"""Writing a checkpoint the way sentence-transformers keeps it, so that its SparseEncoder loads it.

Weights, tokenizers and settings are copied as they are; beside them go the files that say how they
work together: modules, pooling, lengths.
"""

from __future__ import annotations

import json
import shutil
from os import PathLike
from pathlib import Path
from typing import Any

from .checkpoint import (
    CONFIG,
    MODULES,
    ROUTER,
    SENTENCE_TRANSFORMERS,
    TOKENIZER,
    TRANSFORMER,
    Checkpoint,
    ModelSpec,
)
from .hub import is_needed
from .json_file import read_json

_TYPES = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "SpladePooling": "sentence_transformers.sparse_encoder.modules.splade_pooling.SpladePooling",
    "Router": "sentence_transformers.base.modules.router.Router",
}


def write_checkpoint(checkpoint: Checkpoint, path: str | PathLike[str], dim: int) -> None:
    """Write the checkpoint into the folder `path`, which is made if it is not there.

    Args:
        checkpoint: what to write, with the settings that are in force.
        path: may be the checkpoint's own folder; its settings are then brought up to date.
        dim: number of components.
    """
    source, folder = checkpoint.folder, Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    if not folder.samefile(source):
        _copy(checkpoint, folder)
    for spec in (checkpoint.queries, checkpoint.documents):
        moved = folder / spec.folder.relative_to(source)
        if not isinstance(spec, ModelSpec):
            if spec.max_length is not None:
                _update(moved / TOKENIZER, {"model_max_length": spec.max_length})
            continue
        _update(moved / TRANSFORMER, _lengths(checkpoint, spec))
        pooling = {
            "pooling_strategy": spec.pooling.strategy,
            "activation_function": spec.pooling.activation,
            "embedding_dimension": dim,
        }
        _update(folder / spec.pooling_folder.relative_to(source) / CONFIG, pooling)
    if not (source / MODULES).is_file():
        _write_modules(checkpoint, folder)
    _update(folder / SENTENCE_TRANSFORMERS, {"model_type": "SparseEncoder"})


def _copy(checkpoint: Checkpoint, folder: Path) -> None:
    """Copy the files of the checkpoint's folders, but not of others that lie among them."""
    source = checkpoint.folder
    used = {source}
    for spec in (checkpoint.documents, checkpoint.queries):
        last = [spec.folder, *([spec.pooling_folder] if isinstance(spec, ModelSpec) else [])]
        for path in last:
            used |= {path, *(p for p in path.parents if p.is_relative_to(source))}
    for part in sorted(used):
        for file in sorted(part.iterdir()) if part.is_dir() else []:
            name = file.relative_to(source)
            if file.is_file() and is_needed(name.as_posix()):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, folder / name)


def _lengths(checkpoint: Checkpoint, spec: ModelSpec) -> dict[str, Any]:
    """Settings of a model: its task and lengths, which may differ between its two uses."""
    documents, queries = checkpoint.documents, checkpoint.queries
    differ = documents.folder == queries.folder and documents.max_length != queries.max_length
    return {
        "transformer_task": "fill-mask",
        "max_seq_length": spec.max_length,
        "query_length": queries.max_length if differ else None,
        "document_length": documents.max_length if differ else None,
    }


def _write_modules(checkpoint: Checkpoint, folder: Path) -> None:
    """Describe a checkpoint in transformers' layout: one model, or a Router over two."""
    routes: dict[str, list[str]] = {}
    types: dict[str, str] = {}
    for route, spec in (("query", checkpoint.queries), ("document", checkpoint.documents)):
        model = _relative(spec.folder, checkpoint.folder)
        types[model] = _TYPES["Transformer"]
        routes[route] = [model]
        if isinstance(spec, ModelSpec):
            pooling = _relative(spec.pooling_folder, checkpoint.folder)
            types[pooling] = _TYPES["SpladePooling"]
            routes[route].append(pooling)
    if routes["query"] == routes["document"]:
        listed = list(types.items())
    else:
        listed = [("", _TYPES["Router"])]
        parameters = {"default_route": "document", "allow_empty_key": True, "route_mappings": {}}
        _write(folder / ROUTER, {"types": types, "structure": routes, "parameters": parameters})
    modules = [
        {"idx": number, "name": str(number), "path": place, "type": dotted}
        for number, (place, dotted) in enumerate(listed)
    ]
    _write(folder / MODULES, modules)


def _relative(path: Path, folder: Path) -> str:
    place = path.relative_to(folder).as_posix()
    return "" if place == "." else place


def _update(file: Path, changes: dict[str, Any]) -> None:
    """Change settings in a JSON file, made if it is not there; None takes a setting away."""
    settings = read_json(file, missing={}) | changes
    taken_away = {key for key, value in changes.items() if value is None}
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, {key: value for key, value in settings.items() if key not in taken_away})


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
