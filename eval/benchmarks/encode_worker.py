"""The process that an encoder runs in: it imports what the encoder needs, and little else.

A peer may live in an environment of its own, without our dependencies.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .answering import answer
from .memory import reset_peak, resident


class Encoder(Protocol):
    """A model that is measured."""

    def documents(self, texts: Sequence[str]) -> Any:
        """Vectors of documents, in the library's own form."""

    def queries(self, texts: Sequence[str]) -> Any:
        """Vectors of queries, in the library's own form."""

    def rows(self, vectors: Any) -> list[tuple[list[int], list[float]]]:
        """The same as components and values."""


class Lexidex:
    """Our encoder, by any of its backends."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        """Load it."""
        from lexidex.encoders import load_encoder

        self._encoder = load_encoder(folder, **options)

    def documents(self, texts: Sequence[str]) -> Any:
        return self._encoder.encode_documents(texts)

    def queries(self, texts: Sequence[str]) -> Any:
        return self._encoder.encode_queries(texts)

    def rows(self, vectors: Any) -> list[tuple[list[int], list[float]]]:
        bounds = zip(vectors.indptr, vectors.indptr[1:], strict=False)
        return [(vectors.indices[a:b].tolist(), vectors.data[a:b].tolist()) for a, b in bounds]


class SentenceTransformers:
    """SparseEncoder, on torch, ONNX or OpenVINO; exports are made in a copy of the folder."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        """Load it; `batch` is the batch size, `scratch` a folder for exports."""
        from sentence_transformers import SparseEncoder

        self._batch: int = options["batch"]
        backend = options.get("backend", "torch")
        if backend != "torch":
            folder = str(shutil.copytree(folder, options["scratch"]))
        self._model: Any = SparseEncoder(folder, backend=backend, device="cpu")
        if options.get("int8"):
            from sentence_transformers import export_dynamic_quantized_onnx_model

            export_dynamic_quantized_onnx_model(self._model, "avx512_vnni", folder)
            name = "onnx/model_qint8_avx512_vnni.onnx"
            quantised = {"file_name": name}
            self._model = SparseEncoder(
                folder, backend=backend, device="cpu", model_kwargs=quantised
            )

    def documents(self, texts: Sequence[str]) -> Any:
        return self._model.encode_document(
            list(texts), batch_size=self._batch, show_progress_bar=False
        )

    def queries(self, texts: Sequence[str]) -> Any:
        return self._model.encode_query(
            list(texts), batch_size=self._batch, show_progress_bar=False
        )

    def rows(self, vectors: Any) -> list[tuple[list[int], list[float]]]:
        found = []
        for row in vectors:
            row = row.coalesce()
            found.append((row.indices()[0].tolist(), row.values().tolist()))
        return found


ENCODERS: dict[str, Callable[[str, dict[str, Any]], Encoder]] = {
    "lexidex": Lexidex,
    "sentence-transformers": SentenceTransformers,
}


class Worker:
    """One encoder, and the requests that it answers."""

    def __init__(self, library: str, folder: str, options: dict[str, Any]) -> None:
        """The encoder of a library in ENCODERS."""
        self._load: Callable[[], Encoder] = lambda: ENCODERS[library](folder, options)
        self._encoder: Encoder | None = None

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded with the first use."""
        if self._encoder is None:
            self._encoder = self._load()
        return self._encoder

    def load(self, texts: list[str]) -> dict[str, int]:
        """Load, and encode a few texts of both kinds; bytes of memory then."""
        self.encoder.documents(texts)
        self.encoder.queries(texts[:1])
        return {"rss": resident()}

    def encode(self, texts: list[str]) -> dict[str, float]:
        """Encode documents: seconds of CPU and wall time, and bytes above what stood before."""
        before = resident()
        reset_peak()
        wall, cpu = time.perf_counter(), time.process_time()
        self.encoder.documents(texts)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return {"cpu_s": cpu, "wall_s": wall, "peak": resident("VmHWM") - before}

    def ask(self, texts: list[str]) -> dict[str, list[float]]:
        """Encode queries one by one: seconds of CPU and of wall time of each."""
        cpu_times, wall_times = [], []
        for text in texts:
            wall, cpu = time.perf_counter(), time.process_time()
            self.encoder.queries([text])
            cpu_times.append(time.process_time() - cpu)
            wall_times.append(time.perf_counter() - wall)
        return {"cpu_s": cpu_times, "wall_s": wall_times}

    def vectors(self, texts: list[str], queries: bool, to: str) -> dict[str, int]:
        """Encode texts and write their vectors, as three arrays, into the file `to`."""
        encode = self.encoder.queries if queries else self.encoder.documents
        rows = self.encoder.rows(encode(texts))
        ends = np.cumsum([0, *(len(components) for components, _ in rows)])
        np.savez(
            Path(to),
            indptr=ends,
            indices=np.array([i for components, _ in rows for i in components], dtype=np.int32),
            data=np.array([v for _, values in rows for v in values], dtype=np.float32),
        )
        return {"nnz": int(ends[-1])}


def main() -> None:
    """Answer requests until standard input ends."""
    answer(lambda: Worker(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))


if __name__ == "__main__":
    main()
