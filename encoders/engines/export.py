"""Exporting the models of a checkpoint: write each graph, compare it with torch, and only then
put it in place.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lexidex.errors import MissingDependency, ParameterError
from lexidex.index.vectors import Vectors

from .bert import bert_weights
from .exported import Agreement, Exported, find_exported, graph_file

if TYPE_CHECKING:
    from ..base import Encoder
    from ..learned import LearnedEncoder
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
    options: Mapping[str, Any] | None = None,
) -> list[Exported]:
    """Write a checkpoint with its models exported; `load_encoder` then picks what is faster.

    Args:
        source: a checkpoint, in a folder or on the hub.
        to: a folder that is not there yet, which gets the whole checkpoint; or `source` itself,
            which gets the exports alone.
        texts: to compare vectors and speed on, at least one that is not empty.
        int8: whether maps multiply integers; fp32 otherwise.
        tolerance: how far below 1 the cosine of a text's two vectors may be; None for `TOLERANCE`.
        options: of `load_encoder`, for `source`: what its files do not tell. A whole checkpoint
            that is written tells it.

    Returns:
        What was exported: one model, or two where queries have their own.

    Raises:
        ParameterError: no model there that can be exported; vectors differ by more than the
            tolerance, and then nothing is written; `to` exists.
        MissingDependency: onnx or onnxruntime is not installed.
    """
    _check_dependencies()
    encoder = with_models(source, options)
    target = Path(to)
    in_place = target.exists() and target.resolve() == encoder.checkpoint.folder.resolve()
    if target.exists() and not in_place and any(target.iterdir()):
        raise ParameterError(f"{target}: exists already; expected a new folder, or the model's own")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        if not in_place:
            # Packed if it was: collections go by the fingerprint, and none but we read exports.
            encoder.save(Path(scratch) / "checkpoint", packed=True)
            trusted = {"trust_remote_code": encoder.trusts_remote_code}
            encoder = with_models(Path(scratch) / "checkpoint", trusted)
        whole = encoder.checkpoint.folder
        found = []
        for number, side in enumerate(model_sides(encoder)):
            made = Path(scratch) / str(number)
            exported = _exported(side, made, texts, int8=int8, tolerance=tolerance)
            graph = graph_file(side.model.folder)
            _swap(exported.graph.parent, graph.parent)
            found.append(replace(exported, graph=target / graph.relative_to(whole)))
        if not in_place:
            _swap(whole, target)
    return found


def with_models(
    source: str | PathLike[str], options: Mapping[str, Any] | None = None
) -> LearnedEncoder:
    """A checkpoint, run by torch, with these options of `load_encoder`.

    Raises:
        ParameterError: no model of it can be exported; no such option.
    """
    from ..learned import LearnedEncoder
    from ..loading import KINDS, load_encoder

    if fspath(source) in KINDS:
        raise ParameterError(
            f"{source}: no model; expected a folder with one, or organisation/model on the hub"
        )
    encoder = load_encoder(source, **{**(options or {}), "backend": "torch"})
    assert isinstance(encoder, LearnedEncoder)  # no other has a backend
    if not model_sides(encoder):
        raise ParameterError(
            f"{encoder.checkpoint.folder}: no model there with a head for masked language modelling"
        )
    return encoder


def model_sides(encoder: LearnedEncoder) -> list[ModelSide]:
    """The sides whose head scores the vocabulary, one for each model in the encoder's folder."""
    from ..sides import ModelSide

    sides = [s for s in (encoder.documents, encoder.queries) if isinstance(s, ModelSide)]
    folder = encoder.checkpoint.folder
    known = {
        side.model: side
        for side in reversed(sides)
        if side.model.head == "mlm" and side.model.folder.is_relative_to(folder)
    }
    return list(reversed(known.values()))


def exports_of(encoder: Encoder) -> list[Exported]:
    """The exports that lie beside an encoder's models; see `find_exported` for what is raised."""
    from ..learned import LearnedEncoder

    if not isinstance(encoder, LearnedEncoder):
        return []
    found = [find_exported(side.model.folder) for side in model_sides(encoder)]
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
    onnx.save(bert_graph(bert_weights(model.network().model), pooling, int8=int8), file)
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
