"""The report: a Markdown page, drawings and the README's table, from recorded lines alone.

Nothing is measured here and nothing is edited by hand after: the page is a function of the lines.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from . import (
    ablation,
    build,
    churn,
    collection_opening,
    dense,
    dsr,
    effectiveness,
    encode,
    exact,
    filters,
    fusion,
    hybrid,
    maps,
    opening,
    passages,
    pruning,
    rank_safe,
    reranking,
    search,
    statistics,
)
from .engines import ACCURATE, DEFAULT
from .peers import BASELINE
from .plot import draw, frontiers
from .record import Line
from .sweep import TASKS
from .tables import Table, distinct, number
from .workload import SYNTHETIC


@dataclass(frozen=True)
class Section:
    """A part of the page: lines of one kind."""

    kind: str
    title: str
    about: str
    tables: Callable[[Sequence[Line]], list[Table]]


SECTIONS = (
    Section(effectiveness.KIND, "Effectiveness", effectiveness.ABOUT, effectiveness.tables),
    Section(search.KIND, "Search at equal accuracy", search.ABOUT, search.tables),
    Section(exact.KIND, "Exact search", exact.ABOUT, exact.tables),
    Section(rank_safe.KIND, "Rank-safe search", rank_safe.ABOUT, rank_safe.tables),
    Section(filters.KIND, "Filters", filters.ABOUT, filters.tables),
    Section(build.KIND, "Building", build.ABOUT, build.tables),
    Section(ablation.KIND, "What each technique gives", ablation.ABOUT, ablation.tables),
    Section(opening.KIND, "Opening", opening.ABOUT, opening.tables),
    Section(
        collection_opening.KIND,
        "Opening a collection",
        collection_opening.ABOUT,
        collection_opening.tables,
    ),
    Section(churn.KIND, "After many changes", churn.ABOUT, churn.tables),
    Section(hybrid.KIND, "Hybrid search", hybrid.ABOUT, hybrid.tables),
    Section(hybrid.BUILD, "Building for hybrid search", hybrid.BUILD_ABOUT, hybrid.build_tables),
    Section(dense.KIND, "Dense indexes", dense.ABOUT, dense.tables),
    Section(fusion.KIND, "Fusion", fusion.ABOUT, fusion.tables),
    Section(dsr.KIND, "Densified vectors", dsr.ABOUT, dsr.tables),
    Section(maps.KIND, "Linear maps", maps.ABOUT, maps.tables),
    Section(encode.KIND, "Encoding", encode.ABOUT, encode.tables),
    Section(
        encode.QUALITY, "What faster encoding costs", encode.QUALITY_ABOUT, encode.quality_tables
    ),
    Section(passages.KIND, "Long documents", passages.ABOUT, passages.tables),
    Section(reranking.KIND, "Reranked long documents", reranking.ABOUT, reranking.tables),
    Section(pruning.KIND, "Pruned vectors", pruning.ABOUT, pruning.tables),
    Section(statistics.KIND, "The vectors", statistics.ABOUT, statistics.tables),
)

INTRODUCTION = """# Benchmarks

Made by `lexidex bench report` from the lines in `docs/benchmarks/`; each table names the command
that measured it, the machine and the versions. Collections are synthetic, with the statistics of
SPLADE vectors on MS MARCO, unless they are named. Every engine runs in a process of its own. Times
are CPU time where they are not called wall time, so that other work on the machine counts little;
wall times are those of a machine with the load that is told. Peers have the allocator's huge pages
switched on, which makes them faster. `all-MiniLM-L6-v2` in a command is a folder here: it has
the model that is `sentence-transformers/all-MiniLM-L6-v2` on the hub.
"""


@dataclass(frozen=True)
class Page:
    """The Markdown, and the drawings that it shows: SVG by file name."""

    text: str
    drawings: dict[str, str]


def page(lines: Sequence[Line], folder: str) -> Page:
    """The whole page; it looks for its drawings in `folder`, a path relative to it."""
    parts, drawings = [INTRODUCTION], {}
    for section in SECTIONS:
        runs = [run for run in _runs(lines) if any(line["kind"] == section.kind for line in run)]
        if not runs:
            continue
        parts.append(f"## {section.title}\n\n{section.about}\n")
        for run in runs:
            chosen = [line for line in run if line["kind"] == section.kind]
            parts.append(f"### {_subject(run[0]['facts'])}\n")
            if section.kind == search.KIND:
                for name, drawing in _drawings(run).items():
                    drawings[name] = drawing
                    parts.append(f"![Accuracy against time]({folder}/{name})\n")
            parts += [table.markdown() + "\n" for table in section.tables(chosen)]
            parts.append(_source(run[0]["facts"]) + "\n")
    return Page("\n".join(parts), drawings)


def tables_of(lines: Sequence[Line]) -> list[Table]:
    """The tables of one run, for the terminal, under their sections' titles."""
    found = []
    for section in SECTIONS:
        chosen = [line for line in lines if line["kind"] == section.kind]
        for table in section.tables(chosen) if chosen else []:
            title = ": ".join(filter(None, (section.title, table.title)))
            found.append(Table(title, table.columns, table.rows, table.note))
    return found


def drawing_of(run: Sequence[Line], task: str) -> str:
    """The frontiers of one run and task as an SVG."""
    facts, titles = run[0]["facts"], {one.name: one.title for one in TASKS}
    subtitle = f"{_subject(facts)}, {titles[task]}, one thread"
    return draw(frontiers(run, task), "Accuracy against time", subtitle)


def snippet(lines: Sequence[Line], folder: str) -> str:
    """The README's part: drawing and table of the first task of the largest collection.

    Args:
        folder: with the page's drawings, as the README finds it. No lines of search, no part.
    """
    compared = [line for line in lines if line["kind"] == search.KIND]
    if not compared:
        return ""
    largest = max(line["facts"]["documents"] for line in compared)
    runs = _runs([line for line in compared if line["facts"]["documents"] == largest])
    run = [line for line in runs[-1] if line["task"] == runs[-1][0]["task"]]
    families = [f for f in (DEFAULT, ACCURATE, BASELINE) if f in distinct(run, "family")]
    means = {
        (line["level"], line["family"]): line["measured"]["latency"]["mean"]
        for line in run
        if line["measured"]
    }
    rows = []
    for level in distinct(run, "level"):
        times = [means.get((level, family)) for family in families]
        ours = [us for us, family in zip(times, families, strict=True) if us and family != BASELINE]
        base = means.get((level, BASELINE))
        ratio = f"{min(ours) / base:.2f}" if ours and base else ""
        rows.append([f"{level:.2f}", *(number(us) or "never" for us in times), ratio])
    table = Table("", ("accuracy at 10", *families, "ratio"), rows)
    facts = run[0]["facts"]
    drawing = f"![Accuracy against time]({folder}/{_drawing_name(facts, run[0]['task'])})"
    what = f"Microseconds of CPU time a query, {_subject(facts)}, {facts['cpu']}"
    return f"{drawing}\n\n{table.markdown()}\n\n{what}: `{facts['command']}`."


def _runs(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines by the run that they are from, in their order."""

    def run(line: Line) -> str:
        return json.dumps(line["facts"], sort_keys=True)

    order = {key: place for place, key in enumerate(dict.fromkeys(map(run, lines)))}
    grouped = groupby(sorted(lines, key=lambda line: order[run(line)]), key=run)
    return [list(group) for _, group in grouped]


def _drawings(run: Sequence[Line]) -> dict[str, str]:
    tasks = distinct([line for line in run if line["kind"] == search.TRIAL], "task")
    return {_drawing_name(run[0]["facts"], task): drawing_of(run, task) for task in tasks}


def _drawing_name(facts: dict[str, Any], task: str) -> str:
    return f"{'-'.join(facts['collection'].lower().split())}-{facts['documents']}-{task}.svg"


def _subject(facts: dict[str, Any]) -> str:
    if not facts["documents"]:  # several collections
        return str(facts["collection"])
    named = "" if facts["collection"] == SYNTHETIC else f"{facts['collection']}, "
    return f"{named}{facts['documents']:,} documents"


def _source(facts: dict[str, Any]) -> str:
    """Where the figures come from, as a line of Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    load = "" if facts["load"] is None else f", load {facts['load']} at the start"
    return (
        f"`{facts['command']}`, {facts['date']} UTC, commit {facts['commit'] or 'not known'}; "
        f"{facts['cpu']}, {facts['cores']} cores{load}; {facts['system']}, Python "
        f"{facts['python']}; {versions}; {_queries(facts)}, seed {facts['seed']}, "
        f"{facts['threads']} threads to build and for batches."
    )


def _queries(facts: dict[str, Any]) -> str:
    if facts.get("judged"):
        return f"{facts['queries']:,} judged queries"
    return f"{facts['queries']:,} queries to tune on and as many to test with"
