"""What the routes answer is what the library finds."""

import time

import pytest
from starlette.testclient import TestClient

from lexidex import Collection
from lexidex.errors import CollectionNotFound
from lexidex.server.app import ENVIRONMENT, create_app, from_environment
from lexidex.server.backend import Backend

from .conftest import ANIMALS, animals

SEARCH = "/v1/collections/animals/search"


def post(client, what, body):
    response = client.post(f"/v1/collections/animals/{what}", json=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["request_id"] == response.headers["x-request-id"]
    return answer


def test_collections_are_listed_and_described(client):
    listed = client.get("/v1/collections").json()["collections"]
    assert [one["name"] for one in listed] == ["animals", "points"]
    one = client.get("/v1/collections/animals").json()
    assert one.pop("request_id")
    assert one == listed[0]
    passages = one.pop("passages")
    assert passages == {"mode": "truncate", "tokens": None, "overlap": 32}
    assert one == {"name": "animals", "documents": len(ANIMALS), "generation": 2, "encoder": "bm25"}


def test_search_finds_what_the_library_finds(client, collection):
    expected = collection.search("deep sea hunters")
    found = post(client, "search", {"query": "deep sea hunters"})
    assert [(hit["id"], hit["score"]) for hit in found["hits"]] == [
        (hit.doc_id, hit.score) for hit in expected
    ]
    assert [hit["text"] for hit in found["hits"]] == [ANIMALS[h["id"]] for h in found["hits"]]
    assert found["generation"] == 2
    assert set(found["timings"]) == {"encode_us", "search_us", "fuse_us", "fetch_us"}


@pytest.mark.parametrize("fields", [[], ["title"], ["metadata", "text"], ["title", "text"]])
def test_fields_choose_what_a_hit_holds(client, fields):
    for hit in post(client, "search", {"query": "sea", "fields": fields})["hits"]:
        assert set(hit) == {"id", "score", "passage", *fields}


def test_metadata_comes_back_as_it_went_in(client):
    hit = post(client, "search", {"query": "eagles"})["hits"][0]
    assert hit["metadata"] == animals()[2]["metadata"]


def test_a_sparse_vector_searches_in_both_forms(client, collection):
    named = {"sea": 2.0, "hunt": 0.5, "nosuchterm": 1.0}
    numbered = {"components": [collection.encoder.component(t) for t in ("sea", "hunt")]}
    by_name = post(client, "search", {"sparse": named})
    by_number = post(client, "search", {"sparse": numbered | {"values": [2.0, 0.5]}})
    assert by_name["hits"] == by_number["hits"]
    assert [h["score"] for h in by_name["hits"]] == [
        h.score for h in collection.search(sparse=named)
    ]
    assert by_name["ignored_terms"] == ["nosuchterm"]


def test_offset_continues_where_k_ended(client):
    together = post(client, "search", {"query": "in the sea hunts live", "k": 4})["hits"]
    parts = [
        post(client, "search", {"query": "in the sea hunts live", "k": 2, "offset": offset})["hits"]
        for offset in (0, 2)
    ]
    assert parts[0] + parts[1] == together
    assert post(client, "search", {"query": "sea", "offset": 1000})["hits"] == []


def test_an_exact_search_approximates_nothing(client):
    found = post(client, "search", {"query": "deep sea", "exact": True})
    assert found["hits"] == post(client, "search", {"query": "deep sea"})["hits"]
    assert found["plan"] == ["exact"]
    batch = post(client, "search:batch", {"queries": ["deep sea"], "exact": True})
    assert batch["results"][0]["plan"] == ["exact"]
    assert found["counters"] == batch["counters"]
    postings = found["counters"]["postings_scored"]
    assert found["counters"]["bytes_touched"] == 6 * postings > 0


def test_an_accuracy_is_passed_on(client, collection, monkeypatch):
    asked = []
    searched = Collection._search

    def note(self, texts, asked_, *arguments):
        asked.append(asked_.accuracy)
        return searched(self, texts, asked_, *arguments)

    monkeypatch.setattr(Collection, "_search", note)
    for accuracy in (0.9, 1, None):
        found = post(client, "search", {"query": "deep sea", "accuracy": accuracy})
        assert [hit["id"] for hit in found["hits"]] == [
            hit.doc_id for hit in collection.search("deep sea")
        ]
        post(client, "search:batch", {"queries": ["deep sea"], "accuracy": accuracy})
    # The searches that it is compared with ask for none.
    assert [one for one in asked if one is not None] == [0.9, 0.9, 1, 1]
    both = {"query": "deep sea", "accuracy": 0.9, "exact": True}
    refused = client.post(SEARCH, json=both)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameter")


def test_an_empty_query_and_a_deep_search_are_answered(client):
    assert post(client, "search", {"query": ""})["hits"] == []
    assert post(client, "search", {"sparse": {}})["hits"] == []
    assert len(post(client, "search", {"query": "sea", "k": 1000})["hits"]) == 2


def test_explained_terms_add_up_to_the_score(client):
    answer = post(client, "search", {"query": "deep sea hunters", "explain": True})
    assert answer["timings"]["explain_us"] > 0
    for hit in answer["hits"]:
        assert sum(term["product"] for term in hit["terms"]) == pytest.approx(hit["score"])
        alone = post(client, "explain", {"query": "deep sea hunters", "id": hit["id"]})
        assert alone["terms"] == hit["terms"]
        assert alone["score"] == pytest.approx(hit["score"])


def test_explain_takes_a_sparse_vector(client):
    answer = post(client, "explain", {"sparse": {"sea": 2.0}, "id": "whale"})
    assert [term["term"] for term in answer["terms"]] == ["sea"]


def test_highlights_are_the_words_that_score(client):
    query = "deep sea hunting, parrots in Istanbul's trees"
    hits = post(client, "search", {"query": query, "highlight": True, "explain": True})["hits"]
    shown = {}
    for hit in hits:
        products = {term["term"]: term["product"] for term in hit["terms"]}
        for mark in hit["highlights"]:
            assert mark["product"] == products[mark["term"]]
            word = hit[mark["field"]][mark["start"] : mark["end"]]
            shown.setdefault((hit["id"], mark["field"]), []).append((word, mark["term"]))
    assert shown["shark", "text"] == [
        ("hunt", "hunt"),
        ("sea", "sea"),
        ("deep", "deep"),
        ("sea", "sea"),
    ]
    assert shown["party", "text"] == [("parrots", "parrot")]
    assert ("shark", "title") not in shown


def test_highlights_without_explain_leave_the_terms_out(client):
    hit = post(client, "search", {"query": "eagles", "highlight": True})["hits"][0]
    assert [mark["field"] for mark in hit["highlights"]] == ["title", "text"]
    assert "terms" not in hit


def test_spans_count_letters_that_grow_in_lower_case(collection):
    text = ANIMALS["party"]
    words = [text[start:end] for start, end, _ in collection.encoder.spans(text)]
    assert words == ["\u0130stanbul's", "parrots", "talkative", "birds"]


def test_spans_of_an_encoder_without_stems_are_words(folder):
    encoder = Collection.open(folder / "points").encoder
    assert [encoder.term(place) for *_, place in encoder.spans("Y3, (x) and nothing")] == [
        "y3",
        "x",
    ]


def test_a_batch_answers_each_query_as_alone(client):
    queries = ["deep sea", "nothing like it", "eagles in the air"]
    answer = post(client, "search:batch", {"queries": queries, "k": 3, "fields": ["title"]})
    for query, result in zip(queries, answer["results"], strict=True):
        alone = post(client, "search", {"query": query, "k": 3, "fields": ["title"]})
        assert result == {key: alone[key] for key in ("hits", "plan", "ignored_terms")}


def test_encode_gives_the_query_by_weight(client, collection):
    answer = post(client, "encode", {"query": "deep sea sea nosuchword"})
    vector = collection.encoder.encode_queries(["deep sea sea nosuchword"])
    named = zip(map(collection.encoder.term, vector.indices), vector.data.tolist(), strict=True)
    assert answer["terms"] == dict(named)
    assert list(answer["terms"]) == ["sea", "deep"]
    assert answer["ignored_terms"] == ["nosuchword"]


@pytest.mark.parametrize("doc_id", list(ANIMALS))
def test_documents_are_read_by_id(client, doc_id):
    from urllib.parse import quote

    for path in {quote(doc_id), quote(doc_id, safe="")}:
        answer = client.get(f"/v1/collections/animals/documents/{path}").json()
        assert (answer["id"], answer["text"]) == (doc_id, ANIMALS[doc_id])


def test_one_collection_is_served_under_its_folders_name(folder):
    assert Backend.open(folder / "animals").names == ["animals"]


def test_a_folder_without_collections_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for directory in (tmp_path, tmp_path / "missing"):
        with pytest.raises(CollectionNotFound, match="lexidex index"):
            Backend.open(directory)


def test_the_application_is_made_from_the_environment(folder, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, str(folder))
    with TestClient(from_environment()) as client:
        assert len(client.get("/v1/collections").json()["collections"]) == 2


def test_it_becomes_ready_and_follows_writes(tmp_path):
    written = Collection.create(tmp_path / "animals")
    with TestClient(create_app(Backend.open(tmp_path))) as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/healthz").json() == {"status": "ok"}
        written.upsert(animals())
        wait_for(lambda: post(client, "search", {"query": "sea"})["hits"])


def test_what_cannot_be_followed_is_told_once_and_tried_again(folder, monkeypatch, caplog):
    monkeypatch.setattr("lexidex.server.app._FOLLOW_SECONDS", 0.01)
    backend, failed = Backend.open(folder), []

    def fail():
        failed.append(True)
        raise OSError("no such folder")

    monkeypatch.setattr(backend, "refresh", fail)
    with TestClient(create_app(backend)) as client:
        wait_for(lambda: len(failed) > 5)
        assert post(client, "search", {"query": "sea"})["hits"]
    assert [record.message for record in caplog.records] == ["cannot follow a write"]


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def articles(tmp_path_factory):
    """A client of a collection whose documents are split."""
    folder = tmp_path_factory.mktemp("split") / "articles"
    text = "Whales sing \N{WHALE}. Sharks hunt in the deep. An eagle hunts from the air."
    made = Collection.create(folder, passages="split,tokens=7,overlap=0")
    made.upsert([{"id": "a", "title": "Hunting", "text": text}])
    with TestClient(create_app(Backend.open(folder))) as client:
        yield client, text


def test_a_hit_tells_its_passage_and_highlights_in_it_alone(articles):
    client, text = articles
    body = {"query": "hunting eagles", "highlight": True, "explain": True}
    path = "/v1/collections/articles/search"
    [hit] = client.post(path, json=body).json()["hits"]
    start = text.index("An eagle")
    assert hit["passage"] == {"number": 2, "start": start, "end": len(text)}
    marks = [
        (mark["field"], hit[mark["field"]][mark["start"] : mark["end"]])
        for mark in hit["highlights"]
    ]
    assert marks == [("title", "Hunting"), ("text", "eagle"), ("text", "hunts")]
    assert sum(term["product"] for term in hit["terms"]) == pytest.approx(hit["score"])
    [short] = client.post(path, json=body | {"fields": ["passage"]}).json()["hits"]
    assert short.keys() == {"id", "score", "passage", "terms", "highlights"}
    assert short["passage"]["text"] == "An eagle hunts from the air."
    assert [mark["start"] for mark in short["highlights"]] == [start + 3, start + 9]
