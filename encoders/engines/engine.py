"""What an engine is, and which one runs a model here."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lexidex.errors import ParameterError
from lexidex.index.vectors import Float32s, Int64s

from .exported import Exported, find_exported
from .processor import has_integer_products

if TYPE_CHECKING:
    from ..projection import Pooling

_log = logging.getLogger("lexidex")

BACKENDS = ("auto", "torch", "onnx", "kernels")
"""What a model is run by.

    torch    floats; exact
    onnx     an export that lies beside the model, in onnxruntime
    kernels  torch, but linear maps of the layers multiply integers by our kernels, block-sparse
             ones those of their blocks that are not 0
    auto     an export that was faster than torch when it was made, if this processor has the
             instructions that it takes; else torch
"""


class Engine(Protocol):
    """From ids to pooled scores, without torch."""

    def pool(self, texts: Sequence[Sequence[int]], counted: Sequence[Int64s]) -> Float32s:
        """Pooled scores of each text, float32 (texts, vocabulary).

        Raw scores for maximum pooling, activated and added up ones for the sum. A text's scores do
        not depend on the texts beside it.

        Args:
            texts: ids of each text, at least one.
            counted: which positions of each text are pooled, at least one.
        """


def check_backend(name: object) -> str:
    """`name` if it is a backend; ParameterError otherwise."""
    if isinstance(name, str) and name in BACKENDS:
        return name
    raise ParameterError(f"backend: {name!r}; known are {', '.join(BACKENDS)}")


def find_engine(folder: Path, weights: str, pooling: Pooling, backend: str) -> Engine | None:
    """What runs the model in `folder` without torch; None for torch.

    Args:
        folder: of the model.
        weights: digest of its weights, which an export must have been made of.
        pooling: of the scores, which the export must have been made for.
        backend: one of `BACKENDS`.

    Raises:
        CorruptFile: the export is unusable.
        MissingDependency: `backend` is "onnx", and there is no onnxruntime.
        ParameterError: `backend` is "onnx", and there is no export, or one of another model.
    """
    if backend in ("torch", "kernels"):
        return None
    exported = find_exported(folder)
    reason = _unsuited(folder, exported, weights, pooling)
    if exported is None or reason:
        if backend == "onnx":
            raise ParameterError(f"backend: 'onnx'; {reason}; make one by `lexidex models export`")
        if exported is not None:
            _log.warning("%s; torch runs the model", reason)
        return None
    if backend == "auto" and not _worth_it(exported):
        return None
    from .onnx_engine import OnnxEngine

    return OnnxEngine(exported.graph, thread_count())


def thread_count() -> int:
    """Threads that work on texts: OMP_NUM_THREADS, as torch has it, or the processors allowed."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _unsuited(folder: Path, exported: Exported | None, weights: str, pooling: Pooling) -> str:
    """Why an export cannot stand for the model; empty where it can."""
    if exported is None:
        return f"{folder}: there is no export"
    if exported.weights != weights:
        return f"{exported.graph.parent}: an export of other weights than those in {folder}"
    if not exported.pools_like(pooling):
        return f"{exported.graph.parent}: an export for {exported.pooling} pooling"
    return ""


def _worth_it(exported: Exported) -> bool:
    return (
        exported.speedup > 1
        and importlib.util.find_spec("onnxruntime") is not None
        and (exported.precision != "int8" or has_integer_products())
    )
