"""The process that an engine runs in: requests on standard input, replies on standard output.

Both are JSON, a line each. A process of its own gives every engine its own environment, memory and
threads, all set before it starts; and whatever a library prints is kept out of the replies.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import engines, peers
from .engines import Engine
from .workload import load_vectors, rows

ENGINES: dict[str, type[Engine]] = {
    "lexidex-seismic": engines.LexidexSeismic,
    "lexidex-exact": engines.LexidexExact,
    "pyseismic-f16": peers.PySeismic,
    "pyseismic-dotvbyte": peers.PySeismicDotVByte,
    "kannolo": peers.Kannolo,
    "scipy-columns": peers.ScipyColumns,
    "splade-index": peers.SpladeIndex,
    "bm25s": peers.Bm25s,
}
_PRACTICE = 2_000


class Worker:
    """One engine, and the requests that it answers."""

    def __init__(self, engine: str, options: dict[str, Any]) -> None:
        """The engine by its name in ENGINES."""
        self._engine = ENGINES[engine](options)
        self._queries: dict[str, list[Any]] = {}
        self._batches: dict[str, Any] = {}

    def build(self, documents: str, folder: str, n_threads: int, seed: int) -> dict[str, float]:
        """Build and save; CPU and wall seconds, bytes on disk and of memory."""
        vectors = load_vectors(Path(documents))
        if self._engine.compiles:
            with tempfile.TemporaryDirectory() as practice:
                self._engine.prepare(vectors[:_PRACTICE], Path(practice))
                self._engine.build(Path(practice), n_threads, seed)
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        self._engine.prepare(vectors, target)
        del vectors
        gc.collect()
        inputs = set(target.iterdir())
        before = _memory("VmRSS")
        _reset_peak()
        wall, cpu = time.perf_counter(), time.process_time()
        self._engine.build(target, n_threads, seed)
        figures = {
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.perf_counter() - wall,
            "bytes": sum(p.stat().st_size for p in target.iterdir() if p not in inputs),
            "rss_before": before,
            "rss_peak": _memory("VmHWM"),
        }
        for path in inputs:
            path.unlink()
        return figures

    def open(self, folder: str) -> dict[str, float]:
        """Load the index; bytes of memory before and after."""
        before = _memory("VmRSS")
        self._engine.open(Path(folder))
        return {"rss_before": before, "rss": _memory("VmRSS")}

    def search(
        self, queries: str, k: int, point: dict[str, float], limit: int | None = None
    ) -> dict[str, Any]:
        """Search one query after another; each one's CPU time in ns, and its ordinals."""
        engine, chosen = self._engine, self._engine.as_point(point)
        if queries not in self._queries:
            vectors = load_vectors(Path(queries))
            self._queries[queries] = [engine.as_query(*vector) for vector in rows(vectors)]
        times, results = [], []
        gc.disable()
        for query in self._queries[queries][:limit]:
            started = time.process_time_ns()
            result = engine.search(query, k, chosen)
            times.append(time.process_time_ns() - started)
            results.append(result)
        gc.enable()
        return {"ns": times, "ordinals": [list(engine.ordinals(result)) for result in results]}

    def search_batch(
        self, queries: str, k: int, point: dict[str, float], n_threads: int
    ) -> dict[str, float | None]:
        """Search all queries in one call; wall and CPU time in us a query, or None."""
        engine, chosen = self._engine, self._engine.as_point(point)
        vectors = load_vectors(Path(queries))
        if queries not in self._batches:
            self._batches[queries] = engine.as_batch(vectors)
        batch = self._batches[queries]
        if batch is None:
            return {"cpu_us": None, "wall_us": None}
        wall, cpu = time.perf_counter(), time.process_time()
        engine.search_batch(batch, k, chosen, n_threads)
        each = 1e6 / vectors.shape[0]
        cpu_us, wall_us = time.process_time() - cpu, time.perf_counter() - wall
        return {"cpu_us": cpu_us * each, "wall_us": wall_us * each}


def _memory(field: str) -> int:
    """A line of /proc/self/status in bytes; 0 where there is none.

    Not getrusage: its peak is inherited from the process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def _reset_peak() -> None:
    """Let the peak of memory begin at what is used now, where the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")


def main() -> None:
    """Answer requests until standard input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker(sys.argv[1], json.loads(sys.argv[2]))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # told to the other side, which knows what to do without it
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply, default=_number) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
