"""The process that opens an index: figures of it as one JSON object on standard output."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Literal

from lexidex.index import SeismicIndex

from .memory import huge_pages, resident
from .timing import latency, one_by_one
from .workload import load_vectors, rows

K = 10


def measure(
    path: Path, queries: Path, memory: Literal["map", "load"], rounds: int = 5
) -> dict[str, Any]:
    """Open an index and search it; see `opening.Opening` for the figures."""
    batch = load_vectors(queries)
    each = list(rows(batch))
    opening = time.perf_counter()
    index = SeismicIndex.open(path, memory)
    opened = time.perf_counter()
    index.search_one(*each[0], K)
    answered = time.perf_counter()
    for query in each:
        index.search_one(*query, K)
    passed = time.perf_counter()
    calls, batches = [], []
    index.search(batch, K)
    for _ in range(rounds):
        calls.append(one_by_one(lambda query: index.search_one(*query, K), each)[0])
        started = time.process_time()
        index.search(batch, K)
        batches.append((time.process_time() - started) * 1e6 / len(each))
    return {
        "open_ms": (opened - opening) * 1e3,
        "first_ms": (answered - opened) * 1e3,
        "first_pass_us": (passed - answered) * 1e6 / len(each),
        "latency": asdict(latency(calls)),
        "batch_us": median(batches),
        "rss": resident(),
        "huge": huge_pages(),
    }


if __name__ == "__main__":
    json.dump(measure(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]), sys.stdout)  # type: ignore[arg-type]
