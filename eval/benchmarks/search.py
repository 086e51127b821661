"""Search benchmark: time at equal accuracy, ours against the fastest peer.

Each side tries all its variants and search parameters on the tuning queries. The fastest point
that reaches a level there is run on the test queries, the sides in turns, and that is the result.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .build import build_index
from .engines import Point, Variant
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
from .workload import Workload

LEVELS = (0.90, 0.95, 0.97, 0.98, 0.99)
ENOUGH = 0.995
"""Accuracy after which slower points are of no interest."""

_WARM_UP = 100


@dataclass(frozen=True)
class Task:
    """What is asked: k results of these queries."""

    name: str
    k: int
    tuning: str
    test: str


TASKS = (
    Task("k = 10", 10, "tuning", "test"),
    Task("k = 100", 100, "tuning", "test"),
    Task("k = 10, short queries", 10, "short_tuning", "short_test"),
)


@dataclass(frozen=True)
class Trial:
    """One point of a sweep: what it reached on the tuning queries, and its mean time there."""

    task: Task
    variant: Variant
    point: Point
    accuracy: float
    us: float


@dataclass(frozen=True)
class Measured:
    """A chosen point on the test queries.

    Attributes:
        latency: one query, one call.
        batch_us, batch_wall_us: CPU and wall time a query when all come in one call; None where
            the library has no such.
    """

    variant: str
    point: Point
    accuracy: float
    latency: Latency
    batch_us: float | None
    batch_wall_us: float | None


@dataclass(frozen=True)
class Comparison:
    """Both sides at one level of accuracy; None for a side that reaches it with no point."""

    task: Task
    level: float
    ours: Measured | None
    peer: Measured | None

    @property
    def ratio(self) -> float | None:
        """Our mean time over the peer's: below 1, ours is faster."""
        if self.ours is None or self.peer is None:
            return None
        return self.ours.latency.mean / self.peer.latency.mean


def run_search(
    workload: Workload,
    variants: Sequence[Variant],
    *,
    n_threads: int,
    record: Record,
    say: Say,
    tasks: Sequence[Task] = TASKS,
    rounds: int = 5,
) -> tuple[list[Comparison], list[Trial]]:
    """Build and sweep every variant, then compare the sides level by level.

    Args:
        n_threads: threads that build, and that batches are searched with; single queries are
            always measured in one thread.
        rounds: passes over the test queries; medians over them are reported.

    Returns:
        The comparisons, task by task and level by level, and all trials of the sweeps.
    """
    trials: list[Trial] = []
    with tempfile.TemporaryDirectory(dir=workload.folder) as scratch:
        folders = {variant.name: Path(scratch) / variant.slug for variant in variants}
        for variant in variants:
            folder = folders[variant.name]
            try:
                say(f"building {variant.name}")
                build_index(workload, variant, folder, n_threads, record)
                say(f"searching {variant.name}")
                trials += sweep(workload, variant, folder, tasks)
            except BenchmarkError as error:
                say(str(error))
        for trial in trials:
            record.add(
                "trial",
                task=trial.task.name,
                variant=trial.variant.name,
                point=trial.point,
                accuracy=trial.accuracy,
                us=trial.us,
            )
        say("comparing on the test queries")
        comparisons = compare(workload, trials, folders, tasks, n_threads, rounds)
    for comparison in comparisons:
        record.add(
            "comparison",
            task=comparison.task.name,
            level=comparison.level,
            ours=comparison.ours,
            peer=comparison.peer,
            ratio=comparison.ratio,
        )
    return comparisons, trials


def sweep(workload: Workload, variant: Variant, folder: Path, tasks: Sequence[Task]) -> list[Trial]:
    """The points of a variant on the tuning queries; a series ends where it reaches ENOUGH."""
    trials = []
    with EngineProcess(variant, folder / "sweep.log") as process:
        process.open(folder / "index")
        for task in tasks:
            exact = workload.exact(task.tuning)
            process.search(workload, task.tuning, task.k, variant.series[0][-1], _WARM_UP)
            for series in variant.series:
                for point in series:
                    answers = process.search(workload, task.tuning, task.k, point)
                    reached = accuracy(answers.ordinals, exact, task.k)
                    us = float(answers.ns.mean()) / 1000
                    trials.append(Trial(task, variant, point, reached, us))
                    if reached >= ENOUGH:
                        break
    return trials


def fastest(trials: Sequence[Trial], task: Task, level: float, ours: bool) -> Trial | None:
    """The trial of one side with the smallest time among those that reach the level."""
    reaching = [
        trial
        for trial in trials
        if trial.task == task and trial.variant.ours == ours and trial.accuracy >= level
    ]
    return min(reaching, key=lambda trial: trial.us, default=None)


def compare(
    workload: Workload,
    trials: Sequence[Trial],
    folders: dict[str, Path],
    tasks: Sequence[Task],
    n_threads: int,
    rounds: int,
) -> list[Comparison]:
    """The chosen trials of both sides on the test queries, measured in turns."""
    chosen = {
        (task, level, ours): fastest(trials, task, level, ours)
        for task in tasks
        for level in LEVELS
        for ours in (True, False)
    }
    needed = {trial.variant.name: trial.variant for trial in chosen.values() if trial}
    with ExitStack() as stack:
        processes: dict[str, EngineProcess] = {}
        for name, variant in needed.items():
            log = folders[name] / "test.log"
            processes[name] = stack.enter_context(EngineProcess(variant, log, n_threads))
            processes[name].open(folders[name] / "index")
        measured = _measured(workload, list(chosen.values()), processes, n_threads, rounds)
    return [
        Comparison(
            task,
            level,
            measured.get(_key(chosen[task, level, True])),
            measured.get(_key(chosen[task, level, False])),
        )
        for task in tasks
        for level in LEVELS
    ]


def _key(trial: Trial | None) -> str:
    if trial is None:
        return ""
    return f"{trial.task.name} {trial.variant.name} {sorted(trial.point.items())}"


def _measured(
    workload: Workload,
    chosen: Sequence[Trial | None],
    processes: dict[str, EngineProcess],
    n_threads: int,
    rounds: int,
) -> dict[str, Measured]:
    """Each distinct trial once a round, all in turns: no pass finds what it needs in the cache."""
    distinct = {_key(trial): trial for trial in chosen if trial}
    passes: dict[str, list[Answers]] = {key: [] for key in distinct}
    batches: dict[str, list[dict[str, float | None]]] = {key: [] for key in distinct}
    for _ in range(rounds):
        for key, trial in distinct.items():
            process, task = processes[trial.variant.name], trial.task
            passes[key].append(process.search(workload, task.test, task.k, trial.point))
        for key, trial in distinct.items():
            process, task = processes[trial.variant.name], trial.task
            batches[key].append(
                process.search_batch(workload, task.test, task.k, trial.point, n_threads)
            )
    return {
        key: Measured(
            variant=trial.variant.name,
            point=trial.point,
            accuracy=accuracy(
                passes[key][0].ordinals, workload.exact(trial.task.test), trial.task.k
            ),
            latency=latency([answers.ns for answers in passes[key]]),
            batch_us=_median(batches[key], "cpu_us"),
            batch_wall_us=_median(batches[key], "wall_us"),
        )
        for key, trial in distinct.items()
    }


def _median(batches: Sequence[dict[str, float | None]], figure: str) -> float | None:
    known = [batch[figure] for batch in batches]
    return median(us for us in known if us is not None) if None not in known else None
