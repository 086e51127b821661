"""Sweeps: what each point of a variant reaches on the tuning queries, and in what time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .engines import Point, Variant
from .harness import EngineProcess, accuracy
from .workload import Workload

LEVELS = (0.90, 0.95, 0.97, 0.98, 0.99)
LOWEST, ENOUGH = 0.80, 0.995
"""Accuracies below which no point is of interest, and after which slower ones are not."""

_LEAST_GAIN = 0.0005
_WARM_UP = 100


@dataclass(frozen=True)
class Task:
    """What is asked: k results of these queries."""

    name: str
    k: int
    tuning: str
    test: str
    title: str


TASKS = (
    Task("k10", 10, "tuning", "test", "k = 10"),
    Task("k100", 100, "tuning", "test", "k = 100"),
    Task("short", 10, "short_tuning", "short_test", "k = 10, queries of 5 to 10 components"),
)


@dataclass(frozen=True)
class Trial:
    """One point of a sweep: what it reached on the tuning queries, and its mean time there."""

    task: Task
    variant: Variant
    point: Point
    accuracy: float
    us: float

    @property
    def key(self) -> str:
        """Variant and point in words."""
        return f"{self.variant.name} {sorted(self.point.items())}"


def sweep(
    workload: Workload,
    variant: Variant,
    folder: Path,
    tasks: Sequence[Task],
    known: Sequence[Trial] = (),
) -> list[Trial]:
    """The points of a variant on the tuning queries; each series from fast to accurate.

    A series ends where it reaches ENOUGH, where its accuracy no longer grows, or where it takes
    longer than another point that reached ENOUGH: what follows is slower yet, so it cannot be the
    fastest at any level.

    Args:
        folder: with the built index.
        known: trials of other variants; those of the same family count for the third rule.
    """
    trials: list[Trial] = []
    with EngineProcess(variant, folder / "sweep.log") as process:
        process.open(folder / "index")
        for task in tasks:
            exact = workload.exact(task.tuning)
            process.search(workload, task.tuning, task.k, variant.series[0][-1], _WARM_UP)
            for series in variant.series:
                before = -1.0
                for point in series:
                    answers = process.search(workload, task.tuning, task.k, point)
                    reached = accuracy(answers.ordinals, exact, task.k)
                    us = float(answers.ns.mean()) / 1000
                    top = fastest([*known, *trials], task, variant.family, ENOUGH)
                    trials.append(Trial(task, variant, point, reached, us))
                    gain, before = reached - before, reached
                    if reached >= ENOUGH or gain < _LEAST_GAIN or (top and us > top.us):
                        break
    return trials


def fastest(trials: Iterable[Trial], task: Task, family: str, level: float) -> Trial | None:
    """The trial of a family with the smallest time among those that reach the level."""
    reaching = [
        trial
        for trial in trials
        if trial.task == task and trial.variant.family == family and trial.accuracy >= level
    ]
    return min(reaching, key=lambda trial: trial.us, default=None)


def frontier(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of points (us, accuracy), those that no other equals or beats in both, the fastest first."""
    best, kept = -1.0, []
    for us, reached in sorted(points, key=lambda point: (point[0], -point[1])):
        if reached > best:
            best = reached
            kept.append((us, reached))
    return kept
