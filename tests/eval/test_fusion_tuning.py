"""Weights of a hybrid search, found on collections in which it is known which leg is right."""

import numpy as np
import pytest
from ir_measures import nDCG

from lexidex import Collection
from lexidex.encoders.dense import DenseEncoder
from lexidex.encoders.loading import DENSE_KINDS
from lexidex.errors import ParameterError
from lexidex.eval import fusion_tuning
from lexidex.eval.fusion_tuning import candidates_of, default_weight, tune_fusion
from lexidex.eval.judged import JudgedQueries
from lexidex.index.fusion import METHODS, FusionParams
from lexidex.index.storage.files import MemoryStorage

N = 40


@pytest.fixture(autouse=True)
def known_encoder(monkeypatch):
    monkeypatch.setitem(DENSE_KINDS, Directions.kind, (__name__, "Directions"))


class Directions(DenseEncoder):
    """A text's last word as a direction: a number of degrees."""

    kind = "directions"
    dim = 2
    metric = "cosine"
    options: dict = {}  # noqa: RUF012
    fingerprint = "directions"

    def __init__(self):
        pass

    def encode_documents(self, texts):
        angles = np.radians([float(text.split()[-1]) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    encode_queries = encode_documents


def judged_collection(right_word, right_angle):
    """Documents with a word and a direction each; the queries' own are right or drawn at random."""
    random = np.random.default_rng(0)
    collection = Collection.create(MemoryStorage(), dense=Directions(), merge="off")
    collection.upsert({"id": f"d{n}", "text": f"word{n // 4} {(n % 4) * 90 + 3}"} for n in range(N))
    queries = {}
    for n in range(N):
        word = n // 4 if right_word else random.integers(N // 4)
        angle = (n % 4) * 90 if right_angle else random.integers(360)
        queries[f"q{n}"] = f"word{word} {angle}"
    return collection, JudgedQueries(queries, {f"q{n}": {f"d{n}": 1} for n in range(N)})


def test_two_legs_that_know_half_of_the_answer_each_are_better_together():
    collection, judged = judged_collection(right_word=True, right_angle=True)
    report = tune_fusion(collection, judged, nDCG @ 10)
    assert report.helps
    assert report.verdict.startswith("fusing helps: +0.")
    assert 0 < report.chosen.dense < 1
    assert report.cross_validated["convex"] > max(report.legs.values()) + 0.1
    # What is printed as weights does what it says.
    assert report.chosen.mean == max(
        t.mean for t in report.tried if t.method == report.chosen.method
    )


def test_a_leg_that_knows_nothing_is_left_out():
    collection, judged = judged_collection(right_word=False, right_angle=True)
    report = tune_fusion(collection, judged, nDCG @ 10, methods=("convex", "rrf"))
    assert not report.helps
    assert set(report.cross_validated) == {"convex", "rrf"}
    assert report.legs["dense"] > report.legs["sparse"]
    assert report.n_queries == N
    assert len(report.tried) == 2 * 21


@pytest.mark.parametrize("method", METHODS)
def test_what_is_measured_is_what_a_search_finds_less_the_query_itself(method):
    """A query that is a document has the best score of both legs, by which others are scaled."""
    collection, judged = judged_collection(right_word=True, right_angle=True)
    themselves = {f"d{n}": f"word{n // 4} {(n % 4) * 90 + 3}" for n in range(N)}
    judged = JudgedQueries(themselves, {name: {"d0": 1} for name in themselves})
    params = FusionParams(method, depth=10)
    found = candidates_of(collection, judged, params.depth)
    for name, text in themselves.items():
        hits = collection.search(text, 2 * params.depth, mode="hybrid", fusion=params).hits
        assert name in {hit.doc_id for hit in hits}
        expected = {hit.doc_id: hit.score for hit in hits if hit.doc_id != name}
        ranking = found[name].fused(params, collection.dense_lower_bound)
        assert ranking == pytest.approx(expected, abs=1e-6)
        assert name not in found[name].alone("dense")


def test_of_weights_that_are_as_good_the_default_one_is_chosen():
    collection = Collection.create(MemoryStorage(), dense=Directions(), merge="off")
    texts = {f"d{n}": f"word{n} {n * 9}" for n in range(N)}
    collection.upsert({"id": name, "text": text} for name, text in texts.items())
    queries = {f"q{name}": text for name, text in texts.items()}
    judged = JudgedQueries(queries, {f"q{name}": {name: 1} for name in texts})
    report = tune_fusion(collection, judged, nDCG @ 10)
    assert {one.mean for one in report.tried if one.method == "convex"} == {1.0}
    chosen = {method: one.dense for method, one in report.best.items()}
    assert chosen == {method: 0.8 if method == "convex" else 0.5 for method in METHODS}
    assert report.chosen == report.best["convex"]
    assert default_weight("convex", None) == 0.5


def test_of_equal_weights_the_next_to_the_default_is_chosen_where_others_are_better():
    values = np.tile(np.arange(10) / 16, (fusion_tuning.STEPS + 1, 1))
    values[[2, 9]] += np.arange(10) % 3 / 16
    defaults = {"convex": 0.8, "rrf": 0.2}
    report = fusion_tuning._report(
        "measure", {"dense": values[0]}, dict.fromkeys(defaults, values), defaults,
        np.random.default_rng(0),
    )  # fmt: skip
    assert {method: one.dense for method, one in report.best.items()} == {
        "convex": 0.45,
        "rrf": 0.1,
    }


def test_few_queries_and_plain_collections_are_refused():
    collection, judged = judged_collection(right_word=True, right_angle=True)
    few = JudgedQueries(dict(list(judged.queries.items())[:3]), judged.qrels)
    with pytest.raises(ParameterError, match="queries: 3; expected 5 judged texts or more"):
        tune_fusion(collection, few, nDCG @ 10)
    plain = Collection.create(MemoryStorage())
    with pytest.raises(ParameterError, match="no dense side"):
        tune_fusion(plain, judged, nDCG @ 10)
