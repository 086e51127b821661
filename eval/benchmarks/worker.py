"""The process that an engine runs in: requests on standard input, replies on standard output.

Both are JSON, a line each. A process of its own gives every engine its own environment, memory and
threads, all set before it starts; and whatever a library prints is kept out of the replies.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from . import ablated, engines, peers
from .answering import answer
from .engines import Engine
from .memory import reset_peak, resident
from .timing import one_by_one
from .workload import load_vectors, rows

ENGINES: dict[str, type[Engine]] = {
    "lexidex-seismic": engines.LexidexSeismic,
    "lexidex-exact": engines.LexidexExact,
    "lexidex-without-prefetch": ablated.WithoutPrefetch,
    "lexidex-list-by-list": ablated.ListByList,
    "lexidex-without-heads": ablated.WithoutHeads,
    "lexidex-whole-queries": ablated.WholeQueries,
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
        before = resident()
        reset_peak()
        wall, cpu = time.perf_counter(), time.process_time()
        self._engine.build(target, n_threads, seed)
        figures = {
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.perf_counter() - wall,
            "bytes": sum(p.stat().st_size for p in target.iterdir() if p not in inputs),
            "rss_before": before,
            "rss_peak": resident("VmHWM"),
        }
        for path in inputs:
            path.unlink()
        return figures

    def open(self, folder: str) -> dict[str, float]:
        """Load the index; bytes of memory before and after."""
        before = resident()
        self._engine.open(Path(folder))
        return {"rss_before": before, "rss": resident()}

    def search(
        self, queries: str, k: int, point: dict[str, float], limit: int | None = None
    ) -> dict[str, Any]:
        """Search one query after another; each one's CPU time in ns, and its ordinals."""
        engine, chosen = self._engine, self._engine.as_point(point)
        if queries not in self._queries:
            vectors = load_vectors(Path(queries))
            self._queries[queries] = [engine.as_query(*vector) for vector in rows(vectors)]
        asked = self._queries[queries][:limit]
        times, results = one_by_one(lambda query: engine.search(query, k, chosen), asked)
        found = [list(engine.ordinals(result)) for result in results]
        return {"ns": times.tolist(), "ordinals": found}

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


def main() -> None:
    """Answer requests until standard input ends."""
    answer(lambda: Worker(sys.argv[1], json.loads(sys.argv[2])))


if __name__ == "__main__":
    main()
