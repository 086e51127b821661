"""Collections are made, removed and found over HTTP, where a folder of them is served."""

import shutil

import pytest
from starlette.testclient import TestClient

from lexidex import Collection
from lexidex.errors import CollectionNotFound, ParameterError
from lexidex.server.app import create_app
from lexidex.server.backend import Backend
from lexidex.server.catalog import Catalog

from .test_openapi import ONE, check
from .test_problems import problem

NEW = "/v1/collections/new"


@pytest.fixture
def client(tmp_path):
    """A server over an empty folder."""
    with TestClient(create_app(Backend.open(tmp_path)), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture(scope="module")
def refusing(tmp_path_factory):
    """A folder that stays empty, a client and the description."""
    folder = tmp_path_factory.mktemp("refusing")
    with TestClient(create_app(Backend.open(folder)), raise_server_exceptions=False) as made:
        yield folder, made, made.get("/openapi.json").json()


@pytest.fixture
def described(client):
    return client.get("/openapi.json").json()


@pytest.mark.parametrize("dense", ["vectors", {"model": "vectors", "metric": "inner-product"}])
def test_a_collection_is_made_with_a_dense_side_that_is_told_of(client, described, tmp_path, dense):
    body = {"encoder": "bm25", "dense": dense}
    metric = "cosine" if dense == "vectors" else "inner-product"
    made = client.put(NEW, json=body)
    check(described, ONE, made)
    assert made.json()["dense"] == {"kind": "vectors", "metric": metric}
    document = {"text": "a bird", "dense": [0.5, 2.0]}
    assert client.put(f"{NEW}/documents/a", json=document).status_code == 200
    (listed,) = client.get("/v1/collections").json()["collections"]
    assert listed["dense"] == {"kind": "vectors", "metric": metric, "dimensions": 2}
    found = client.post(f"{NEW}/search", json={"mode": "dense", "dense": [1, 1]}).json()
    assert found["hits"][0]["score"] == pytest.approx(2.5 if "inner" in metric else 0.857493)


@pytest.mark.parametrize(
    ("dense", "detail"),
    [
        ({"model": "vectors", "options": {"pooling": "max"}}, "'vectors' has no options"),
        ({"model": "x/y", "options": {"trust_remote_code": True}}, "code is not taken over HTTP"),
        ({"model": "vectors", "metric": "l2"}, "metric"),
        ({"metric": "cosine"}, "model"),
        (7, "dense"),
    ],
)
def test_a_dense_side_that_cannot_be_is_refused(refusing, dense, detail):
    folder, client, _ = refusing
    refused = client.put(NEW, json={"encoder": "bm25", "dense": dense})
    assert refused.status_code == 422
    assert detail in refused.text
    assert not list(folder.iterdir())


def names(client):
    return [one["name"] for one in client.get("/v1/collections").json()["collections"]]


@pytest.mark.parametrize(
    ("body", "encoder", "options"),
    [
        ({}, "bm25", {}),
        ({"encoder": None, "options": {"k1": 1.2}}, "bm25", {"k1": 1.2}),
        ({"encoder": "bm25", "options": {"language": "german"}}, "bm25", {"language": "german"}),
        ({"passages": "split,tokens=3"}, "bm25", {}),
        ({"encoder": "vectors"}, "vectors", {}),
    ],
)
def test_a_collection_is_made_filled_and_removed(
    client, described, tmp_path, body, encoder, options
):
    made = client.put(NEW, json=body)
    check(described, ONE, made)
    assert (made.status_code, made.headers["location"]) == (201, NEW)
    assert (made.json()["encoder"], made.json()["documents"]) == (encoder, 0)
    kept = Collection.open(tmp_path / "new").encoder.options
    assert {name: kept[name] for name in options} == options
    assert made.json()["passages"]["tokens"] == (3 if "passages" in body else None)

    document = {"id": "a", "vector": {"x": 1}} if encoder == "vectors" else {"id": "a", "text": "x"}
    assert client.put(f"{NEW}/documents", json=[document]).json()["upserted"] == 1
    assert names(client) == ["new"]
    problem(client.put(NEW, json=body), 409, "collection_exists")

    removed = client.delete(NEW)
    check(described, ONE, removed)
    assert names(client) == []
    assert list(tmp_path.iterdir()) == []
    problem(client.get(NEW), 404, "collection_not_found")
    problem(client.delete(NEW), 404, "collection_not_found")


def test_one_that_takes_the_place_of_another_has_nothing_of_it(client):
    for text in ("first", "other"):  # of equal length, so that even the files are
        client.put(NEW, json={})
        client.put(f"{NEW}/documents/a", json={"text": text})
        hits = client.post(f"{NEW}/search", json={"query": text}).json()["hits"]
        assert [hit["text"] for hit in hits] == [text]
        client.delete(NEW)


@pytest.mark.parametrize("name", ["a b", "-a", ".a", "a:b", "\u00e9", "a" * 101, "a\n"])
def test_names_that_not_every_file_system_takes_are_refused(refusing, name):
    folder, client, described = refusing
    response = client.put("/v1/collections/" + name.replace("\n", "%0A"), json={})
    check(described, ONE, response)
    assert "collection" in problem(response, 422, "invalid_request")["detail"]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"encoder": "nix"}, 404, "encoder_not_found"),
        ({"encoder": "bm25", "options": {"nix": 1}}, 422, "invalid_parameter"),
        ({"passages": "split"}, 422, "invalid_parameter"),
        ({"passages": "nix"}, 422, "invalid_parameter"),
        ({"encoder": "a/b", "options": {"trust_remote_code": True}}, 422, "invalid_parameter"),
        ({"encoder": 1}, 422, "invalid_request"),
        ({"encoders": "bm25"}, 422, "invalid_request"),
    ],
)
def test_a_collection_that_cannot_be_made_leaves_nothing(refusing, body, status, code):
    folder, client, described = refusing
    response = client.put(NEW, json=body)
    check(described, ONE, response)
    problem(response, status, code)
    assert list(folder.iterdir()) == []


def test_other_files_are_left_alone(client, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "notes.txt").write_text("mine")
    problem(client.put(NEW, json={}), 409, "collection_exists")
    problem(client.delete(NEW), 404, "collection_not_found")
    assert (tmp_path / "new" / "notes.txt").read_text() == "mine"


def test_where_one_collection_is_served_none_is_made_or_removed(tmp_path):
    Collection.create(tmp_path / "papers")
    with TestClient(create_app(Backend.open(tmp_path / "papers"))) as client:
        for response in (client.put(NEW, json={}), client.delete("/v1/collections/papers")):
            told = problem(response, 409, "collections_fixed")
            assert "'papers'" in told["detail"]
            assert str(tmp_path) not in told["detail"]
        assert names(client) == ["papers"]


def test_a_catalog_follows_what_other_processes_do(tmp_path):
    catalog = Catalog.open(tmp_path)
    Collection.create(tmp_path / "a").upsert([{"id": "1", "text": "one"}])
    catalog.refresh_all()
    assert catalog.names == ["a"]
    held = catalog.get("a")
    Collection.open(tmp_path / "a").upsert([{"id": "2", "text": "two"}])
    catalog.refresh("a")
    assert (catalog.get("a") is held, len(held)) == (True, 2)
    # Another in its place, with a manifest of the same number.
    shutil.rmtree(tmp_path / "a")
    Collection.create(tmp_path / "a")
    catalog.refresh("a")
    assert len(catalog.get("a")) == 0
    shutil.rmtree(tmp_path / "a")
    catalog.refresh_all()
    assert catalog.names == []


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", ".removed-0123", "a\0"])
def test_names_that_lead_elsewhere_are_no_collections(tmp_path, name):
    Collection.create(tmp_path / "a" / "b")
    Collection.create(tmp_path / ".removed-0123")
    (tmp_path / "served").mkdir()
    catalog = Catalog.open(tmp_path / "served")
    catalog.refresh(name)
    with pytest.raises(CollectionNotFound):
        catalog.get(name)
    with pytest.raises(CollectionNotFound):
        catalog.remove(name)
    with pytest.raises(ParameterError):
        catalog.create(name, None, {})


def test_removal_ends_what_an_earlier_one_left(tmp_path):
    Collection.create(tmp_path / "a")
    left = tmp_path / ".removed-0123"
    left.mkdir()
    (left / "file").write_text("")
    catalog = Catalog.open(tmp_path)
    assert catalog.names == ["a"]
    catalog.remove("a")
    assert list(tmp_path.iterdir()) == []
