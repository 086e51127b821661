"""Rank-safe benchmark: what it costs to approximate nothing, next to the exact index."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lexidex.index import ExactIndex, SearchParams, SeismicIndex
from lexidex.index.topk import TopK
from lexidex.index.vectors import Components, Float32s

from .harness import accuracy
from .record import Line, Record
from .sweep import TASKS, Task
from .tables import LATENCY, Table, distinct, latency_cells, number
from .timing import Latency, latency, one_by_one
from .workload import Workload, rows

KIND = "rank_safe"
ABOUT = """The approximate index with default parameters and with `rank_safe`, and the exact index,
in turns. Accuracy is the overlap with the exact top k; a rank-safe search misses only what differs
by the rounding of stored values. Documents are those that were scored, a query in the mean.
Microseconds are CPU time of one query in one thread."""

RANK_SAFE: dict[str, Any] = {"rank_safe": True}
Query: TypeAlias = tuple[Components, Float32s]
Search: TypeAlias = Callable[[Query], TopK]


@dataclass(frozen=True)
class RankSafe:
    """One way of searching on one task; `documents` were scored, a query in the mean."""

    task: str
    search: str
    accuracy: float
    latency: Latency
    documents: float


def run_rank_safe(workload: Workload, path: Path, record: Record, rounds: int = 3) -> None:
    """Search an index file in both ways, and the exact index, in turns, for each task."""
    index, exact = SeismicIndex.open(path, "load"), ExactIndex.build(workload.documents())
    for task in TASKS:
        ways = {
            "default": partial(_approximate, index, SearchParams(), task.k),
            "rank-safe": partial(_approximate, index, SearchParams(**RANK_SAFE), task.k),
            "exact": partial(_exact, exact, task.k),
        }
        for figures in _compared(workload, task, ways, rounds):
            record.add(KIND, **vars(figures))


def _approximate(index: SeismicIndex, params: SearchParams, k: int, query: Query) -> TopK:
    components, values = query
    return index.search_one(components, values, k, params)


def _exact(index: ExactIndex, k: int, query: Query) -> TopK:
    components, values = query
    return index.search_one(components, values, k)


def _compared(
    workload: Workload, task: Task, ways: Mapping[str, Search], rounds: int
) -> list[RankSafe]:
    queries = list(rows(workload.queries(task.test)))
    times: dict[str, list[NDArray[np.int64]]] = {name: [] for name in ways}
    results: dict[str, list[TopK]] = {}
    for search in ways.values():
        search(queries[0])
    for _ in range(rounds):
        for name, search in ways.items():
            ns, results[name] = one_by_one(search, queries)
            times[name].append(ns)
    return [
        RankSafe(
            task=task.name,
            search=name,
            accuracy=accuracy(
                [one.ordinals[0].tolist() for one in found], workload.exact(task.test), task.k
            ),
            latency=latency(times[name]),
            documents=float(np.mean([one.counters.documents_scored for one in found])),
        )
        for name, found in results.items()
    ]


def tables(lines: Sequence[Line]) -> list[Table]:
    """A table for each task, a row for each way of searching."""
    titles = {task.name: task.title for task in TASKS}
    columns = ("search", "accuracy", *LATENCY, "documents")
    found = []
    for task in distinct(lines, "task"):
        rows_ = [_row(line) for line in lines if line["task"] == task]
        found.append(Table(titles[task], columns, rows_))
    return found


def _row(line: Line) -> list[str]:
    times = latency_cells(line["latency"])
    documents = number(line["documents"] or None)  # the exact index counts none
    return [line["search"], number(line["accuracy"], 4), *times, documents]
