"""Exact benchmark: our exact index against other ways to score every posting of a query."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from lexidex.index.vectors import csr

from .build import build_index
from .engines import Variant
from .harness import (
    Answers,
    BenchmarkError,
    EngineProcess,
    Latency,
    Record,
    Say,
    accuracy,
    latency,
)
from .workload import Workload, save_vectors

K = 10
OURS = Variant("lexidex exact", "lexidex-exact", ours=True)

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
    peers: Sequence[Variant],
    *,
    record: Record,
    say: Say,
    rounds: int = 3,
) -> list[ExactFigures]:
    """Build our exact index and the peers' and search them in turns, on both query sets."""
    _save_unit_queries(workload)
    with tempfile.TemporaryDirectory(dir=workload.folder) as scratch, ExitStack() as stack:
        processes: dict[str, EngineProcess] = {}
        for variant in (OURS, *peers):
            folder = Path(scratch) / variant.slug
            try:
                say(f"building {variant.name}")
                build_index(workload, variant, folder, 1, record)
                process = stack.enter_context(EngineProcess(variant, folder / "test.log"))
                process.open(folder / "index")
                process.search(workload, TEST, K, {}, 10)
                processes[variant.name] = process
            except BenchmarkError as error:
                say(str(error))
        say("searching")
        figures = [
            figure
            for queries in (TEST, UNIT)
            for figure in _compared(workload, queries, processes, rounds)
        ]
    for figure in figures:
        record.add("exact", figures=figure)
    return figures


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
