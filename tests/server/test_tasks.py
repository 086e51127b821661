"""Long work: started, watched, cancelled, remembered, over HTTP and from the library."""

import threading
import time

import pytest
from starlette.testclient import TestClient

from lexidex import Collection
from lexidex.errors import StorageFull, TaskNotFound
from lexidex.server.app import create_app
from lexidex.server.backend import Backend
from lexidex.server.tasks import AT_ONCE, Tasks

from .test_openapi import ONE, check
from .test_problems import problem

COMPACT = "/v1/collections/birds:compact"


@pytest.fixture
def tasks():
    made = Tasks(remembered=3)
    yield made
    made.close()


def ended(tasks, task_id):
    deadline = time.monotonic() + 60
    while not tasks.get(task_id).ended:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return tasks.get(task_id)


def test_a_task_tells_how_far_it_is_and_what_came_of_it(tasks):
    told, go_on = threading.Event(), threading.Event()

    def work(running):
        running.progress(1, 2, "copying")
        told.set()
        assert go_on.wait(20)
        return {"bytes": 7}

    task = tasks.start("compact", "birds", work)
    assert (task.kind, task.collection, task.status) == ("compact", "birds", "waiting")
    assert told.wait(20)
    now = tasks.get(task.id)
    assert (now.status, now.stage, now.done, now.total) == ("running", "copying", 1, 2)
    go_on.set()
    over = ended(tasks, task.id)
    assert (over.status, over.result, over.error) == ("succeeded", {"bytes": 7}, None)
    assert over.created <= over.started <= over.ended


def test_a_task_that_fails_says_why(tasks, caplog):
    def full(_):
        raise StorageFull("/secret: no space")

    def broken(_):
        raise RuntimeError("inside")

    assert ended(tasks, tasks.start("a", "", full).id).error.code == "storage_full"
    over = ended(tasks, tasks.start("a", "", broken).id)
    assert (over.status, over.error.code) == ("failed", "internal_error")
    assert "inside" in caplog.text


def test_tasks_are_cancelled_while_they_run_and_before(tasks):
    running = threading.Event()

    def endless(task):
        running.set()
        while True:
            task.check()

    started = [tasks.start("endless", f"c{n}", endless) for n in range(AT_ONCE + 1)]
    assert running.wait(20)
    assert tasks.get(started[-1].id).status == "waiting"
    tasks.cancel(started[-1].id)
    tasks.cancel_all("c0")
    assert ended(tasks, started[0].id).status == "cancelled"
    over = ended(tasks, started[-1].id)
    assert (over.status, over.error) == ("cancelled", None)
    tasks.cancel_all()
    assert {ended(tasks, task.id).status for task in started} == {"cancelled"}
    assert tasks.cancel(started[0].id).status == "cancelled"


def test_the_oldest_that_ended_are_forgotten(tasks):
    ids = []
    for _ in range(6):
        ids.append(tasks.start("quick", "", lambda _: {}).id)
        ended(tasks, ids[-1])
    assert [task.id for task in tasks.all()] == ids[:2:-1]
    with pytest.raises(TaskNotFound):
        tasks.get(ids[0])


def test_who_is_told_of_the_end_is_told_before_it_shows():
    seen = []
    tasks = Tasks(on_end=lambda: seen.append(tasks.all()[0].ended))
    ended(tasks, tasks.start("quick", "", lambda _: {}).id)
    tasks.close()
    assert seen == [None]


@pytest.fixture
def client(tmp_path):
    with Collection.create(tmp_path / "birds", merge="off") as birds:
        for n in range(4):
            birds.upsert([{"id": str(n), "text": f"bird {n}"}])
            birds.flush()
        birds.delete(["0"])
    with TestClient(create_app(Backend.open(tmp_path)), raise_server_exceptions=False) as made:
        yield made


def finished(client, task):
    while not task["ended"]:
        task = client.get(f"/v1/tasks/{task['id']}").json()
    return task


def test_compacting_is_a_task(client, tmp_path):
    described = client.get("/openapi.json").json()
    started = client.post(COMPACT)
    check(described, f"{ONE}:compact", started)
    task = started.json()
    assert (started.status_code, started.headers["location"]) == (202, f"/v1/tasks/{task['id']}")
    task = finished(client, task)
    generation = client.get("/v1/collections/birds").json()["generation"]
    assert (task["status"], task["error"]) == ("succeeded", None)
    assert task["result"] == {"documents": 3, "generation": generation}
    assert len(list((tmp_path / "birds" / "segments").iterdir())) == 1
    for path, answer in (
        ("/v1/tasks", client.get("/v1/tasks")),
        ("/v1/tasks/{id}", client.get(f"/v1/tasks/{task['id']}")),
        ("/v1/tasks/{id}:cancel", client.post(f"/v1/tasks/{task['id']}:cancel")),
        ("/v1/tasks/{id}", client.get("/v1/tasks/nix")),
        ("/v1/tasks/{id}:cancel", client.post("/v1/tasks/nix:cancel")),
    ):
        check(described, path, answer)
    assert [one["id"] for one in client.get("/v1/tasks").json()["tasks"]] == [task["id"]]
    problem(client.get("/v1/tasks/nix"), 404, "task_not_found")


def test_encoding_anew_is_a_task(client):
    described = client.get("/openapi.json").json()
    body = {"encoder": "bm25", "options": {"k1": 2.0}}
    started = client.post("/v1/collections/birds:reencode", json=body)
    check(described, f"{ONE}:reencode", started)
    task = finished(client, started.json())
    assert (task["status"], task["error"]) == ("succeeded", None)
    found = client.get("/v1/collections/birds").json()
    assert task["result"] == {"documents": found["documents"], "generation": found["generation"]}
    again = finished(client, client.post("/v1/collections/birds:reencode", json=body).json())
    assert again["result"] == {"documents": 0, "generation": found["generation"]}
    for wrong, code in (
        ({"encoder": "nowhere"}, "encoder_not_found"),
        ({"encoder": "bm25", "options": {"trust_remote_code": True}}, "invalid_parameter"),
        ({"options": {}}, "invalid_request"),
    ):
        refused = client.post("/v1/collections/birds:reencode", json=wrong)
        check(described, f"{ONE}:reencode", refused)
        assert (refused.status_code >= 400, refused.json()["code"]) == (True, code)


def test_cancelling_and_failing_leave_the_collection_as_it_was(client, tmp_path, monkeypatch):
    copying, go_on = threading.Event(), threading.Event()
    compact = Collection.compact

    def held(collection, progress, building):
        def counted(done):
            copying.set()
            assert go_on.wait(20)
            progress(done)

        compact(collection, counted, building)

    monkeypatch.setattr(Collection, "compact", held)
    before = client.post("/v1/collections/birds/search", json={"query": "bird"}).json()["hits"]
    task = client.post(COMPACT).json()
    assert copying.wait(20)
    assert client.get(f"/v1/tasks/{task['id']}").json()["status"] == "running"
    client.post(f"/v1/tasks/{task['id']}:cancel")
    go_on.set()
    assert finished(client, task)["status"] == "cancelled"

    def full(*_):
        raise StorageFull(f"{tmp_path}: no space left")

    monkeypatch.setattr(Collection, "compact", full)
    failed = finished(client, client.post(COMPACT).json())
    assert (failed["status"], failed["error"]["code"]) == ("failed", "storage_full")
    assert str(tmp_path) not in failed["error"]["detail"]
    after = client.post("/v1/collections/birds/search", json={"query": "bird"}).json()["hits"]
    assert after == before
    assert Collection.open(tmp_path / "birds").check().problems == []


def test_removing_a_collection_ends_its_tasks(client, monkeypatch):
    working = threading.Event()

    def endless(collection, progress, building):
        while True:
            working.set()
            progress(1)

    monkeypatch.setattr(Collection, "compact", endless)
    task = client.post(COMPACT).json()
    assert working.wait(20)
    assert client.delete("/v1/collections/birds").status_code == 200
    assert finished(client, task)["status"] == "cancelled"
