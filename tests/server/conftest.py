"""Collections to serve, and servers over them: in process, and over a real socket."""

import json
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection

import pytest
import uvicorn
from starlette.testclient import TestClient

from lexidex import Collection
from lexidex.server.app import create_app
from lexidex.server.backend import Backend

ANIMALS = {
    "whale": "The whale is a mammal that lives in the deep sea, and hunts there.",
    "shark": "Sharks are fish; they hunt in the sea, in the deep sea too.",
    "eagle": "Eagles hunt from the air.",
    "zoo/ants & bees?": "Ants live in the earth.",
    "hostile": "</script><img src=x onerror=\"document.title='run'\"> wolves & <b>foxes</b>",
    "party": "\N{PARTY POPPER}\N{PARTY POPPER} \u0130stanbul's parrots are 'talkative' birds",
    "long": "filler words, many of them " * 60 + "then a hedgehog " + "and more filler words " * 60,
}


def animals():
    return [
        {
            "id": doc_id,
            "title": f"About <i>{doc_id}</i>" if doc_id == "hostile" else f"About the {doc_id}",
            "text": text,
            "metadata": {"length": len(text), "large": 10**30},
        }
        for doc_id, text in ANIMALS.items()
    ]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder with two collections: texts, and ready-made vectors."""
    made = tmp_path_factory.mktemp("served")
    Collection.create(made / "animals").upsert(animals())
    Collection.create(made / "points", "vectors").upsert(
        [{"id": str(n), "text": "", "vector": {"x": 1.0, f"y{n}": 0.5}} for n in range(30)]
    )
    return made


@pytest.fixture(scope="session")
def collection(folder):
    return Collection.open(folder / "animals")


@pytest.fixture(scope="module")
def client(folder):
    app = create_app(Backend.open(folder))
    with TestClient(app, raise_server_exceptions=False) as made:
        yield made


@dataclass(frozen=True)
class Live:
    """A server over a real socket."""

    port: int

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def connect(self):
        return HTTPConnection("127.0.0.1", self.port, timeout=30)

    def post(self, path, body, connection):
        connection.request(
            "POST", path, json.dumps(body), headers={"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@contextmanager
def serving(folder):
    """The collections of a folder over a real socket."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    server = uvicorn.Server(
        uvicorn.Config(create_app(Backend.open(folder)), log_level="warning", access_log=False)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield Live(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="session")
def live(folder):
    with serving(folder) as made:
        yield made
