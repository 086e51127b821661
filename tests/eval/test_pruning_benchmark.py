"""The benchmark of pruning, on a few documents in the form of the real ones."""

import gzip
import json

import numpy as np
import pytest

from lexidex.eval.benchmarks import pruning
from lexidex.eval.benchmarks.real import DOCUMENTS, QRELS, QUERIES, prepare_real
from lexidex.eval.benchmarks.record import Record
from lexidex.eval.benchmarks.report import page


@pytest.fixture
def workload(tmp_path, monkeypatch):
    """Twenty documents of falling weights; each query asks for one word and its neighbour."""
    data = tmp_path / "data" / "vectors"
    (data / QRELS).parent.mkdir(parents=True)
    documents = [
        {"id": f"d{n}", "vector": {f"w{n}": 200, f"w{n + 1}": 100, "common": 5}} for n in range(20)
    ]
    with gzip.open(data / DOCUMENTS, "wt") as file:
        file.writelines(json.dumps(document) + "\n" for document in documents)
    with gzip.open(data / QUERIES, "wt") as file:
        file.writelines(f"q{n}\t{' '.join([f'w{n}'] * 100)} common\n" for n in range(4))
    judged = "".join(f"q{n}\td{n}\t1\n" for n in range(4))
    (data / QRELS).write_text("query-id\tcorpus-id\tscore\n" + judged)
    monkeypatch.setenv("LEXIDEX_DATA", str(data.parent))
    monkeypatch.setattr(
        pruning, "RULES", {"documents": {"top_k": (1,)}, "queries": {"threshold": (0.5,)}}
    )
    return prepare_real(tmp_path / "work")


def test_sizes_accuracy_and_effectiveness_are_those_of_pruned_vectors(workload):
    record = Record({"collection": "few", "documents": 20})
    pruning.run_pruning(workload, record, lambda _: None)
    lines = record.read()

    assert [(line["side"], line["pruning"]) for line in lines] == [
        ("documents", {}),
        ("documents", {"top_k": 1}),
        ("queries", {}),
        ("queries", {"threshold": 0.5}),
    ]
    assert [line["nnz_documents"] for line in lines] == [3, 1, 3, 3]
    assert [line["nnz_queries"] for line in lines] == [2, 2, 2, 1]
    assert [line["nDCG@10"] for line in lines] == [1, 1, 1, 1]
    assert lines[0]["bytes"] > lines[1]["bytes"]
    # Of the best ten, whose rest has the common word alone, one or two are left.
    np.testing.assert_allclose([line["accuracy"] for line in lines], [1, 0.1, 1, 0.175])


def test_the_report_has_a_table_for_each_side(workload):
    facts = {"collection": "few", "documents": 20, "command": "c", "date": "d", "cpu": "x"}
    facts |= {"cores": 1, "load": 0, "system": "s", "python": "3", "versions": {}, "commit": None}
    facts |= {"queries": 2, "seed": 0, "threads": 1}
    record = Record(facts)
    pruning.run_pruning(workload, record, lambda _: None)
    text = page(record.read(), "drawings").text
    assert "## Pruned vectors" in text
    assert "**pruned documents**" in text
    assert "| top_k 1 | 1.0 | 2.0 |" in text
