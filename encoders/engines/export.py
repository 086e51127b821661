"""Exporting the models of a checkpoint: write each graph, compare it with torch, and only then
put it in place.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lexidex.errors import MissingDependency, ParameterError
from lexidex.index.vectors import Vectors

from .bert import bert_weights
from .exported import Agreement, Exported, find_exported, graph_file

if TYPE_CHECKING:
    from ..base import Encoder
    from ..masked_lm import MaskedLMEncoder
    from ..sides import ModelSide

TOLERANCE = {"fp32": 1e-4, "int8": 0.03}
"""How far below 1 the cosine of a text's two vectors may be, by precision."""

TOP_TERMS = 20
"""Terms of a vector that `Agreement.top_terms` compares."""


def export(
    source: str | PathLike[str],
    to: str | PathLike[str],
    texts: Sequence[str],
    *,
    int8: bool = True,
    tolerance: float | None = None,
) -> list[Exported]:
    """Write a checkpoint with its models exported; `load_encoder` then picks what is faster.

    Args:
        source: a checkpoint, in a folder or on the hub.
        to: a folder that is not there yet, which gets the whole checkpoint; or `source` itself,
            which gets the exports alone.
        texts: to compare vectors and speed on, at least one that is not empty.
        int8: whether maps multiply integers; fp32 otherwise.
        tolerance: how far below 1 the cosine of a text's two vectors may be; None for `TOLERANCE`.

    Returns:
        What was exported: one model, or two where queries have their own.

    Raises:
        ParameterError: no model there that can be exported; vectors differ by more than the
            tolerance, and then nothing is written; `to` exists.
        MissingDependency: onnx or onnxruntime is not installed.
    """
    _check_dependencies()
    encoder, sides = checkpoint_models(source)
    target = Path(to)
    in_place = target.exists() and target.resolve() == encoder.folder.resolve()
    if target.exists() and not in_place and any(target.iterdir()):
        raise ParameterError(f"{target}: exists already; expected a new folder, or the model's own")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        made = Path(scratch) / "checkpoint"
        if not in_place:
            encoder.save(made)
        found = []
        for side in sides:
            folder = side.model.folder.relative_to(encoder.folder)
            found.append(_exported(side, made / folder, texts, int8=int8, tolerance=tolerance))
        if in_place:
            for exported in found:
                _swap(exported.graph.parent, target / exported.graph.parent.relative_to(made))
        else:
            _swap(made, target)
    places = [target / exported.graph.relative_to(made) for exported in found]
    return [replace(one, graph=place) for one, place in zip(found, places, strict=True)]


def checkpoint_models(source: str | PathLike[str]) -> tuple[MaskedLMEncoder, list[ModelSide]]:
    """A checkpoint run by torch, and a side for each model; ParameterError if it has none."""
    from ..masked_lm import MaskedLMEncoder

    encoder = MaskedLMEncoder(source, backend="torch")
    sides = _model_sides(encoder)
    if not sides:
        raise ParameterError(f"{encoder.folder}: no model there")
    return encoder, sides


def exports_of(encoder: Encoder) -> list[Exported]:
    """The exports that lie beside an encoder's models; see `find_exported` for what is raised."""
    from ..masked_lm import MaskedLMEncoder

    if not isinstance(encoder, MaskedLMEncoder):
        return []
    found = [find_exported(side.model.folder) for side in _model_sides(encoder)]
    return [exported for exported in found if exported is not None]


def _exported(
    side: ModelSide, folder: Path, texts: Sequence[str], *, int8: bool, tolerance: float | None
) -> Exported:
    """Write the export of a side's model into `folder`, if it agrees with torch."""
    import onnx

    from .onnx_engine import OnnxEngine
    from .onnx_graph import bert_graph

    model, pooling = side.model, side.pooling
    precision = "int8" if int8 else "fp32"
    allowed = TOLERANCE[precision] if tolerance is None else tolerance
    side.encode(texts[:1])  # loads the weights, which is not to be timed
    torch_vectors, torch_seconds = _timed(side, texts)
    file = graph_file(folder)
    file.parent.mkdir(parents=True)
    onnx.save(bert_graph(bert_weights(model.network()), pooling, int8=int8), file)
    model.run_by(OnnxEngine(file), pooling)
    vectors, seconds = _timed(side, texts)
    agreement = _agreement(torch_vectors, vectors)
    if not 1 - agreement.least_cosine <= allowed:
        raise ParameterError(
            f"tolerance: {allowed}; the cosine of a text's vectors by torch and by {precision} is "
            f"{agreement.least_cosine:.4f}, so nothing was written; allow more, or export fp32"
        )
    exported = Exported(
        file,
        precision,
        pooling="sum" if pooling.sums else "max",
        activation=pooling.activation if pooling.sums else "",
        weights=model.digest,
        speedup=torch_seconds / seconds,
        agreement=agreement,
    )
    exported.describe()
    return exported


def _model_sides(encoder: MaskedLMEncoder) -> list[ModelSide]:
    """The sides that have a model, one for each model."""
    from ..sides import ModelSide

    sides = [s for s in (encoder.documents, encoder.queries) if isinstance(s, ModelSide)]
    return list({side.model: side for side in reversed(sides)}.values())


def _timed(side: ModelSide, texts: Sequence[str]) -> tuple[Vectors, float]:
    """Vectors, and the seconds of processor time that they took."""
    started = time.process_time()
    vectors = side.encode(texts)
    return vectors, time.process_time() - started


def _agreement(torch_vectors: Vectors, vectors: Vectors) -> Agreement:
    pairs = [
        (torch_vectors[[row]].toarray()[0], vectors[[row]].toarray()[0])
        for row in range(torch_vectors.shape[0])
    ]
    cosines = [_cosine(one, other) for one, other in pairs if one.any() or other.any()]
    shared = [_shared_terms(one, other) for one, other in pairs if one.any()]
    if not cosines:
        raise ParameterError("texts: all of them have empty vectors; nothing can be compared")
    return Agreement(
        len(pairs),
        cosine=float(np.mean(cosines)),
        least_cosine=float(np.min(cosines)),
        top_terms=float(np.mean(shared)) if shared else 0.0,
        nnz=vectors.nnz / len(pairs),
        torch_nnz=torch_vectors.nnz / len(pairs),
    )


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    norms = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return float(one @ other) / norms if norms else 0.0


def _shared_terms(one: np.ndarray, other: np.ndarray) -> float:
    count = min(TOP_TERMS, int(np.count_nonzero(one)))
    heaviest = [set(np.argsort(-vector, kind="stable")[:count]) for vector in (one, other)]
    return len(heaviest[0] & heaviest[1]) / count


def _swap(made: Path, target: Path) -> None:
    """Put a folder in place of another."""
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    made.rename(target)


def _check_dependencies() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise MissingDependency(
            f"exporting needs {error.name}; pip install 'lexidex[onnx]'"
        ) from None
