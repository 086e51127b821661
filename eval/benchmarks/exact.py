"""Exact benchmark: our exact index against other ways to score every posting of a query."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

import numpy as np

from lexidex.index.vectors import csr

from .build import Indexes
from .engines import EXACT, Variant
from .harness import Answers, BenchmarkError, EngineProcess, Say, accuracy
from .record import Line, Record
from .tables import LATENCY, Table, distinct, latency_cells, number
from .timing import Latency, latency
from .workload import Workload, save_vectors

KIND = "exact"
ABOUT = """The 10 best of all documents. Peers score every posting of a query; our index leaves out
what cannot change the result, where queries have many postings, and gives the same scores to the
last bit. Microseconds are CPU time of one query in one call and one thread, and of a query where
all come in one call; the ratio is to our mean. Agreement is with our own results: below 1 by ties,
or by rounding."""

K = 10
OURS = Variant(EXACT, "lexidex-exact", family=EXACT, ours=True)

TEST, UNIT = "test", "unit_test"
"""The test queries; and the short ones with all weights 1, for an engine that knows no others."""

_ONLY_UNIT_WEIGHTS = {"bm25s"}


@dataclass(frozen=True)
class ExactFigures:
    """One engine on one query set.

    Attributes:
        batch_us: CPU time a query when all come in one call; None where the library has no such.
        agreement: accuracy at 10 against our own results; below 1 by ties, or by an error.
    """

    variant: str
    queries: str
    latency: Latency
    batch_us: float | None
    agreement: float


def run_exact(
    workload: Workload,
    variants: Sequence[Variant],
    indexes: Indexes,
    *,
    record: Record,
    say: Say,
    rounds: int = 3,
    query_sets: Sequence[str] = (TEST, UNIT),
) -> None:
    """Build the exact indexes, OURS among them, and search them in turns, on each query set."""
    if UNIT in query_sets:
        _save_unit_queries(workload)
    with ExitStack() as stack:
        processes: dict[str, EngineProcess] = {}
        for variant in (OURS, *(v for v in variants if v.name != OURS.name)):
            folder = indexes.folder(variant)
            try:
                indexes.build(variant)
                process = stack.enter_context(EngineProcess(variant, folder / "test.log"))
                process.open(folder / "index")
                process.search(workload, TEST, K, {}, 10)
                processes[variant.name] = process
            except BenchmarkError as error:
                say(str(error))
        say("searching")
        for queries in query_sets:
            for figures in _compared(workload, queries, processes, rounds):
                record.add(KIND, **vars(figures))


def _save_unit_queries(workload: Workload) -> None:
    short = workload.queries("short_test")
    ones = np.ones_like(short.data)
    unit = csr(ones, short.indices, short.indptr, short.shape[1])
    save_vectors(workload.folder / UNIT, unit)


def _compared(
    workload: Workload, queries: str, processes: dict[str, EngineProcess], rounds: int
) -> list[ExactFigures]:
    taking_part = [name for name in processes if queries == UNIT or name not in _ONLY_UNIT_WEIGHTS]
    passes: dict[str, list[Answers]] = {name: [] for name in taking_part}
    batches: dict[str, list[float]] = {name: [] for name in taking_part}
    for _ in range(rounds):
        for name in taking_part:
            passes[name].append(processes[name].search(workload, queries, K, {}))
        for name in taking_part:
            batch = processes[name].search_batch(workload, queries, K, {}, 1)
            if batch["cpu_us"] is not None:
                batches[name].append(batch["cpu_us"])
    exact = np.array(passes[OURS.name][0].ordinals, dtype=np.int64)
    return [
        ExactFigures(
            variant=name,
            queries=queries,
            latency=latency([answers.ns for answers in passes[name]]),
            batch_us=median(batches[name]) if batches[name] else None,
            agreement=accuracy(passes[name][0].ordinals, exact, K),
        )
        for name in taking_part
    ]


def tables(lines: Sequence[Line]) -> list[Table]:
    """A table for each query set, a row for each index."""
    titles = {TEST: "all queries", UNIT: "queries of 5 to 10 components with weights of 1"}
    columns = ("index", *LATENCY, "ratio", "in one call", "agreement")
    found = []
    for queries in distinct(lines, "queries"):
        chosen = [line for line in lines if line["queries"] == queries]
        base = chosen[0]["latency"]["mean"]
        rows = [_row(line, base) for line in chosen]
        found.append(Table(titles[queries], columns, rows))
    return found


def _row(line: Line, base: float) -> list[str]:
    times = latency_cells(line["latency"])
    ratio = number(line["latency"]["mean"] / base, 2)
    more = [ratio, number(line["batch_us"]), number(line["agreement"], 4)]
    return [line["variant"], *times, *more]
