"""Real collections, from files to figures: what published systems reach must be reached here.

Needs the folder that LEXIDEX_DATA names; without it these tests are skipped.
"""

import gzip
import json
import shutil
import sys
from collections import Counter

import pytest

from lexidex.cli import main

BM25 = [("scifact", 5183, 300, 0.6789, 0.005), ("arguana", 8674, 1406, 0.3970, 0.01)]
"""Collection, documents, queries, Lucene's nDCG@10 (Pyserini's BEIR regressions), tolerance."""


@pytest.fixture
def lexidex(monkeypatch, capsys):
    """Run a command line in this process; what it prints as JSON."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lexidex", *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return json.loads(capsys.readouterr().out)

    return run


@pytest.mark.compiled_only
@pytest.mark.parametrize(("name", "n_documents", "n_queries", "expected", "tolerance"), BM25)
def test_bm25_reaches_lucene(
    lexidex, data_folder, tmp_path, name, n_documents, n_queries, expected, tolerance
):
    beir = data_folder / "collections" / name
    made = lexidex("index", beir, "--to", tmp_path / name)
    assert (made["documents"], made["failed"]) == (n_documents, [])
    found = lexidex("eval", tmp_path / name, "--data", beir, "--measures", "nDCG@10")
    assert found["queries"] == n_queries
    assert found["measures"]["nDCG@10"] == pytest.approx(expected, abs=tolerance)


@pytest.fixture
def nfcorpus(data_folder, tmp_path):
    """NFCorpus as SPLADE-v3 encoded it, in BEIR's layout: documents and queries bring vectors."""
    vectors, folder = data_folder / "vectors", tmp_path / "nfcorpus"
    (folder / "qrels").mkdir(parents=True)
    shutil.copy(vectors / "nfcorpus.splade-v3.docs.jsonl.gz", folder / "corpus.jsonl.gz")
    shutil.copy(vectors / "nfcorpus-qrels" / "test.tsv", folder / "qrels")
    topics = vectors / "topics.beir-v1.0.0-nfcorpus.test.splade-v3.tsv.gz"
    with (
        gzip.open(topics, "rt", encoding="utf-8") as lines,
        open(folder / "queries.jsonl", "w", encoding="utf-8") as queries,
    ):
        for line in lines:
            query_id, tokens = line.rstrip("\n").split("\t")
            # A token stands there as many times as it weighs.
            vector = dict(Counter(tokens.split(" ")))
            queries.write(json.dumps({"_id": query_id, "vector": vector}) + "\n")
    return folder


@pytest.mark.compiled_only
def test_vectors_of_splade_v3_give_what_their_inner_products_give(lexidex, nfcorpus, tmp_path):
    """An exact inner product over these files; published are .3629 and .2976."""
    made = lexidex("index", nfcorpus, "--to", tmp_path / "c", "--encoder", "vectors")
    assert (made["documents"], made["failed"]) == (3633, [])
    found = lexidex("eval", tmp_path / "c", "--data", nfcorpus, "--exact")
    assert found["queries"] == 323
    assert found["measures"]["nDCG@10"] == pytest.approx(0.3632, abs=0.0005)
    assert found["measures"]["R@100"] == pytest.approx(0.2964, abs=0.0005)
