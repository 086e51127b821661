"""Training data: ids, sources, the draw and the held-out part."""

import gzip
import json

import numpy as np
import pytest

from lexidex.encoders.training.pairs import draw, hold_out, join, read_pairs, text_id
from lexidex.errors import InputError, ParameterError

from .tiny import tiny_pairs, write_pairs


def answers(pairs):
    """{query text: set of its documents' texts}, which no renumbering changes."""
    return {
        query: {pairs.documents[row] for row in rows}
        for query, rows in zip(pairs.queries, pairs.positives, strict=True)
    }


def test_pairs_of_one_text_become_one_text(tmp_path):
    lines = [
        {"query": "a", "title": "T", "text": "x"},
        {"query": "a", "text": "y"},
        {"query": "b", "text": "y"},
        {"query": "b", "text": "y"},
    ]
    file = tmp_path / "pairs.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    pairs = read_pairs(tmp_path)
    assert pairs.queries == ["a", "b"]
    assert pairs.documents == ["T x", "y"]
    assert answers(pairs) == {"a": {"T x", "y"}, "b": {"y"}}
    assert pairs.document_ids == [text_id("T x"), text_id("y")]


def test_pairs_of_a_judged_collection_keep_its_ids(tmp_path):
    corpus = [{"_id": f"d{i}", "title": "t", "text": f"text {i}"} for i in range(3)]
    queries = [{"_id": f"q{i}", "text": f"query {i}"} for i in range(2)]
    for name, records in (("corpus", corpus), ("queries", queries)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)))
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "train.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq0\td1\t1\nq0\td2\t0\nq1\td2\t2\n"
    )
    pairs = read_pairs(tmp_path)
    assert pairs.document_ids == ["d0", "d1", "d2"]
    assert answers(pairs) == {"query 0": {"t text 1"}, "query 1": {"t text 2"}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"query": "a"}', r"pairs.jsonl:1: field 'text': None"),
        ('{"query": " ", "text": "b"}', r"pairs.jsonl:1: field 'query': ' '"),
        ("[1]", r"pairs.jsonl:1: expected a JSON object"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    (tmp_path / "pairs.jsonl").write_text(line)
    with pytest.raises(InputError, match=message):
        read_pairs(tmp_path)


def test_a_folder_without_pairs_is_named(tmp_path):
    with pytest.raises(InputError, match=r"neither pairs\.jsonl nor corpus\.jsonl"):
        read_pairs(tmp_path)


def test_joining_the_parts_gives_the_whole():
    pairs = tiny_pairs(30)
    parts = [pairs.of_documents(range(0, 20)), pairs.of_documents(range(10, 30))]
    whole = join(parts)
    assert answers(whole) == answers(pairs)
    assert sorted(whole.documents) == sorted(pairs.documents)


def test_a_draw_depends_on_ids_alone(tmp_path):
    pairs = read_pairs(write_pairs(tmp_path / "a.jsonl", tiny_pairs(60)))
    backwards = pairs.of_documents(np.arange(60)[::-1])
    drawn = draw(pairs, 20, seed=1)
    assert len(drawn.documents) == 20
    assert set(drawn.document_ids) == set(draw(backwards, 20, seed=1).document_ids)
    assert set(drawn.document_ids) <= set(draw(pairs, 30, seed=1).document_ids)
    assert set(drawn.document_ids) != set(draw(pairs, 20, seed=2).document_ids)
    assert answers(drawn).items() <= answers(pairs).items()


def test_what_is_held_out_is_not_trained_on():
    pairs = tiny_pairs(100)
    shared = [
        rows if row % 3 else np.append(rows, (row + 1) % 100)
        for row, rows in enumerate(pairs.positives)
    ]
    pairs = type(pairs)(pairs.query_ids, pairs.queries, pairs.document_ids, pairs.documents, shared)
    training, held_out = hold_out(pairs, 20, 50, seed=0)
    assert 20 <= len(held_out) < 40
    assert len(held_out.documents) == 50
    assert not set(training.query_ids) & set(held_out.query_ids)
    asked_for = {held_out.document_ids[row] for rows in held_out.positives for row in rows}
    assert not asked_for & set(training.document_ids)
    known = answers(pairs)
    assert all(known[query] == found for query, found in answers(held_out).items())


def test_holding_out_everything_is_refused():
    with pytest.raises(ParameterError, match="none would be left"):
        hold_out(tiny_pairs(10), 10, 10, seed=0)
