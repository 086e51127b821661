"""The collection as its users see it: write, search, explain, replace, refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexidex import Collection
from lexidex.encoders import load_encoder
from lexidex.errors import (
    CollectionExists,
    CollectionNotFound,
    DocumentNotFound,
    EncoderNotFound,
    FormatError,
    NothingTaken,
    ParameterError,
)
from lexidex.index import SearchParams
from lexidex.index.storage.files import MemoryStorage

TEXTS = {
    "whale": "The whale is a mammal that lives in the sea.",
    "shark": "Sharks are fish; they hunt in the sea, in the deep sea too.",
    "eagle": "Eagles hunt from the air.",
}


def documents(texts=TEXTS):
    return [{"id": doc_id, "text": text} for doc_id, text in texts.items()]


@pytest.fixture
def collection():
    made = Collection.create(MemoryStorage())
    made.upsert(documents())
    return made


def ids(result):
    return [hit.doc_id for hit in result]


@pytest.mark.smoke
def test_the_whole_way_on_disk(tmp_path):
    made = Collection.create(tmp_path / "animals")
    written = made.upsert([{"id": "1", "title": "Cats", "text": "purr", "metadata": {"legs": 4}}])
    assert (written.upserted, written.failed, written.generation) == (1, [], 2)
    hit = Collection.open(tmp_path / "animals").search("cat").hits[0]
    assert (hit.doc_id, hit.title, hit.text, hit.metadata) == ("1", "Cats", "purr", {"legs": 4})
    assert made.check().problems == []


def test_hits_are_those_that_share_a_term_best_first(collection):
    result = collection.search("hunting in the sea")
    assert ids(result) == ["shark", "eagle", "whale"] or ids(result)[0] == "shark"
    scores = [hit.score for hit in result]
    assert scores == sorted(scores, reverse=True)
    assert ids(collection.search("mammal")) == ["whale"]
    assert ids(collection.search("zebra")) == []
    assert collection.search("zebra sea").ignored_terms == ["zebra"]


def test_an_explanation_adds_up_to_the_score(collection):
    hit = collection.search("hunting sharks in the sea").hits[0]
    explanation = collection.explain("hunting sharks in the sea", hit.doc_id)
    assert explanation.score == pytest.approx(hit.score, rel=1e-6)
    assert sum(t.product for t in explanation.terms) == pytest.approx(explanation.score)
    assert {t.term for t in explanation.terms} == {"hunt", "shark", "sea"}
    for term, query, document, product in explanation.terms:
        assert product == pytest.approx(query * document), term


def test_upserting_replaces_by_id_and_statistics_follow(collection):
    collection.upsert([{"id": "whale", "text": "An elephant is a mammal."}])
    assert len(collection) == 3
    assert ids(collection.search("elephant")) == ["whale"]
    assert "whale" not in ids(collection.search("sea"))
    fresh = Collection.create(MemoryStorage())
    fresh.upsert(documents({**TEXTS, "whale": "An elephant is a mammal."}))
    query = "sea mammal hunt"
    for one, other in zip(
        collection.explain(query, "shark").terms, fresh.explain(query, "shark").terms, strict=True
    ):
        assert one.query == pytest.approx(other.query), "IDF is always current"


def test_deleting_takes_documents_away(collection):
    result = collection.delete(["shark", "unknown"])
    assert (result.deleted, len(collection)) == (1, 2)
    assert "shark" not in collection
    assert "shark" not in ids(collection.search("sea"))
    with pytest.raises(DocumentNotFound, match="no document with id 'shark'"):
        collection.get("shark")
    collection.upsert([{"id": "shark", "text": "back in the sea"}])
    assert collection.get("shark").text == "back in the sea"


@pytest.mark.parametrize("given", ["shark", None, 5, [1], [None]])
def test_ids_that_are_none_are_refused(collection, given):
    with pytest.raises(ParameterError, match="ids: "):
        collection.delete(given)


def test_any_flipped_byte_of_a_small_collection_is_named_on_opening(collection):
    """What opening reads through: every file of up to 64 MiB, but for a log's mark, which a crash
    may tear."""
    collection.flush()
    files = dict(collection._storage.files)
    rng = np.random.default_rng(0)
    for name in files:
        places = np.arange(len(files[name]))
        if name.startswith("log-"):
            places = np.delete(places, slice(24, 36))
        for place in rng.choice(places, 8):
            damaged = bytearray(files[name])
            damaged[place] ^= 1 << int(rng.integers(8))
            storage = MemoryStorage()
            storage.files = {**files, name: bytes(damaged)}
            with pytest.raises(FormatError, match=name):
                Collection.open(storage)


def test_warming_up_loads_the_query_s_encoder(collection, monkeypatch):
    seen = []
    encode = type(collection.encoder).encode_queries

    def recorded(encoder, texts):
        seen.extend(texts)
        return encode(encoder, texts)

    monkeypatch.setattr(type(collection.encoder), "encode_queries", recorded)
    collection.warm_up()
    assert len(seen) == 1
    Collection.create(MemoryStorage(), encoder="vectors").warm_up()


def test_a_bad_document_is_left_out_and_named(collection):
    result = collection.upsert(
        [{"id": "ok", "text": "fine"}, {"id": "x"}, {"text": "no id"}, {"id": "y", "txt": "typo"}]
    )
    assert result.upserted == 1
    assert result.failed == [
        ("x", "field 'text' is missing"),
        ("#2", "field 'id' is missing"),
        (
            "y",
            "unknown field 'txt'; a document has id, title, text, metadata, vector, dense, "
            "passages (your own fields go under metadata)",
        ),
    ]


def test_replacing_swaps_everything_in_one_step(tmp_path):
    made = Collection.create(tmp_path / "c")
    made.upsert(documents())
    reader = Collection.open(tmp_path / "c")
    made.replace(
        [{"id": "new", "text": "un oiseau dans le ciel"}], load_encoder("bm25", language="french")
    )
    assert ids(reader.search("sea")) != []
    reader.refresh()
    assert ids(reader.search("sea")) == []
    assert ids(reader.search("oiseaux")) == ["new"]
    assert reader.encoder.options["language"] == "french"


def test_a_failing_iterator_leaves_the_collection_as_it_was(collection):
    def failing():
        yield {"id": "new", "text": "text"}
        raise RuntimeError("the source broke")

    before = dict(collection._storage.files)
    with pytest.raises(RuntimeError, match="the source broke"):
        collection.replace(failing())
    assert collection._storage.files == before
    assert len(collection) == 3


@pytest.mark.smoke
def test_documents_that_bring_vectors_need_no_encoder():
    made = Collection.create(MemoryStorage(), encoder="vectors")
    made.upsert(
        [
            {"id": "a", "vector": {"sea": 2.0, "deep": 1.0}},
            {"id": "b", "text": "shown", "vector": {"sea": 1.0}},
        ]
    )
    result = made.search(sparse={"sea": 3.0, "sky": 1.0})
    assert [(h.doc_id, h.score) for h in result] == [("a", 6.0), ("b", 3.0)]
    assert result.ignored_terms == ["sky"]
    assert made.explain({"deep": 2.0}, "a").terms[0].term == "deep"
    with pytest.raises(ParameterError, match="this collection has no text encoder"):
        made.search("sea")
    failed = made.upsert([{"id": "c", "text": "only text"}]).failed
    assert failed == [("c", "field 'vector' is missing; this collection has no text encoder")]


def test_a_collection_keeps_to_one_form_of_vectors():
    made = Collection.create(MemoryStorage(), encoder="vectors")
    numbered = {"id": "a", "vector": {"components": [7, 2**31 - 1], "values": [1.0, 2.0]}}
    worded = {"id": "b", "vector": {"sea": 1.0}}
    assert made.upsert([numbered, worded]).failed[0][0] == "b"
    reopened = Collection.open(made._storage)
    reason = reopened.upsert([worded]).failed[0][1]
    assert reason.startswith('vector: this collection\'s vectors are {"components": [...]')
    hits = reopened.search(sparse={"components": [2**31 - 1], "values": [2.0]}).hits
    assert [(h.doc_id, h.score) for h in hits] == [("a", 4.0)]


def test_a_bm25_collection_takes_no_vectors(collection):
    failed = collection.upsert([{"id": "v", "text": "t", "vector": {"a": 1.0}}]).failed
    assert failed[0][1].startswith("vector: a collection with encoder bm25 makes its own")


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdefg"), st.lists(st.sampled_from(["x", "y", "z"]), max_size=4)
        ),
        max_size=25,
    ),
    st.integers(1, 8),
)
@settings(max_examples=40)
def test_many_small_writes_equal_one(writes, k):
    """Integer weights by term frequency, so scores are exact and ties are pinned by age."""
    made = Collection.create(MemoryStorage(), encoder="vectors")
    kept = {}
    for doc_id, terms in writes:
        vector = {term: float(terms.count(term)) for term in terms}
        made.upsert([{"id": doc_id, "vector": vector}])
        kept.pop(doc_id, None)
        kept[doc_id] = vector
    assert len(made) == len(kept)
    query = {"x": 2.0, "y": 1.0}
    scores = {d: sum(w * v.get(t, 0) for t, w in query.items()) for d, v in kept.items()}
    expected = sorted((d for d in kept if scores[d] > 0), key=lambda d: -scores[d])[:k]
    found = Collection.open(made._storage).search(sparse=query, k=k)
    assert [(h.doc_id, h.score) for h in found] == [(d, scores[d]) for d in expected]
    assert made.check().problems == []


def test_batch_and_single_searches_agree(collection):
    queries = ["sea", "hunt in the air", "zebra"]
    batch = collection.search_batch(queries, k=2, n_threads=2)
    for query, result in zip(queries, batch, strict=True):
        alone = collection.search(query, k=2)
        assert [(h.doc_id, h.score) for h in result] == [(h.doc_id, h.score) for h in alone]
        assert result.ignored_terms == alone.ignored_terms


def test_fields_choose_what_is_fetched(collection):
    hit = collection.search("mammal", fields=("title",)).hits[0]
    assert (hit.text, hit.metadata) == (None, {})
    with pytest.raises(ParameterError, match="fields: 'body'; choose among title, text, metadata"):
        collection.search("sea", fields=("body",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query": None}, "query: none is given; expected a text"),
        ({"query": 7}, "query: 7; expected a text"),
        ({"query": "sea", "k": 0}, "k: 0; expected an integer"),
        ({"sparse": {"sea": -1.0}}, "sparse: vector: weight -1.0 of term 'sea'"),
        ({"sparse": [1, 2]}, "sparse: vector: "),
        ({"sparse": {"components": [10**6], "values": [1.0]}}, "component 1000000; the encoder's"),
    ],
)
def test_a_bad_query_is_refused(collection, arguments, message):
    with pytest.raises(ParameterError, match=message):
        collection.search(**arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.search("sea", params="fast"), "params: 'fast'; expected SearchParams"),
        (lambda c: c.search("sea", fields=5), "fields: 5; expected a list of names"),
        (lambda c: c.search("sea", facets="legs"), "facets: 'legs'; expected a list of names"),
        (lambda c: c.search_batch("sea"), "queries: 'sea'; expected a list of texts"),
        (lambda c: c.search_batch(["sea", 5]), "queries: 5; expected a list of texts, strings"),
        (lambda c: c.tune("sea"), "queries: 'sea'; expected a list of texts or sparse vectors"),
        (lambda c: c.explain("sea", 5), "ids: 5; expected a list of ids, strings"),
        (lambda c: c.reencode(None), "encoder: None; name the one to encode by"),
        (lambda c: c.reencode(7), "encoder: 7; expected a name, a folder or an Encoder"),
        (lambda _: Collection.open(5), "path: 5; expected a folder"),
        (lambda _: Collection.create(MemoryStorage(), passages=5), "passages: 5; expected Passage"),
    ],
)
def test_an_argument_of_another_type_is_named(collection, call, message):
    with pytest.raises(ParameterError, match=message):
        call(collection)
    assert 5 not in collection


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(CollectionNotFound, match="no collection here; make one with"):
        Collection.open(tmp_path / "none")
    with pytest.raises(EncoderNotFound, match="encoder 'nope'"):
        Collection.create(tmp_path / "c", encoder="nope")
    assert not (tmp_path / "c").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(CollectionExists, match=r"holds other files \(thesis.tex\)"):
        Collection.create(tmp_path / "full")
    (tmp_path / "died").mkdir()
    for left in ("write.lock", "write.json", "log-0000000001.lxl", "manifest-0000000001.json.tmp"):
        (tmp_path / "died" / left).write_bytes(b"half")
    assert len(Collection.create(tmp_path / "died")) == 0
    Collection.create(tmp_path / "twice")
    with pytest.raises(CollectionExists, match="a collection exists here"):
        Collection.create(tmp_path / "twice")


def test_a_large_write_is_cut_into_segments(monkeypatch):
    monkeypatch.setattr("lexidex.index.storage.building._SEGMENT_POSTINGS", 5)
    monkeypatch.setattr("lexidex.drafting.ENCODE_BATCH", 2)
    monkeypatch.setattr("lexidex.writer.SMALL_WRITE", 5)
    made = Collection.create(MemoryStorage())
    rng = np.random.default_rng(0)
    texts = {f"d{i}": " ".join(rng.choice(list("abcdefgh"), 4)) for i in range(20)}
    made.upsert(documents(texts) + documents({"d0": "zzz"}))
    assert len(made._snapshot.segments) > 3
    assert len(made) == 20
    assert made.get("d0").text == "zzz"
    assert ids(made.search("zzz")) == ["d0"]


@pytest.fixture
def large(monkeypatch):
    """A collection of one segment that is large enough for an approximate index."""
    monkeypatch.setattr("lexidex.index.planner.SEISMIC_FROM", 500)
    monkeypatch.setattr("lexidex.index.storage.building.TUNED_WITH", {})
    rng = np.random.default_rng(0)
    made = Collection.create(MemoryStorage(), encoder="vectors")
    documents = []
    for i in range(1000):
        components = np.unique(rng.integers(0, 300, 30))
        values = rng.integers(1, 9, components.size).astype(np.float32)
        documents.append({"id": f"d{i}", "vector": {"components": components, "values": values}})
    made.upsert(documents)
    return made


def test_the_plan_is_told_and_exact_can_be_asked_for(large, monkeypatch):
    query = {"components": [3, 70, 200], "values": [3.0, 2.0, 1.0]}
    monkeypatch.setattr("lexidex.index.planner.EXACT_NS_PER_POSTING", 10**9)
    exact = large.search(sparse=query, exact=True)
    assert exact.plan == ("exact",)
    assert exact.counters.blocks_scored == 0
    thorough = SearchParams(query_cut=10, heap_factor=0.0)
    approximate = large.search(sparse=query, params=thorough)
    assert approximate.plan == ("seismic",)
    assert approximate.counters.blocks_scored > 0
    assert approximate.counters.bytes_touched > 0
    assert large.search(sparse=query, params=SearchParams(rank_safe=True)).plan == ("exact",)
    monkeypatch.setattr("lexidex.index.planner.EXACT_NS_PER_POSTING", 0)
    assert large.search(sparse=query).plan == ("exact",)


def test_approximate_search_of_everything_finds_the_same(large, monkeypatch):
    monkeypatch.setattr("lexidex.index.planner.EXACT_NS_PER_POSTING", 10**9)
    everything = SearchParams(query_cut=10, heap_factor=0.0)
    reopened = Collection.open(large._storage)
    for seed in range(5):
        components = np.unique(np.random.default_rng(seed).integers(0, 300, 4))
        query = {"components": components, "values": np.arange(1.0, components.size + 1)}
        exact = large.search(sparse=query, exact=True)
        found = reopened.search(sparse=query, params=everything)
        assert [h.score for h in found] == pytest.approx([h.score for h in exact], rel=1e-3)


def test_deleted_documents_stay_away_from_approximate_search(large, monkeypatch):
    monkeypatch.setattr("lexidex.index.planner.EXACT_NS_PER_POSTING", 10**9)
    query = {"components": [3, 70, 200], "values": [3.0, 2.0, 1.0]}
    best = ids(large.search(sparse=query, k=5))
    large.delete(best)
    result = large.search(sparse=query, k=5)
    assert result.plan == ("seismic",)
    assert not set(best) & set(ids(result))


def test_replacing_by_documents_that_are_none_keeps_the_old(collection):
    before = collection.generation
    wrong = [{"id": "a"}, {"id": "b", "text": 3}]
    with pytest.raises(NothingTaken, match=r"none of 2 documents .*'a': field 'text' is") as raised:
        collection.replace(wrong)
    assert [doc_id for doc_id, _ in raised.value.failed] == ["a", "b"]
    assert (len(collection), collection.generation) == (3, before)
    assert ids(collection.search("whale")) == ["whale"]
    assert collection.replace([*wrong, *documents()]).upserted == 3
    assert collection.replace([]).failed == []
    assert len(collection) == 0


@pytest.mark.parametrize("given", [{"id": "a", "text": "b"}, "whale", b"whale", 3])
def test_one_document_is_no_list_of_documents(collection, given):
    for write in (collection.upsert, collection.replace, collection.update):
        with pytest.raises(ParameterError, match=r"expected a list of (documents|updates)"):
            write(given)
    assert len(collection) == 3
