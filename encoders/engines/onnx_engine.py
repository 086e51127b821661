"""An exported model at work in onnxruntime, one text a call and thread."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from lexidex.errors import CorruptFile, MissingDependency
from lexidex.index.vectors import Float32s, Int64s


class OnnxEngine:
    """Pooled scores by the graph of a file."""

    def __init__(self, file: Path, n_threads: int = 1) -> None:
        """Load the graph.

        Args:
            file: what `bert_graph` made.
            n_threads: texts that are worked on at once; each takes one thread, so that nothing
                waits in between.

        Raises:
            CorruptFile: onnxruntime cannot load it.
            MissingDependency: there is no onnxruntime.
        """
        self._file = file
        self._session = _session(file)
        self._pool = ThreadPoolExecutor(n_threads) if n_threads > 1 else None

    def pool(self, texts: Sequence[Sequence[int]], counted: Sequence[Int64s]) -> Float32s:
        """Pooled scores, float32 (texts, vocabulary).

        Args:
            texts: ids of each text, at least one.
            counted: which positions of each text are pooled, at least one.
        """
        apply = map if self._pool is None or len(texts) == 1 else self._pool.map
        return np.stack(list(apply(self._scores, texts, counted)))

    def _scores(self, ids: Sequence[int], counted: Int64s) -> Float32s:
        inputs = {"ids": np.array(ids, dtype=np.int64), "counted": counted}
        try:
            scores: Float32s = self._session.run(None, inputs)[0]
        except Exception as error:  # onnxruntime has its own, one for each status
            raise CorruptFile(f"{self._file}: cannot be run: {_first_line(error)}") from error
        return scores


def _session(file: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependency(
            f"{file}: needs onnxruntime; pip install 'lexidex[onnx]', or load with backend='torch'"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CorruptFile(f"{file}: cannot be loaded: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
