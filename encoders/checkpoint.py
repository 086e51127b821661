"""What a folder with a published model holds: how its documents and its queries are encoded.

Two layouts are read:

- sentence-transformers (modules.json): a masked language model with SpladePooling, or a Router
  whose query side is a table of token weights, or a model of its own. Modules are known by the
  last part of their type, because the packages they live in have moved;
- plain transformers (config.json): SPLADE-max with relu, as sentence-transformers takes it;
  a model in `query/` or `query_model/` is the query side.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from lexidex.errors import CorruptFile, EncoderNotFound, ParameterError

from .activations import check_activation
from .json_file import read_any_json, read_json
from .projection import Pooling, check_pooling

MODULES = "modules.json"
CONFIG = "config.json"
ROUTER = "router_config.json"
TRANSFORMER = "sentence_bert_config.json"
SENTENCE_TRANSFORMERS = "config_sentence_transformers.json"
TOKENIZER = "tokenizer_config.json"

DEFAULT_LENGTH = 512
"""Tokens of a text where neither the folder nor the model says less."""

_MODELS = ("Transformer", "MLMTransformer")
_TABLES = ("SparseStaticEmbedding", "IDF")
_QUERY_FOLDERS = ("query", "query_model")

# These count positions from the id of their padding token on.
_SHIFTED_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet")


@dataclass(frozen=True)
class ModelSpec:
    """Texts that pass through a masked language model.

    Attributes:
        folder: holds config.json, weights and tokenizer.
        pooling: how scores become weights.
        pooling_folder: where sentence-transformers keeps the pooling's settings.
        max_length: most tokens of a text, special ones included.
        positions: most tokens that the model can take; None for any number.
        prompt: what each text is preceded by.
        lowercase: whether texts are lower-cased whatever the tokenizer's file says.
    """

    folder: Path
    pooling: Pooling
    pooling_folder: Path
    max_length: int
    positions: int | None
    prompt: str = ""
    lowercase: bool = False


@dataclass(frozen=True)
class TableSpec:
    """Texts that get each of their tokens' weight from a table: inference-free queries.

    Attributes:
        folder: holds the tokenizer and the table.
        table: idf.json {token: weight}; None for a tensor named "weight" in the weight files.
        max_length: most tokens of a text; None for any number.
        prompt: what each text is preceded by.
    """

    folder: Path
    table: Path | None
    max_length: int | None
    prompt: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """A folder, and how its documents and its queries are encoded."""

    folder: Path
    documents: ModelSpec | TableSpec
    queries: ModelSpec | TableSpec
    licence: str | None = None


def is_checkpoint(folder: Path) -> bool:
    """Whether the folder has one of the layouts read here."""
    return (folder / MODULES).is_file() or (folder / CONFIG).is_file()


def read_checkpoint(folder: Path) -> Checkpoint:
    """What the folder holds; reads settings only, no weights and no tokenizer.

    Raises:
        EncoderNotFound: no such folder, or neither modules.json nor config.json in it.
        CorruptFile: a file is missing or unreadable.
        ParameterError: the model is of a kind that cannot be loaded.
    """
    if not is_checkpoint(folder):
        there = "no such folder" if not folder.is_dir() else f"no {MODULES} and no {CONFIG} there"
        raise EncoderNotFound(f"encoder {str(folder)!r}: {there}")
    if (folder / MODULES).is_file():
        documents, queries = _sentence_transformers_sides(folder)
    else:
        documents, queries = _plain_sides(folder)
    prompts = read_json(folder / SENTENCE_TRANSFORMERS, missing={}).get("prompts") or {}
    return Checkpoint(
        folder,
        replace(documents, prompt=prompts.get("document") or ""),
        replace(queries, prompt=prompts.get("query") or ""),
        _licence(folder),
    )


def _plain_sides(folder: Path) -> tuple[ModelSpec, ModelSpec]:
    documents = _model_spec(folder, folder / "1_SpladePooling", "document")
    for name in _QUERY_FOLDERS:
        if (folder / name / CONFIG).is_file():
            return documents, _model_spec(folder / name, folder / "query_1_SpladePooling", "query")
    return documents, _model_spec(folder, folder / "1_SpladePooling", "query")


def _sentence_transformers_sides(
    folder: Path,
) -> tuple[ModelSpec | TableSpec, ModelSpec | TableSpec]:
    file = folder / MODULES
    listed = read_any_json(file)
    try:
        modules = [(_class_name(m["type"]), _inside(folder, m["path"])) for m in listed]
    except (TypeError, KeyError, AttributeError):
        raise CorruptFile(f"{file}: expected a list of modules with type and path") from None
    if len(modules) == 1 and modules[0][0] == "Router":
        routes = _routes(modules[0][1])
        return _side(routes["document"], file, "document"), _side(routes["query"], file, "query")
    return _side(modules, file, "document"), _side(modules, file, "query")


def _routes(folder: Path) -> dict[str, list[tuple[str, Path]]]:
    """The modules of the routes "document" and "query", each as (class name, folder)."""
    file = folder / ROUTER
    settings = read_json(file)
    try:
        types, structure = settings["types"], settings["structure"]
        return {
            route: [(_class_name(types[path]), _inside(folder, path)) for path in structure[route]]
            for route in ("document", "query")
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise CorruptFile(
            f"{file}: expected types and a structure with document and query; missing: {error}"
        ) from None


def _side(modules: Sequence[tuple[str, Path]], file: Path, task: str) -> ModelSpec | TableSpec:
    names = [name for name, _ in modules]
    if len(modules) == 2 and names[0] in _MODELS and names[1] == "SpladePooling":
        return _model_spec(modules[0][1], modules[1][1], task)
    if len(modules) == 1 and names[0] in _TABLES:
        return _table_spec(modules[0][1])
    raise ParameterError(
        f"{file}: {task} modules {' + '.join(names) or 'none'} are not supported; expected a "
        "masked language model and SpladePooling, or SparseStaticEmbedding"
    )


def _model_spec(folder: Path, pooling_folder: Path, task: str) -> ModelSpec:
    config = read_json(folder / CONFIG)
    settings = read_json(folder / TRANSFORMER, missing={})
    transformer_task = settings.get("transformer_task", "fill-mask")
    if transformer_task != "fill-mask":
        raise ParameterError(
            f"{folder / TRANSFORMER}: transformer_task {transformer_task!r}; expected 'fill-mask'"
        )
    positions = _positions(config)
    says = [settings.get(f"{task}_length"), settings.get("max_seq_length"), _tokenizer_says(folder)]
    said = [length for length in says if length is not None]
    length = int(said[0]) if said else DEFAULT_LENGTH
    return ModelSpec(
        folder,
        _pooling(pooling_folder),
        pooling_folder,
        max_length=min(length, positions) if positions else length,
        positions=positions,
        lowercase=bool(settings.get("do_lower_case")),
    )


def _table_spec(folder: Path) -> TableSpec:
    path = read_json(folder / CONFIG, missing={}).get("path")
    table = None if path is None else _inside(folder, PurePosixPath(str(path)).name)
    return TableSpec(folder, table, _tokenizer_says(folder))


def _pooling(folder: Path) -> Pooling:
    file = folder / CONFIG
    settings = read_json(file, missing={})
    strategy = settings.get("pooling_strategy", "max")
    activation = settings.get("activation_function", "relu")
    return Pooling(
        check_pooling(strategy, f"{file}: pooling_strategy"),
        check_activation(activation, f"{file}: activation_function"),
    )


def _positions(config: dict[str, Any]) -> int | None:
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions < 1:
        return None
    if config.get("model_type") in _SHIFTED_POSITIONS:
        return positions - int(config.get("pad_token_id", 1)) - 1
    return positions


def _tokenizer_says(folder: Path) -> int | None:
    """The tokenizer's own limit; transformers writes a huge number where there is none."""
    length = read_json(folder / TOKENIZER, missing={}).get("model_max_length")
    return int(length) if isinstance(length, int | float) and 0 < length < 10**9 else None


def _class_name(dotted: str) -> str:
    return dotted.rpartition(".")[2]


def _inside(folder: Path, path: str) -> Path:
    """A module's folder, which must not lead out of the checkpoint."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise CorruptFile(f"{folder}: module path {path!r} leads out of the folder")
    return folder / path


def _licence(folder: Path) -> str | None:
    """The licence in the front matter of README.md."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    fields = dict(re.findall(r"^(license(?:_name)?):\s*(.+?)\s*$", front[1], re.M)) if front else {}
    found = fields.get("license_name") or fields.get("license")
    return found.strip("'\"") if found else None
