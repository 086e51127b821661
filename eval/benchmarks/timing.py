"""Times of queries: each in a call of its own, and figures over rounds of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from lexidex.index.vectors import Int64s

Q = TypeVar("Q")
R = TypeVar("R")


@dataclass(frozen=True)
class Latency:
    """Time of one query in a call of its own, in microseconds of CPU time.

    Each query counts with its median over the rounds.
    """

    mean: float
    p50: float
    p90: float
    p99: float


def one_by_one(search: Callable[[Q], R], queries: Iterable[Q]) -> tuple[Int64s, list[R]]:
    """Search one query after another: each call's CPU time in ns, int64, and its result."""
    times, results = [], []
    gc.disable()
    for query in queries:
        started = time.process_time_ns()
        result = search(query)
        times.append(time.process_time_ns() - started)
        results.append(result)
    gc.enable()
    return np.array(times, dtype=np.int64), results


def latency(rounds: Sequence[Int64s]) -> Latency:
    """Figures over rounds of the same queries, each int64 (n_queries,) in nanoseconds."""
    each = np.median(np.stack(rounds), axis=0) / 1000
    p50, p90, p99 = (float(p) for p in np.percentile(each, [50, 90, 99]))
    return Latency(float(each.mean()), p50, p90, p99)
