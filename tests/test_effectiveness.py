"""Effectiveness on real collections, against published figures, the whole way from files."""

import csv
import gzip
import json
import subprocess
import sys
from collections import Counter

import pytest

from lexidex import Collection
from lexidex.eval.judged import JudgedQueries, read_qrels
from lexidex.eval.measures import evaluate, parse_measures
from lexidex.eval.runs import search_all


def lexidex(*arguments):
    command = [sys.executable, "-m", "lexidex", *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(finished.stdout)


@pytest.mark.parametrize(
    ("name", "published", "within"), [("scifact", 0.6789, 0.005), ("arguana", 0.3970, 0.01)]
)
def test_bm25_reaches_lucene_s_figures(data_folder, tmp_path, name, published, within):
    source = data_folder / "collections" / name
    indexed = lexidex("index", source, "--to", tmp_path / "c", "--encoder", "bm25", "--json")
    assert indexed["failed"] == []
    found = lexidex("eval", tmp_path / "c", "--data", source, "--json")["measures"]
    assert found["nDCG@10"] == pytest.approx(published, abs=within)


def test_splade_v3_s_vectors_of_nfcorpus_give_its_published_figures(data_folder):
    """Exact dot products of the published vectors: nDCG@10 .3629 and R@100 .2976 in Anserini."""
    vectors = data_folder / "vectors"
    collection = Collection.create(_memory(), encoder="vectors")
    with gzip.open(vectors / "nfcorpus.splade-v3.docs.jsonl.gz", "rt") as file:
        assert collection.upsert(map(json.loads, file)).failed == []
    topics = vectors / "topics.beir-v1.0.0-nfcorpus.test.splade-v3.tsv.gz"
    with gzip.open(topics, "rt", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    queries = {query_id: dict(Counter(text.split())) for query_id, text in lines}
    qrels = read_qrels(vectors / "nfcorpus-qrels" / "test.tsv")
    judged = JudgedQueries({q: queries[q] for q in qrels}, qrels)
    measures = parse_measures("nDCG@10 R@100")
    means = evaluate(qrels, search_all(collection, judged, 100, exact=True), measures).means
    assert means["nDCG@10"] == pytest.approx(0.3632, abs=0.0005)
    assert means["R@100"] == pytest.approx(0.2964, abs=0.0005)


def _memory():
    from lexidex.index.storage.files import MemoryStorage

    return MemoryStorage()
