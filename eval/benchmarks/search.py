"""Search benchmark: time at equal accuracy, each of our builds next to each family of peers.

Every family tries all its variants and search parameters on the tuning queries. The fastest point
that reaches a level there is run on the test queries, the families in turns: that is the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from .build import BuildFigures, Indexes
from .engines import EXACT, Point, Variant
from .harness import Answers, BenchmarkError, EngineProcess, Say, accuracy
from .peers import BASELINE
from .record import Line, Record
from .sweep import LEVELS, LOWEST, TASKS, Task, Trial, fastest, frontier, sweep
from .tables import (
    LATENCY,
    POINT_NOTE,
    Table,
    distinct,
    latency_cells,
    megabytes,
    number,
    point_cell,
)
from .timing import Latency, latency
from .workload import Workload

KIND, TRIAL = "comparison", "trial"
ABOUT = f"""Accuracy is the overlap with the exact top k. Each family of indexes tries all its
configurations and search parameters on tuning queries; the fastest that reaches a level there runs
on other, test queries, where `reached` is its accuracy. Microseconds are CPU time of one query in
one call and one thread: each query counts with its median over the rounds, in which the families
take turns. The ratio is to the mean time of {BASELINE} at the same level: below 1 is faster. The
drawings show the tuning: one index after the other, so with warmer caches and lower times."""


TOO_SMALL = """ The exact index is as fast: this collection is too small for approximate search to
matter."""


@dataclass(frozen=True)
class Batch:
    """All queries in one call.

    Attributes:
        cpu_us, wall_us: a query, in one thread.
        threads_wall_us: a query, in n threads; None where n is 1.
        speed_up: wall time of one thread over that of n, the median of the rounds' ratios.
    """

    cpu_us: float
    wall_us: float
    threads_wall_us: float | None
    speed_up: float | None


@dataclass(frozen=True)
class Measured:
    """A chosen point on the test queries; `batch` is None where the library has no such call."""

    variant: str
    point: Point
    accuracy: float
    latency: Latency
    batch: Batch | None
    index_bytes: int
    build_cpu_s: float


@dataclass(frozen=True)
class Choice:
    """The trial that stands for a family at a level; None where it reaches it with no point."""

    task: Task
    level: float
    family: str
    ours: bool
    trial: Trial | None

    @property
    def key(self) -> str:
        """The trial's."""
        return self.trial.key if self.trial else ""


@dataclass(frozen=True)
class Comparison:
    """A family at one level of accuracy; `measured` is None where it reaches it with no point.

    Attributes:
        ratio: mean time over the baseline's at the same level: below 1, it is faster.
    """

    task: str
    level: float
    family: str
    ours: bool
    measured: Measured | None
    ratio: float | None


def run_search(
    workload: Workload,
    variants: Sequence[Variant],
    indexes: Indexes,
    *,
    n_threads: int,
    record: Record,
    say: Say,
    tasks: Sequence[Task] = TASKS,
    levels: Sequence[float] = LEVELS,
    rounds: int = 5,
) -> None:
    """Build and sweep every variant, then compare the families level by level.

    Records a `trial` for each point on the frontier of its family, from LOWEST on, and a
    `comparison` for each task, level and family.

    Args:
        n_threads: threads that batches are searched with, next to one thread; single queries are
            always measured in one thread.
        rounds: passes over the test queries; medians over them are reported.
    """
    trials: list[Trial] = []
    built: dict[str, BuildFigures] = {}
    for variant in variants:
        try:
            built[variant.name] = indexes.build(variant)
            say(f"searching {variant.name}")
            trials += sweep(workload, variant, indexes.folder(variant), tasks, trials)
        except BenchmarkError as error:
            say(str(error))
    for task in tasks:
        _record_frontiers(trials, task, record)
        say(f"comparing on the test queries, {task.title}")
        choices = choose(trials, task, levels)
        wanted = [choice.trial for choice in choices if choice.trial]
        measured = measure(workload, wanted, indexes, built, n_threads, rounds)
        for comparison in compare(choices, measured):
            record.add(KIND, **vars(comparison))


def _record_frontiers(trials: Sequence[Trial], task: Task, record: Record) -> None:
    for family in dict.fromkeys(trial.variant.family for trial in trials):
        own = [t for t in trials if t.task == task and t.variant.family == family]
        points = {(trial.us, trial.accuracy): trial for trial in own if trial.accuracy >= LOWEST}
        for us, reached in frontier(points):
            trial = points[us, reached]
            record.add(
                TRIAL,
                task=task.name,
                variant=trial.variant.name,
                family=family,
                ours=trial.variant.ours,
                point=trial.point,
                accuracy=reached,
                us=us,
            )


def choose(trials: Sequence[Trial], task: Task, levels: Sequence[float]) -> list[Choice]:
    """Each family's fastest trial at each level."""
    families = {trial.variant.family: trial.variant.ours for trial in trials}
    return [
        Choice(task, level, family, ours, fastest(trials, task, family, level))
        for level in levels
        for family, ours in families.items()
    ]


def compare(choices: Sequence[Choice], measured: dict[str, Measured]) -> list[Comparison]:
    """What was measured of each choice, and its ratio to the baseline's at the same level."""
    base = {one.level: measured.get(one.key) for one in choices if one.family == BASELINE}
    comparisons = []
    for one in choices:
        own, other = measured.get(one.key), base.get(one.level)
        ratio = own.latency.mean / other.latency.mean if own and other else None
        comparisons.append(Comparison(one.task.name, one.level, one.family, one.ours, own, ratio))
    return comparisons


def measure(
    workload: Workload,
    chosen: Sequence[Trial],
    indexes: Indexes,
    built: dict[str, BuildFigures],
    n_threads: int,
    rounds: int,
) -> dict[str, Measured]:
    """Each trial once a round, all in turns: no pass finds what it needs in the cache."""
    trials = {trial.key: trial for trial in chosen}
    passes: dict[str, list[Answers]] = {key: [] for key in trials}
    batches: dict[str, list[list[dict[str, float | None]]]] = {key: [] for key in trials}
    threads = sorted({1, n_threads})
    with ExitStack() as stack:
        processes: dict[str, EngineProcess] = {}
        for variant in {trial.variant.name: trial.variant for trial in trials.values()}.values():
            folder = indexes.folder(variant)
            process = EngineProcess(variant, folder / "test.log", n_threads)
            processes[variant.name] = stack.enter_context(process)
            process.open(folder / "index")
        for _ in range(rounds):
            for key, trial in trials.items():
                process, task = processes[trial.variant.name], trial.task
                passes[key].append(process.search(workload, task.test, task.k, trial.point))
            for key, trial in trials.items():
                process, task = processes[trial.variant.name], trial.task
                arguments = (workload, task.test, task.k, trial.point)
                batches[key].append([process.search_batch(*arguments, n) for n in threads])
    measured = {}
    for key, trial in trials.items():
        task, figures = trial.task, built[trial.variant.name]
        measured[key] = Measured(
            variant=trial.variant.name,
            point=trial.point,
            accuracy=accuracy(passes[key][0].ordinals, workload.exact(task.test), task.k),
            latency=latency([answers.ns for answers in passes[key]]),
            batch=_batch(batches[key]),
            index_bytes=figures.bytes,
            build_cpu_s=figures.cpu_s,
        )
    return measured


def _batch(rounds: Sequence[Sequence[dict[str, float | None]]]) -> Batch | None:
    """Medians over rounds, each of one thread's figures and perhaps those of n."""
    cpu, wall = ([one[0][name] for one in rounds] for name in ("cpu_us", "wall_us"))
    more = [one[-1]["wall_us"] for one in rounds] if len(rounds[0]) > 1 else []
    known_cpu, known_wall, known_more = ([us for us in all_ if us] for all_ in (cpu, wall, more))
    if not known_wall:
        return None
    ratios = [one / many for one, many in zip(known_wall, known_more, strict=False)]
    return Batch(
        median(known_cpu),
        median(known_wall),
        median(known_more) if known_more else None,
        median(ratios) if ratios else None,
    )


def tables(lines: Sequence[Line]) -> list[Table]:
    """For each task, single queries and batches; a row for each level and family."""
    found = []
    titles = {task.name: task.title for task in TASKS}
    for task in distinct(lines, "task"):
        chosen = [line for line in lines if line["task"] == task]
        title = titles.get(task, task)
        note = POINT_NOTE + (TOO_SMALL if _exact_is_as_fast(chosen) else "")
        found.append(Table(title, _SINGLE, [_single(line) for line in chosen], note))
        together = [line for line in chosen if line["measured"] and line["measured"]["batch"]]
        if together:
            threads = f"wall us, {together[0]['facts']['threads']} threads"
            rows = [_together(line) for line in together]
            found.append(Table(f"{title}, in one call", (*_BATCH, threads, "speed-up"), rows))
    return found


def _exact_is_as_fast(lines: Sequence[Line]) -> bool:
    """Whether, of ours, the exact index takes no longer than an approximate one at some level."""
    means: dict[bool, list[float]] = {True: [], False: []}
    for line in lines:
        if line["ours"] and line["measured"]:
            means[line["family"] == EXACT].append(line["measured"]["latency"]["mean"])
    return bool(means[True] and means[False]) and min(means[True]) <= max(means[False])


_INDEX = ("ratio", "MB on disk", "build CPU s", "parameters")
_SINGLE = ("accuracy", "index", "reached", *LATENCY, *_INDEX)
_BATCH = ("accuracy", "index", "CPU us", "wall us")


def _single(line: Line) -> list[str]:
    one = line["measured"]
    if one is None:
        return [f"{line['level']:.2f}", line["family"], "never", *[""] * (len(_SINGLE) - 3)]
    return [
        f"{line['level']:.2f}",
        one["variant"],
        number(one["accuracy"], 3),
        *latency_cells(one["latency"]),
        number(line["ratio"], 2),
        megabytes(one["index_bytes"]),
        number(one["build_cpu_s"]),
        point_cell(one["point"]),
    ]


def _together(line: Line) -> list[str]:
    one = line["measured"]
    batch = one["batch"]
    times = [number(batch[name]) for name in ("cpu_us", "wall_us", "threads_wall_us")]
    return [f"{line['level']:.2f}", one["variant"], *times, number(batch["speed_up"], 2)]
