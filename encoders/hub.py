"""Models by the id that a model hub knows them by, fetched through huggingface_hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from lexidex.errors import EncoderNotFound

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

BIN = ("*pytorch_model*.bin", "*adapter_model*.bin")
"""Weight files that are taken where there are no safetensors."""

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

    A commit that is there already is used without asking the hub.

    Args:
        name: organisation/model.
        revision: branch, tag or commit; None for the newest.
        code: whether to fetch Python files too.

    Raises:
        EncoderNotFound: no such model, no access to it, or no way to the hub.
    """
    if revision is not None and _COMMIT.fullmatch(revision):
        try:
            folder = _snapshot(name, revision, (), local=True)
        except EncoderNotFound:
            pass
        else:
            if _has_weights(folder):
                return folder
    wanted = (*SETTINGS, OWN_EXPORTS, *HEADS, SAFETENSORS, *((CODE,) if code else ()))
    folder = _snapshot(name, revision, wanted)
    return folder if _has_weights(folder) else _snapshot(name, folder.name, BIN)


def _has_weights(folder: Path) -> bool:
    return any(any(folder.rglob(pattern)) for pattern in (SAFETENSORS, *BIN))


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
