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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lexidex.collection import Collection
from lexidex.documents import SparseInput
from lexidex.errors import ParameterError
from lexidex.index.vectors import Int64s
from lexidex.results import SearchResult

from .harness import Say
from .record import Line, Record
from .tables import LATENCY, Table, latency_cells, number
from .timing import Latency, latency, one_by_one
from .workload import Workload, rows

KIND = "churn"
ABOUT = """Three collections of the same content, on disk: built by one write; the last documents
written singly, by one thread and as many by eight; some documents replaced, 500 a write. Each is
left to merge until nothing is left to do. Microseconds are CPU time of one search of the whole
collection, k = 10, with nothing fetched but ids; writes are acknowledged ones in wall time, each on
disk and found by searches."""

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

    Raises:
        ParameterError: there are fewer documents than are written singly.
    """
    if 2 * n_writes > workload.n_documents:
        raise ParameterError(
            f"writes: {n_writes:,} by one thread and as many by {THREADS}; the collection has "
            f"{workload.n_documents:,} documents"
        )
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
        passes: dict[str, list[Int64s]] = {state: [] for state in collections}
        for _ in range(rounds):
            for state, collection in collections.items():
                passes[state].append(one_by_one(partial(_search, collection), queries)[0])
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
        record.add(KIND, **vars(figure))
    return figures


def _documents(workload: Workload, first: int = 0) -> Iterator[dict[str, Any]]:
    for place, (components, values) in enumerate(rows(workload.documents()[first:]), first):
        yield {"id": f"d{place}", "vector": {"components": components, "values": values}}


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


def _search(collection: Collection, query: SparseInput) -> SearchResult:
    return collection.search(sparse=query, k=K, fields=())


def tables(lines: Sequence[Line]) -> list[Table]:
    """One table, a row for each collection."""
    columns = ("collection", "segments", *LATENCY, "times built", "writes/s", "by eight threads")
    return [Table("", columns, [_row(line) for line in lines])]


def _row(line: Line) -> list[str]:
    times = [*latency_cells(line["latency"]), number(line["times_built"], 2)]
    speeds = line["writes_per_second"] or (None, None)
    return [line["state"], number(line["n_segments"]), *times, *map(number, speeds)]
