"""Filters, facets and deletions over HTTP are those of the library."""

import pytest
from starlette.testclient import TestClient

from lexidex import Collection
from lexidex.index.storage.files import FileStorage
from lexidex.server.app import create_app
from lexidex.server.backend import Backend

from .test_openapi import ONE, check

BIRDS = [
    {"id": "tit", "text": "A small bird.", "metadata": {"grams": 11, "seen": "2024-05-01"}},
    {"id": "owl", "text": "A bird of the night.", "metadata": {"grams": 500, "calls": ["hoo"]}},
    {"id": "kiwi", "text": "A bird that walks.", "metadata": {"grams": 2500.5}},
]


@pytest.fixture
def client(tmp_path):
    """A server of its own for each test: it is written to."""
    Collection.create(tmp_path / "birds").upsert(BIRDS)
    with TestClient(create_app(Backend.open(tmp_path)), raise_server_exceptions=False) as made:
        yield made


def post(client, what, body, status=200):
    response = client.post(f"/v1/collections/birds/{what}", json=body)
    assert response.status_code == status, response.text
    return response.json()


def ids(answer):
    return {hit["id"] for hit in answer["hits"]}


@pytest.mark.parametrize(
    ("given_filter", "expected"),
    [
        (None, {"tit", "owl", "kiwi"}),
        ({"grams": {"gte": 500}}, {"owl", "kiwi"}),
        ({"calls": "hoo"}, {"owl"}),
        ({"seen": {"gt": "2024-04-30T22:00-02:00"}}, set()),
        ({"not": {"seen": {"exists": True}}}, {"owl", "kiwi"}),
    ],
)
def test_a_search_is_filtered(client, given_filter, expected):
    assert ids(post(client, "search", {"query": "bird", "filter": given_filter})) == expected
    batch = post(client, "search:batch", {"queries": ["bird", "no"], "filter": given_filter})
    assert [ids(result) for result in batch["results"]] == [expected, set()]


def test_facets_stand_in_the_answer_where_they_are_asked_for(client):
    body = {"query": "night", "filter": {"grams": {"lt": 2000}}, "facets": ["grams", "nothing"]}
    answer = post(client, "search", body)
    assert ids(answer) == {"owl"}
    assert answer["facets"] == {
        "grams": [{"value": 11, "count": 1}, {"value": 500, "count": 1}],
        "nothing": [],
    }
    assert "facets" not in post(client, "search", {"query": "night"})


def test_what_is_wrong_with_a_filter_is_named(client):
    body = {"query": "bird", "filter": {"and": [{}, {"grams": {"gt": [1]}}]}}
    problem = post(client, "search", body, 422)
    assert problem["code"] == "invalid_parameter"
    assert problem["detail"] == (
        "filter.and[1].grams.gt: expected a number, date-time or string, got [1]"
    )
    strange = {"query": "bird", "filter": {"\x00": {"\x1b": 1}}}
    assert '["\\u0000"]' in post(client, "search", strange, 422)["detail"]


def test_documents_are_deleted_by_ids_and_by_a_filter(client):
    body = {"ids": ["owl", "nothing"]}
    response = client.post("/v1/collections/birds/documents:delete", json=body)
    check(client.get("/openapi.json").json(), f"{ONE}/documents:delete", response)
    answer = response.json()
    assert answer.pop("request_id")
    assert answer == {"deleted": 1, "generation": 3}
    assert post(client, "documents:delete", {"filter": {"seen": "2024-05-01"}})["deleted"] == 1
    assert ids(post(client, "search", {"query": "bird"})) == {"kiwi"}
    problem = post(client, "documents:delete", {"filter": {}}, 422)
    assert problem["detail"].startswith("filter: no condition, which would delete every document")


def test_a_deletion_beside_another_writer_is_refused(client, tmp_path):
    with FileStorage(tmp_path / "birds").lock():
        problem = post(client, "documents:delete", {"ids": ["owl"]}, 409)
    assert problem["code"] == "locked"
