"""The OpenAPI document is valid, and every answer is what it says."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

ONE = "/v1/collections/{collection}"


@pytest.fixture(scope="module")
def described(client):
    return client.get("/openapi.json").json()


def closed(schema):
    """`schema` refusing fields that it does not describe, so that answers hide nothing."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {name: closed(part) for name, part in schema.items()}
    if "properties" in schema:
        parts.setdefault("additionalProperties", False)
    return parts


def check(described, path, response):
    """The response's status, media type and body are declared for the route."""
    operation = described["paths"][path][response.request.method.lower()]
    declared = operation["responses"].get(str(response.status_code))
    assert declared, f"{path}: {response.status_code} is not declared"
    media_type = response.headers["content-type"]
    schema = closed(
        {"components": described["components"]} | declared["content"][media_type]["schema"]
    )
    Draft202012Validator(schema).validate(response.json())


def test_the_document_is_valid(described):
    validate(described)


def test_every_route_is_described_and_says_how_it_fails(described):
    assert set(described["paths"]) == {
        "/v1/collections",
        ONE,
        f"{ONE}:compact",
        f"{ONE}:reencode",
        f"{ONE}/documents",
        f"{ONE}/documents/{{id}}",
        f"{ONE}/documents:delete",
        f"{ONE}/documents:import",
        f"{ONE}/snapshots",
        f"{ONE}/snapshots/{{snapshot}}",
        f"{ONE}/snapshots/{{snapshot}}:restore",
        f"{ONE}/search",
        f"{ONE}/search:batch",
        f"{ONE}/explain",
        f"{ONE}/encode",
        "/v1/tasks",
        "/v1/tasks/{id}",
        "/v1/tasks/{id}:cancel",
        "/healthz",
        "/readyz",
    }
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            failures = {"default", "404"} if "{" in path else {"default"}
            if "requestBody" in operation and not path.endswith(":import"):
                failures |= {"400", "404", "413", "415", "422"}
            if method in ("put", "patch", "delete"):
                failures |= {"409"}
            assert failures <= set(operation["responses"])
            assert operation["description"]


REQUESTS = [
    ("search", {"query": "sea"}, 200),
    ("search", {"query": "sea", "fields": []}, 200),
    ("search", {"query": "nothing"}, 200),
    ("search", {"query": "sea", "explain": True, "highlight": True}, 200),
    ("search", {"sparse": {"sea": 1}, "explain": True}, 200),
    ("search", {"sparse": {"components": [0], "values": [1]}, "highlight": True}, 200),
    ("search", {"query": "sea", "filter": {"length": {"gt": 60}}, "facets": ["length"]}, 200),
    ("search", {"query": "sea", "filter": None, "facets": []}, 200),
    ("search", {"query": "sea", "filter": {"and": 1}}, 422),
    ("search", {"query": 1}, 422),
    ("search", {"sparse": {"components": [0], "values": []}}, 422),
    ("search:batch", {"queries": ["sea", "nothing"], "fields": ["title", "metadata"]}, 200),
    ("search:batch", {"queries": ["sea"], "filter": {"length": 1}}, 200),
    ("search:batch", {"queries": []}, 422),
    ("documents:delete", {"filter": {}}, 422),
    ("documents:delete", {"ids": None}, 422),
    ("explain", {"query": "deep sea", "id": "whale"}, 200),
    ("explain", {"query": "nothing", "id": "whale"}, 200),
    ("explain", {"query": "sea", "id": "nix"}, 404),
    ("encode", {"query": "deep sea, nothing"}, 200),
    ("encode", {}, 422),
]


@pytest.mark.parametrize(("what", "body", "status"), REQUESTS)
def test_answers_are_as_described(client, described, what, body, status):
    response = client.post(f"/v1/collections/animals/{what}", json=body)
    assert response.status_code == status
    check(described, f"{ONE}/{what}", response)


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/v1/collections", "/v1/collections", 200),
        ("/v1/collections/animals", ONE, 200),
        ("/v1/collections/nix", ONE, 404),
        ("/v1/collections/animals/documents/whale", f"{ONE}/documents/{{id}}", 200),
        ("/v1/collections/points/documents/3", f"{ONE}/documents/{{id}}", 200),
        ("/v1/collections/points/documents/x", f"{ONE}/documents/{{id}}", 404),
        ("/healthz", "/healthz", 200),
        ("/readyz", "/readyz", 200),
    ],
)
def test_what_is_read_is_as_described(client, described, path, route, status):
    response = client.get(path)
    assert response.status_code == status
    check(described, route, response)


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [("{", "application/json", 400), ("{}", "text/plain", 415), (" " * 2**21, "text/plain", 413)],
)
def test_refusals_are_as_described(client, described, content, content_type, status):
    response = client.post(
        "/v1/collections/animals/search", content=content, headers={"Content-Type": content_type}
    )
    assert response.status_code == status
    check(described, f"{ONE}/search", response)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
weights = st.floats(-1, 10) | st.integers(-1, 10) | anything
sparse = st.dictionaries(st.sampled_from(["sea", "hunt", "\u00e9", ""]), weights) | (
    st.fixed_dictionaries(
        {
            "components": st.lists(st.integers(-1, 40) | anything, max_size=3),
            "values": st.lists(weights, max_size=3),
        }
    )
)
bodies = anything | st.fixed_dictionaries(
    {},
    optional={
        "query": st.sampled_from(["", "deep sea", "\x00", "\U0001f419"]) | anything,
        "sparse": sparse | anything,
        "k": st.integers(-1, 1001) | anything,
        "offset": st.integers(-1, 20) | anything,
        "exact": st.booleans(),
        "accuracy": st.sampled_from([0, 0.5, 1]) | anything,
        "explain": st.booleans() | anything,
        "highlight": st.booleans() | anything,
        "fields": st.lists(st.sampled_from(["title", "text", "metadata", "id"]), max_size=4),
        "filter": st.dictionaries(st.sampled_from(["length", "and", "not"]), anything) | anything,
        "facets": st.lists(st.sampled_from(["length", "\ud800"]), max_size=17) | anything,
    },
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=bodies)
def test_no_body_breaks_the_server_or_its_description(client, described, body):
    """Whatever comes in, the answer is declared; what the schema refuses, the server refuses."""
    response = client.post(
        "/v1/collections/animals/search",
        content=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    check(described, f"{ONE}/search", response)
    schema = {"components": described["components"], "$ref": "#/components/schemas/SearchRequest"}
    if response.status_code == 200:
        Draft202012Validator(schema).validate(body)
    else:
        assert response.status_code == 422
