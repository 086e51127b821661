"""Benchmarks of hybrid search, dense indexes, fusion and densified vectors, on few documents."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from lexidex.cli import app
from lexidex.collection import Collection
from lexidex.encoders import load_encoder
from lexidex.errors import ParameterError
from lexidex.eval.benchmarks import dense, dsr, hybrid
from lexidex.eval.benchmarks.judged_collection import splits
from lexidex.eval.benchmarks.record import Record
from lexidex.eval.benchmarks.report import page, tables_of
from lexidex.eval.judged import read_judged
from lexidex.eval.measures import evaluate, parse_measures
from lexidex.eval.runs import search_all
from lexidex.index.fusion import METHODS
from lexidex.index.vectors import build_vectors

from ..encoders.checkpoints import write_dense

WORDS = ["weather", "york", "sparse", "vectors", "inverted", "indexes", "new", "the", "in", "and"]


def run(part, *options):
    result = CliRunner().invoke(app, ["bench", part, *map(str, options), "--json", "-q"])
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    for table in tables_of(found):
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert page(found, "benchmarks").text.count("### ") >= 1
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A BEIR folder of few documents; some queries are for tuning."""
    random, data = np.random.default_rng(3), tmp_path_factory.mktemp("data") / "few"
    (data / "qrels").mkdir(parents=True)
    texts = [" ".join(random.choice(WORDS, 6)) for _ in range(40)]
    lines = [json.dumps({"_id": f"d{n:02}", "text": text}) for n, text in enumerate(texts)]
    (data / "corpus.jsonl").write_text("\n".join(lines))
    asked = [" ".join(texts[n].split()[:2]) for n in range(24)]
    lines = [json.dumps({"_id": f"q{n}", "text": text}) for n, text in enumerate(asked)]
    (data / "queries.jsonl").write_text("\n".join(lines))
    for split, numbers in (("dev", range(12)), ("test", range(12, 24))):
        judged = "".join(f"q{n}\td{n:02}\t1\n" for n in numbers)
        (data / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return data


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_dense(tmp_path_factory.mktemp("model") / "m", {"pooling_mode_mean_tokens": True})


def test_a_hybrid_search_is_measured_next_to_each_leg(tmp_path):
    size = ["--documents", 1000, "--queries", 20, "--work", tmp_path]
    found = run("hybrid", *size)
    build, *searched = found
    assert (build["kind"], set(build["bytes"])) == (
        hybrid.BUILD,
        {"dense", "vectors", "exact", "other"},
    )
    assert build["bytes"]["dense"] > 1000 * 384 * 4
    ways = [(line["mode"], line["offset"], line["k"]) for line in searched]
    assert ways == list(hybrid.WAYS)
    # So small that nothing is approximate.
    assert [line["accuracy"] for line in searched] == [None if way[1] else 1.0 for way in ways]
    assert all(0 < line["latency"]["p50"] <= line["latency"]["p99"] for line in searched)
    assert searched[1]["plan"] == ["exact"]
    assert searched[-1]["parts"]["fuse_us"] > 0
    (table,) = tables_of(searched)
    assert [row[1] for row in table.rows] == ["10", "10", "200", "200", *["10 of 200"] * 2, "10"]
    again = run("hybrid", *size)
    assert hybrid.BUILD not in {line["kind"] for line in again}  # it is kept


def test_the_ratio_is_to_the_slower_leg():
    def line(mode, k, mean):
        return {"mode": mode, "k": k, "latency": {"mean": mean}}

    lines = [line("sparse", 10, 3.0), line("dense", 10, 4.0), line("sparse", 200, 10.0),
             line("dense", 200, 5.0), line("hybrid", 10, 6.0)]  # fmt: skip
    assert hybrid.ratio(lines, (0, 10), "mean") == 1.5
    assert hybrid.ratio(lines, (0, 200), "mean") == 0.6
    lines += [line("sparse", 10, 3.0) | {"offset": 190}, line("dense", 10, 4.0) | {"offset": 190}]
    assert hybrid.ratio(lines, (190, 10), "mean") == 1.5


def test_overlap_looks_at_the_first_as_many():
    assert hybrid.overlap([["a", "b", "c"], ["d"]], [["b", "c"]]) == 0.5
    assert hybrid.overlap([["a"]], [[]]) == 1.0


def test_dense_indexes_are_compared_with_comparing_all(tmp_path):
    size = ["--documents", 1000, "--queries", 20, "--work", tmp_path]
    found = run("dense", *size, "--indexes", "Flat;HNSW")
    assert [line["factory"] for line in found] == ["Flat", *["HNSW32_SQ8"] * 4]
    assert found[0]["accuracy"] == 1.0
    assert found[0]["n_bytes"] == 0
    assert [line["effort"] for line in found[1:]] == [
        f"ef_search {ef}, 2 k" for ef in (32, 64, 128, 256)
    ]
    assert found[-1]["accuracy"] > 0.95
    assert found[1]["n_bytes"] > 1000 * 384
    wrong = CliRunner().invoke(app, ["bench", "dense", *map(str, size), "--indexes", "tree"])
    assert isinstance(wrong.exception, ParameterError)
    assert "'tree'; expected some of Flat; SQ8" in str(wrong.exception)


def test_lists_grow_with_the_vectors():
    assert dense.factory_of("IVF,SQ8", 100_000) == "IVF1024,SQ8"
    assert dense.factory_of("IVF,PQ96x4fs", 1_000_000) == "IVF4096,PQ96x4fs"
    assert dense.factory_of("Flat", 10) == "Flat"


def test_every_method_is_measured_on_the_test_split_and_tuned_on_another(folder, model, tmp_path):
    options = ["--data", folder, "--dense", model, "--collections", tmp_path / "kept"]
    found = run("fusion", *options)
    untuned = [line["method"] for line in found if line["tuned"] is None]
    assert untuned == ["sparse", "dense", *METHODS]
    tuned = {line["method"]: line for line in found if line["tuned"]}
    assert list(tuned) == list(METHODS)
    assert {line["tuned"] for line in tuned.values()} == {"dev"}
    assert all(0 <= line["dense_weight"] <= 1 for line in tuned.values())
    assert {line["n_queries"] for line in found} == {12}
    defaults = {line["method"]: line["dense_weight"] for line in found if line["tuned"] is None}
    assert defaults["sparse"] is defaults["dense"] is None
    weights = {method: 0.8 if method == "convex" else 0.5 for method in METHODS}
    assert {method: defaults[method] for method in METHODS} == pytest.approx(weights)
    (table,) = tables_of(found)
    shown = {(row[1], row[2]) for row in table.rows}
    assert {("sparse", ""), ("convex", "0.8, default"), ("rrf", "0.5, default")} <= shown
    assert f"{tuned['max']['dense_weight']:g}, by dev" in {row[2] for row in table.rows}
    (kept,) = (tmp_path / "kept").iterdir()
    judged, measures = read_judged(folder), parse_measures("nDCG@10 R@100")
    with Collection.open(kept) as collection:
        for mode, line in zip(("sparse", "dense"), found, strict=False):
            means = evaluate(
                judged.qrels, search_all(collection, judged, 100, {"mode": mode}), measures
            ).means
            assert line["ndcg"] == pytest.approx(means["nDCG@10"], abs=1e-6)
            assert line["recall"] == pytest.approx(means["R@100"], abs=1e-6)
        convex = search_all(collection, judged, 100, {"mode": "hybrid"})
    assert found[2]["ndcg"] == pytest.approx(
        evaluate(judged.qrels, convex, measures).means["nDCG@10"], abs=1e-6
    )
    better = max(found[:2], key=lambda line: line["ndcg"])
    assert (better["gain"], better["p_value"]) == (0.0, 1.0)
    assert all(line["gain"] == pytest.approx(line["ndcg"] - better["ndcg"]) for line in found)
    said = CliRunner().invoke(app, ["bench", "fusion", *map(str, options)])
    assert "indexing" not in said.output
    assert "Judged queries: few 12." in said.output


def test_which_splits_are_reported_and_tuned_on(tmp_path):
    (tmp_path / "qrels").mkdir()

    def chosen(*names):
        for file in (tmp_path / "qrels").iterdir():
            file.unlink()
        for name in names:
            (tmp_path / "qrels" / f"{name}.tsv").touch()
        return splits(tmp_path)

    assert chosen("test") == (["test"], None)
    assert chosen("dev", "test", "train") == (["test"], "dev")
    assert chosen("test", "train") == (["test"], "train")
    assert chosen("dl19", "dl20") == (["dl19", "dl20"], None)
    assert chosen("dev") == (["dev"], None)


def test_fusion_needs_a_model_that_encodes(folder):
    arguments = ["bench", "fusion", "--data", str(folder), "--dense", "vectors"]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, ParameterError)
    assert "--dense: 'vectors' encodes no texts" in str(result.exception)


def test_effectiveness_is_that_of_the_command_and_collections_are_kept(folder, model, tmp_path):
    options = ("--data", folder, "--encoder", "bm25", "--dense", model)
    found = run("effectiveness", *options, "--collections", tmp_path)
    by_name = {line["system"]: line for line in found}
    assert list(by_name) == ["bm25", "sparse", "dense", "hybrid"]
    assert by_name["sparse"]["ndcg"] == by_name["bm25"]["ndcg"]
    assert by_name["sparse"]["nnz"] == pytest.approx(3.55)  # stop words out
    assert by_name["dense"]["nnz"] is None
    kept = sorted(place.name for place in tmp_path.iterdir())
    assert len(kept) == 2
    for place in tmp_path.iterdir():
        arguments = ["eval", str(place), "--data", str(folder), "--exact", "--json"]
        result = CliRunner().invoke(app, arguments)
        measured = json.loads(result.stdout)["measures"]
        assert measured["nDCG@10"] == pytest.approx(by_name["bm25"]["ndcg"], abs=1e-5)
    again = run("effectiveness", *options, "--collections", tmp_path)
    assert [line["ndcg"] for line in again] == [line["ndcg"] for line in found]
    assert sorted(place.name for place in tmp_path.iterdir()) == kept


def test_densified_vectors_are_compared_with_both_indexes_fused(folder, model):
    found = run("dsr", "--data", folder, "--dense", model)
    by_name = {line["system"]: line for line in found}
    assert {line["vectors"] for line in found} == {"sparse", "dense", "both"}
    assert list(by_name)[:3] == ["exact", "Seismic", "DSR 768"]
    # Few words: no two share a slice, so that nothing is lost but by 16-bit steps.
    for name in ("Seismic", "DSR 768", "DSR 256"):
        assert by_name[name]["ndcg"] == pytest.approx(by_name["exact"]["ndcg"], abs=0.02)
    assert by_name["FAISS Flat"]["ndcg"] == by_name["FAISS HNSW32_SQ8"]["ndcg"]
    fused = by_name["Seismic and FAISS Flat fused"]
    assert fused["n_bytes"] > by_name["exact"]["n_bytes"] + by_name["FAISS Flat"]["n_bytes"]
    assert by_name["DSR 768 and dense"]["n_bytes"] > by_name["DSR 256 and dense"]["n_bytes"]
    judged = read_judged(folder)
    encoder = load_encoder("bm25")
    lines = (folder / "corpus.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    encoder.fit(texts)
    products = encoder.encode_queries(list(judged.queries.values())) @ (
        encoder.encode_documents(texts).T
    )
    run_ = {
        query_id: {f"d{n:02}": float(row[n]) for n in np.argsort(-row, kind="stable") if row[n]}
        for query_id, row in zip(judged.queries, products.toarray(), strict=True)
    }
    means = evaluate(judged.qrels, run_, parse_measures("nDCG@10 R@100")).means
    assert by_name["exact"]["ndcg"] == pytest.approx(means["nDCG@10"], abs=1e-6)
    assert by_name["exact"]["recall"] == pytest.approx(means["R@100"], abs=1e-6)


def test_sparse_vectors_alone_are_densified_and_oneself_is_left_out():
    rows = [([n, n + 100], [2.0, 1.0]) for n in range(30)]
    documents = build_vectors(rows, 200)
    names = [f"d{n}" for n in range(30)]
    found = dsr.Vectorised(
        names, names[:5], documents, documents[:5], None, {f"d{n}": {f"d{n}": 1} for n in range(5)}
    )
    figures = dsr.run_dsr(found, record=Record({}), say=lambda _: None, rounds=1)
    assert {figure.vectors for figure in figures} == {"sparse"}
    assert [figure.ndcg for figure in figures] == [0.0] * len(figures)  # each finds only itself


def test_densified_vectors_need_a_dense_model(folder):
    result = CliRunner().invoke(app, ["bench", "dsr", "--data", str(folder)])
    assert isinstance(result.exception, ParameterError)
    assert "--data: needs dense vectors" in str(result.exception)
