"""Models by the id that a model hub knows them by, fetched through huggingface_hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from glob import escape
from pathlib import Path

from lexidex.errors import EncoderNotFound

from .json_file import read_json

SETTINGS = ("*.json", "*vocab.txt", "*query_token_weights.txt", "README.md")
"""Files that say what a checkpoint is; `*` also stands for folders."""

OWN_EXPORTS = "*lexidex_onnx/model.onnx"
"""Exports that are used here, beside what says so."""

HEADS = (
    "*scalar_head.safetensors",
    "*residual_head.safetensors",
    "*sparse_linear.pt",
    "*trained_idf.safetensors",
)
"""Files of heads beside a backbone."""

SAFETENSORS = "*model*.safetensors"
"""Weight files, of adapters too."""

_BIN_NAMES = ("pytorch_model*.bin", "adapter_model*.bin")

BIN = tuple(f"*{name}" for name in _BIN_NAMES)
"""Weight files that are taken in those folders where there are no safetensors."""

_PARTS = ("config.json", "adapter_config.json")
"""Settings that weights stand beside."""

CODE = "*.py"
"""Files that are taken only from repositories that are trusted to run code."""

EXPORTS = ("onnx/*", "openvino/*", "coreml/*", ".*")
"""Forms of a model that are not used here."""

_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def looks_like_hub_id(name: str) -> bool:
    """Whether `name` has the form organisation/model."""
    return _ID.fullmatch(name) is not None


def is_needed(path: str) -> bool:
    """Whether a file of a checkpoint, by its path in the folder, is used or explains it."""
    wanted = (*SETTINGS, OWN_EXPORTS, *HEADS, SAFETENSORS, *BIN, CODE)
    return _matches(path, wanted) and not _matches(path, EXPORTS)


def fetch(name: str, revision: str | None = None, code: bool = False) -> Path:
    """The local folder of a hub's model, downloaded if it is not there yet.

    A commit that is there already, complete, is used without asking the hub.

    Args:
        name: organisation/model.
        revision: branch, tag or commit; None for the newest.
        code: whether to fetch Python files too.

    Raises:
        EncoderNotFound: no such model, no access to it, or no way to the hub.
    """
    here = _kept(name, revision)
    if here is not None and not _lacking(here) and (not code or any(here.rglob(CODE))):
        return here
    wanted = (*SETTINGS, OWN_EXPORTS, *HEADS, SAFETENSORS, *((CODE,) if code else ()))
    try:
        folder = _snapshot(name, revision, wanted)
        lacking = _lacking(folder)
        return _snapshot(name, folder.name, lacking) if lacking else folder
    except EncoderNotFound:
        if here is None or not any(any(here.rglob(name)) for name in (SAFETENSORS, *_BIN_NAMES)):
            raise
        return here  # what is not there may not be on the hub either


def _kept(name: str, revision: str | None) -> Path | None:
    """The folder of a commit, as far as it has been fetched before."""
    if revision is None or not _COMMIT.fullmatch(revision):
        return None
    with suppress(EncoderNotFound):
        return _snapshot(name, revision, (), local=True)
    return None


def _lacking(folder: Path) -> tuple[str, ...]:
    """Patterns of the .bin files of the parts that have no safetensors, nor those files yet."""
    parts = {
        file.parent
        for kind in _PARTS
        for file in folder.rglob(kind)
        if is_needed(file.relative_to(folder).as_posix()) and _has_weights(file)
    }
    lacking = [part for part in parts or {folder} if not _weights_in(part)]
    places = [escape(part.relative_to(folder).as_posix()) for part in sorted(lacking)]
    return tuple(
        name if place == "." else f"{place}/{name}" for place in places for name in _BIN_NAMES
    )


def _has_weights(settings: Path) -> bool:
    """Whether a part with these settings has weights; pooling, tables in JSON, routers do not."""
    named = read_json(settings)
    without = (name in ("path", "structure") or name.startswith("pooling_") for name in named)
    return bool(named) and not any(without)


def _weights_in(folder: Path) -> bool:
    return any(any(folder.glob(pattern)) for pattern in (SAFETENSORS, *_BIN_NAMES))


def _snapshot(
    name: str, revision: str | None, patterns: tuple[str, ...], local: bool = False
) -> Path:
    from huggingface_hub import snapshot_download

    try:
        with _without_progress_bars():
            found = snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(patterns) or None,
                ignore_patterns=list(EXPORTS),
                local_files_only=local,
            )
    except Exception as error:  # the hub, the network and the cache each have their own
        reason = str(error).strip().split("\n")[0]
        raise EncoderNotFound(
            f"encoder {name!r}: no such folder, and the model hub has no such model or cannot be "
            f"reached ({type(error).__name__}: {reason})"
        ) from error
    return Path(found)


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    were_disabled = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not were_disabled:
            enable_progress_bars()


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)
