"""Every bad input gets a problem document: what is wrong, where, and nothing that is secret."""

import json
import logging
import signal

import pytest
from starlette.testclient import TestClient

from lexidex import errors
from lexidex.errors import CorruptFile, LexidexError
from lexidex.server import limits
from lexidex.server.app import create_app
from lexidex.server.backend import Backend
from lexidex.server.http_server import HttpServer
from lexidex.server.problems import STATUSES

ANIMALS = "/v1/collections/animals"
SECRET = "nobody-may-read-this-back"

INVALID = [
    ({}, "$"),
    ([1], "$"),
    (3, "$"),
    ({"query": "a", "sparse": {}}, "$"),
    ({"query": None}, "$"),
    ({"query": "a", "sparse": None}, "$"),
    ({"query": 1}, "$.query"),
    ({"query": "a" * (limits.QUERY_CHARACTERS + 1)}, "$.query"),
    ({"query": "\ud800"}, "$.query"),
    ({"query": "a", "k": 0}, "$.k"),
    ({"query": "a", "k": 1001}, "$.k"),
    ({"query": "a", "k": 1.0}, "$.k"),
    ({"query": "a", "k": "1"}, "$.k"),
    ({"query": "a", "k": True}, "$.k"),
    ({"query": "a", "k": 10**400}, "$.k"),
    ({"query": "a", "offset": -1}, "$.offset"),
    ({"query": "a", "accuracy": 0}, "$.accuracy"),
    ({"query": "a", "accuracy": 1.1}, "$.accuracy"),
    ({"query": "a", "accuracy": "0.9"}, "$.accuracy"),
    ({"query": "a", "explain": 1}, "$.explain"),
    ({"query": "a", "fields": ["id"]}, "$.fields[0]"),
    ({"query": "a", "fields": "title"}, "$.fields"),
    ({"query": "a", "mode": "nix"}, "$.mode"),
    ({"query": "a", "filter": []}, "$.filter"),
    ({"query": "a", "facets": "length"}, "$.facets"),
    ({"query": "a", "facets": ["length"] * (limits.FACETS + 1)}, "$.facets"),
    ({"query": "a", "a b": 1}, "$['a b']"),
    ({"query": "a", "\ud800": 1}, "$"),
    ({"sparse": 3}, "$.sparse"),
    ({"sparse": {"sea": "2"}}, "$.sparse.sea"),
    ({"sparse": {"sea": True}}, "$.sparse.sea"),
    ({"sparse": {"sea": -1}}, "$.sparse.sea"),
    ({"sparse": {"sea": float("nan")}}, "$.sparse.sea"),
    ({"sparse": {"sea": float("inf")}}, "$.sparse.sea"),
    ({"sparse": {"sea": 1e39}}, "$.sparse.sea"),
    ({"sparse": {"sea": 10**400}}, "$.sparse.sea"),
    ({"sparse": {str(n): 1 for n in range(limits.SPARSE_TERMS + 1)}}, "$.sparse"),
    ({"sparse": {"components": [1.5], "values": [1]}}, "$.sparse.components[0]"),
    ({"sparse": {"components": [-1], "values": [1]}}, "$.sparse.components[0]"),
    ({"sparse": {"components": [1], "values": ["1"]}}, "$.sparse.values[0]"),
    ({"sparse": {"components": "1", "values": [1]}}, "$.sparse.components"),
]


def problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert found["status"] == status
    assert found["code"] == code
    assert found["type"].endswith(code)
    assert found["title"]
    assert found["detail"]
    assert found["request_id"] == response.headers["x-request-id"]
    return found


def post(client, path, body):
    # json.dumps, unlike the client's own, also writes what is no JSON: NaN and half characters.
    return client.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(("body", "path"), INVALID)
def test_an_invalid_search_names_the_place(client, body, path):
    found = problem(post(client, f"{ANIMALS}/search", body), 422, "invalid_request")
    assert found["errors"][0]["path"] == path
    assert found["detail"].startswith(f"{path}: ")
    assert len(json.dumps(found)) < 2000


@pytest.mark.parametrize(
    ("what", "body", "path"),
    [
        ("search:batch", {"queries": []}, "$.queries"),
        ("search:batch", {"queries": ["a", 2]}, "$.queries[1]"),
        ("search:batch", {"queries": ["a"] * (limits.BATCH_QUERIES + 1)}, "$.queries"),
        ("search:batch", {"queries": ["a"] * 101, "k": 1000}, "$"),
        ("search:batch", {"queries": ["a"], "explain": True}, "$.explain"),
        ("explain", {"query": "a"}, "$.id"),
        ("explain", {"id": "whale"}, "$"),
        ("search:batch", {"queries": ["a"], "facets": ["length"]}, "$.facets"),
        ("documents:delete", {}, "$"),
        ("documents:delete", {"ids": ["a"], "filter": {"x": 1}}, "$"),
        ("documents:delete", {"ids": ["a"], "filter": None}, "$"),
        ("documents:delete", {"ids": [1]}, "$.ids[0]"),
        ("encode", {"query": ["a"]}, "$.query"),
        ("encode", {}, "$.query"),
    ],
)
def test_other_invalid_bodies_name_the_place(client, what, body, path):
    found = problem(post(client, f"{ANIMALS}/{what}", body), 422, "invalid_request")
    assert found["errors"][0]["path"] == path


@pytest.mark.parametrize(
    ("collection", "what", "body"),
    [
        ("animals", "search", {"sparse": {"components": [1], "values": [1, 2]}}),
        ("animals", "search", {"sparse": {"components": [1, 1], "values": [1, 2]}}),
        ("animals", "search", {"sparse": {"components": [2**31 - 1], "values": [1]}}),
        ("animals", "search", {"query": "sea", "filter": {"length": {"gt": [1]}}}),
        ("animals", "search:batch", {"queries": ["sea"], "filter": {"length": None}}),
        ("animals", "documents:delete", {"filter": {"or": {}}}),
        ("animals", "documents:delete", {"filter": {"and": []}}),
        ("points", "search", {"query": "a text for a collection without an encoder"}),
        ("points", "search:batch", {"queries": ["the same"]}),
        ("points", "encode", {"query": "the same"}),
        ("points", "explain", {"query": "the same", "id": "1"}),
    ],
)
def test_what_only_the_collection_can_refuse(client, collection, what, body):
    response = post(client, f"/v1/collections/{collection}/{what}", body)
    problem(response, 422, "invalid_parameter")


@pytest.mark.parametrize(
    "body",
    [
        {"query": SECRET, "k": SECRET},
        {"query": 1, "sparse": {"components": [SECRET], "values": [SECRET]}},
        {"query": "a", "fields": [SECRET], "explain": SECRET},
        [SECRET],
    ],
)
def test_the_body_is_not_repeated(client, body):
    assert SECRET not in post(client, f"{ANIMALS}/search", body).text


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"),
    [
        (b'{"query": ', "application/json", 400, "malformed_body"),
        (b"\xff\xfe", "application/json", 400, "malformed_body"),
        (b"[" * 100_000, "application/json", 400, "malformed_body"),
        (b'{"query": "sea"}', "text/plain", 415, "unsupported_media_type"),
        (b'{"query": "sea"}', None, 415, "unsupported_media_type"),
        (b"", "application/json", 422, "invalid_request"),
        (b" " * (limits.BODY_BYTES + 1), "application/json", 413, "body_too_large"),
    ],
)
def test_bodies_that_are_no_json(client, content, content_type, status, code):
    headers = {"Content-Type": content_type} if content_type else {}
    response = client.post(f"{ANIMALS}/search", content=content, headers=headers)
    problem(response, status, code)


def test_a_body_of_unknown_length_is_cut_off(client):
    chunks = (b" " * (limits.BODY_BYTES // 4) for _ in range(5))
    response = client.post(
        f"{ANIMALS}/search", content=chunks, headers={"Content-Type": "application/json"}
    )
    problem(response, 413, "body_too_large")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/collections/nix", 404, "collection_not_found"),
        ("POST", "/v1/collections/nix/search", 404, "collection_not_found"),
        ("GET", "/v1/collections/nix/documents/whale", 404, "collection_not_found"),
        ("GET", f"{ANIMALS}/documents/nix", 404, "document_not_found"),
        ("GET", f"{ANIMALS}/documents/", 404, "document_not_found"),
        ("GET", "/nix", 404, "route_not_found"),
        ("GET", "/v1/collections/", 404, "route_not_found"),
        ("GET", "/docs", 404, "route_not_found"),
        ("GET", "/ui/nix.js", 404, "route_not_found"),
        ("GET", "/ui/%2e%2e/app.py", 404, "route_not_found"),
        ("GET", f"{ANIMALS}/search", 405, "method_not_allowed"),
        ("POST", ANIMALS, 405, "method_not_allowed"),
        ("PATCH", "/healthz", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_there(client, method, path, status, code):
    response = client.request(method, path, json={"query": "a"} if method == "POST" else None)
    found = problem(response, status, code)
    assert "/animals" not in found["detail"].replace(ANIMALS, "")


def test_explaining_an_unknown_document(client, folder):
    response = post(client, f"{ANIMALS}/explain", {"query": "sea", "id": "nix"})
    found = problem(response, 404, "document_not_found")
    assert str(folder) not in found["detail"]


def error_classes(root=LexidexError):
    return [root, *(kind for below in root.__subclasses__() for kind in error_classes(below))]


EXPECTED = {
    errors.ParameterError: 422,
    errors.DuplicateId: 422,
    errors.EncoderNotFound: 404,
    errors.CollectionExists: 409,
    errors.CollectionsFixed: 409,
    errors.Locked: 409,
    errors.StorageFull: 507,
    errors.WriterLost: 503,
    errors.UnsupportedVersion: 500,
    errors.MissingDependency: 500,
    errors.TrainingCollapsed: 500,
}


@pytest.mark.parametrize("kind", error_classes())
def test_each_error_has_a_status_and_its_code(folder, monkeypatch, kind):
    def fail(*_):
        raise kind(f"something about {folder}")

    backend = Backend.open(folder)
    monkeypatch.setattr(backend, "document", fail)
    with TestClient(create_app(backend)) as client:
        response = client.get(f"{ANIMALS}/documents/whale")
    status = response.status_code
    assert status in STATUSES.values()
    assert EXPECTED.get(kind, status) == status
    found = problem(response, status, kind.code)
    assert (str(folder) in found["detail"]) == (status < 500)


def test_what_goes_wrong_inside_is_logged_and_not_told(folder, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError(SECRET)

    backend = Backend.open(folder)
    monkeypatch.setattr(backend, "search", fail)
    app = create_app(backend)
    headers = {"X-Request-ID": "my-request"}
    with TestClient(app, raise_server_exceptions=False) as client, caplog.at_level(logging.ERROR):
        response = client.post(f"{ANIMALS}/search", json={"query": "a"}, headers=headers)
    found = problem(response, 500, "internal_error")
    assert found["request_id"] == "my-request"
    assert SECRET not in response.text
    assert "my-request" in caplog.text
    assert SECRET in caplog.text


def test_a_damaged_collection_stays_out_of_the_answer(folder, monkeypatch, caplog):
    def fail(*_):
        raise CorruptFile(f"{folder}/a-file: {SECRET}")

    backend = Backend.open(folder)
    monkeypatch.setattr(backend, "search", fail)
    with TestClient(create_app(backend)) as client:
        response = client.post(f"{ANIMALS}/search", json={"query": "a"})
    problem(response, 500, "corrupt_file")
    assert SECRET not in response.text
    assert SECRET in caplog.text


def test_not_ready_before_it_is_warm(folder):
    client = TestClient(create_app(Backend.open(folder)))
    problem(client.get("/readyz"), 503, "not_ready")
    assert client.get("/healthz").status_code == 200


def test_not_ready_once_it_is_asked_to_stop(folder):
    app = create_app(Backend.open(folder))
    with TestClient(app) as client:
        server = HttpServer(app)
        server.handle_exit(signal.SIGTERM, None)
        assert server.should_exit
        assert "stopping" in problem(client.get("/readyz"), 503, "not_ready")["detail"]
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("8c1d-44.a:b/c+d=", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("two words", False),
        ("<script>", False),
        ("", False),
    ],
)
def test_a_sane_request_id_is_kept(client, given, kept):
    response = client.get("/v1/collections", headers={"X-Request-ID": given})
    answered = response.headers["x-request-id"]
    assert (answered == given) == kept
    assert response.json()["request_id"] == answered
    assert response.headers.get_list("x-request-id") == [answered]
