"""Pairs of query and text as a judged collection, and the benchmark of long documents on them."""

import json

import pytest
from typer.testing import CliRunner

from lexidex.cli import app
from lexidex.errors import InputError
from lexidex.eval.benchmarks import passages
from lexidex.eval.benchmarks.report import page, tables_of
from lexidex.eval.pairs import read_documents, read_pairs

PAIRS = [
    {"query": "who hunts", "title": "Sea", "text": "Sharks hunt."},
    {"query": "who sings", "title": "Sea", "text": "Whales sing."},
    {"query": "who hunts", "title": "Air", "text": "Eagles hunt."},
    {"query": "what hunts", "title": "Sea", "text": "Sharks hunt."},
    {"query": "anything else", "text": "Ants."},
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "animals" / "pairs.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(pair) + "\n" for pair in PAIRS), encoding="utf-8")
    return path


def test_equal_texts_are_one_document_and_equal_queries_one_query(file):
    documents, judged = read_pairs(file)
    assert [(d.id, d.title, d.text) for d in documents] == [
        ("0", "Sea", "Sharks hunt."),
        ("1", "Sea", "Whales sing."),
        ("2", "Air", "Eagles hunt."),
        ("3", None, "Ants."),
    ]
    assert list(judged.queries.values()) == [
        "who hunts",
        "who sings",
        "what hunts",
        "anything else",
    ]
    assert list(judged.qrels.values()) == [{"0": 1, "2": 1}, {"1": 1}, {"0": 1}, {"3": 1}]


def test_texts_of_a_title_are_joined(file):
    documents, judged = read_pairs(file, by_title=True)
    assert [d.text for d in documents] == ["Sharks hunt.\nWhales sing.", "Eagles hunt.", "Ants."]
    assert list(judged.qrels.values()) == [{"0": 1, "1": 1}, {"0": 1}, {"0": 1}, {"2": 1}]


def test_queries_are_drawn_by_a_seed(file):
    drawn = [list(read_pairs(file, n_queries=2, seed=seed)[1].queries) for seed in range(9)]
    assert drawn[0] == list(read_pairs(file, n_queries=2, seed=0)[1].queries)
    assert len({*map(tuple, drawn)}) > 1


@pytest.mark.parametrize("line", ['{"query": "x"}', '{"query": 1, "text": "y"}', "{"])
def test_a_line_that_is_no_pair_is_named(file, line):
    file.write_text(file.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"pairs\.jsonl:6: "):
        read_pairs(file)


def test_a_beir_folder_is_as_good(tmp_path):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d", "text": "t"}\n', encoding="utf-8")
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "t"}\n', encoding="utf-8")
    lines = "query-id\tcorpus-id\tscore\nq\td\t1\n"
    (tmp_path / "qrels" / "test.tsv").write_text(lines, encoding="utf-8")
    documents, judged = read_documents(tmp_path)
    assert [one.id for one in documents] == ["d"]
    assert judged.qrels == {"q": {"d": 1}}


def test_the_benchmark_shows_what_splitting_saves(tmp_path):
    """Answers stand at the end of the first twenty documents."""
    filler = "Nothing is said here. " * 20
    pairs = [
        {"query": f"word{n}", "title": "", "text": (filler if n < 20 else "") + f"It is word{n}."}
        for n in range(30)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    arguments = ["bench", "passages", str(path), "--tokens", "20", "--json", "-q"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "lines")])
    assert result.exit_code == 0, result.output
    lines = {line["passages"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert list(lines) == [
        "whole",
        "truncate,tokens=20,overlap=0",
        "max,tokens=20,overlap=0",
        "split,tokens=20,overlap=0",
        "split,tokens=20,overlap=32",
    ]
    cut = lines["truncate,tokens=20,overlap=0"]
    assert (cut["ndcg_long"], cut["ndcg_short"], cut["n_long"]) == (0, 1, 20)
    for name, line in lines.items():
        assert line["ndcg"] == 1 or line is cut
        assert (line["n_passages"] > 30) == name.startswith("split")
        assert line["index_bytes"] > 0
    [table] = tables_of(list(lines.values()))
    assert {len(row) for row in table.rows} == {len(table.columns)}
    text = page(list(lines.values()), "drawings").text
    assert "## Long documents" in text
    assert "30 judged queries" in text
    assert lines["whole"]["facts"]["command"] == f"lexidex bench passages {path} --tokens 20"
    assert passages.MEASURE in text


@pytest.mark.parametrize(
    "options", [["--tokens", "0"], ["--tokens", "x"], ["--overlaps", "-1"], ["--tokens", ","]]
)
def test_sizes_that_are_none_are_refused(file, options):
    result = CliRunner().invoke(app, ["bench", "passages", str(file), *options])
    assert "expected integers from" in str(result.exception)
