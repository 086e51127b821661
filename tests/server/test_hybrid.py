"""Dense and hybrid search over HTTP: what the library finds, and what is refused."""

import numpy as np
import pytest
from starlette.testclient import TestClient

from lexidex import Collection
from lexidex.server.app import create_app
from lexidex.server.backend import Backend

DENSE = [0.5, 1.0, -0.25]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("server") / "mixed"


@pytest.fixture(scope="module")
def collection(folder):
    made = Collection.create(folder, encoder="vectors", dense="vectors")
    random = np.random.default_rng(0)
    made.upsert(
        {
            "id": f"d{n}",
            "text": f"text {n}",
            "vector": {f"t{n % 4}": 1.0 + n},
            "dense": random.standard_normal(3).tolist(),
        }
        for n in range(12)
    )
    with made:
        yield made


@pytest.fixture(scope="module")
def client(folder, collection):
    with TestClient(create_app(Backend.open(folder))) as made:
        yield made


def post(client, body):
    return client.post("/v1/collections/mixed/search", json=body)


def test_hybrid_search_finds_what_the_library_finds_and_tells_of_the_legs(client, collection):
    query = {"sparse": {"t1": 2.0, "t2": 1.0}, "dense": DENSE}
    expected = collection.search(None, 5, mode="hybrid", **query)
    body = query | {"mode": "hybrid", "k": 5}
    found = post(client, body).json()
    assert [(h["id"], h["score"]) for h in found["hits"]] == [
        (hit.doc_id, hit.score) for hit in expected
    ]
    for hit in found["hits"]:
        assert set(hit["legs"]) <= {"sparse", "dense"}
        for leg in hit["legs"].values():
            assert set(leg) == {"rank", "score", "normalised", "weight", "contribution", "passage"}
        total = sum(leg["contribution"] for leg in hit["legs"].values())
        assert total == pytest.approx(hit["score"])
    paged = post(client, body | {"offset": 2, "k": 3}).json()
    assert paged["hits"] == found["hits"][2:5]
    fused = {"method": "rrf", "weights": {"dense": 2}, "depth": 4, "rrf_k": 10}
    ranks = post(client, body | {"fusion": fused}).json()["hits"][0]["legs"]
    assert ranks["dense"]["weight"] == 2


def test_dense_search_takes_a_vector_alone(client, collection):
    found = post(client, {"dense": DENSE, "mode": "dense", "k": 3}).json()
    expected = collection.search(None, 3, mode="dense", dense=DENSE)
    assert [h["id"] for h in found["hits"]] == [hit.doc_id for hit in expected]
    assert found["plan"] == list(expected.plan)


def test_terms_make_up_the_sparse_score_and_highlights_are_of_the_passage_shown(tmp_path):
    passages = [
        {"start": 0, "end": 3, "vector": {"one": 5.0}, "dense": [1.0, 0.0]},
        {"start": 4, "end": 7, "vector": {"two": 1.0}, "dense": [0.0, 1.0]},
    ]
    with Collection.create(tmp_path / "mixed", encoder="vectors", dense="vectors") as made:
        made.upsert([{"id": "a", "text": "one two", "passages": passages}])
    asked = {"sparse": {"one": 1, "two": 1}, "dense": [0.1, 1.0], "mode": "hybrid"}
    with TestClient(create_app(Backend.open(tmp_path / "mixed"))) as client:
        (hit,) = post(client, asked | {"explain": True, "highlight": True}).json()["hits"]
    assert [term["term"] for term in hit["terms"]] == ["one"]
    assert sum(term["product"] for term in hit["terms"]) == hit["legs"]["sparse"]["score"]
    assert hit["passage"]["number"] == 1
    assert [(one["term"], one["start"]) for one in hit["highlights"]] == [("two", 4)]


@pytest.mark.parametrize(
    "body",
    [
        {"mode": "hybrid"},
        {"mode": "dense", "dense": DENSE, "explain": True},
        {"mode": "dense", "dense": DENSE, "accuracy": 0.9},
        {"mode": "hybrid", "sparse": {"t1": 1}, "dense": DENSE, "k": 500},
        {"mode": "hybrid", "query": "a", "sparse": {"t1": 1}, "dense": DENSE},
        {"mode": "hybrid", "sparse": None, "dense": DENSE},
        {"mode": "dense", "sparse": {"t1": 1}},
        {"mode": "dense", "sparse": {"t1": 1}, "dense": DENSE},
        {"mode": "dense", "dense": []},
        {"mode": "dense", "dense": ["a"]},
        {"mode": "dense", "dense": DENSE[:2]},
        {"mode": "sparse", "dense": DENSE},
        {"mode": "both", "sparse": {"t1": 1}},
        {"sparse": {"t1": 1}, "fusion": {"method": "rrf"}},
        {"mode": "hybrid", "sparse": {"t1": 1}, "dense": DENSE, "fusion": {"method": "borda"}},
        {
            "mode": "hybrid",
            "sparse": {"t1": 1},
            "dense": DENSE,
            "fusion": {"weights": {"dense": 0, "sparse": 0}},
        },
    ],
)
def test_bodies_that_ask_for_nothing_clear_are_refused(client, body):
    answer = post(client, body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] in ("invalid_request", "invalid_parameter", "invalid_body")
