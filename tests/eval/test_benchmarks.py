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
from lexidex.eval.benchmarks import harness, peers, search
from lexidex.eval.benchmarks.build import build_index
from lexidex.eval.benchmarks.engines import SEISMIC_SERIES, Variant, own_variants
from lexidex.eval.benchmarks.exact import OURS, run_exact
from lexidex.eval.benchmarks.harness import (
    BenchmarkError,
    EngineProcess,
    Record,
    accuracy,
    facts,
    latency,
    usable,
)
from lexidex.eval.benchmarks.peers import approximate_peers, exact_peers
from lexidex.eval.benchmarks.plot import LOWEST, Curve, draw, frontiers
from lexidex.eval.benchmarks.search import LEVELS, TASKS, Trial, fastest
from lexidex.eval.benchmarks.workload import QUERY_SETS, prepare_workload, rows
from lexidex.index.vectors import build_vectors

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def workload(tmp_path_factory):
    return prepare_workload(tmp_path_factory.mktemp("work"), 2_000, n_queries=40)


@pytest.fixture(scope="module")
def record(workload):
    return Record(facts(workload, [], 1))


def trial(us, reached, *, ours=True, name="lexidex", task=TASKS[0]):
    return Trial(task, Variant(name, "engine", ours=ours), {"query_cut": us}, reached, us)


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


def test_the_fastest_point_that_reaches_the_level_is_chosen():
    trials = [
        trial(10, 0.90),
        trial(20, 0.96),
        trial(30, 0.97),
        trial(5, 0.99, ours=False),
        trial(1, 1.0, task=TASKS[1]),
    ]
    assert fastest(trials, TASKS[0], 0.95, ours=True).us == 20
    assert fastest(trials, TASKS[0], 0.90, ours=True).us == 10
    assert fastest(trials, TASKS[0], 0.95, ours=False).us == 5
    assert fastest(trials, TASKS[0], 0.98, ours=True) is None


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
        known = self.ns < 3000
        return {"cpu_us": self.ns / 2000 if known else None, "wall_us": 1.0 if known else None}


def test_both_sides_are_compared_at_each_level(workload, tmp_path, monkeypatch):
    monkeypatch.setattr(search, "EngineProcess", StandIn)
    trials = [
        trial(2, 0.96, name="2000"),
        trial(6, 0.975, name="6000"),
        trial(4, 1.0, ours=False, name="4000"),
    ]
    folders = {t.variant.name: tmp_path for t in trials}
    compared = search.compare(workload, trials, folders, TASKS[:1], n_threads=1, rounds=2)
    assert [one.level for one in compared] == list(LEVELS)
    assert [one.ratio for one in compared] == [0.5, 0.5, 1.5, None, None]
    assert compared[0].ours.accuracy == 1.0
    assert compared[0].ours.batch_us == 1.0
    assert compared[0].peer.batch_us is None
    assert compared[3].ours is None
    assert compared[3].peer.latency.p99 == 4.0


def test_frontiers_hold_what_nothing_beats():
    trials = [
        trial(10, 0.90),
        trial(15, 0.89),
        trial(20, 0.95),
        trial(25, 0.95),
        trial(3, LOWEST - 0.1),
        trial(9, 0.93, ours=False, name="a peer"),
    ]
    ours, peer = frontiers(trials, TASKS[0])
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
    assert {variant.engine for variant in variants} == set(ENGINES)
    assert len({variant.slug for variant in variants}) == len(variants)
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


def test_the_exact_benchmark_agrees_with_scipy(workload, record):
    said = []
    scipy = [variant for variant in exact_peers() if variant.package == "scipy"]
    figures = run_exact(workload, scipy, record=record, say=said.append, rounds=1)
    assert {(f.variant, f.queries) for f in figures} == {
        (name, queries)
        for name in ("lexidex exact", "scipy columns")
        for queries in ("test", "unit_test")
    }
    assert all(figure.agreement > 0.99 for figure in figures), figures
    assert all(0 < f.latency.p50 <= f.latency.p90 <= f.latency.p99 for f in figures)


def test_building_is_measured(workload, record, tmp_path):
    figures = build_index(workload, OURS, tmp_path / "exact", 1, record)
    written = sum(p.stat().st_size for p in (tmp_path / "exact" / "index").iterdir())
    assert figures.bytes == written > workload.documents().nnz * 8
    assert figures.cpu_s > 0
    assert figures.wall_s > 0
    assert figures.rss_peak >= figures.rss_before


def test_facts_say_where_figures_come_from(workload, tmp_path, monkeypatch):
    found = facts(workload, approximate_peers(1_000), 2)
    assert (found["documents"], found["queries"], found["seed"]) == (2_000, 40, 7)
    assert found["threads"] == 2
    assert {"lexidex", "numpy", "numba", "pyseismic-lsr"} <= set(found["versions"])
    assert found["commit"] is None or re.fullmatch(r"[0-9a-f]{40}", found["commit"])
    git = tmp_path / ".git" / "refs" / "heads"
    git.mkdir(parents=True)
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "main").write_text("0" * 40 + "\n")
    monkeypatch.setattr(harness, "__file__", str(tmp_path / "eval" / "benchmarks" / "harness.py"))
    assert facts(workload, [], 1)["commit"] == "0" * 40


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
    assert [(line["task"], line["level"]) for line in compared] == [
        (task.name, level) for task in TASKS for level in LEVELS
    ]
    for line in compared:
        assert line["peer"] is None
        assert line["ratio"] is None
        assert line["ours"]["accuracy"] > line["level"] - 0.05
        assert line["ours"]["latency"]["p50"] > 0
    assert all(line["facts"]["documents"] == 2_000 for line in found)
    trials = [line for line in found if line["kind"] == "trial"]
    assert max(line["accuracy"] for line in trials) > 0.99
    ElementTree.fromstring(drawing.read_text(encoding="utf-8"))
    assert not list(Path(tmp_path).glob("synthetic-*/tmp*"))


def test_the_command_prints_tables(tmp_path):
    arguments = ["bench", "exact", "--documents", "500", "--queries", "5", "--no-peers", "-q"]
    result = CliRunner().invoke(app, [*arguments, "--work", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert [line.split()[:3] for line in result.stdout.splitlines()[2:]] == [
        ["test", "lexidex", "exact"],
        ["unit_test", "lexidex", "exact"],
    ]
    assert result.stderr == ""
