"""Writes over HTTP are those of the library: on disk, searchable, and refused with a reason."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from lexidex import Collection
from lexidex.documents import FIELDS
from lexidex.errors import StorageFull
from lexidex.index.storage.files import FileStorage
from lexidex.server import limits
from lexidex.server.app import WRITERS, create_app
from lexidex.server.backend import Backend
from lexidex.server.write_schemas import DocumentBody

from .test_openapi import ONE, anything, check
from .test_problems import problem

BIRDS = "/v1/collections/birds"
KIWI = {"id": "kiwi", "title": "Kiwi", "text": "A bird that walks.", "metadata": {"grams": 2500}}


@pytest.fixture
def folder(tmp_path):
    with Collection.create(tmp_path / "birds") as birds:
        birds.upsert([KIWI, {"id": "owl", "text": "A bird of the night."}])
    with Collection.create(tmp_path / "points", "vectors") as points:
        points.upsert([{"id": "1", "vector": {"x": 1.0}}])
    return tmp_path


@pytest.fixture(scope="module")
def refusing(tmp_path_factory):
    """A client and the description for what is refused, or may leave anything behind."""
    folder = tmp_path_factory.mktemp("refusing")
    Collection.create(folder / "birds", merge="off")
    with TestClient(create_app(Backend.open(folder)), raise_server_exceptions=False) as made:
        yield made, made.get("/openapi.json").json()


@pytest.fixture
def client(folder):
    with TestClient(create_app(Backend.open(folder)), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def described(client):
    return client.get("/openapi.json").json()


def found(client, query, collection="birds"):
    answer = client.post(f"/v1/collections/{collection}/search", json={"query": query}).json()
    return {hit["id"] for hit in answer["hits"]}, answer["generation"]


def on_disk(folder, doc_id, collection="birds"):
    return Collection.open(folder / collection).get(doc_id)


@pytest.mark.parametrize("wrapped", [False, True])
def test_documents_are_searchable_and_on_disk_when_the_answer_comes(
    client, folder, described, wrapped
):
    documents = [
        {"id": "tit", "text": "Tits are small."},
        KIWI | {"text": "It digs, small as it is."},
    ]
    response = client.put(
        f"{BIRDS}/documents", json={"documents": documents} if wrapped else documents
    )
    check(described, f"{ONE}/documents", response)
    answer = response.json()
    assert (answer["upserted"], answer["failed"]) == (2, [])
    assert found(client, "small") == ({"tit", "kiwi"}, answer["generation"])
    assert found(client, "walks")[0] == set()
    assert on_disk(folder, "tit").text == "Tits are small."


def test_what_is_no_document_is_reported_and_the_rest_goes_in(client, described):
    documents = [
        {"id": "tit", "text": "Small."},
        {"id": "no text"},
        "no object",
        {"id": "eagle", "text": "Large.", "wings": 2},
        {"id": "wren", "text": "Smaller.", "metadata": {"grams": float("nan")}},
        {"id": "\ud800", "text": "Half."},
    ]
    response = client.put(
        f"{BIRDS}/documents",
        content=json.dumps(documents),
        headers={"Content-Type": "application/json"},
    )
    check(described, f"{ONE}/documents", response)
    answer = response.json()
    assert answer["upserted"] == 1
    expected = ["no text", "#2", "eagle", "wren", "\\ud800"]
    assert [failure["id"] for failure in answer["failed"]] == expected
    assert "'text' is missing" in answer["failed"][0]["reason"]
    assert found(client, "small")[0] == {"tit"}


def test_a_document_is_put_read_patched_and_deleted(client, described):
    path = f"{BIRDS}/documents/a/b%20c"
    one = f"{ONE}/documents/{{id}}"
    body = {"title": "T", "text": "A parrot.", "metadata": {"talks": True}}
    put = client.put(path, json=body)
    check(described, one, put)
    assert put.json()["id"] == "a/b c"
    assert found(client, "parrot") == ({"a/b c"}, put.json()["generation"])
    read = client.get(path).json()
    assert {name: read[name] for name in body} == body

    patched = client.patch(path, json={"metadata": {"talks": False}})
    check(described, one, patched)
    read = client.get(path).json()
    assert (read["text"], read["metadata"]) == ("A parrot.", {"talks": False})

    deleted = client.delete(path)
    check(described, one, deleted)
    assert found(client, "parrot") == (set(), deleted.json()["generation"])
    problem(client.get(path), 404, "document_not_found")
    for again in (client.delete(path), client.patch(path, json={"metadata": {}})):
        problem(again, 404, "document_not_found")
        check(described, one, again)


def test_the_fields_of_a_document_are_the_library_s(refusing):
    assert {*DocumentBody.model_fields} == {*FIELDS}
    described = refusing[1]["components"]["schemas"]["DocumentBody"]
    assert ({*described["properties"]}, described["additionalProperties"]) == ({*FIELDS}, False)


def test_a_document_may_bring_its_passages(client):
    spans = {"x": (0, 5), "y": (6, 11)}
    passages = [
        {"start": start, "end": end, "vector": {term: 1}} for term, (start, end) in spans.items()
    ]
    points = "/v1/collections/points"
    body = {"text": "alpha gamma", "passages": passages}
    assert client.put(f"{points}/documents/two", json=body).status_code == 200
    hits = client.post(f"{points}/search", json={"sparse": {"y": 1}}).json()["hits"]
    assert [(hit["id"], hit["passage"]["start"]) for hit in hits] == [("two", 6)]


def test_vectors_come_in_both_forms(client):
    path = "/v1/collections/points/documents"
    assert client.put(f"{path}/2", json={"vector": {"x": 0.5, "y": 1}}).status_code == 200
    sparse = {"sparse": {"y": 1}}
    hits = client.post("/v1/collections/points/search", json=sparse).json()["hits"]
    assert [(hit["id"], hit["score"]) for hit in hits] == [("2", 1.0)]
    numbered = client.put(f"{path}/3", json={"vector": {"components": [0], "values": [1]}})
    assert "keep to one form" in problem(numbered, 422, "invalid_input")["detail"]


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ({}, "invalid_input", "'text' is missing"),
        ({"text": "a", "id": "other"}, "invalid_input", "is not the path's"),
        ({"text": "a", "vector": {"a": 1}}, "invalid_input", "makes its own"),
        ({"text": "a", "metadata": {"x": "\ud800"}}, "invalid_request", "not JSON"),
        ({"text": 1}, "invalid_request", "$.text"),
        ({"text": "a", "wings": 2}, "invalid_request", "$.wings"),
        ([], "invalid_request", "$"),
    ],
)
def test_a_document_that_is_none_is_refused_with_the_reason(refusing, body, code, says):
    client, described = refusing
    response = client.put(
        f"{BIRDS}/documents/new",
        content=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    check(described, f"{ONE}/documents/{{id}}", response)
    if code == "invalid_request" and says == "not JSON":
        assert response.status_code == 422
    else:
        assert says in problem(response, 422, code)["detail"]
    problem(client.get(f"{BIRDS}/documents/new"), 404, "document_not_found")


@pytest.mark.parametrize(
    ("method", "body", "path"),
    [
        ("PUT", {}, "$.documents"),
        ("PUT", 3, "$"),
        ("PUT", {"documents": [], "x": 1}, "$.x"),
        ("PUT", [{}] * (limits.DOCUMENTS + 1), "$"),
        ("PUT", {"documents": [{}] * (limits.DOCUMENTS + 1)}, "$.documents"),
        ("PATCH", [{"id": "kiwi"}], "$[0].metadata"),
        ("PATCH", {"documents": [{"id": 1, "metadata": {}}]}, "$.documents[0].id"),
        ("PATCH", [{"id": "kiwi", "metadata": {}, "text": "x"}], "$[0].text"),
        ("DELETE", {"ids": []} | {"filter": {}}, "$"),
        ("DELETE", {"ids": [1]}, "$.ids[0]"),
    ],
)
def test_bodies_of_the_wrong_shape_name_the_place(refusing, method, body, path):
    client, described = refusing
    response = client.request(method, f"{BIRDS}/documents", json=body)
    check(described, f"{ONE}/documents", response)
    assert problem(response, 422, "invalid_request")["errors"][0]["path"] == path


@pytest.mark.parametrize("wrapped", [False, True])
def test_metadata_changes_without_encoding(client, folder, described, wrapped, monkeypatch):
    from lexidex.encoders.bm25 import BM25Encoder

    def encode(*_):
        raise AssertionError("encoded")

    monkeypatch.setattr(BM25Encoder, "draft_documents", encode)
    updates = [{"id": "kiwi", "metadata": {"grams": 1}}, {"id": "nix", "metadata": {}}]
    response = client.patch(
        f"{BIRDS}/documents", json={"documents": updates} if wrapped else updates
    )
    check(described, f"{ONE}/documents", response)
    answer = response.json()
    assert answer["updated"] == 1
    assert answer["failed"] == [{"id": "nix", "reason": "no document with that id"}]
    assert on_disk(folder, "kiwi").metadata == {"grams": 1}


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", f"{BIRDS}/documents"), ("POST", f"{BIRDS}/documents:delete")]
)
def test_documents_are_deleted_by_ids_and_by_filter(client, described, method, path):
    response = client.request(method, path, json={"ids": ["owl", "nix"]})
    check(described, path.replace(BIRDS, ONE), response)
    assert response.json()["deleted"] == 1
    answer = client.request(method, path, json={"filter": {"grams": {"gt": 1}}}).json()
    assert answer["deleted"] == 1
    assert client.get(BIRDS).json()["documents"] == 0


@pytest.mark.parametrize("name", ["nix", ".hidden", "birds%00"])
def test_an_unknown_collection_is_not_found(refusing, name):
    client, _ = refusing
    for method, path, body in [
        ("PUT", "/documents", []),
        ("PUT", "/documents/a", {"text": "a"}),
        ("PATCH", "/documents", []),
        ("PATCH", "/documents/a", {"metadata": {}}),
        ("DELETE", "/documents", {"ids": []}),
        ("DELETE", "/documents/a", None),
        ("POST", ":compact", None),
        ("POST", ":reencode", {"encoder": "bm25", "options": {"k1": 1.5}}),
        ("DELETE", "", None),
    ]:
        response = client.request(method, f"/v1/collections/{name}{path}", json=body)
        problem(response, 404, "collection_not_found")


def test_a_body_may_be_larger_where_it_brings_documents(client):
    text = "word " * (limits.BODY_BYTES // 5)
    assert client.put(f"{BIRDS}/documents/long", json={"text": text}).status_code == 200
    assert client.put(f"{BIRDS}/documents", json=[{"id": "b", "text": text}]).json()["upserted"]
    too_long = client.put(
        f"{BIRDS}/documents",
        content=b" " * (limits.DOCUMENTS_BYTES + 1),
        headers={"Content-Type": "application/json"},
    )
    problem(too_long, 413, "body_too_large")


def test_another_process_that_writes_is_named_and_searches_go_on(client, folder, described):
    with FileStorage(folder / "birds").lock():
        response = client.put(f"{BIRDS}/documents/a", json={"text": "a"})
        assert found(client, "night")[0] == {"owl"}
        removal = client.delete(BIRDS)
    check(described, f"{ONE}/documents/{{id}}", response)
    check(described, ONE, removal)
    for refused in (response, removal):
        told = problem(refused, 409, "locked")
        assert "has been writing since" in told["detail"]
        assert str(folder) not in told["detail"]
        assert int(refused.headers["retry-after"]) >= 1
    assert client.put(f"{BIRDS}/documents/a", json={"text": "again"}).status_code == 200
    assert found(client, "again")[0] == {"a"}


def test_a_full_disk_is_507_and_writes_go_on_when_there_is_space(client, folder, monkeypatch):
    def full(*_):
        raise StorageFull(f"{folder}: no space left on the device")

    before = found(client, "bird")
    monkeypatch.setattr(FileStorage, "append", full)
    response = client.put(f"{BIRDS}/documents/a", json={"text": "a bird"})
    told = problem(response, 507, "storage_full")
    assert str(folder) not in told["detail"]
    assert "free some space" in told["detail"]
    assert found(client, "bird") == before
    monkeypatch.undo()
    assert client.put(f"{BIRDS}/documents/a", json={"text": "a bird"}).status_code == 200
    assert found(client, "bird")[0] == before[0] | {"a"}


def test_requests_at_once_share_the_disk_s_time(client, folder, monkeypatch):
    """Writes run in threads of their own, so that a group of them goes with one sync."""
    client.put(f"{BIRDS}/documents", json=[KIWI])  # the first write of a process syncs once more
    synced = []
    first_is_syncing, all_have_come = threading.Event(), threading.Event()
    sync = FileStorage.sync

    def counted(storage, name):
        if name.startswith("log-"):
            synced.append(name)
            first_is_syncing.set()
            assert all_have_come.wait(20)
        sync(storage, name)

    monkeypatch.setattr(FileStorage, "sync", counted)

    def put(n):
        return client.put(f"{BIRDS}/documents/{n}", json={"text": f"number{n}"})

    with ThreadPoolExecutor(WRITERS) as clients:
        answers = [clients.submit(put, 0)]
        assert first_is_syncing.wait(20)
        queue = client.app.state.backend.collection("birds")._writer._group._queue
        answers += [clients.submit(put, n) for n in range(1, WRITERS)]
        while len(queue) < WRITERS - 1:
            time.sleep(0.001)
        # Searches are answered while every thread for writes waits for the disk.
        assert found(client, "night")[0] == {"owl"}
        all_have_come.set()
        generations = [answer.result().json()["generation"] for answer in answers]
    assert len(synced) == 2
    assert len(set(generations)) == 2
    for n in range(WRITERS):
        assert on_disk(folder, str(n)).text == f"number{n}"


ROUTES = [
    ("PUT", "/documents"),
    ("PATCH", "/documents"),
    ("PUT", "/documents/a"),
    ("PATCH", "/documents/a"),
    ("DELETE", "/documents"),
]
documents = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b", "", "\x00", "\ud800"]) | anything,
        "text": st.text(max_size=9) | anything,
        "title": st.text(max_size=9) | anything,
        "metadata": st.dictionaries(st.text(max_size=5), anything, max_size=3) | anything,
        "vector": anything,
        "passages": anything,
    },
)
several = st.lists(documents | anything, max_size=4)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(
    route=st.sampled_from(ROUTES),
    body=several | st.fixed_dictionaries({"documents": several}) | documents | anything,
)
def test_no_body_breaks_the_server_or_its_description(refusing, route, body):
    """Whatever comes in, the answer is declared; what the schema refuses, the server refuses."""
    client, described = refusing
    method, path = route
    response = client.request(
        method,
        BIRDS + path,
        content=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    template = ONE + path.replace("/a", "/{id}")
    check(described, template, response)
    asked = described["paths"][template][method.lower()]["requestBody"]
    schema = {"components": described["components"]}
    schema |= asked["content"]["application/json"]["schema"]
    if response.status_code == 200:
        Draft202012Validator(schema).validate(body)
    else:
        assert response.status_code in (404, 422)
