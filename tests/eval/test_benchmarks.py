"""Benchmarks on a tiny collection: measures against brute force, and everything they write."""

import json
import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from lexidex.cli import app
from lexidex.errors import LexidexError, ParameterError
from lexidex.eval.benchmarks import harness, peers, search, sweep
from lexidex.eval.benchmarks.ablation import techniques
from lexidex.eval.benchmarks.build import BuildFigures, Indexes
from lexidex.eval.benchmarks.engines import SEISMIC_SERIES, Variant, own_variants
from lexidex.eval.benchmarks.exact import OURS, run_exact
from lexidex.eval.benchmarks.harness import (
    BenchmarkError,
    EngineProcess,
    accuracy,
    usable,
)
from lexidex.eval.benchmarks.peers import BASELINE, approximate_peers, exact_peers
from lexidex.eval.benchmarks.plot import Curve, draw, frontiers
from lexidex.eval.benchmarks.record import Record, facts, read_lines
from lexidex.eval.benchmarks.report import page, snippet, tables_of
from lexidex.eval.benchmarks.sweep import ENOUGH, LEVELS, LOWEST, TASKS, Trial, fastest, frontier
from lexidex.eval.benchmarks.tables import Table
from lexidex.eval.benchmarks.timing import latency
from lexidex.eval.benchmarks.workload import QUERY_SETS, prepare_workload, rows
from lexidex.index.vectors import build_vectors

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def workload(tmp_path_factory):
    return prepare_workload(tmp_path_factory.mktemp("work"), 2_000, n_queries=40)


@pytest.fixture
def record(workload):
    return Record(facts(workload, [], 1))


@pytest.fixture
def indexes(workload, record):
    with Indexes(workload, 1, record, lambda _: None) as indexes:
        yield indexes


def trial(us, reached, *, family="lexidex", name="v", task=TASKS[0]):
    variant = Variant(name, "engine", family=family, ours=family == "lexidex")
    return Trial(task, variant, {"query_cut": us}, reached, us)


def test_exact_results_are_those_of_brute_force(workload):
    documents = workload.documents()
    for name in QUERY_SETS:
        products = (workload.queries(name) @ documents.T).toarray()
        exact = workload.exact(name)
        assert exact.shape == (40, 100)
        for product, ordinals in zip(products, exact, strict=True):
            kept = ordinals[ordinals >= 0]
            assert kept.size == min(100, (product > 0).sum())
            np.testing.assert_allclose(
                product[kept], np.sort(product)[::-1][: kept.size], rtol=1e-5
            )


def test_a_workload_is_made_once(workload):
    said = []
    again = prepare_workload(workload.folder.parent, 2_000, n_queries=40, say=said.append)
    assert again == workload
    assert said == []


def test_accuracy_is_the_overlap_with_the_exact_top_k():
    rng = np.random.default_rng(0)
    exact = np.array([rng.permutation(30)[:8] for _ in range(20)])
    found = [rng.permutation(30)[:5].tolist() for _ in range(20)]
    expected = [len(set(f) & set(e[:5].tolist())) / 5 for f, e in zip(found, exact, strict=True)]
    assert accuracy(found, exact, 5) == pytest.approx(np.mean(expected))


def test_accuracy_looks_at_k_of_both_and_at_no_empty_place():
    exact = np.array([[3, 1, 2], [4, -1, -1], [-1, -1, -1]])
    assert accuracy([[9, 3, 1], [4], []], exact, 2) == pytest.approx((0.5 + 1) / 2)
    assert accuracy([[], [], []], exact, 2) == 0
    assert accuracy([[]], exact[2:], 2) == 1


def test_latency_takes_each_query_s_median_over_the_rounds():
    rounds = [np.array([1000, 4000]), np.array([9000, 6000]), np.array([2000, 5000])]
    found = latency(rounds)
    assert (found.mean, found.p50) == (3.5, 3.5)
    assert 4.9 < found.p99 <= 5.0


def test_the_fastest_point_of_a_family_that_reaches_the_level_is_chosen():
    trials = [
        trial(10, 0.90),
        trial(20, 0.96),
        trial(30, 0.97, name="another"),
        trial(5, 0.99, family=BASELINE),
        trial(1, 1.0, task=TASKS[1]),
    ]
    assert fastest(trials, TASKS[0], "lexidex", 0.95).us == 20
    assert fastest(trials, TASKS[0], "lexidex", 0.90).us == 10
    assert fastest(trials, TASKS[0], "lexidex", 0.97).us == 30
    assert fastest(trials, TASKS[0], BASELINE, 0.95).us == 5
    assert fastest(trials, TASKS[0], "lexidex", 0.98) is None


def test_a_frontier_holds_what_nothing_equals_or_beats():
    points = [(10, 0.90), (15, 0.89), (20, 0.95), (20, 0.94), (25, 0.95), (30, 0.96)]
    assert frontier(points) == [(10, 0.90), (20, 0.95), (30, 0.96)]
    assert frontier([]) == []


def points(*numbers):
    return tuple({"point": float(n)} for n in numbers)


@pytest.mark.parametrize(
    ("series", "tried"),
    [
        # ENOUGH at the third; the second series ends where it is slower than that.
        ({1: (10, 0.5), 2: (20, 0.9), 3: (40, 0.998), 4: (90, 1.0), 5: (50, 0.7), 6: (60, 0.8)},
         [1, 2, 3, 5]),
        # No gain from the second to the third.
        ({1: (10, 0.5), 2: (20, 0.9), 3: (40, 0.9), 4: (90, 0.99), 5: (50, 0.7), 6: (60, 0.8)},
         [1, 2, 3, 5, 6]),
    ],
)  # fmt: skip
def test_a_series_ends_where_nothing_of_interest_can_follow(
    workload, tmp_path, monkeypatch, series, tried
):
    class Curves(StandIn):
        def __init__(self, variant, log):
            self.asked = asked

        def search(self, workload, queries, k, point, limit=None):
            us, reached = series[point["point"]]
            if limit is None:
                self.asked.append(point["point"])
            ordinals = workload.exact(queries)[:, :k].copy()
            ordinals.reshape(-1)[round(reached * ordinals.size) :] = -2
            return harness.Answers(np.full(len(ordinals), us * 1000), ordinals.tolist())

    asked = []
    monkeypatch.setattr(sweep, "EngineProcess", Curves)
    variant = Variant("v", "engine", series=(points(1, 2, 3, 4), points(5, 6)), family="f")
    trials = sweep.sweep(workload, variant, tmp_path, TASKS[:1])
    assert asked == tried
    assert [t.us for t in trials] == [series[n][0] for n in tried]
    assert [t.accuracy for t in trials] == pytest.approx([series[n][1] for n in tried], abs=0.01)
    assert max(t.accuracy for t in trials) >= ENOUGH - 0.1


class StandIn:
    """A process that takes as many ns a query as its variant's name says, and finds the exact."""

    def __init__(self, variant, log, n_threads=1):
        self.ns = int(variant.name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def open(self, folder):
        return {}

    def search(self, workload, queries, k, point, limit=None):
        ordinals = workload.exact(queries)[:, :k].tolist()
        return harness.Answers(np.full(len(ordinals), self.ns), ordinals)

    def search_batch(self, workload, queries, k, point, n_threads):
        known = self.ns < 6000
        cpu_us, wall_us = self.ns / 2000, self.ns / 1000 / n_threads
        return {"cpu_us": cpu_us if known else None, "wall_us": wall_us if known else None}


def test_families_are_compared_at_each_level(workload, indexes, monkeypatch):
    monkeypatch.setattr(search, "EngineProcess", StandIn)
    trials = [
        trial(2, 0.96, name="2000"),
        trial(6, 0.975, name="6000"),
        trial(4, 1.0, family=BASELINE, name="4000"),
        trial(5, 0.92, family="another", name="5000"),
    ]
    built = {t.variant.name: BuildFigures(1.5, 2.0, 3_000_000, 4, 5) for t in trials}
    choices = search.choose(trials, TASKS[0], LEVELS)
    chosen = [choice.trial for choice in choices if choice.trial]
    measured = search.measure(workload, chosen, indexes, built, 2, 2)
    compared = search.compare(choices, measured)
    assert [(one.level, one.family) for one in compared] == [
        (level, family) for level in LEVELS for family in ("lexidex", BASELINE, "another")
    ]
    ours, base, another = (compared[i::3] for i in range(3))
    assert [one.ratio for one in ours] == [0.5, 0.5, 1.5, None, None]
    assert [one.ratio for one in base] == [1.0] * 5
    assert [one.ratio for one in another] == [1.25, None, None, None, None]
    assert [one.measured is None for one in ours] == [False, False, False, True, True]
    assert ours[0].measured.accuracy == 1.0
    assert ours[0].measured.batch == search.Batch(1.0, 2.0, 1.0, 2.0)
    assert ours[2].measured.batch is None
    assert base[0].measured.latency.p99 == 4.0
    assert (base[0].measured.index_bytes, base[0].measured.build_cpu_s) == (3_000_000, 1.5)


def line(us, reached, family="lexidex", task="k10", documents=2_000):
    return {
        "kind": "trial",
        "task": task,
        "family": family,
        "ours": family == "lexidex",
        "accuracy": reached,
        "us": us,
        "facts": {"documents": documents},
    }


def test_curves_are_frontiers_of_families():
    lines = [
        line(10, 0.90),
        line(15, 0.89),
        line(20, 0.95),
        line(3, LOWEST - 0.1),
        line(9, 0.93, "a peer"),
        line(1, 0.99, task="k100"),
    ]
    ours, peer = frontiers(lines, "k10")
    assert (ours.name, ours.ours, ours.points) == ("lexidex", True, [(0.90, 10), (0.95, 20)])
    assert (peer.name, peer.ours, peer.points) == ("a peer", False, [(0.93, 9)])


def test_a_drawing_shows_every_curve_inside_its_frame():
    curves = [Curve("ours & <best>", [(0.9, 50.0), (1.0, 120.0)], ours=True)]
    curves += [Curve(f"peer {i}", [(0.85, 100.0 * i)], ours=False) for i in range(1, 10)]
    root = ElementTree.fromstring(draw(curves, 'Accuracy "against" time', "a subtitle"))
    assert len(root.findall(f"{SVG}polyline")) == len(curves)
    assert len(root.findall(f"{SVG}circle")) == 11
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "ours & <best>" in texts
    assert {"0.8", "0.99", "0.999", "100", "500"} <= set(texts)
    width, height = float(root.get("width")), float(root.get("height"))
    for circle in root.iter(f"{SVG}circle"):
        assert 0 < float(circle.get("cx")) < width
        assert 0 < float(circle.get("cy")) < height


def test_a_drawing_of_nothing_is_well_formed():
    ElementTree.fromstring(draw([], "nothing", ""))


def test_a_missing_library_is_told_of_once():
    said = []
    absent = [Variant(f"v{i}", "engine", module="no_such_module", package="p") for i in (1, 2)]
    assert usable([*absent, OURS], said.append) == [OURS]
    assert said == ["p is not installed: skipped (pip install p)"]


def test_every_variant_has_an_engine_and_a_folder_of_its_own():
    from lexidex.eval.benchmarks.worker import ENGINES

    variants = [*own_variants(), *approximate_peers(100_000), OURS, *exact_peers()]
    for technique in techniques():
        variants += technique.others.values()
    assert {variant.engine for variant in variants} == set(ENGINES)
    assert len({variant.name for variant in variants}) == len(variants)
    built = [variant for variant in variants if not variant.index]
    assert len({variant.slug for variant in built}) == len(built)
    assert {variant.index for variant in variants} <= {"", own_variants()[0].name}
    assert all(re.fullmatch(r"[\w.-]+", variant.slug) for variant in variants)


def test_both_sides_are_swept_over_the_same_points():
    seismic = [v for v in approximate_peers(1_000) if v.package == "pyseismic-lsr"]
    assert len(seismic) >= 4
    assert {id(v.series) for v in [*own_variants(), *seismic]} == {id(SEISMIC_SERIES)}


def test_seismic_s_binary_form_is_as_its_documentation_says(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "_ROWS_AT_ONCE", 2)
    vectors = build_vectors([([1, 5], [0.5, 2.0]), ([], []), ([7], [1.5]), ([0], [3.0])], 8)
    peers._write_inner_format(vectors, tmp_path / "v.bin")
    expected = struct.pack("<I", 4)
    for components, values in rows(vectors):
        n = components.size
        expected += struct.pack(f"<I{n}I{n}f", n, *components.tolist(), *values.tolist())
    assert (tmp_path / "v.bin").read_bytes() == expected


def test_an_engine_that_fails_is_named_with_what_it_said(workload, tmp_path):
    with (
        EngineProcess(OURS, tmp_path / "log") as process,
        pytest.raises(BenchmarkError, match=r"lexidex exact: open: .*missing"),
    ):
        process.open(tmp_path / "missing")


def test_an_engine_s_process_that_ends_is_told_of(workload, tmp_path):
    unknown = Variant("stranger", "no-such-engine")
    with (
        EngineProcess(unknown, tmp_path / "log") as process,
        pytest.raises(BenchmarkError, match=r"stranger: .*ended; .*no-such-engine"),
    ):
        process.open(tmp_path)


def test_the_exact_benchmark_agrees_with_scipy(workload, indexes, record):
    scipy = [variant for variant in exact_peers() if variant.package == "scipy"]
    run_exact(workload, scipy, indexes, record=record, say=print, rounds=1)
    figures = [line for line in record.read() if line["kind"] == "exact"]
    assert {(f["variant"], f["queries"]) for f in figures} == {
        (name, queries)
        for name in ("lexidex exact", "scipy columns")
        for queries in ("test", "unit_test")
    }
    assert all(figure["agreement"] > 0.99 for figure in figures), figures
    for times in (figure["latency"] for figure in figures):
        assert 0 < times["p50"] <= times["p90"] <= times["p99"]


def test_building_is_measured(workload, indexes, record):
    figures = indexes.build(OURS)
    folder = indexes.folder(OURS) / "index"
    written = sum(p.stat().st_size for p in folder.iterdir())
    assert figures.bytes == written > workload.documents().nnz * 8
    assert figures.cpu_s > 0
    assert figures.wall_s > 0
    assert figures.rss_peak >= figures.rss_before
    assert record.read()[0]["figures"]["bytes"] == written
    indexes.remove(OURS)
    assert not folder.exists()


def test_kept_indexes_are_built_once_for_the_same_options(workload, record):
    said = []
    other = Variant(OURS.name, OURS.engine, {"an": "option"}, ours=True)
    for _ in range(2):
        with Indexes(workload, 1, record, said.append, keep=True) as kept:
            figures = kept.build(OURS)
            assert kept.folder(OURS) != kept.folder(other)
    assert said == ["building lexidex exact"]
    assert kept.folder(OURS).exists()
    assert [line["figures"]["cpu_s"] for line in record.read()] == [figures.cpu_s] * 2


def test_indexes_that_are_not_kept_are_removed(workload, record):
    before = set(workload.folder.glob("indexes/*"))
    with Indexes(workload, 1, record, lambda _: None) as indexes:
        indexes.folder(OURS).mkdir()
    assert set(workload.folder.glob("indexes/*")) == before


def test_facts_say_where_figures_come_from(workload):
    found = facts(workload, approximate_peers(1_000), 2, "lexidex bench")
    assert (found["documents"], found["queries"], found["seed"]) == (2_000, 40, 7)
    assert (found["threads"], found["command"]) == (2, "lexidex bench")
    assert {"lexidex", "numpy", "numba", "pyseismic-lsr"} <= set(found["versions"])
    assert found["commit"] is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", found["commit"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", found["date"])


def test_a_record_is_on_disk_as_soon_as_a_line_is_added(tmp_path):
    record = Record({"seed": 7}, tmp_path / "lines.jsonl")
    record.add("build", figures=BuildFigures(1.0, 2.0, 3, 4, 5))
    record.add("other", value=1)
    read = list(read_lines([tmp_path / "lines.jsonl"]))
    assert read == record.read()
    assert read[0]["figures"]["wall_s"] == 2.0
    assert read[1] == {"kind": "other", "value": 1, "facts": {"seed": 7}}


def test_the_command_writes_json_lines_and_a_drawing(tmp_path):
    lines, drawing = tmp_path / "results.jsonl", tmp_path / "plot.svg"
    arguments = ["bench", "search", "--documents", "2000", "--queries", "40", "--no-peers"]
    arguments += ["--out", str(lines), "--plot", str(drawing), "--work", str(tmp_path), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    assert printed == found
    assert [line["variant"] for line in found if line["kind"] == "build"] == [
        variant.name for variant in own_variants()
    ]
    compared = [line for line in found if line["kind"] == "comparison"]
    assert [(line["task"], line["level"], line["family"]) for line in compared] == [
        (task.name, level, variant.family)
        for task in TASKS
        for level in LEVELS
        for variant in own_variants()
    ]
    for line in compared:
        assert line["ours"]
        assert line["ratio"] is None
        assert line["measured"]["accuracy"] > line["level"] - 0.05
        assert line["measured"]["latency"]["p50"] > 0
        assert line["measured"]["batch"]["threads_wall_us"] is None
    assert all(line["facts"]["documents"] == 2_000 for line in found)
    command = "lexidex bench search --documents 2000 --queries 40 --no-peers"
    assert {line["facts"]["command"] for line in found} == {command}
    trials = [line for line in found if line["kind"] == "trial"]
    assert max(line["accuracy"] for line in trials) > 0.99
    ElementTree.fromstring(drawing.read_text(encoding="utf-8"))
    assert not list(Path(tmp_path).glob("synthetic-*/indexes/*"))


def test_a_part_of_the_search_benchmark_can_be_run(tmp_path):
    arguments = ["bench", "--documents", "500", "--queries", "20", "--no-peers", "--json"]
    arguments += ["--tasks", "short", "--levels", ".9,.97", "--variants", "accurate"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert {line["variant"] for line in found if line["kind"] == "build"} == {"lexidex accurate"}
    assert {line["task"] for line in found if line["kind"] != "build"} == {"short"}
    assert [line["level"] for line in found if line["kind"] == "comparison"] == [0.9, 0.97]


@pytest.mark.parametrize("option", [["--tasks", "k11"], ["--levels", "high"]])
def test_a_part_that_is_not_known_is_named(option):
    arguments = ["bench", "search", "--documents", "100", "--queries", "1", "--no-peers", "-q"]
    result = CliRunner().invoke(app, [*arguments, *option])
    assert isinstance(result.exception, ParameterError)
    assert option[0] in str(result.exception)
    assert option[1] in str(result.exception)


def test_the_command_prints_tables(tmp_path):
    arguments = ["bench", "exact", "--documents", "500", "--queries", "5", "--no-peers", "-q"]
    result = CliRunner().invoke(app, [*arguments, "--work", str(tmp_path)])
    assert result.exit_code == 0, result.output
    rows = [line for line in result.stdout.splitlines() if line.startswith("lexidex exact")]
    assert [len(row.split()) for row in rows] == [9, 9, 7]  # two query sets, and the build
    assert result.stderr == ""


def test_a_table_becomes_markdown():
    table = Table("a title", ("name", "us"), [["one", "1.5"]], "A note.")
    assert table.markdown() == (
        "**a title**\n\n| name | us |\n| --- | ---: |\n| one | 1.5 |\n\nA note."
    )


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """The lines of two runs."""
    folder = tmp_path_factory.mktemp("lines")
    for n_documents, part in (("500", "search"), ("400", "exact")):
        arguments = ["bench", part, "--documents", n_documents, "--queries", "20", "--no-peers"]
        result = CliRunner().invoke(app, [*arguments, "--out", str(folder / f"{part}.jsonl"), "-q"])
        assert result.exit_code == 0, result.output
    return sorted(folder.iterdir())


def test_the_page_is_made_of_the_lines_alone(lines, tmp_path):
    result = CliRunner().invoke(
        app, ["bench", "report", *map(str, lines), "--to", str(tmp_path / "BENCHMARKS.md")]
    )
    assert result.exit_code == 0, result.output
    recorded = list(read_lines(lines))
    made = page(recorded, "benchmarks")
    text = (tmp_path / "BENCHMARKS.md").read_text(encoding="utf-8")
    assert text == made.text
    assert set(made.drawings) == {f"synthetic-500-{task.name}.svg" for task in TASKS}
    for name, drawing in made.drawings.items():
        assert f"(benchmarks/{name})" in text
        assert (tmp_path / "benchmarks" / name).read_text(encoding="utf-8") == drawing
        ElementTree.fromstring(drawing)
    assert re.findall("^##+ .*", text, re.MULTILINE) == [
        "## Search at equal accuracy",
        "### 500 documents",
        "## Exact search",
        "### 400 documents",
        "## Building",
        "### 400 documents",
        "### 500 documents",
    ]
    for table in tables_of(recorded):
        for row in table.rows:
            assert "| " + " | ".join(row) + " |" in text
    for command in ("lexidex bench search --documents 500", "lexidex bench exact --documents 400"):
        assert f"`{command} --queries 20 --no-peers`" in text
    assert result.stdout.strip() == snippet(recorded, "docs/benchmarks")
    assert "| 0.95 |" in result.stdout


def test_lines_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "no.jsonl").write_text("not json\n")
    for name in ("no.jsonl", "missing.jsonl"):
        result = CliRunner().invoke(app, ["bench", "report", str(tmp_path / name)])
        assert isinstance(result.exception, LexidexError)


def test_the_documentation_shows_what_was_recorded():
    """If not: `lexidex bench report docs/benchmarks/*.jsonl --to docs/BENCHMARKS.md`, and what it
    prints into the README."""
    docs = Path(__file__).parents[2] / "docs"
    recorded = list(read_lines(sorted((docs / "benchmarks").glob("*.jsonl"))))
    made = page(recorded, "benchmarks")
    assert (docs / "BENCHMARKS.md").read_text(encoding="utf-8") == made.text
    for name, drawing in made.drawings.items():
        assert (docs / "benchmarks" / name).read_text(encoding="utf-8") == drawing
    readme = (docs.parent / "README.md").read_text(encoding="utf-8")
    assert snippet(recorded, "docs/benchmarks") in readme
