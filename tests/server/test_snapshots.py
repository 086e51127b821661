"""Snapshots over HTTP: taken while writes go on, downloaded, restored, and refused when damaged."""

import pytest
from starlette.testclient import TestClient

from lexidex import Collection
from lexidex.server.app import create_app
from lexidex.server.backend import Backend

from .test_openapi import ONE, check
from .test_problems import problem
from .test_tasks import finished

BIRDS = "/v1/collections/birds"
SNAPSHOTS = f"{BIRDS}/snapshots"


@pytest.fixture
def client(tmp_path):
    with Collection.create(tmp_path / "birds") as birds:
        birds.upsert([{"id": str(n), "text": f"bird {n}", "metadata": {"n": n}} for n in range(5)])
    with TestClient(create_app(Backend.open(tmp_path)), raise_server_exceptions=False) as made:
        yield made


def taken(client):
    task = finished(client, client.post(SNAPSHOTS).json())
    assert task["status"] == "succeeded", task
    return task["result"]["snapshot"]


def content(client):
    hits = client.post(f"{BIRDS}/search", json={"query": "bird", "k": 50}).json()["hits"]
    return [(hit["id"], hit["score"], hit["text"], hit["metadata"]) for hit in hits]


def test_a_snapshot_is_taken_listed_downloaded_and_deleted(client, tmp_path):
    described = client.get("/openapi.json").json()
    started = client.post(SNAPSHOTS)
    check(described, f"{ONE}/snapshots", started)
    task = finished(client, started.json())
    listed = client.get(SNAPSHOTS)
    check(described, f"{ONE}/snapshots", listed)
    (one,) = listed.json()["snapshots"]
    assert (task["kind"], task["result"]["snapshot"]) == ("snapshot", one["name"])
    assert task["result"]["generation"] == client.get(BIRDS).json()["generation"]

    file = client.get(f"{SNAPSHOTS}/{one['name']}")
    assert (file.status_code, file.headers["content-type"]) == (200, "application/x-tar")
    assert len(file.content) == one["bytes"] == task["result"]["bytes"]
    (tmp_path / "elsewhere.tar").write_bytes(file.content)
    elsewhere = Collection.restore(tmp_path / "elsewhere.tar", tmp_path / "elsewhere")
    found = [(hit.doc_id, hit.score, hit.text, hit.metadata) for hit in elsewhere.search("bird")]
    assert found == content(client)

    path = f"{ONE}/snapshots/{{snapshot}}"
    deleted = client.delete(f"{SNAPSHOTS}/{one['name']}")
    check(described, path, deleted)
    assert client.get(SNAPSHOTS).json()["snapshots"] == []
    for method in ("GET", "DELETE"):
        gone = client.request(method, f"{SNAPSHOTS}/{one['name']}")
        problem(gone, 404, "snapshot_not_found")
        check(described, path, gone)


@pytest.mark.parametrize("removed", [False, True])
def test_a_snapshot_takes_the_collection_s_place(client, removed):
    before, name = content(client), taken(client)
    if removed:
        assert client.delete(BIRDS).status_code == 200
        assert [one["name"] for one in client.get(SNAPSHOTS).json()["snapshots"]] == [name]
    else:
        client.delete(f"{BIRDS}/documents/1")
        client.put(f"{BIRDS}/documents/0", json={"text": "another bird"})
        assert content(client) != before
        written = client.get(BIRDS).json()["generation"]
    started = client.post(f"{SNAPSHOTS}/{name}:restore")
    check(client.get("/openapi.json").json(), f"{ONE}/snapshots/{{snapshot}}:restore", started)
    task = finished(client, started.json())
    assert (task["status"], task["result"]["documents"]) == ("succeeded", 5)
    assert content(client) == before
    generation = client.get(BIRDS).json()["generation"]
    assert generation == task["result"]["generation"]
    assert removed or generation > written
    put = client.put(f"{BIRDS}/documents/new", json={"text": "a new bird"})
    assert put.json()["generation"] > generation
    assert len(content(client)) == 6


def test_a_damaged_snapshot_changes_nothing(client, tmp_path):
    before, name = content(client), taken(client)
    (file,) = (tmp_path / ".snapshots" / "birds").iterdir()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    task = finished(client, client.post(f"{SNAPSHOTS}/{name}:restore").json())
    assert (task["status"], task["error"]["code"]) == ("failed", "corrupt_file")
    assert str(tmp_path) not in task["error"]["detail"]
    assert content(client) == before


@pytest.mark.parametrize("name", ["nix", "%2e%2e", ".hidden", "a%00"])
def test_there_is_no_way_to_other_files(client, tmp_path, name):
    (tmp_path / ".snapshots").mkdir()
    (tmp_path / ".snapshots" / "secret.tar").write_text("secret")
    for method, path in [
        ("GET", f"{SNAPSHOTS}/{name}"),
        ("DELETE", f"{SNAPSHOTS}/{name}"),
        ("POST", f"{SNAPSHOTS}/{name}:restore"),
        ("GET", f"/v1/collections/{name}/snapshots"),
        ("POST", f"/v1/collections/{name}/snapshots"),
        ("GET", f"/v1/collections/{name}/snapshots/secret"),
    ]:
        response = client.request(method, path)
        assert response.status_code in (404, 405), (method, path)
        assert response.headers["content-type"] == "application/problem+json"
    assert (tmp_path / ".snapshots" / "secret.tar").exists()


def test_where_one_collection_is_served_there_is_no_place_for_snapshots(tmp_path):
    Collection.create(tmp_path / "birds")
    with TestClient(create_app(Backend.open(tmp_path / "birds"))) as client:
        described = client.get("/openapi.json").json()
        for response in (client.get(SNAPSHOTS), client.post(SNAPSHOTS)):
            problem(response, 409, "collections_fixed")
            check(described, f"{ONE}/snapshots", response)
        file = client.get(f"{SNAPSHOTS}/a")
        problem(file, 409, "collections_fixed")
        check(described, f"{ONE}/snapshots/{{snapshot}}", file)


def test_a_folder_with_nothing_but_snapshots_is_served(client, tmp_path):
    name = taken(client)
    client.delete(BIRDS)
    with TestClient(create_app(Backend.open(tmp_path))) as again:
        task = finished(again, again.post(f"{SNAPSHOTS}/{name}:restore").json())
        assert task["status"] == "succeeded"
        assert len(content(again)) == 5
