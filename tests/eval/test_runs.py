"""Runs: searching every query, TREC's files, and an order that trec_eval sees as we do."""

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from lexidex import Collection
from lexidex.errors import InputError, LexidexError, ParameterError
from lexidex.eval import runs
from lexidex.eval.judged import JudgedQueries
from lexidex.eval.runs import read_run, search_all, separate_ties, write_run
from lexidex.index.storage.files import MemoryStorage

IDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=4)
SCORES = st.one_of(
    st.integers(-3, 3).map(float),
    st.floats(-(2.0**100), 2.0**100, width=32),
    st.sampled_from([0.1, 0.1 + 1e-12, 1e-45, 0.0, 1e30]),
)
HITS = st.dictionaries(IDS, SCORES, max_size=8)
RUNS = st.dictionaries(IDS, HITS, max_size=4)


def best_first(hits):
    return dict(sorted(hits.items(), key=lambda hit: -np.float32(hit[1])))


@pytest.fixture
def animals():
    made = Collection.create(MemoryStorage())
    made.upsert(
        [
            {"id": "q1", "text": "red fox"},
            {"id": "b", "text": "red red dog"},
            {"id": "a", "text": "red cow"},
            {"id": "c", "text": "fox and red fox"},
        ]
    )
    return made


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A folder for files that Hypothesis writes over and over."""
    return tmp_path_factory.mktemp("scratch")


JUDGED = JudgedQueries({"q1": "red fox", "q2": "cow", "q3": "zebra", "q4": ""}, {})


def test_every_query_is_searched_and_its_own_document_left_out(animals):
    calls = []
    run = search_all(animals, JUDGED, 10, progress=calls.append)
    assert list(run) == ["q1", "q2", "q3", "q4"]
    expected = {hit.doc_id: hit.score for hit in animals.search("red fox") if hit.doc_id != "q1"}
    assert list(run["q1"].items()) == list(expected.items())
    assert len(expected) == 3
    assert list(run["q2"]) == ["a"]
    assert run["q3"] == run["q4"] == {}
    assert calls == [4]


def test_keep_self_keeps_it(animals):
    run = search_all(animals, JUDGED, 10, keep_self=True)
    assert list(run["q1"].items()) == [(h.doc_id, h.score) for h in animals.search("red fox")]


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("keep_self", [True, False])
def test_k_results_are_left_when_the_own_document_is_taken_out(animals, k, keep_self):
    whole = search_all(animals, JUDGED, 10, keep_self=keep_self)
    run = search_all(animals, JUDGED, k, keep_self=keep_self)
    assert run == {q: dict(list(hits.items())[:k]) for q, hits in whole.items()}
    assert len(run["q1"]) == k


def test_k_may_be_as_large_as_a_search_allows(animals):
    assert search_all(animals, JUDGED, 1_000_000) == search_all(animals, JUDGED, 10)
    with pytest.raises(ParameterError, match=r"^k: 0; expected an integer from 1 to 1,000,000$"):
        search_all(animals, JUDGED, -1)


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_batches_and_threads_give_the_same(animals, monkeypatch, batch, n_threads):
    expected = search_all(animals, JUDGED, 5)
    calls = []
    monkeypatch.setattr(runs, "_BATCH", batch)
    run = search_all(animals, JUDGED, 5, n_threads=n_threads, progress=calls.append)
    assert run == expected
    assert list(run) == list(expected)
    assert calls == [*range(batch, 4, batch), 4]


def test_queries_that_bring_vectors():
    made = Collection.create(MemoryStorage(), "vectors")
    made.upsert(
        [
            {"id": "a", "vector": {"fox": 1, "dog": 2}},
            {"id": "b", "vector": {"fox": 3}},
        ]
    )
    judged = JudgedQueries({"b": {"fox": 2, "cat": 9}, "q": {"dog": 0.5}}, {})
    assert search_all(made, judged, 5) == {"b": {"a": 2.0}, "q": {"a": 1.0}}
    assert search_all(made, judged, 5, keep_self=True)["b"] == {"b": 6.0, "a": 2.0}
    with pytest.raises(ParameterError, match=r"^this collection has no text encoder: query it "):
        search_all(made, JudgedQueries({"q": "fox"}, {}), 5)


@given(HITS)
def test_ties_are_separated_and_the_order_kept(hits):
    ranked = best_first(hits)
    separated = separate_ties(ranked)
    assert list(separated) == list(ranked)
    scores = np.array(list(separated.values()))
    assert (scores.astype(np.float32) == scores).all()
    assert (np.diff(scores) < 0).all()
    for doc_id, score in ranked.items():
        before = [other for other in ranked.values() if np.float32(other) >= np.float32(score)]
        lowest = np.float32(score)
        for _ in before[1:]:
            lowest = np.nextafter(lowest, np.float32(-np.inf))
        assert lowest <= separated[doc_id] <= np.float32(score)


def test_scores_that_differ_stay_as_they_are():
    assert separate_ties({"a": 2.0, "b": 1.5, "c": 1.0}) == {"a": 2.0, "b": 1.5, "c": 1.0}
    assert separate_ties({}) == {}


@pytest.mark.smoke
@given(RUNS)
def test_a_run_is_written_and_read_back(scratch, run):
    path = scratch / "run.trec"
    ranked = {query_id: best_first(hits) for query_id, hits in run.items()}
    write_run(ranked, path, "tag")
    found = read_run(path)
    expected = {q: separate_ties(hits) for q, hits in ranked.items() if hits}
    assert found == expected
    assert [list(hits) for hits in found.values()] == [list(h) for h in expected.values()]
    lines = [line.split(" ") for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    assert [(line[1], line[5]) for line in lines] == [("Q0", "tag")] * len(lines)
    ranks = [int(line[3]) for line in lines]
    assert ranks == [rank for hits in ranked.values() for rank in range(1, len(hits) + 1)]


@given(RUNS, st.randoms())
def test_trec_eval_reads_the_file_in_the_same_order(scratch, run, random):
    """Its own parser and its own sorting: reciprocal rank tells where each document stands."""
    path = scratch / "run.trec"
    ranked = {query_id: best_first(hits) for query_id, hits in run.items() if hits}
    write_run(ranked, path)
    with open(path, encoding="utf-8") as file:
        parsed = pytrec_eval.parse_run(file)
    assert set(parsed) == set(ranked)
    for query_id, hits in ranked.items():
        place = random.randrange(len(hits))
        qrels = {query_id: {list(hits)[place]: 1}}
        found = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(parsed)
        assert found[query_id]["recip_rank"] == pytest.approx(1 / (place + 1))


@given(HITS.filter(bool), st.randoms())
def test_the_run_of_another_tool_is_ordered_as_trec_eval_orders_it(scratch, hits, random):
    """Unsorted, with ties and with ranks that say nothing."""
    path = scratch / "run.trec"
    lines = [f"q Q0 {doc_id} {random.randrange(9)} {score!r} t" for doc_id, score in hits.items()]
    path.write_text("\n".join(lines), encoding="utf-8")
    order = list(read_run(path)["q"])
    for rank, doc_id in enumerate(order, start=1):
        evaluator = pytrec_eval.RelevanceEvaluator({"q": {doc_id: 1}}, {"recip_rank"})
        assert evaluator.evaluate({"q": hits})["q"]["recip_rank"] == pytest.approx(1 / rank)


def test_a_run_is_read_however_it_is_laid_out(tmp_path):
    path = tmp_path / "run.trec"
    text = (
        "\N{ZERO WIDTH NO-BREAK SPACE}q1\tQ0\td1 1  2.5 x\r\n\r\nq2 Q0 d1 1 1e-3 x\nq1 0 d2 9 3 x"
    )
    path.write_text(text, encoding="utf-8")
    assert read_run(path) == {"q1": {"d2": 3.0, "d1": 2.5}, "q2": {"d1": 0.001}}


@pytest.mark.parametrize(
    "line",
    ["q1 Q0 d2 1 2.5", "q1 Q0 d2 1 x tag", "q1 Q0 d 2 1 2.5 tag", "q1 Q0 d2 1 nan tag",
     "q1 Q0 d2 1 -inf tag", "q1 Q0 d2 1 1e39 tag", "q1\td2\t1"],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path, line):
    path = tmp_path / "run.trec"
    path.write_text(f"q1 Q0 d1 1 2.5 tag\n\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_run(path)
    expected = f"{path}:3: {line!r}; expected 'query_id Q0 doc_id rank score tag'"
    assert str(caught.value) == expected


def test_a_document_that_comes_twice_is_named(tmp_path):
    path = tmp_path / "run.trec"
    path.write_text("q1 Q0 d1 1 2 t\nq2 Q0 d1 1 2 t\nq1 Q0 d1 2 1 t\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_run(path)
    assert str(caught.value) == f"{path}:3: document 'd1' comes twice for 'q1'"


def test_a_run_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"gone\.trec: cannot be read: .*No such file"):
        read_run(tmp_path / "gone.trec")
    (tmp_path / "latin.trec").write_bytes(b"q1 Q0 d\xe9 1 2 t\n")
    with pytest.raises(InputError, match=r"latin\.trec: cannot be read: 'utf-8' codec can't"):
        read_run(tmp_path / "latin.trec")


@pytest.mark.parametrize("name", ["a b", " a", "a\t", "", "a\u2003b"])
def test_ids_that_a_trec_run_cannot_hold(tmp_path, name):
    path = tmp_path / "run.trec"
    for run in ({name: {"d": 1.0}}, {"q": {name: 1.0}}):
        with pytest.raises(InputError) as caught:
            write_run(run, path)
        expected = f"{path}: id {name!r} has spaces; a TREC run cannot hold it"
        assert str(caught.value) == expected
    assert not path.exists()


def test_a_run_that_cannot_be_written(tmp_path):
    with pytest.raises(LexidexError, match=r"run\.trec: cannot be written: No such file"):
        write_run({"q": {"d": 1.0}}, tmp_path / "gone" / "run.trec")
