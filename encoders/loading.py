"""`load_encoder`: from a name, a folder or a hub id to an encoder."""

from __future__ import annotations

import inspect
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from lexidex.errors import EncoderNotFound, ParameterError

from .base import Encoder
from .saved import DESCRIPTION, read_description

KINDS = {
    "bm25": ("lexidex.encoders.bm25", "BM25Encoder"),
    "vectors": ("lexidex.encoders.ready_made", "ReadyMadeEncoder"),
}
"""Encoders that need no files, by name; their modules load when they are asked for."""


def load_encoder(name: str | PathLike[str], **options: Any) -> Encoder:
    """The encoder of that name, or the one saved in that folder.

    Args:
        name: "bm25", "vectors", or a folder written by `Encoder.save`.
        options: the family's own, such as `k1` or `language` for bm25; over a saved encoder
            they replace its own.

    Raises:
        EncoderNotFound: no such name, and no such folder.
        ParameterError: an option that the family does not have, or out of its range.
    """
    name = fspath(name)
    if name in KINDS:
        return _make(name, options)
    folder = Path(name)
    if (folder / DESCRIPTION).is_file():
        described = read_description(folder)
        encoder = _make(described["kind"], described["options"] | options)
        return encoder.restore(described["state"])
    raise EncoderNotFound(
        f"encoder {name!r}: not one of {', '.join(sorted(KINDS))}, and no folder with a "
        f"{DESCRIPTION}"
    )


def _make(kind: str, options: dict[str, Any]) -> Encoder:
    if kind not in KINDS:
        raise EncoderNotFound(f"encoder kind {kind!r}: known are {', '.join(sorted(KINDS))}")
    module, class_name = KINDS[kind]
    family: type[Encoder] = getattr(import_module(module), class_name)
    known = [p for p in inspect.signature(family.__init__).parameters if p != "self"]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ParameterError(
            f"encoder {kind}: unknown option {unknown[0]!r}; it has {', '.join(known) or 'none'}"
        )
    return family(**options)
