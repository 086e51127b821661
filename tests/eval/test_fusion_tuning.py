"""Weights of a hybrid search, found on collections in which it is known which leg is right."""

import numpy as np
import pytest
from ir_measures import nDCG

from lexidex import Collection
from lexidex.encoders.dense import DenseEncoder
from lexidex.encoders.loading import DENSE_KINDS
from lexidex.errors import ParameterError
from lexidex.eval.fusion_tuning import tune_fusion
from lexidex.eval.judged import JudgedQueries
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


def test_few_queries_and_plain_collections_are_refused():
    collection, judged = judged_collection(right_word=True, right_angle=True)
    few = JudgedQueries(dict(list(judged.queries.items())[:3]), judged.qrels)
    with pytest.raises(ParameterError, match="queries: 3; expected 5 judged texts or more"):
        tune_fusion(collection, few, nDCG @ 10)
    plain = Collection.create(MemoryStorage())
    with pytest.raises(ParameterError, match="no dense side"):
        tune_fusion(plain, judged, nDCG @ 10)
