"""Reranking over HTTP: what the library finds, by rerankers that the server was started with."""

import json
import re
from urllib.request import Request, urlopen

import numpy as np
import pytest
from starlette.testclient import TestClient

from lexidex import Collection, RerankParams
from lexidex.encoders.attention import Attention
from lexidex.errors import EncoderNotFound, ParameterError
from lexidex.index.fusion import FusionParams
from lexidex.server.app import create_app
from lexidex.server.backend import Backend
from lexidex.server.limits import BATCH_RERANKED, RERANK_DEPTH

from ..encoders.checkpoints import write_cross_encoder
from .test_serve import start

DENSE = [0.5, 1.0, -0.25]
D = len(DENSE)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_cross_encoder(folder / "cross")
    maps = np.random.default_rng(1).standard_normal((2, D, 2)).astype(np.float32)
    Attention(0.2, *maps).save(folder / "learned")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("served") / "mixed"
    random = np.random.default_rng(0)
    words = ["sparse", "vectors", "indexes", "weather"]
    with Collection.create(made, dense="vectors") as collection:
        collection.upsert(
            {
                "id": f"d{n}",
                "text": "query " + " ".join(random.choice(words, 1 + n % 5)),
                "dense": random.standard_normal(D).tolist(),
                "metadata": {"even": n % 2 == 0},
            }
            for n in range(20)
        )
    return made


@pytest.fixture(scope="module")
def client(folder, models):
    backend = Backend.open(folder, [str(models / "cross"), str(models / "learned")])
    with TestClient(create_app(backend)) as made:
        yield made


def post(client, body, what="search"):
    return client.post(f"/v1/collections/mixed/{what}", json=body)


def as_pairs(hits):
    return [(hit["id"], pytest.approx(hit["score"], abs=1e-5)) for hit in hits]


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        ({"method": "cross-encoder"}, "cross"),
        ({"method": "cross-encoder", "model": "cross", "depth": 7}, "cross"),
        ({"method": "attention"}, None),
        ({"method": "attention", "model": "learned", "depth": 9}, "learned"),
    ],
)
def test_it_finds_what_the_library_finds(client, folder, models, asked, model):
    name = "attention" if model is None else str(models / model)
    params = RerankParams(name, asked.get("depth", 100))
    given = {"dense": DENSE} if asked["method"] == "attention" else {}
    body = {"query": "sparse query", "rerank": asked} | given
    expected = Collection.open(folder).search("sparse query", 15, rerank=params, **given)
    answer = post(client, body | {"k": 15}).json()
    assert [(h.doc_id, h.score) for h in expected] == as_pairs(answer["hits"])
    assert answer["timings"]["rerank_us"] > 0
    for hit in answer["hits"][: params.depth]:
        assert set(hit["legs"]) == {"first", "rerank"}
        total = sum(leg["contribution"] for leg in hit["legs"].values())
        assert total == pytest.approx(hit["score"])
    paged = post(client, body | {"offset": 5, "k": 4}).json()["hits"]
    assert paged == answer["hits"][5:9]
    filtered = post(client, body | {"filter": {"even": True}}).json()["hits"]
    assert {hit["metadata"]["even"] for hit in filtered} == {True}
    assert "rerank_us" not in post(client, {"query": "sparse"}).json()["timings"]


def test_fusion_and_batches(client, folder, models):
    fusion = {"method": "min-max", "weights": {"first": 1, "rerank": 2}}
    asked = {"method": "cross-encoder", "depth": 8, "fusion": fusion}
    queries = ["sparse query", "weather query"]
    answer = post(client, {"queries": queries, "k": 12, "rerank": asked}, "search:batch").json()
    params = RerankParams(str(models / "cross"), 8, FusionParams("min-max", {"rerank": 2.0}))
    expected = Collection.open(folder).search_batch(queries, 12, rerank=params)
    for found, wanted in zip(answer["results"], expected, strict=True):
        assert [(h.doc_id, h.score) for h in wanted] == as_pairs(found["hits"])
    assert answer["timings"]["rerank_us"] > 0


@pytest.mark.parametrize("method", ["attention", "cross-encoder"])
def test_weights_alone_leave_the_method_as_it_is(client, folder, models, method):
    """By `convex`, which knows the least score of either, the order would be another."""
    name = "attention" if method == "attention" else str(models / "cross")
    given = {"dense": DENSE} if method == "attention" else {}

    def scores(fusion):
        asked = {"method": method} if fusion is None else {"method": method, "fusion": fusion}
        body = {"query": "sparse query", "k": 15, "rerank": asked} | given
        return [(hit["id"], hit["score"]) for hit in post(client, body).json()["hits"]]

    def expected(fusion):
        params = RerankParams(name, fusion=fusion)
        found = Collection.open(folder).search("sparse query", 15, rerank=params, **given)
        return [(hit.doc_id, pytest.approx(hit.score, abs=1e-5)) for hit in found]

    weights = {"first": 1.0, "rerank": 3.0}
    assert scores({"weights": weights}) == expected(FusionParams("min-max", weights))
    assert scores({"weights": weights}) != expected(FusionParams("convex", weights))
    assert scores({}) == expected(FusionParams("min-max"))
    assert scores({"method": "convex"}) == expected(FusionParams("convex"))
    if method == "attention":
        assert scores(None) == scores({}) == expected(None)


def test_a_method_that_attention_was_saved_with_stays_with_other_weights(tmp_path, folder):
    own = FusionParams("rrf", {"first": 0.25, "rerank": 0.75})
    Attention(0.2, fusion=own).save(tmp_path / "ranks")
    asked = {"method": "attention", "model": "ranks", "fusion": {"weights": {"rerank": 5}}}
    with TestClient(create_app(Backend.open(folder, [str(tmp_path / "ranks")]))) as made:
        body = {"query": "sparse query", "dense": DENSE, "rerank": asked}
        hits = post(made, body).json()["hits"]
    params = RerankParams(str(tmp_path / "ranks"), fusion=FusionParams("rrf", {"rerank": 5.0}))
    expected = Collection.open(folder).search("sparse query", dense=DENSE, rerank=params)
    assert [(hit.doc_id, hit.score) for hit in expected] == as_pairs(hits)


def test_a_sparse_and_a_dense_vector_go_together_for_attention(client):
    body = {"sparse": {"weather": 1.0}, "dense": DENSE}
    assert post(client, body).status_code == 422
    assert post(client, body | {"rerank": {"method": "attention"}}).status_code == 200
    assert post(client, body | {"rerank": {"method": "cross-encoder"}}).status_code == 422


@pytest.mark.parametrize(
    "rerank",
    [
        {},
        {"method": "both"},
        {"method": "attention", "depth": 0},
        {"method": "attention", "depth": RERANK_DEPTH + 1},
        {"method": "attention", "model": "cross"},
        {"method": "cross-encoder", "model": "learned"},
        {"method": "attention", "model": "../learned"},
        {"method": "attention", "folder": "/etc"},
        {"method": "attention", "fusion": {"weights": {"dense": 1}}},
        {"method": "attention", "fusion": {"weights": {"first": 0, "rerank": 0}}},
    ],
)
def test_bodies_that_ask_for_nothing_served_are_refused(client, rerank):
    answer = post(client, {"query": "sparse", "dense": DENSE, "rerank": rerank})
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] in ("invalid_request", "invalid_parameter")


def test_folders_that_exist_cannot_be_named(client, models):
    for name in (str(models / "cross"), "cross/", "./cross"):
        body = {"query": "sparse", "rerank": {"method": "cross-encoder", "model": name}}
        answer = post(client, body)
        assert answer.status_code == 422
        assert "of this method there is cross" in answer.json()["detail"]
        assert str(models) not in answer.json()["detail"].replace(name, "")


def test_a_batch_that_asks_too_much_and_a_vector_without_text_are_refused(client):
    depth = RERANK_DEPTH
    queries = ["a"] * (BATCH_RERANKED // depth + 1)
    asked = {"method": "attention", "depth": depth}
    assert post(client, {"queries": queries, "rerank": asked}, "search:batch").status_code == 422
    answer = post(client, {"sparse": {"sparse": 1}, "rerank": {"method": "cross-encoder"}})
    assert "reads the query's text" in answer.json()["detail"]


def test_a_server_without_cross_encoders_says_so(folder):
    with TestClient(create_app(Backend.open(folder))) as client:
        answer = post(client, {"query": "sparse", "rerank": {"method": "cross-encoder"}})
        assert answer.status_code == 422
        assert "--reranker" in answer.json()["detail"]


def test_rerankers_that_cannot_be_served_are_named_at_the_start(folder, models):
    with pytest.raises(EncoderNotFound, match="nowhere"):
        Backend.open(folder, ["nowhere"])
    with pytest.raises(ParameterError, match="another reranker is called 'cross' already"):
        Backend.open(folder, [str(models / "cross")] * 2)


@pytest.mark.parametrize("more", [[], ["--workers", 2]])
def test_serve_takes_rerankers(folder, models, more):
    arguments = [folder, "--port", 0, "--reranker", models / "learned", *more]
    with start(*arguments) as process:
        said = process.stderr.readline()
        found = re.search(r"Serving mixed at (http://127\.0\.0\.1:\d+)/ui ", said)
        assert found, said + process.stderr.read()
        body = {
            "query": "sparse",
            "dense": DENSE,
            "rerank": {"method": "attention", "model": "learned"},
        }
        request = Request(
            f"{found[1]}/v1/collections/mixed/search",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=60) as response:
            assert json.loads(response.read())["hits"]
        process.terminate()
        process.communicate(timeout=60)
