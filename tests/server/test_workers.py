"""`lexidex serve --workers`: one process writes, all show it, and each can be killed."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from multiprocessing import Pipe
from pathlib import Path

import pytest

from lexidex import Collection
from lexidex.server.processes import _tell

from .test_serve import start

WORKERS = 2


class Server:
    """A server of several processes, and what a client sees of it."""

    def __init__(self, process):
        self.process = process
        said = process.stderr.readline()
        found = re.search(r"Serving (.*) at http://127\.0\.0\.1:(\d+)/ui ", said)
        assert found, said + process.stderr.read()
        self.names, self.port = found[1], int(found[2])

    def ask(self, method, path, body=None, headers=()):
        """Status and answer of a request on a connection of its own: any worker may get it."""
        with closing(self.connect()) as connection:
            content = body if isinstance(body, bytes | None) else json.dumps(body)
            given = {"Content-Type": "application/json", **dict(headers)}
            connection.request(method, path, content, given)
            response = connection.getresponse()
            return response.status, json.loads(response.read().splitlines()[-1])

    def connect(self):
        return HTTPConnection("127.0.0.1", self.port, timeout=30)

    def children(self):
        """Process ids: the writer's, which comes first, and the workers'."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sorted(int(child) for child in children if b"spawn_main" in command_line(child))

    def search(self, query):
        status, answer = self.ask("POST", "/v1/collections/birds/search", {"query": query})
        assert status == 200, answer
        return {hit["id"] for hit in answer["hits"]}, answer["generation"]


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def stop_during_an_import(server):
    """Ask the server to end while a client sends documents; they must arrive nevertheless."""
    line = b'{"id": "late", "text": "in time"}\n'
    with closing(server.connect()) as connection:
        connection.putrequest("POST", "/v1/collections/birds/documents:import")
        connection.putheader("Content-Type", "application/x-ndjson")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        connection.send(b"%x\r\n%s\r\n" % (len(line), line))
        for _ in range(10):  # so that every worker has accepted what came before
            assert server.ask("GET", "/healthz")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        with suppress(OSError):
            while True:
                server.ask("GET", "/healthz")
        connection.send(b"0\r\n\r\n")
        response = connection.getresponse()
        assert response.status == 200
        assert json.loads(response.read())["upserted"] == 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("workers")
    with Collection.create(made / "birds") as birds:
        birds.upsert([{"id": "owl", "text": "A bird of the night."}])
        birds.warm_up()  # so that kernels are compiled once, and not by each process
    return made


@pytest.fixture(scope="module")
def server(folder):
    with start(folder, "--port", 0, "--workers", WORKERS) as process:
        try:
            made = Server(process)
            yield made
            stop_during_an_import(made)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out) == (0, ""), err
    assert "Traceback" not in err, err
    assert Collection.open(folder / "birds").get("late").text == "in time"


def test_every_worker_shows_what_any_of_them_acknowledged(server):
    assert server.names == "birds"
    assert len(server.children()) == 1 + WORKERS

    def write_and_read(client):
        for n in range(15):
            word = f"w{client}x{n}"
            path = f"/v1/collections/birds/documents/{client}"
            status, answer = server.ask("PUT", path, {"text": f"{word} anew"})
            assert status == 200, answer
            for _ in range(2):
                ids, generation = server.search(word)
                assert ids == {str(client)}
                assert generation >= answer["generation"]
        assert server.ask("DELETE", path)[0] == 200
        assert [server.ask("GET", path)[0] for _ in range(3)] == [404] * 3

    with ThreadPoolExecutor(4) as clients:
        list(clients.map(write_and_read, range(4)))


def test_collections_come_and_go_for_all_workers(server):
    for _ in range(4):
        assert server.ask("PUT", "/v1/collections/new", {"encoder": "vectors"})[0] == 201
        assert server.ask("PUT", "/v1/collections/new", {})[1]["code"] == "collection_exists"
        document = {"vector": {"x": 1}}
        assert server.ask("PUT", "/v1/collections/new/documents/a", document)[0] == 200
        for _ in range(3):
            assert server.ask("GET", "/v1/collections/new")[1]["documents"] == 1
            assert len(server.ask("GET", "/v1/collections")[1]["collections"]) == 2
        assert server.ask("DELETE", "/v1/collections/new")[0] == 200
        for _ in range(3):
            assert server.ask("GET", "/v1/collections/new")[0] == 404
            assert len(server.ask("GET", "/v1/collections")[1]["collections"]) == 1


def ended(server, task):
    while not task["ended"]:
        task = server.ask("GET", f"/v1/tasks/{task['id']}")[1]
    assert task["status"] == "succeeded", task
    return task["result"]


def test_errors_tasks_and_imports_are_handed_over(server):
    birds = "/v1/collections/birds"
    assert server.ask("PUT", f"{birds}/documents/a", {})[1]["code"] == "invalid_input"
    assert server.ask("DELETE", f"{birds}/documents/nix")[1]["code"] == "document_not_found"
    lines = b'{"id": "kea", "text": "A parrot of the alps."}\nbad\n'
    headers = {"Content-Type": "application/x-ndjson"}
    status, summary = server.ask("POST", f"{birds}/documents:import", lines, headers)
    assert (status, summary["upserted"], summary["failed"]) == (200, 1, 1)
    assert server.search("alps")[0] == {"kea"}
    generation = ended(server, server.ask("POST", f"{birds}:compact")[1])["generation"]
    assert server.ask("GET", birds)[1]["generation"] >= generation
    name = ended(server, server.ask("POST", f"{birds}/snapshots")[1])["snapshot"]
    assert server.ask("GET", f"{birds}/snapshots")[1]["snapshots"][0]["name"] == name
    assert server.ask("DELETE", f"{birds}/documents/kea")[0] == 200
    ended(server, server.ask("POST", f"{birds}/snapshots/{name}:restore")[1])
    assert [server.search("alps")[0] for _ in range(4)] == [{"kea"}] * 4
    assert server.ask("GET", "/v1/tasks/nix")[1]["code"] == "task_not_found"


@pytest.mark.parametrize("which", range(1 + WORKERS))
def test_a_killed_process_is_replaced_and_nothing_acknowledged_is_lost(server, which):
    acknowledged, stop = [], threading.Event()

    def write(client):
        n = 0
        while not stop.is_set():
            n += 1
            path = f"/v1/collections/birds/documents/{which}-{client}-{n}"
            try:
                status, answer = server.ask("PUT", path, {"text": "kept"})
            except (OSError, HTTPException):
                continue  # the worker died
            assert (status == 200) or answer["code"] == "writer_lost", answer
            if status == 200:
                acknowledged.append(path)

    def wait_until(condition):
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    before = server.children()
    with ThreadPoolExecutor(3) as clients:
        writing = [clients.submit(write, client) for client in range(3)]
        try:
            wait_until(lambda: len(acknowledged) > 10)
            os.kill(before[which], signal.SIGKILL)
            wait_until(lambda: before[which] not in server.children())
            wait_until(lambda: len(server.children()) == 1 + WORKERS)
            enough = len(acknowledged) + 10
            wait_until(lambda: len(acknowledged) > enough)
        finally:
            stop.set()
        for one in writing:
            one.result()
    assert {*before} - {*server.children()} == {before[which]}
    assert {path for path in acknowledged if server.ask("GET", path)[0] != 200} == set()


def test_a_collection_that_cannot_be_opened_ends_it_with_one_line(tmp_path):
    Collection.create(tmp_path / "birds")
    (manifest,) = (tmp_path / "birds").glob("manifest-*")
    manifest.write_text("{}")
    process = start(tmp_path / "birds", "--port", 0, "--workers", WORKERS)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (5, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


ONE_WORKER = """
import multiprocessing, socket, sys
from lexidex.server.supervisor import Supervisor

def tell(names):
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)

if __name__ == "__main__":
    Supervisor(sys.argv[1], socket.create_server(("127.0.0.1", 0)), 1).run(tell)
"""


def test_no_process_outlives_the_first(folder, tmp_path):
    (tmp_path / "serve.py").write_text(ONE_WORKER)
    command = [sys.executable, tmp_path / "serve.py", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        children = process.stdout.readline().split()
        process.kill()
    assert len(children) == 2
    deadline = time.monotonic() + 60
    while any(command_line(child) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("what", [None, ["birds"]])
def test_a_process_that_starts_while_the_first_ends_says_nothing_of_it(what):
    ours, theirs = Pipe()
    ours.close()
    _tell(theirs, what)
