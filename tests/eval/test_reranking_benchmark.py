"""The reranking benchmark on a small collection: what it measures, on which half, and its table."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from lexidex import Collection
from lexidex.cli import app
from lexidex.errors import ParameterError
from lexidex.eval.benchmarks.report import page, tables_of
from lexidex.eval.benchmarks.reranking import halves
from lexidex.eval.measures import evaluate, parse_measures
from lexidex.eval.pairs import drawn_documents, read_pairs
from lexidex.eval.runs import search_all
from lexidex.index.storage.files import MemoryStorage

from ..encoders.checkpoints import write_dense


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    random = np.random.default_rng(0)
    words = ["weather", "york", "sparse", "vectors", "indexes", "inverted", "text"]
    pairs = []
    for n in range(24):
        sentences = [" ".join(random.choice(words, 4)) + "." for _ in range(1 + n % 3)]
        query = " ".join(random.permutation(sentences[-1].split())[:3])
        pairs.append({"query": f"{query} {n}", "title": f"{n}", "text": " ".join(sentences)})
    made = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    made.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    return made


def test_the_halves_share_no_document_and_draws_are_of_whole_queries(path):
    documents, judged = read_pairs(path)
    one, other = halves(documents, judged, 3)
    sides = [{d for found in half.qrels.values() for d in found} for half in (one, other)]
    assert not sides[0] & sides[1]
    assert len(one.queries) + len(other.queries) == 24
    with pytest.raises(ParameterError, match="no queries about one half"):
        halves(documents[:1], judged, 3)
    some, queries = drawn_documents(documents, judged, 5)
    assert len(some) == len(queries.queries) == 5
    assert {d for found in queries.qrels.values() for d in found} == {one.id for one in some}


def test_the_benchmark_measures_the_half_that_nothing_learned_from(path, tmp_path):
    model = write_dense(tmp_path / "model", {"pooling_mode_mean_tokens": True})
    arguments = ["bench", "rerank", str(path), "--dense", str(model), "--tokens", "6"]
    result = CliRunner().invoke(app, [*arguments, "--steps", "3", "--json", "-q"])
    assert result.exit_code == 0, result.output
    lines = {line["way"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert list(lines) == [
        "bm25",
        "dense",
        "hybrid",
        "bm25, best passage",
        "bm25, best passage, weight trained",
        "bm25, attention",
        "bm25, attention, temperature trained",
        "bm25, attention, maps trained",
    ]
    documents, judged = read_pairs(path, seed=7)
    _, measured = halves(documents, judged, 7)
    collection = Collection.create(
        MemoryStorage(), "bm25", "off", dense=str(model), passages="split,tokens=6,overlap=0"
    )
    collection.upsert(documents)
    options = {
        "bm25": {},
        "dense": {"mode": "dense"},
        "hybrid": {"mode": "hybrid"},
        "bm25, attention": {"rerank": "attention"},
    }
    for way, given in options.items():
        run = search_all(collection, measured, 10, given)
        means = evaluate(measured.qrels, run, parse_measures("nDCG@10")).means
        assert lines[way]["ndcg"] == pytest.approx(means["nDCG@10"], abs=1e-9), way
    assert (lines["bm25"]["n_queries"], lines["bm25"]["n_training"]) == (12, 12)
    assert lines["bm25"]["n_passages"] == collection.n_passages > 24
    [table] = tables_of(list(lines.values()))
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert "12 queries measured" in page(list(lines.values()), "drawings").text
