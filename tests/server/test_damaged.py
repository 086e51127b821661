"""A damaged collection keeps no other of its folder from being served."""

import shutil
from contextlib import closing
from http.client import HTTPConnection

import pytest
from starlette.testclient import TestClient

from lexidex import Collection
from lexidex.errors import CorruptCollection, CorruptFile
from lexidex.server import damaged
from lexidex.server.app import create_app
from lexidex.server.backend import Backend
from lexidex.server.catalog import Catalog

from .test_openapi import ONE, check
from .test_problems import problem
from .test_search import wait_for
from .test_serve import start

BAD = "/v1/collections/bad"
SEARCH = {"json": {"query": "bird"}}


def damage(collection):
    (manifest,) = collection.glob("manifest-*")
    manifest.write_text("{}")


@pytest.fixture
def folder(tmp_path):
    """Three collections, of which one is damaged."""
    for name in ("good", "bad", "other"):
        with Collection.create(tmp_path / name, "bm25") as made:
            made.upsert([{"id": name, "text": f"A {name} bird."}])
            made.snapshot(tmp_path / ".snapshots" / name / "kept.tar")
    damage(tmp_path / "bad")
    return tmp_path


@pytest.fixture
def client(folder):
    with TestClient(create_app(Backend.open(folder)), raise_server_exceptions=False) as made:
        wait_for(lambda: made.get("/readyz").status_code == 200)
        yield made


def test_the_others_are_served(client, caplog):
    for name in ("good", "other"):
        found = client.post(f"/v1/collections/{name}/search", **SEARCH).json()
        assert [hit["id"] for hit in found["hits"]] == [name]


def test_it_is_listed_with_what_is_wrong(client):
    response = client.get("/v1/collections")
    check(client.get("/openapi.json").json(), "/v1/collections", response)
    listed = {one.pop("name"): one for one in response.json()["collections"]}
    assert list(listed) == ["bad", "good", "other"]
    assert listed["bad"]["error"]["code"] == "corrupt_file"
    assert "lexidex check" in listed["bad"]["error"]["detail"]
    assert "error" not in listed["good"]


def test_whatever_is_asked_of_it_says_so(client, folder):
    described = client.get("/openapi.json").json()
    asked = [
        client.get(BAD),
        client.post(f"{BAD}/search", **SEARCH),
        client.get(f"{BAD}/documents/bad"),
        client.put(f"{BAD}/documents/new", json={"text": "new"}),
        client.post(f"{BAD}:compact"),
    ]
    for response in asked:
        found = problem(response, 503, "corrupt_collection")
        assert str(folder) not in response.text
        assert "snapshot" in found["detail"]
    check(described, ONE, asked[0])


def test_the_log_tells_it_once_in_one_line(folder, caplog):
    catalog = Catalog.open(folder)
    for _ in range(3):
        catalog.refresh_all()
    (line,) = [record.message for record in caplog.records]
    assert "'bad' cannot be served" in line
    assert "manifest" in line
    assert "\n" not in line


def test_it_is_served_again_once_it_is_restored(client):
    task = client.post(f"{BAD}/snapshots/kept:restore").json()
    address = f"/v1/tasks/{task['id']}"
    wait_for(lambda: client.get(address).json()["status"] == "succeeded")
    assert client.post(f"{BAD}/search", **SEARCH).json()["hits"][0]["id"] == "bad"
    assert all("error" not in one for one in client.get("/v1/collections").json()["collections"])


def test_it_can_be_removed(client, folder):
    assert client.delete(BAD).status_code == 200
    assert not (folder / "bad").exists()
    problem(client.get(BAD), 404, "collection_not_found")


def test_one_that_goes_is_forgotten(folder):
    catalog = Catalog.open(folder)
    shutil.rmtree(folder / "bad")
    catalog.refresh_all()
    assert catalog.names == ["good", "other"]


def test_one_that_is_damaged_while_others_are_served(folder):
    catalog = Catalog.open(folder)
    Collection.create(folder / "late", "bm25").close()
    damage(folder / "late")
    Collection.create(folder / "zoo", "bm25").close()
    catalog.refresh_all()
    assert catalog.names == ["bad", "good", "late", "other", "zoo"]
    assert catalog.damaged == {"bad": "corrupt_file", "late": "corrupt_file"}


def test_damage_that_shows_when_it_is_warmed_up(folder, monkeypatch):
    """It is tried again after a while, and served only once it can be warmed up."""
    now, real, broken = [0.0], Collection.warm_up, {"good"}
    monkeypatch.setattr(damaged.time, "monotonic", lambda: now[0])

    def warm_up(self):
        if any(name in self for name in broken):
            raise CorruptFile("docs: altered")
        real(self)

    monkeypatch.setattr(Collection, "warm_up", warm_up)
    catalog = Catalog.open(folder)
    catalog.warm_up()
    assert set(catalog.damaged) == {"bad", "good"}
    with pytest.raises(CorruptCollection, match="altered"):
        catalog.get("good")
    now[0] = 60.0
    catalog.refresh_all()
    assert set(catalog.damaged) == {"bad", "good"}
    broken.clear()
    catalog.refresh_all()
    assert set(catalog.damaged) == {"bad", "good"}  # not yet
    now[0] = 120.0
    catalog.refresh_all()
    assert set(catalog.damaged) == {"bad"}
    assert catalog.get("good").get("good").text == "A good bird."


def test_a_single_one_is_an_error(folder):
    with pytest.raises(CorruptFile):
        Catalog.open(folder / "bad")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_server_starts_and_answers(folder, workers):
    with start(folder, "--port", 0, "--workers", workers) as process:
        lines = []
        while not lines or not lines[-1].startswith("Serving bad, good, other"):
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        assert all("'bad' cannot be served" in line for line in lines[:-1])
        port = int(lines[-1].partition("127.0.0.1:")[2].partition("/")[0])
        for name, status in (("good", 200), ("bad", 503), ("other", 200)):
            with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
                connection.request("GET", f"/v1/collections/{name}")
                assert connection.getresponse().status == status
        process.terminate()
        process.communicate(timeout=60)
