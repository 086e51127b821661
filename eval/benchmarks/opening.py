"""Opening benchmark: from a file on disk to the first answer, and to the usual speed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .harness import BenchmarkError
from .memory import cached_share, drop_cache, fill_cache
from .record import Line, Record
from .tables import LATENCY, Table, latency_cells, megabytes, number
from .workload import Workload

KIND = "open"
ABOUT = """A fresh process, with `lexidex.index` imported and its kernels compiled before, opens the
index and searches. Opening, the first query and the first pass over the queries are wall time; the
usual times are microseconds of CPU time, medians of passes after it. Overhead is what `search_one`
takes above the same queries in one call of `search`, per query. A cold file is one that the system
was asked to drop from its page cache; `cached` is the share of it that was there before opening."""

MEMORY = ("map", "load")
COLD, WARM = "cold", "warm"

_DROPPED = 0.05


@dataclass(frozen=True)
class Opening:
    """One way of opening, medians over fresh processes.

    Attributes:
        cached: share of the file in the page cache before opening; None where that is not told.
        open_ms, first_ms: opening, and the first query after it; wall time.
        first_pass_us: mean wall time of a query in the first pass over all.
        latency: of `search_one` in the passes after it.
        batch_us: CPU time a query in one call of `search`, in turns with these passes.
        overhead_us: `latency.mean` less `batch_us`.
        rss, huge: resident bytes in the end, and those of them on huge pages.
    """

    memory: str
    cache: str
    cached: float | None
    open_ms: float
    first_ms: float
    first_pass_us: float
    latency: dict[str, float]
    batch_us: float
    overhead_us: float
    rss: float
    huge: float


def run_open(workload: Workload, index: Path, record: Record, rounds: int = 3) -> None:
    """Open an index file mapped and loaded, cold and warm, each in `rounds` fresh processes.

    Raises:
        BenchmarkError: a process failed.
    """
    ways = [(memory, cache) for cache in (COLD, WARM) for memory in MEMORY]
    _opened(workload, index, MEMORY[0])  # compiles
    told: dict[tuple[str, str], list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for memory, cache in ways:
            (drop_cache if cache == COLD else fill_cache)(index)
            cached = cached_share(index)
            figures = _opened(workload, index, memory)
            told[memory, cache].append({**figures, "cached": cached})
    for (memory, cache), figures_ in told.items():
        record.add(KIND, **vars(_opening(memory, cache, figures_)))


def _opened(workload: Workload, index: Path, memory: str) -> dict[str, Any]:
    worker = [sys.executable, "-m", f"{__package__}.opening_worker"]
    arguments = [str(index), str(workload.folder / "test"), memory]
    done = subprocess.run([*worker, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["without a word"]
        raise BenchmarkError(f"opening {index}: the process ended; {last[0]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _opening(memory: str, cache: str, rounds: Sequence[dict[str, Any]]) -> Opening:
    def middle(name: str) -> float:
        return float(median(one[name] for one in rounds))

    shares = [one["cached"] for one in rounds if one["cached"] is not None]
    times = {name: median(one["latency"][name] for one in rounds) for name in LATENCY}
    return Opening(
        memory=memory,
        cache=cache,
        cached=median(shares) if shares else None,
        open_ms=middle("open_ms"),
        first_ms=middle("first_ms"),
        first_pass_us=middle("first_pass_us"),
        latency=times,
        batch_us=middle("batch_us"),
        overhead_us=times["mean"] - middle("batch_us"),
        rss=middle("rss"),
        huge=middle("huge"),
    )


def tables(lines: Sequence[Line]) -> list[Table]:
    """Until the first answers, and after; a row for each way of opening."""
    start = ("memory", "file", "cached", "open ms", "first query ms", "sum ms", "first pass us")
    rows = [[*_way(line), *_start(line)] for line in lines]
    warm = any(line["cache"] == COLD and (line["cached"] or 0) > _DROPPED for line in lines)
    note = "The page cache kept the file in spite of being asked: no row is cold." if warm else ""
    then = (*LATENCY, "in a batch", "overhead", "RSS MB", "on huge pages MB")
    return [
        Table("until the first answers", start, rows, note),
        Table("after", ("memory", "file", *then), [[*_way(one), *_then(one)] for one in lines]),
    ]


def _way(line: Line) -> list[str]:
    return [line["memory"], line["cache"]]


def _start(line: Line) -> list[str]:
    share = "" if line["cached"] is None else f"{line['cached']:.2f}"
    times = [line["open_ms"], line["first_ms"], line["open_ms"] + line["first_ms"]]
    return [share, *(number(ms, 1) for ms in times), number(line["first_pass_us"])]


def _then(line: Line) -> list[str]:
    above = [number(line["batch_us"]), number(line["overhead_us"], 1)]
    return [
        *latency_cells(line["latency"]),
        *above,
        megabytes(line["rss"]),
        megabytes(line["huge"]),
    ]
