"""Settings that several layouts have in common: lengths, licences, names of files."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from lexidex.errors import CorruptFile, ParameterError

from ..json_file import read_json
from ..recipe import Recipe, SideSpec

CONFIG = "config.json"
MODULES = "modules.json"
ROUTER = "router_config.json"
TRANSFORMER = "sentence_bert_config.json"
SENTENCE_TRANSFORMERS = "config_sentence_transformers.json"
TOKENIZER = "tokenizer_config.json"

DEFAULT_LENGTH = 512
"""Tokens of a text where neither the folder nor the model says less."""

# These count positions from the id of their padding token on.
_SHIFTED_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet")


def model_side(
    folder: Path, task: str, recipe: Recipe, pooling_folder: Path | None = None
) -> SideSpec:
    """A side whose texts pass through the model in `folder`.

    Args:
        folder: holds config.json, weights and tokenizer.
        task: "document" or "query"; lengths may differ.
        recipe: what is done with texts.
        pooling_folder: where sentence-transformers keeps the pooling's settings.

    Raises:
        CorruptFile: a file is missing or unreadable.
        ParameterError: the model is made for something else.
    """
    length, positions = read_lengths(folder, task)
    settings = read_json(folder / TRANSFORMER, missing={})
    transformer_task = settings.get("transformer_task", "fill-mask")
    if transformer_task != "fill-mask":
        raise ParameterError(
            f"{folder / TRANSFORMER}: transformer_task {transformer_task!r}; expected 'fill-mask'"
        )
    return SideSpec(
        folder,
        recipe,
        max_length=length,
        positions=positions,
        lowercase=bool(settings.get("do_lower_case")),
        pooling_folder=pooling_folder,
    )


def read_lengths(folder: Path, task: str) -> tuple[int, int | None]:
    """Tokens of a text that passes through the model in `folder`: at most, and that it could take.

    Args:
        task: "document" or "query".

    Raises:
        CorruptFile: a file is missing or unreadable, or a length in it is none.
    """
    positions = _positions(read_json(folder / CONFIG))
    settings = read_json(folder / TRANSFORMER, missing={})
    says = [*(_length(folder, settings, f"{name}_length") for name in (task, "max_seq"))]
    said = [length for length in (*says, tokenizer_says(folder)) if length is not None]
    length = said[0] if said else DEFAULT_LENGTH
    return (min(length, positions) if positions else length), positions


def _length(folder: Path, settings: dict[str, Any], name: str) -> int | None:
    length = settings.get(name)
    if length is None:
        return None
    if not is_count(length):
        raise CorruptFile(
            f"{folder / TRANSFORMER}: {name}: {length!r}; expected a whole number above 0"
        )
    return int(length)


def is_count(given: object) -> bool:
    """Whether it is a whole number above 0."""
    return isinstance(given, int) and not isinstance(given, bool) and given > 0


def read_prompts(folder: Path) -> dict[str, str]:
    """What texts are preceded by, by name, as sentence-transformers keeps it.

    Raises:
        CorruptFile: the file is unreadable, or holds something else.
    """
    file = folder / SENTENCE_TRANSFORMERS
    prompts = read_json(file, missing={}).get("prompts") or {}
    if not isinstance(prompts, dict):
        raise CorruptFile(f"{file}: prompts: {prompts!r}; expected texts by name")
    for name, prompt in prompts.items():
        if not isinstance(prompt, str | None):
            raise CorruptFile(f"{file}: prompts: {name}: {prompt!r}; expected a text")
    return {name: prompt or "" for name, prompt in prompts.items()}


def tokenizer_says(folder: Path) -> int | None:
    """The tokenizer's own limit; transformers writes a huge number where there is none."""
    length = read_json(folder / TOKENIZER, missing={}).get("model_max_length")
    return int(length) if isinstance(length, int | float) and 0 < length < 10**9 else None


def inside(folder: Path, path: str) -> Path:
    """A part of a checkpoint, which must not lie outside."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise CorruptFile(f"{folder}: module path {path!r} leads out of the folder")
    return folder / path


def read_licence(folder: Path) -> str | None:
    """The licence in the front matter of README.md."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    fields = dict(re.findall(r"^(license(?:_name)?):\s*(.+?)\s*$", front[1], re.M)) if front else {}
    found = fields.get("license_name") or fields.get("license")
    return found.strip("'\"") if found else None


def _positions(config: dict[str, Any]) -> int | None:
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions < 1:
        return None
    if config.get("model_type") in _SHIFTED_POSITIONS:
        padding = config.get("pad_token_id")
        return positions - (padding if isinstance(padding, int) else 1) - 1
    return positions
