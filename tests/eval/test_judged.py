"""Judged collections: BEIR's and TREC's files read; every bad line named; nothing skipped."""

import gzip
import json

import pytest

from lexidex.errors import InputError
from lexidex.eval.judged import JudgedQueries, read_judged, read_qrels

HEADER = "query-id\tcorpus-id\tscore\n"
QUERIES = '{"_id": "q1", "text": "red fox"}\n{"_id": "q2", "text": ""}\n'


def folder(path, queries=QUERIES, qrels=HEADER + "q1\td1\t1\n", name="queries.jsonl"):
    """A BEIR folder without a corpus."""
    data = queries if isinstance(queries, bytes) else queries.encode()
    (path / "qrels").mkdir(parents=True)
    (path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    (path / "qrels" / "test.tsv").write_text(qrels, encoding="utf-8")
    return path


def qrels_file(path, text):
    data = text if isinstance(text, bytes) else text.encode()
    (path / "qrels.tsv").write_bytes(data)
    return path / "qrels.tsv"


@pytest.mark.parametrize("name", ["queries.jsonl", "queries.jsonl.gz"])
def test_a_beir_folder(tmp_path, name):
    qrels = HEADER + "q2\td1\t2\nq1\td2\t0\nq2\td9\t-1\n"
    judged = read_judged(folder(tmp_path / "beir", qrels=qrels, name=name))
    assert judged.queries == {"q1": "red fox", "q2": ""}
    assert judged.qrels == {"q2": {"d1": 2, "d9": -1}, "q1": {"d2": 0}}
    assert judged.all_texts


def test_queries_without_a_judgment_are_left_out(tmp_path):
    judged = read_judged(folder(tmp_path / "beir"))
    assert judged == JudgedQueries({"q1": "red fox"}, {"q1": {"d1": 1}})


def test_queries_that_bring_vectors(tmp_path):
    queries = [
        {"_id": "q1", "vector": {"fox": 2}},
        {"id": 2, "text": "ignored", "vector": {"components": [3], "values": [0.5]}},
        {"_id": "q3", "text": "fox", "vector": None},
    ]
    qrels = "q1 0 d1 1\n2 0 d1 1\nq3 0 d1 1\n"
    lines = "\n".join(map(json.dumps, queries))
    judged = read_judged(folder(tmp_path / "beir", lines, qrels))
    assert judged.queries == {
        "q1": {"fox": 2},
        "2": {"components": [3], "values": [0.5]},
        "q3": "fox",
    }
    assert not judged.all_texts


def test_another_split(tmp_path):
    beir = folder(tmp_path / "beir")
    (beir / "qrels" / "dev.tsv").write_text("q2\td2\t1\n", encoding="utf-8")
    assert read_judged(beir, "dev") == JudgedQueries({"q2": ""}, {"q2": {"d2": 1}})
    with pytest.raises(InputError) as caught:
        read_judged(beir, "train")
    assert str(caught.value) == f"{beir}: no split 'train' in qrels/; there is dev, test"


def test_a_folder_without_queries_or_qrels(tmp_path):
    with pytest.raises(InputError) as caught:
        read_judged(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no queries.jsonl in it; expected a BEIR folder"
    (tmp_path / "queries.jsonl").write_text(QUERIES, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_judged(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no split 'test' in qrels/; there is none"


def test_a_judged_query_that_is_missing(tmp_path):
    beir = folder(tmp_path / "beir", qrels=HEADER + "q1\td1\t1\nq7\td1\t1\n")
    with pytest.raises(InputError) as caught:
        read_judged(beir)
    expected = f"{beir / 'queries.jsonl'}: judged query 'q7' is not among the queries"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON: Expecting property name"),
        ("[]", "expected a JSON object, got list"),
        ('{"text": "x"}', "field '_id' is missing"),
        ('{"_id": null, "text": "x"}', "field '_id' is missing"),
        ('{"_id": 1.5, "text": "x"}', "field '_id' is missing"),
        ('{"_id": "q9"}', "field 'text' is missing or no string"),
        ('{"_id": "q9", "text": ["x"]}', "field 'text' is missing or no string"),
        ('{"_id": "q9", "vector": {"a": -1}}', "vector: weight -1 of term 'a'; weights must be "),
        ('{"_id": "q1", "text": "x"}', "query 'q1' stands in an earlier line already"),
    ],
)
def test_a_bad_query_is_named(tmp_path, line, reason):
    beir = folder(tmp_path / "beir", f"{QUERIES}\n{line}\n")
    with pytest.raises(InputError) as caught:
        read_judged(beir)
    assert str(caught.value).startswith(f"{beir / 'queries.jsonl'}:4: {reason}")


def test_queries_that_are_cut_off(tmp_path):
    beir = folder(tmp_path / "beir", name="queries.jsonl.gz")
    path = beir / "queries.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError) as caught:
        read_judged(beir)
    assert str(caught.value).startswith(f"{path}: cannot be read: Compressed file ended before")


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "q1\td1\t1\nq1\td2\t0\nq2\td 3\t2\n",
        "q1\td1\t1\nq1\td2\t0\nq2\td 3\t2",
        "q1\td1\t1\r\nq1\td2\t0\r\n\r\nq2\td 3\t2\r\n",
        "\N{ZERO WIDTH NO-BREAK SPACE}q1\t0\td1\t1\nq1\t0\td2\t0\nq2\tQ0\td 3\t2\n",
        "\N{ZERO WIDTH NO-BREAK SPACE}" + HEADER + "q1\td1\t1 \nq1\td2\t0\nq2\td 3\t2\n",
        "q1\td1\t1 \nq1\td2\t+0\nq1\td1\t1\nq2\td 3\t2\n",
    ],
)
def test_the_forms_of_qrels(tmp_path, text):
    assert read_qrels(qrels_file(tmp_path, text)) == {"q1": {"d1": 1, "d2": 0}, "q2": {"d 3": 2}}


def test_qrels_with_spaces_between(tmp_path):
    text = "q1 0 d1 1\n  q1   0  d2 -2\n\nq2 0 d1 3\n"
    assert read_qrels(qrels_file(tmp_path, text)) == {"q1": {"d1": 1, "d2": -2}, "q2": {"d1": 3}}
    assert read_qrels(qrels_file(tmp_path, "q1 d1 1\n")) == {"q1": {"d1": 1}}


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("q1\td1", 3),
        ("q1\td1\tx", 3),
        ("q1\td1\t1.0", 3),
        ("q1\td1\t", 3),
        ("q1 0 d1 1 2", 3),
        ("q1", 3),
        ("q1\t0\td1\t1\t5", 3),
    ],
)
def test_a_bad_judgment_is_named(tmp_path, line, number):
    path = qrels_file(tmp_path, f"{HEADER}q1\td1\t1\n{line}\n")
    with pytest.raises(InputError) as caught:
        read_qrels(path)
    assert str(caught.value) == (
        f"{path}:{number}: {line!r}; expected query-id, corpus-id and an integer score"
    )


@pytest.mark.parametrize("line", ["q1\td1\t1.0", "q1\td1\t0.5", "q1 Q0 d1 1 2", "q1 d1"])
def test_a_bad_first_line_is_not_taken_for_a_header(tmp_path, line):
    path = qrels_file(tmp_path, f"{line}\nq1\td2\t1\n")
    with pytest.raises(InputError) as caught:
        read_qrels(path)
    assert str(caught.value).startswith(f"{path}:1: {line!r}; expected query-id, ")


def test_a_pair_that_is_judged_twice_and_differently(tmp_path):
    again = "q1\td1\t0"
    path = qrels_file(tmp_path, f"q1\td1\t1\n{again}\n")
    with pytest.raises(InputError) as caught:
        read_qrels(path)
    expected = f"{path}:2: {again!r}; the same pair was judged 1 before"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no judgments in it"),
        (HEADER.encode(), "no judgments in it"),
        (b"q1\t\xff\t1\n", "cannot be read: 'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_qrels_without_judgments(tmp_path, data, message):
    path = qrels_file(tmp_path, data)
    with pytest.raises(InputError) as caught:
        read_qrels(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_qrels_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match=r"gone\.tsv: cannot be read: .*No such file"):
        read_qrels(tmp_path / "gone.tsv")
