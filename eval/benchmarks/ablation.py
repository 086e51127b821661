"""Ablation: what each technique of our approximate index gives, the rest as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lexidex.index import BuildParams, SearchParams

from .build import BuildFigures, Indexes
from .engines import DEFAULT, Point, Variant, own_variants
from .harness import BenchmarkError, Say
from .record import Line, Record
from .search import Measured, measure
from .sweep import TASKS, Trial, fastest, sweep
from .tables import POINT_NOTE, Table, distinct, megabytes, number, point_cell
from .workload import Workload

KIND = "ablation"
LEVEL = 0.95
ABOUT = f"""One technique or parameter is changed, the others stay. Each group is measured next to
the default index, in turns, on the test queries, k = 10: once with the fastest search parameters
that reach {LEVEL} on the tuning queries, once with the default ones. Microseconds are CPU time of
one query in one thread; the ratio is to the default index in the same group. Kernels are replaced
in the benchmark's own process. The second stage, full scoring of the few documents whose ratings
allow it, cannot be taken out alone; an index of 8-bit values is without it, as its codes are all
there is."""

_SERIES: tuple[tuple[Point, ...], ...] = tuple(
    tuple({"query_cut": cut, "heap_factor": factor} for cut in (3, 4, 5, 6, 8, 10, 12, 16, 24))
    for factor in (1.0, 0.9, 1.1, 0.8)
)


@dataclass(frozen=True)
class Technique:
    """A technique or parameter, and what stands in its place, by label."""

    name: str
    default: str
    others: dict[str, Variant]


@dataclass(frozen=True)
class Ablation:
    """One case of a technique; `level` and `fixed` are None where it does not reach LEVEL.

    Attributes:
        level, level_ratio: at LEVEL, and the mean time over the default index's there.
        fixed, fixed_ratio: with default search parameters, likewise.
    """

    technique: str
    case: str
    default: bool
    level: Measured | None
    level_ratio: float | None
    fixed: Measured
    fixed_ratio: float


def techniques() -> list[Technique]:
    """Everything that is tried."""
    params = BuildParams()
    cases: list[tuple[str, str, dict[str, dict[str, Any]]]] = [
        ("value type", params.value_type, {v: {"value_type": v} for v in ("u8", "f32")}),
        *(_numbers(*one) for one in (
            ("summary_energy", 0.2, 0.5),
            ("centroid_fraction", 0.1, 0.3),
            ("min_cluster_size", 1, 4),
            ("doc_cut", 10, 40),
            ("max_fraction", 2.0, 6.0),
        )),
        ("postings", "default", {
            label: {
                "n_postings": round(params.n_postings * factor),
                "posting_fraction": params.posting_fraction * factor,
            }
            for label, factor in (("half", 0.5), ("double", 2.0))
        }),
    ]  # fmt: skip
    found = []
    for name, default, options in cases:
        others = {
            label: Variant(f"{name} {label}", "lexidex-seismic", chosen, _SERIES, ours=True)
            for label, chosen in options.items()
        }
        found.append(Technique(name, default, others))
    return [
        *found,
        Technique("prefetch", "on", {"off": _replaced("without-prefetch")}),
        Technique("order of blocks", "best first", {"list by list": _replaced("list-by-list")}),
        Technique("heads of records", "on", {"off": _replaced("without-heads")}),
        Technique("summaries meet", "24 components", {"the query": _replaced("whole-queries")}),
    ]


def _numbers(name: str, *values: float) -> tuple[str, str, dict[str, dict[str, Any]]]:
    default = getattr(BuildParams(), name)
    return name, f"{default:g}", {f"{value:g}": {name: value} for value in values}


def _replaced(what: str) -> Variant:
    return Variant(
        what, f"lexidex-{what}", series=_SERIES, ours=True, index=DEFAULT, own_kernels=True
    )


def run_ablation(
    workload: Workload,
    indexes: Indexes,
    chosen: Sequence[Technique],
    *,
    record: Record,
    say: Say,
    rounds: int = 5,
) -> None:
    """Measure every technique next to the default index; a failing one is told of."""
    base = replace(own_variants()[0], series=_SERIES)
    for technique in chosen:
        say(f"measuring {technique.name}")
        try:
            for line in _measured(workload, indexes, technique, base, rounds):
                record.add(KIND, **vars(line))
        except BenchmarkError as error:
            say(str(error))
        for variant in technique.others.values():
            if not variant.index:
                indexes.remove(variant)


def _measured(
    workload: Workload, indexes: Indexes, technique: Technique, base: Variant, rounds: int
) -> Iterator[Ablation]:
    task, defaults = TASKS[0], SearchParams()
    fixed_point = {"query_cut": defaults.query_cut, "heap_factor": defaults.heap_factor}
    at_level: dict[str, Trial | None] = {}
    fixed: dict[str, Trial] = {}
    built: dict[str, BuildFigures] = {}
    cases = {technique.default: base, **technique.others}
    for label, variant in cases.items():
        variant = replace(variant, family=label)
        built[variant.name] = indexes.build(variant)
        trials = sweep(workload, variant, indexes.folder(variant), [task])
        at_level[label] = fastest(trials, task, label, LEVEL)
        fixed[label] = Trial(task, variant, fixed_point, 0.0, 0.0)
    wanted = [*fixed.values(), *(trial for trial in at_level.values() if trial)]
    found = measure(workload, wanted, indexes, built, 1, rounds)
    own_level, own_fixed = at_level[technique.default], found[fixed[technique.default].key]
    own = found[own_level.key] if own_level else None
    for label in cases:
        trial, here = at_level[label], found[fixed[label].key]
        level = found[trial.key] if trial else None
        yield Ablation(
            technique.name,
            label,
            label == technique.default,
            level,
            level.latency.mean / own.latency.mean if level and own else None,
            here,
            here.latency.mean / own_fixed.latency.mean,
        )


def tables(lines: Sequence[Line]) -> list[Table]:
    """One table, a row for each case, the default first in its group."""
    at = (f"us at {LEVEL:.2f}", "ratio", "reached", "parameters")
    fixed = ("accuracy, default", "us", "ratio")
    columns = ("technique", "case", *at, *fixed, "MB on disk", "build CPU s")
    rows = []
    for technique in distinct(lines, "technique"):
        group = [line for line in lines if line["technique"] == technique]
        rows += [_row(line, technique if line["default"] else "") for line in group]
    return [Table("", columns, rows, POINT_NOTE)]


def _row(line: Line, name: str) -> list[str]:
    level, fixed = line["level"], line["fixed"]
    at = ["never", "", "", ""]
    if level:
        point = point_cell(level["point"])
        figures = (level["latency"]["mean"], 0), (line["level_ratio"], 2), (level["accuracy"], 3)
        at = [*(number(figure, digits) for figure, digits in figures), point]
    return [
        name,
        line["case"] + (" (default)" if line["default"] else ""),
        *at,
        number(fixed["accuracy"], 3),
        number(fixed["latency"]["mean"]),
        number(line["fixed_ratio"], 2),
        megabytes(fixed["index_bytes"]),
        number(fixed["build_cpu_s"]),
    ]
