"""An import reads JSON lines as they come, of any number, and names each bad one."""

import asyncio
import json
import socket
import threading
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from lexidex import Collection
from lexidex.errors import Locked, StorageFull
from lexidex.index.storage.files import FileStorage
from lexidex.results import WriteResult
from lexidex.server import importing
from lexidex.server.app import create_app
from lexidex.server.backend import Backend
from lexidex.server.importing import Lines

from .conftest import serving
from .test_openapi import ONE, check
from .test_problems import problem

IMPORT = "/v1/collections/{}/documents:import"
HEADERS = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def client(tmp_path):
    Collection.create(tmp_path / "texts")
    Collection.create(tmp_path / "points", "vectors")
    with TestClient(create_app(Backend.open(tmp_path)), raise_server_exceptions=False) as made:
        yield made


def send(client, content, collection="texts"):
    response = client.post(IMPORT.format(collection), content=content, headers=HEADERS)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    *bad, summary = [json.loads(line) for line in response.text.splitlines()]
    described = client.get("/openapi.json").json()["paths"][f"{ONE}/documents:import"]["post"]
    schema = described["responses"]["200"]["content"]["application/x-ndjson"]["schema"]
    for line in (*bad, summary):
        Draft202012Validator(schema).validate(line)
    assert summary.pop("request_id") == response.headers["x-request-id"]
    return bad, summary


def line(doc_id, text="a text"):
    return json.dumps({"id": doc_id, "text": text}).encode()


def n_documents(client, collection="texts"):
    return client.get(f"/v1/collections/{collection}").json()["documents"]


def test_each_bad_line_is_named_and_the_rest_goes_in(client):
    lines = [
        b"\xef\xbb\xbf" + line("a"),
        b"",
        b"{not json",
        b'{"_id": "b", "contents": "as in other collections", "year": 1999}',
        b"\xff" + line("c"),
        b"[1]",
        b'{"id": "d"}',
        b"   ",
        line("a", "the later one counts"),
        line("last"),
    ]
    bad, summary = send(client, b"\r\n".join(lines))
    assert [one["line"] for one in bad] == [3, 5, 6, 7]
    assert [one["reason"].partition(":")[0] for one in bad] == [
        "not JSON",
        "not UTF-8",
        "expected a JSON object, got list",
        "field 'text' is missing",
    ]
    generation = client.get("/v1/collections/texts").json()["generation"]
    assert summary == {"lines": 10, "upserted": 4, "failed": 4, "generation": generation}
    documents = "/v1/collections/texts/documents"
    assert client.get(f"{documents}/a").json()["text"] == "the later one counts"
    assert client.get(f"{documents}/b").json()["metadata"] == {"year": 1999}


def test_what_only_the_collection_refuses_has_its_line_and_id(client):
    lines = [
        b'{"id": "1", "vector": {"x": 1}}',
        b'{"id": "2", "vector": {"components": [0], "values": [1]}}',
        b'{"id": "1", "vector": {"components": [0], "values": [1]}}',
        b'{"id": "3", "text": "no vector"}',
    ]
    bad, summary = send(client, b"\n".join(lines), "points")
    assert [(one["line"], one["id"]) for one in bad] == [(2, "2"), (3, "1"), (4, "3")]
    assert (summary["upserted"], summary["failed"]) == (1, 3)
    # The earlier document of that id was good, and stays.
    assert client.get("/v1/collections/points/documents/1").status_code == 200


@pytest.mark.parametrize("content", [b"", b"\n\n\n", b" "])
def test_nothing_is_no_error(client, content):
    n_lines = content.count(b"\n") or len(content)
    expected = {"lines": n_lines, "upserted": 0, "failed": 0, "generation": None}
    assert send(client, content) == ([], expected)


def test_a_line_may_not_be_of_any_length(client, monkeypatch):
    monkeypatch.setattr(importing, "LINE_BYTES", 100)
    monkeypatch.setattr(Lines.__init__, "__defaults__", (100,))
    bad, summary = send(client, b"\n".join([line("a", "x" * 99), line("b"), line("c", "y" * 99)]))
    assert bad == [{"line": n, "reason": "longer than 100 bytes"} for n in (1, 3)]
    assert (summary["lines"], summary["upserted"]) == (3, 1)


@given(
    lines=st.lists(st.binary(max_size=9).map(lambda b: b.replace(b"\n", b"."))),
    cuts=st.lists(st.integers(0, 100)),
    limit=st.integers(1, 9),
)
def test_lines_are_those_of_the_whole_however_it_is_cut(lines, cuts, limit):
    whole = b"\n".join(lines)
    edges = sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})
    reader = Lines(limit)
    found = [one for start, end in pairwise(edges) for one in reader.feed(whole[start:end])]
    found += reader.end()
    expected = [(n, one if len(one) <= limit else None) for n, one in enumerate(lines, 1)]
    if expected and not lines[-1]:
        expected.pop()
    assert found == expected


def test_no_more_is_read_than_can_be_held(client, monkeypatch):
    """However long the body is, at most a batch of it and the last chunk are in memory."""
    monkeypatch.setattr("lexidex.server.write_routes.BATCH_LINES", 10)
    written, ahead, sent = 0, [], []

    def upsert(_, documents):
        nonlocal written
        written += len(documents)
        return WriteResult(upserted=len(documents), generation=1)

    monkeypatch.setattr(Collection, "upsert", upsert)
    chunks = [line(str(n)) + b"\n" for n in range(1000)]

    async def receive():
        at = len(ahead)
        if at == len(chunks):
            await asyncio.Event().wait()
        ahead.append(at - written)
        return {"type": "http.request", "body": chunks[at], "more_body": at + 1 < len(chunks)}

    async def send_on(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": IMPORT.format("texts"),
        "query_string": b"",
        "headers": [(b"content-type", b"application/x-ndjson")],
    }
    client.portal.call(client.app, scope, receive, send_on)
    assert sent[0]["status"] == 200
    assert (written, max(ahead)) == (1000, 9)


def test_other_media_types_are_refused(client):
    for content_type in ("application/json", "application/x-www-form-urlencoded", ""):
        response = client.post(
            IMPORT.format("texts"), content=line("a"), headers={"Content-Type": content_type}
        )
        problem(response, 415, "unsupported_media_type")
        check(client.get("/openapi.json").json(), f"{ONE}/documents:import", response)
    assert n_documents(client) == 0


def test_an_unknown_collection_is_found_out_before_anything_is_written(client):
    response = client.post(IMPORT.format("nix"), content=line("a"), headers=HEADERS)
    problem(response, 404, "collection_not_found")
    check(client.get("/openapi.json").json(), f"{ONE}/documents:import", response)


def test_where_it_must_stop_it_tells_what_is_in(client, monkeypatch):
    monkeypatch.setattr("lexidex.server.write_routes.BATCH_LINES", 10)
    appended = []
    append = FileStorage.append

    def fills_up(storage, name, at, data):
        appended.append(name)
        if len(appended) > 2:
            raise StorageFull("no space left")
        append(storage, name, at, data)

    monkeypatch.setattr(FileStorage, "append", fills_up)
    content = b"\n".join([*(line(str(n)) for n in range(15)), b"bad", *map(line, "abcdefghi")])
    response = client.post(IMPORT.format("texts"), content=content, headers=HEADERS)
    told = problem(response, 507, "storage_full")
    summary = {"lines": 20, "upserted": 19, "failed": 1}
    assert {name: told["imported"][name] for name in summary} == summary
    assert n_documents(client) == 19


def test_it_waits_for_another_process_that_writes(client, tmp_path, monkeypatch):
    released = threading.Event()
    upsert = Collection.upsert

    def locked_at_first(collection, documents):
        if not released.is_set():
            released.set()
            raise Locked("folder: process 1 has been writing")
        return upsert(collection, documents)

    monkeypatch.setattr(Collection, "upsert", locked_at_first)
    assert send(client, line("a"))[1]["upserted"] == 1
    released.clear()
    monkeypatch.setattr(importing, "PATIENCE", 0.0)
    response = client.post(IMPORT.format("texts"), content=line("b"), headers=HEADERS)
    told = problem(response, 409, "locked")
    check(client.get("/openapi.json").json(), f"{ONE}/documents:import", response)
    assert told["imported"]["lines"] == 0


def test_a_client_that_goes_away_leaves_whole_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("lexidex.server.write_routes.BATCH_LINES", 10)
    collection = Collection.create(tmp_path / "texts")
    head = (
        f"POST {IMPORT.format('texts')} HTTP/1.1\r\nHost: x\r\n"
        "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    body = b"\n".join(line(str(n)) for n in range(25))
    with (
        serving(tmp_path) as live,
        socket.create_connection(("127.0.0.1", live.port)) as connection,
    ):
        connection.sendall(head + f"{len(body):x}\r\n".encode() + body + b"\r\n")
        deadline = time.monotonic() + 20
        while len(collection) < 20:
            assert time.monotonic() < deadline
            collection.refresh()
        connection.close()
    assert collection.refresh() == 3
    assert len(collection) == 20
