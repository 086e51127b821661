"""Churn benchmark: what a collection that was changed costs to search, next to one built at once.

Three collections of the same content: one built in a single write; one whose last documents came by
single writes; one with a share of its documents replaced. Each change is left to settle, as it does
in a process that goes on running: merging in the background has nothing left to do.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexidex.collection import Collection
from lexidex.documents import SparseInput

from .harness import Latency, Record, Say, latency
from .workload import Workload, rows

K = 10
BATCH = 500
"""Documents that are replaced by one write: small enough for the log."""

THREADS = 8
"""Threads that write single documents at once."""


@dataclass(frozen=True)
class ChurnFigures:
    """One collection.

    Attributes:
        state: "built", "written singly" or "replaced".
        latency: of one search in a call of its own, with nothing fetched but ids.
        times_built: its mean over that of the collection built at once.
        n_segments: segments that a search goes through.
        writes_per_second: acknowledged writes of one document each, from one thread and from
            eight; None where nothing was written singly.
    """

    state: str
    latency: Latency
    times_built: float
    n_segments: int
    writes_per_second: tuple[float, float] | None = None


def run_churn(
    workload: Workload,
    *,
    record: Record,
    say: Say,
    n_writes: int = 1000,
    share: float = 0.2,
    rounds: int = 5,
) -> list[ChurnFigures]:
    """Make the three collections on disk and search them in turns with the test queries.

    Args:
        n_writes: documents that are written singly, by one thread and as many by eight.
        share: of the documents, replaced in batches of 500.
    """
    queries = [
        {"components": components, "values": values}
        for components, values in rows(workload.queries("test"))
    ]
    with tempfile.TemporaryDirectory(dir=workload.folder) as scratch:
        say("building")
        built = _built(workload, Path(scratch) / "built", workload.n_documents)
        say(f"writing {2 * n_writes:,} documents singly")
        single = _built(workload, Path(scratch) / "single", workload.n_documents - 2 * n_writes)
        speed = _write_singly(workload, single, n_writes)
        say(f"replacing {share:.0%} of the documents")
        replaced = _built(workload, Path(scratch) / "replaced", workload.n_documents)
        _replace(workload, replaced, share)
        collections = {"built": built, "written singly": single, "replaced": replaced}
        for collection in collections.values():
            collection.settle()
        say("searching")
        passes: dict[str, list[NDArray[np.int64]]] = {state: [] for state in collections}
        for _ in range(rounds):
            for state, collection in collections.items():
                passes[state].append(_search_all(collection, queries))
        latencies = {state: latency(times) for state, times in passes.items()}
        figures = [
            ChurnFigures(
                state=state,
                latency=latencies[state],
                times_built=latencies[state].mean / latencies["built"].mean,
                n_segments=len(collection.search(sparse=queries[0]).plan),
                writes_per_second=speed if state == "written singly" else None,
            )
            for state, collection in collections.items()
        ]
        for collection in collections.values():
            collection.close()
    for figure in figures:
        record.add("churn", figures=figure)
    return figures


def _documents(workload: Workload, first: int = 0) -> Iterator[dict[str, Any]]:
    for number, (components, values) in enumerate(rows(workload.documents()[first:]), first):
        yield {"id": f"d{number}", "vector": {"components": components, "values": values}}


def _built(workload: Workload, folder: Path, n_documents: int) -> Collection:
    collection = Collection.create(folder, "vectors")
    given = _documents(workload)
    collection.upsert(document for document, _ in zip(given, range(n_documents), strict=False))
    return collection


def _write_singly(workload: Workload, collection: Collection, n: int) -> tuple[float, float]:
    """Write the rest of the documents; acknowledged writes a second, from one thread and many."""
    rest = list(_documents(workload, workload.n_documents - 2 * n))
    started = time.perf_counter()
    for document in rest[:n]:
        collection.upsert([document])
    between = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda document: collection.upsert([document]), rest[n:]))
    ended = time.perf_counter()
    return n / (between - started), n / (ended - between)


def _replace(workload: Workload, collection: Collection, share: float) -> None:
    """Put documents in the place of themselves, drawn without repeats."""
    documents = list(_documents(workload))
    drawn = np.random.default_rng(workload.seed).permutation(len(documents))
    chosen = drawn[: round(share * len(documents))].tolist()
    for first in range(0, len(chosen), BATCH):
        collection.upsert([documents[place] for place in chosen[first : first + BATCH]])


def _search_all(collection: Collection, queries: Sequence[SparseInput]) -> NDArray[np.int64]:
    """CPU time of each query, in nanoseconds."""
    times = []
    for query in queries:
        started = time.thread_time_ns()
        collection.search(sparse=query, k=K, fields=())
        times.append(time.thread_time_ns() - started)
    return np.array(times, dtype=np.int64)
