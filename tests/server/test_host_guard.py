"""Pages of other sites, which a browser on this machine may have loaded, get and change nothing."""

import json
import re
from http.client import HTTPConnection

import pytest
from starlette.testclient import TestClient

from lexidex import Collection
from lexidex.server.app import create_app
from lexidex.server.backend import Backend

from .test_problems import problem
from .test_serve import start

DOCUMENT = "/v1/collections/birds/documents/owl"
HOSTS = ("localhost", "127.0.0.1", "[::1]", "my.name")


@pytest.fixture
def birds(tmp_path):
    with Collection.create(tmp_path / "birds", "bm25") as made:
        made.upsert([{"id": "owl", "text": "A bird of the night."}])
    return tmp_path


@pytest.fixture
def client(birds):
    app = create_app(Backend.open(birds), hosts=HOSTS)
    with TestClient(app, base_url="http://localhost:8000") as made:
        yield made


@pytest.mark.parametrize("host", [*HOSTS, "localhost:8000", "[::1]:1", "127.0.0.1:80", "LocalHost"])
def test_the_servers_own_names_are_answered(client, host):
    assert client.get(DOCUMENT, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "attacker.example",
        "attacker.example:8000",
        "localhost.attacker.example",
        "localhost:a",
        "::1",
        "",
        "[::2]",
        "localhost@attacker.example",
        "127.0.0.1.nip.io",
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_other_names_are_refused(client, host, method):
    response = client.request(method, DOCUMENT, headers={"Host": host})
    problem(response, 403, "host_not_allowed")
    assert client.get(DOCUMENT).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "http://localhost:3000",
        "http://localhost",
        "localhost:8000",
    ],
)
def test_other_sites_change_nothing(client, origin):
    for path in ("/v1/collections/birds/snapshots", "/v1/collections/birds:compact"):
        problem(client.post(path, headers={"Origin": origin}), 403, "origin_not_allowed")
    problem(client.delete(DOCUMENT, headers={"Origin": origin}), 403, "origin_not_allowed")
    assert client.get("/v1/tasks").json()["tasks"] == []
    assert client.get(DOCUMENT, headers={"Origin": origin}).status_code == 200


def test_the_servers_own_page_and_programs_may(client):
    asked = {"json": {"query": "bird"}}
    path = "/v1/collections/birds/search"
    for headers in ({"Origin": "http://localhost:8000"}, {"Origin": "http://LOCALHOST:8000"}, {}):
        assert client.post(path, headers=headers, **asked).status_code == 200


def test_the_answer_has_the_requests_name(client):
    headers = {"Host": "attacker.example", "X-Request-ID": "mine"}
    response = client.get(DOCUMENT, headers=headers)
    assert response.headers["X-Request-ID"] == response.json()["request_id"] == "mine"


def test_without_names_origins_are_checked_all_the_same(birds):
    with TestClient(create_app(Backend.open(birds)), base_url="http://any.name") as client:
        assert client.get(DOCUMENT).status_code == 200
        refused = client.delete(DOCUMENT, headers={"Origin": "http://evil.example"})
        problem(refused, 403, "origin_not_allowed")
        allowed = client.delete(DOCUMENT, headers={"Origin": "https://any.name"})
        assert allowed.status_code == 200


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("insecure", [False, True])
def test_what_is_served_is_guarded(birds, workers, insecure):
    more = ["--insecure"] if insecure else []
    with start(birds, "--port", 0, "--workers", workers, "--host", "127.0.0.2", *more) as process:
        said = process.stderr.readline()
        port = int(re.search(r"http://127\.0\.0\.2:(\d+)/ui ", said)[1])

        def ask(method, **headers):
            connection = HTTPConnection("127.0.0.2", port, timeout=60)
            connection.request(method, DOCUMENT, headers=headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
            connection.close()
            return answer.get("code", response.status)

        assert ask("GET", Host="attacker.example") == (200 if insecure else "host_not_allowed")
        assert ask("DELETE", Origin="http://evil.example") == "origin_not_allowed"
        assert ask("DELETE", Origin=f"http://127.0.0.2:{port}") == 200
        process.terminate()
        process.communicate(timeout=60)
