"""The process that opens a collection: its first uses as a JSON list on standard output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lexidex.collection import Collection

from .memory import resident
from .workload import load_vectors, rows

K = 10


def measure(folder: Path, queries: Path) -> list[dict[str, Any]]:
    """Open a collection and use it; see `collection_opening.FirstUse` for the figures."""
    components, values = next(iter(rows(load_vectors(queries)[:1])))
    query = {"components": components, "values": values}
    before = resident("RssAnon")
    steps: list[dict[str, Any]] = []

    def step(name: str, use: Callable[[], object]) -> Any:
        started = time.perf_counter()
        result = use()
        between = time.perf_counter()
        use()
        ended = time.perf_counter()
        milliseconds = {"ms": (between - started) * 1e3, "again_ms": (ended - between) * 1e3}
        memory = {"own": resident("RssAnon") - before, "mapped": resident("RssFile")}
        steps.append({"step": name, **milliseconds, **memory})
        return result

    opened: Collection = step("open", lambda: Collection.open(folder, merge="off"))
    found = step("search", lambda: opened.search(sparse=query, k=K, fields=()))
    step("fetch the hits", lambda: [opened.get(hit.doc_id) for hit in found])
    step("explain one", lambda: opened.explain(query, found.hits[0].doc_id))
    step("filter", lambda: opened.count({"year": {"gte": 2000}}))
    step("search exactly", lambda: opened.search(sparse=query, k=K, exact=True, fields=()))
    return steps


if __name__ == "__main__":
    json.dump(measure(Path(sys.argv[1]), Path(sys.argv[2])), sys.stdout)
