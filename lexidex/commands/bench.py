"""`lexidex bench`: how fast and how accurate, on this machine, and next to its peers."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .output import AsJson, Quiet, err, out

if TYPE_CHECKING:
    from lexidex.eval.benchmarks.build import BuildFigures
    from lexidex.eval.benchmarks.exact import ExactFigures
    from lexidex.eval.benchmarks.harness import Latency
    from lexidex.eval.benchmarks.search import Comparison, Measured, Trial

_MB = 1_000_000
_TIMES = ("us", "p50", "p90", "p99", "batch")


class Part(StrEnum):
    """What is measured."""

    search = "search"
    build = "build"
    exact = "exact"


def bench(
    part: Annotated[
        Part, typer.Argument(help="Search at equal accuracy, building, or exact search.")
    ] = Part.search,
    documents: Annotated[
        int, typer.Option(min=100, help="Size of the synthetic collection.")
    ] = 100_000,
    queries: Annotated[
        int, typer.Option(min=1, help="Queries to tune on, and as many to test with.")
    ] = 1000,
    peers: Annotated[
        bool, typer.Option("--peers/--no-peers", help="Compare with the peers installed here.")
    ] = True,
    n_threads: Annotated[
        int, typer.Option("--threads", min=1, help="Threads that build and search batches.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the collection and of our index.")] = 7,
    to: Annotated[
        Path | None, typer.Option("--out", help="Append all figures to this file, as JSON lines.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="With search: draw accuracy against time as an SVG.")
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps collection and exact results for the next run."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure on a synthetic collection with the statistics of SPLADE on MS MARCO.

    Times are CPU time of one query in one thread. Every engine runs in a process of its own; a
    peer that is not installed is left out.
    """
    from lexidex.eval.benchmarks.build import run_build
    from lexidex.eval.benchmarks.engines import own_variants
    from lexidex.eval.benchmarks.exact import run_exact
    from lexidex.eval.benchmarks.harness import Record, facts, usable
    from lexidex.eval.benchmarks.peers import approximate_peers, exact_peers
    from lexidex.eval.benchmarks.search import run_search
    from lexidex.eval.benchmarks.workload import prepare_workload

    def say(line: str) -> None:
        if not quiet:
            err.print(line, highlight=False, markup=False)

    wanted = exact_peers() if part == Part.exact else approximate_peers(documents)
    others = usable(wanted if peers else [], say)
    with tempfile.TemporaryDirectory() as scratch:
        workload = prepare_workload(
            work or Path(scratch), documents, seed=seed, n_queries=queries, say=say
        )
        record = Record(facts(workload, others, n_threads))
        variants = [*own_variants(), *others]
        try:
            if part == Part.search:
                comparisons, trials = run_search(
                    workload, variants, n_threads=n_threads, record=record, say=say
                )
                tables = _comparison_tables(comparisons)
                if plot:
                    _plot(plot, trials, documents)
            elif part == Part.build:
                tables = [_build_table(run_build(workload, variants, n_threads, record, say))]
            else:
                tables = [_exact_table(run_exact(workload, others, record=record, say=say))]
        finally:
            if to:  # what was measured before an error took long, too
                record.write(to)
    if as_json:
        sys.stdout.writelines(record.json_lines())
    else:
        for table in tables:
            out.print(table)


def _comparison_tables(comparisons: Sequence[Comparison]) -> list[Table]:
    """A table for each task, a row for each level and side."""
    tables = []
    for task in dict.fromkeys(comparison.task for comparison in comparisons):
        columns = ["accuracy", "side", "reached", *_TIMES, "ratio", "index and parameters"]
        table = Table(*columns, title=task.name, box=None, pad_edge=False)
        for one in comparisons:
            if one.task == task:
                ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
                table.add_row(f"{one.level:.2f}", "ours", *_measured(one.ours, ratio))
                if one.peer:
                    table.add_row("", "peer", *_measured(one.peer, ""))
        tables.append(table)
    return tables


def _measured(measured: Measured | None, ratio: str) -> list[str]:
    if measured is None:
        return ["never", *[""] * (len(_TIMES) + 2)]
    point = ", ".join(f"{value:g}" for value in measured.point.values())
    times = _times(measured.latency, measured.batch_us)
    return [f"{measured.accuracy:.3f}", *times, ratio, f"{measured.variant} ({point})"]


def _times(latency: Latency, batch_us: float | None) -> list[str]:
    calls = [latency.mean, latency.p50, latency.p90, latency.p99]
    return [*(f"{us:,.0f}" for us in calls), "" if batch_us is None else f"{batch_us:,.0f}"]


def _build_table(figures: dict[str, BuildFigures]) -> Table:
    columns = ["CPU s", "wall s", "MB on disk", "peak MB", "of it before"]
    table = Table("index", *columns, title="build", box=None, pad_edge=False)
    for name, one in figures.items():
        memory = (one.bytes / _MB, one.rss_peak / _MB, one.rss_before / _MB)
        table.add_row(
            name, f"{one.cpu_s:,.1f}", f"{one.wall_s:,.1f}", *(f"{mb:,.0f}" for mb in memory)
        )
    return table


def _exact_table(figures: Sequence[ExactFigures]) -> Table:
    columns = ["queries", "index", *_TIMES, "agreement"]
    table = Table(*columns, title="exact, k = 10", box=None, pad_edge=False)
    for one in figures:
        times = _times(one.latency, one.batch_us)
        table.add_row(one.queries, one.variant, *times, f"{one.agreement:.4f}")
    return table


def _plot(path: Path, trials: Sequence[Trial], n_documents: int) -> None:
    """The frontiers of the first task."""
    from lexidex.eval.benchmarks.plot import draw, frontiers
    from lexidex.eval.benchmarks.search import TASKS

    curves = frontiers(trials, TASKS[0])
    subtitle = f"{n_documents:,} synthetic documents, {TASKS[0].name}, one thread"
    path.write_text(draw(curves, "Accuracy against time", subtitle), encoding="utf-8")
