"""Long documents: several passages each, found by the best, told where it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexidex import Collection, PassageParams
from lexidex.encoders import load_encoder
from lexidex.encoders.splitting import split_text
from lexidex.errors import DocumentNotFound, ParameterError
from lexidex.index import SearchParams
from lexidex.index.storage.files import MemoryStorage
from lexidex.index.vectors import build_vectors
from lexidex.passages import passages_for, row_maxima

from .encoders.checkpoints import write_plain
from .encoders.published import write_scalar
from .index.collections import batches

SENTENCES = [
    "The whale is a mammal.",
    "It lives in the sea.",
    "Sharks hunt in the deep sea.",
    "An eagle hunts from the air, high above.",
    "Whales sing.",
    "Ants live in the earth.",
]
LONG = " ".join(SENTENCES)
SPLIT = "split,tokens=8,overlap=0"


def made(passages=None, encoder=None, **options):
    return Collection.create(MemoryStorage(), encoder, "off", passages=passages, **options)


def shown(hit):
    return hit.passage.number, hit.text[hit.passage.start : hit.passage.end]


# Settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("split", PassageParams()),
        ("max, tokens=200", PassageParams("max", 200)),
        ("truncate,tokens=9,overlap=0", PassageParams("truncate", 9, 0)),
    ],
)
def test_settings_are_read_and_written_as_text(text, expected):
    assert PassageParams.parse(text) == expected
    assert PassageParams.parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("half", "passages: mode 'half'; choose among split, max, truncate"),
        ("split,200", "passages: '200' in 'split,200'; expected tokens=NUMBER or overlap=NUMBER"),
        ("split,tokens=-1", "passages: 'tokens=-1'"),
        ("split,tokens=1,tokens=2", "passages: 'tokens=2'"),
        ("split,mode=max", "passages: 'mode=max'"),
        ("split,tokens=0", "passages: tokens 0; expected an integer above 0"),
        ("split", "'split', but bm25 reads texts of any length; .* 'split,tokens=200'"),
    ],
)
def test_wrong_settings_are_refused(text, message):
    with pytest.raises(ParameterError, match=message):
        made(text)
    assert passages_for(None, load_encoder("bm25")) == PassageParams("truncate")


@pytest.mark.parametrize("numbers", [{"tokens": True}, {"tokens": 2.0}, {"overlap": -1}])
def test_numbers_that_are_none_are_refused(numbers):
    with pytest.raises(ParameterError, match="expected an integer"):
        PassageParams("split", **numbers)


def test_the_setting_stays_with_the_collection_until_another_encoder_comes():
    collection = made(SPLIT)
    collection.upsert([{"id": "a", "text": LONG}])
    collection.flush()
    assert Collection.open(collection._storage).passages == PassageParams("split", 8, 0)
    collection.replace([{"id": "a", "text": LONG}])
    assert collection.passages == PassageParams("split", 8, 0)
    collection.replace([{"id": "a", "text": LONG}], passages="max,tokens=9")
    assert Collection.open(collection._storage).passages == PassageParams("max", 9)
    collection.replace([{"id": "a", "text": LONG}], load_encoder("bm25", k1=2.0))
    assert collection.passages == PassageParams("truncate")


# What becomes of texts


def test_a_hit_tells_its_passage_and_where_it_stands():
    collection = made("split,tokens=9,overlap=0")
    collection.upsert([{"id": "a", "title": "Animals", "text": LONG}, {"id": "b", "text": "sea"}])
    [hit] = collection.search("eagle")
    assert shown(hit) == (3, SENTENCES[3])
    assert hit.passage.text == SENTENCES[3]
    [hit] = collection.search("eagle", fields=("passage",))
    assert (hit.text, hit.passage.text) == (None, SENTENCES[3])
    [hit] = collection.search("eagle", fields=())
    assert (hit.passage.number, hit.passage.text) == (3, None)
    assert LONG[hit.passage.start : hit.passage.end] == SENTENCES[3]
    short = collection.search("sea").hits[0]
    assert (short.doc_id, shown(short)) == ("b", (0, "sea"))


def test_passages_begin_with_the_title_which_counts():
    collection = made("split,tokens=9,overlap=0")
    collection.upsert([{"id": "a", "title": "On animals", "text": LONG}])
    assert shown(collection.search("animals").hits[0])[0] == 0  # all have it; the first of equals
    for query in ("mammal", "shark", "sing", "earth"):
        explained = collection.explain(f"animals {query}", "a")
        assert {term.term for term in explained.terms} == {"anim", load_term(query)}


def load_term(word):
    return load_encoder("bm25").analyzer.term(word)


def test_a_title_leaves_the_text_half_of_the_room():
    collection = made("split,tokens=8,overlap=0")
    title = "one two three four five six seven eight nine ten"
    collection.upsert([{"id": "a", "title": title, "text": LONG}])
    assert collection.search("four").hits
    assert not collection.search("five").hits
    assert shown(collection.search("sing").hits[0])[1] == SENTENCES[4]
    collection.upsert([{"id": "b", "title": title, "text": "eleven"}])
    assert [hit.doc_id for hit in collection.search("seven")] == ["b"]  # all that is left


def test_truncation_reads_the_beginning():
    collection = made("truncate,tokens=7")
    collection.upsert([{"id": "a", "title": "On animals", "text": LONG}])
    [hit] = collection.search("mammal")
    assert shown(hit) == (0, SENTENCES[0][:-1])
    assert not collection.search("sea").hits


def test_the_largest_frequency_in_any_passage_counts_in_one_vector():
    text = "Sea sea sea. Sky. Sea sky sky. Fire."
    collection = made("max,tokens=3,overlap=0")
    collection.upsert([{"id": "a", "text": text}])
    whole = made()
    whole.upsert([{"id": "a", "text": "sea sea sea sky sky fire"}])
    for query in ("sea", "sky", "fire"):
        [hit] = collection.search(query)
        assert hit.score == whole.search(query).hits[0].score
        assert shown(hit) == (0, text)


@pytest.mark.parametrize("mode", ["split", "max", "truncate"])
def test_documents_of_no_more_tokens_are_as_ever(mode):
    documents = [{"id": str(n), "text": text} for n, text in enumerate(SENTENCES)]
    plain, limited = made(), made(f"{mode},tokens=9")
    plain.upsert(documents)
    limited.upsert(documents)
    for query in ("sea", "hunting whales", "earth"):
        expected = plain.search(query)
        found = limited.search(query)
        assert found.hits == expected.hits
        assert found.counters == expected.counters


@given(batches(max_rows=20), st.data())
def test_row_maxima_are_those_of_groups(vectors, data):
    cuts = data.draw(st.sets(st.integers(1, max(vectors.shape[0] - 1, 1))))
    starts = np.array([0, *sorted(c for c in cuts if c < vectors.shape[0]), vectors.shape[0]])
    starts = np.unique(starts)
    found = row_maxima(vectors, starts)
    rows = vectors.toarray()
    expected = [rows[first:last].max(axis=0) for first, last in pairwise(starts.tolist())]
    assert found.has_canonical_format
    np.testing.assert_array_equal(found.toarray(), np.array(expected).reshape(found.shape))


# Encoders with a limit


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """A masked language model that reads 12 tokens, two of them special."""
    folder = write_plain(tmp_path_factory.mktemp("model"), "bert")
    return load_encoder(folder, max_length=12)


def test_a_model_splits_what_it_would_cut_off(limited):
    assert limited.max_tokens == 10
    collection = made(encoder=limited)
    assert collection.passages == PassageParams()
    collection.upsert([{"id": "a", "text": LONG}, {"id": "b", "text": "the sea"}])
    places = split_text(LONG, limited.token_spans(LONG), 10, 5)
    assert len(places) > 2
    for number, (start, end) in enumerate(places):
        vector = limited.encode_documents([LONG[start:end]])
        sparse = {"components": vector.indices.tolist(), "values": vector.data.tolist()}
        hit = next(h for h in collection.search(sparse=sparse, exact=True) if h.doc_id == "a")
        explained = collection.explain(sparse, "a", number)
        assert explained.score == pytest.approx(float(vector.data @ vector.data), rel=1e-5)
        best = max(collection.explain(sparse, "a", n).score for n in range(len(places)))
        assert hit.score == pytest.approx(best, rel=1e-5)
        assert collection.explain(sparse, "a").passage == hit.passage.number
    short = limited.encode_documents(["the sea"]).toarray()
    stored = collection._snapshot.passage_vectors(*collection._snapshot.find("b")).toarray()
    np.testing.assert_allclose(stored[0], short[0][: stored.shape[1]], rtol=1e-4)


def test_a_model_can_cut_off_or_take_the_maximum(limited):
    cut, largest = made("truncate", limited), made("max,overlap=0", limited)
    for collection in (cut, largest):
        collection.upsert([{"id": "a", "text": LONG}])
    passages = [LONG[a:b] for a, b in split_text(LONG, limited.token_spans(LONG), 10, 0)]
    vectors = {  # of each collection's one document
        cut: limited.encode_documents([LONG]).toarray(),
        largest: limited.encode_documents(passages).toarray().max(axis=0, keepdims=True),
    }
    for collection, expected in vectors.items():
        stored = collection._snapshot.passage_vectors(*collection._snapshot.find("a")).toarray()
        np.testing.assert_allclose(stored, expected[:, : stored.shape[1]], rtol=1e-5)
    sparse = {"components": [int(vectors[cut].argmax())], "values": [1.0]}
    places = {c: c.search(sparse=sparse).hits[0].passage for c in vectors}
    assert places[cut].end == limited.token_spans(LONG)[9, 1]
    assert places[largest].end == len(LONG)


def test_more_tokens_than_the_encoder_reads_are_refused(limited):
    with pytest.raises(ParameterError, match="tokens=11; the encoder reads 10 of a text"):
        made("split,tokens=11", limited)


# Passages that documents bring


@pytest.mark.parametrize("terms", ["tokens", "words"])
def test_documents_that_end_in_an_expansion_are_read_whole(tmp_path, terms):
    layers = {"tok_proj": 1} if terms == "tokens" else {"impact_score_encoder.0": 1}
    write_scalar(tmp_path, layers, prefix="" if terms == "tokens" else "bert.")
    encoder = load_encoder(tmp_path, expansion_delimiter="|")
    text = "the weather in new york is rainy today. | " + "sparse vectors and indexes " * 20
    assert len(encoder.token_spans(text)) > encoder.max_tokens

    collection = made(encoder=encoder)
    collection.upsert([{"id": "a", "text": text}])
    assert (collection.passages.mode, collection.n_passages) == ("truncate", 1)
    stored, expected = collection._snapshot.passage_vectors(0, 0), encoder.encode_documents([text])
    np.testing.assert_array_equal(stored.indices, expected.indices)
    np.testing.assert_allclose(stored.data, expected.data, rtol=1e-5)

    for mode in ("split", "max", "split,tokens=20", "truncate,tokens=20"):
        with pytest.raises(ParameterError, match=f"^passages: '{mode}.*with an expansion_delim"):
            made(mode, encoder)
    assert passages_for(None, load_encoder(tmp_path)) == PassageParams("split")


def test_documents_may_bring_passages():
    collection = made(encoder="vectors")
    written = collection.upsert(
        [
            {
                "id": "a",
                "text": "abc def",
                "passages": [
                    {"start": 0, "end": 3, "vector": {"x": 1.0}},
                    {"start": 4, "vector": {"x": 2.0, "y": 1.0}},
                ],
            },
            {"id": "b", "passages": [{"vector": {"x": 3.0}}, {"vector": {"y": 3.0}}]},
            {"id": "c", "text": "plain", "vector": {"x": 1.0}},
        ]
    )
    assert (written.upserted, written.failed) == (3, [])
    hits = collection.search(sparse={"x": 1.0}).hits
    assert [(h.doc_id, h.score, *shown(h)) for h in hits] == [
        ("b", 3.0, 0, ""),
        ("a", 2.0, 1, "def"),
        ("c", 1.0, 0, "plain"),
    ]
    [hit] = collection.search(sparse={"y": 1.0}, k=1)
    assert (hit.doc_id, hit.passage.number) == ("b", 1)


def test_documents_may_say_where_they_are_split():
    collection = made(SPLIT)
    places = [{"end": 10}, {"start": 10, "end": len(LONG)}]
    collection.upsert([{"id": "a", "text": LONG, "passages": places}])
    assert shown(collection.search("earth").hits[0]) == (1, LONG[10:])
    assert shown(collection.search("whale").hits[0]) == (0, LONG[:10])


def test_the_maximum_is_taken_of_passages_that_documents_bring():
    collection = made("max", "vectors")
    passages = [{"vector": {"x": 1.0, "y": 2.0}}, {"vector": {"x": 3.0}}]
    collection.upsert([{"id": "a", "passages": passages}, {"id": "b", "vector": {"x": 1.0}}])
    explained = collection.explain({"x": 1.0, "y": 1.0}, "a")
    assert {term.term: term.document for term in explained.terms} == {"x": 3.0, "y": 2.0}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"passages": []}, r"field 'passages': \[\]; expected a list of one or more"),
        ({"passages": [3]}, r"passages\[0\]: 3; expected an object of start, end, vector"),
        ({"passages": [{"vector": {"x": 1}, "text": ""}]}, r"passages\[0\]: .* expected an object"),
        (
            {"passages": [{"vector": {"x": 1}}, {"start": 2, "end": 1, "vector": {"x": 1}}]},
            r"passages\[1\]: start 2, end 1; .* has 3 characters",
        ),
        ({"passages": [{"end": 4, "vector": {"x": 1}}]}, r"passages\[0\]: start 0, end 4"),
        ({"passages": [{"start": True, "vector": {"x": 1}}]}, r"passages\[0\]: start True"),
        ({"passages": [{"vector": {"x": -1}}]}, r"passages\[0\]: vector: weight -1 of term 'x'"),
        ({"passages": [{"vector": {"x": 1}}, {}]}, r"passages\[1\]: field 'vector' is missing"),
        ({"passages": [{"vector": {"x": 1}}], "vector": {"x": 1}}, "leave out 'vector'"),
    ],
)
def test_passages_that_are_none_are_refused(document, reason):
    collection = made(encoder="vectors")
    written = collection.upsert([{"id": "a", "text": "abc", **document}])
    assert written.upserted == 0
    [(doc_id, told)] = written.failed
    assert doc_id == "a"
    assert re.search(reason, told), told


def test_a_collection_of_one_passage_each_takes_no_more():
    collection = made("truncate", "vectors")
    written = collection.upsert(
        [
            {"id": "a", "passages": [{"vector": {"x": 1}}, {"vector": {"x": 1}}]},
            {"id": "b", "passages": [{"vector": {"x": 1}}]},
        ]
    )
    assert written.upserted == 1
    assert written.failed[0][1].startswith("passages: 2; this collection's documents are one")


def test_a_passage_that_is_not_there_is_not_explained():
    collection = made(SPLIT)
    collection.upsert([{"id": "a", "text": LONG}])
    with pytest.raises(DocumentNotFound, match="'a' has 5 passages, and no passage 5"):
        collection.explain("sea", "a", 5)


# Against brute force

TERMS = "pqrst"


@dataclass(frozen=True)
class Known:
    """A document as the oracle keeps it: weights by term of each passage."""

    passages: tuple[dict[str, int], ...]
    parity: int

    def best(self, query):
        scores = [sum(w * query.get(t, 0) for t, w in p.items()) for p in self.passages]
        return max(scores), scores.index(max(scores))


vectors = st.dictionaries(st.sampled_from(TERMS), st.integers(1, 3), max_size=4)
documents = st.builds(
    Known, st.lists(vectors, min_size=1, max_size=6).map(tuple), st.integers(0, 1)
)
ids = st.sampled_from([f"d{n}" for n in range(8)])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), st.dictionaries(ids, documents, min_size=1, max_size=5)),
        st.tuples(st.just("delete"), st.lists(ids, max_size=3)),
        st.tuples(st.just("update"), st.tuples(ids, st.integers(0, 1))),
        st.tuples(st.sampled_from(["flush", "compact", "reopen"]), st.none()),
    ),
    min_size=1,
    max_size=8,
)


def as_given(doc_id, known):
    text = "".join(f"{doc_id}.{number} " for number in range(len(known.passages)))
    passages = [
        {"start": 5 * number, "end": 5 * number + 4, "vector": dict(vector)}
        for number, vector in enumerate(known.passages)
    ]
    return {"id": doc_id, "text": text, "passages": passages, "metadata": {"p": known.parity}}


def apply(collection, ledger, operation, argument):
    """Do it to the collection and to the ledger, whose order is that of age."""
    if operation == "upsert":
        collection.upsert([as_given(*item) for item in argument.items()])
        for doc_id, known in argument.items():
            ledger.pop(doc_id, None)
            ledger[doc_id] = known
    elif operation == "delete":
        collection.delete(argument)
        for doc_id in argument:
            ledger.pop(doc_id, None)
    elif operation == "update":
        doc_id, parity = argument
        collection.update([{"id": doc_id, "metadata": {"p": parity}}])
        if doc_id in ledger:
            ledger[doc_id] = replace(ledger.pop(doc_id), parity=parity)
    elif operation == "reopen":
        return Collection.open(collection._storage, merge="off")
    else:
        getattr(collection, operation)()
    return collection


def check(collection, ledger, query, k, parity):
    chosen = {i: known for i, known in ledger.items() if parity in (None, known.parity)}
    scored = [(*known.best(query), doc_id) for doc_id, known in chosen.items()]
    ranked = sorted((s for s in scored if s[0]), key=lambda s: -s[0])[:k]
    only = None if parity is None else {"p": parity}
    for params in (None, SearchParams(rank_safe=True)):
        result = collection.search(sparse=query, k=k, filter=only, params=params, facets=["p"])
        found = [(h.score, h.passage.number, h.doc_id) for h in result]
        assert found == ranked
        for hit in result:
            assert hit.passage.text == f"{hit.doc_id}.{hit.passage.number}"
            explained = collection.explain(query, hit.doc_id)
            assert (explained.score, explained.passage) == (hit.score, hit.passage.number)
        counts = {count.value: count.count for count in result.facets["p"]}
        of_each = [known.parity for known in chosen.values()]
        assert counts == {p: of_each.count(p) for p in set(of_each)}
    assert collection.count(only) == len(chosen)
    n_passages = sum(len(known.passages) for known in ledger.values())
    assert collection._snapshot.n_passages == n_passages


@settings(max_examples=60)
@given(operations, vectors, st.integers(1, 4), st.sampled_from([None, 0, 1]))
def test_results_are_those_of_brute_force_after_any_changes(given_, query, k, parity):
    collection, ledger = made(encoder="vectors"), {}
    for operation, argument in given_:
        collection = apply(collection, ledger, operation, argument)
    check(collection, ledger, query, k, parity)
    collection.compact()
    check(collection, ledger, query, k, parity)
    assert collection.check().problems == []


def crowded(n_crowding=400, n_others=30):
    """One document whose passages are all better than the others'."""
    passages = [{"vector": {"x": 5.0 + n % 7}} for n in range(n_crowding)]
    others = [
        {"id": f"o{n}", "passages": [{"vector": {"x": 1.0 + n / 100}}, {"vector": {"x": 0.5}}]}
        for n in range(n_others)
    ]
    return [{"id": "crowd", "passages": passages}, *others]


@pytest.fixture
def approximate(monkeypatch):
    """Large segments get an approximate index, and it is always the cheaper one."""
    monkeypatch.setattr("lexidex.index.planner.SEISMIC_FROM", 100)
    monkeypatch.setattr("lexidex.index.planner.EXACT_NS_PER_POSTING", 10**9)
    monkeypatch.setattr("lexidex.writer.SMALL_WRITE", 10)


@pytest.mark.usefixtures("approximate")
@pytest.mark.parametrize("exact", [True, False])
def test_k_counts_documents_though_one_has_most_of_the_best_passages(exact):
    collection = made(encoder="vectors")
    collection.upsert(crowded())
    result = collection.search(sparse={"x": 1.0}, k=10, exact=exact)
    assert result.plan == ("exact",)  # the approximate index keeps passages of one document only
    assert [hit.doc_id for hit in result] == ["crowd", *(f"o{n}" for n in range(29, 20, -1))]
    assert result.hits[0].passage.number == 6
    assert len(collection.search(sparse={"x": 1.0}, k=100, exact=exact)) == 31
    one = collection.search(sparse={"x": 1.0}, k=1, exact=exact)
    assert one.plan == ("exact" if exact else "seismic",)


@pytest.mark.usefixtures("approximate")
def test_approximate_search_goes_deeper_until_there_are_k_documents():
    rng = np.random.default_rng(0)
    documents = [
        {"id": f"d{n}", "passages": [{"vector": {"x": w, "y": 1.0}} for w in rng.uniform(1, 9, 8)]}
        for n in range(200)
    ]
    collection = made(encoder="vectors")
    collection.upsert(documents)
    found = collection.search(sparse={"x": 1.0}, k=20, params=SearchParams(heap_factor=0.0))
    assert found.plan == ("seismic",)
    expected = collection.search(sparse={"x": 1.0}, k=20, exact=True)
    assert [hit.doc_id for hit in found] == [hit.doc_id for hit in expected]


def test_a_batch_searches_deeper_only_where_it_must():
    collection = made(encoder="vectors")
    collection.upsert([*crowded(), {"id": "y", "vector": {"y": 1.0}}])
    snapshot = collection._snapshot
    components = [snapshot.encoder.component(term) for term in "xy"]
    queries = build_vectors([([c], [1.0]) for c in components], 2)
    found, _, work = snapshot.search(queries, 5)
    assert [hits.scores.size for hits in found] == [5, 1]
    alone = sum(snapshot.search(queries[[row]], 5)[2].postings_scored for row in range(2))
    assert work.postings_scored == alone


# BM25 over passages


def test_bm25_weighs_passages_as_it_would_weigh_documents():
    """Each passage is a document of another collection: the same scores, the best of each."""
    texts = {"a": LONG, "b": " ".join(reversed(SENTENCES)), "c": SENTENCES[2]}
    collection, apart = made(SPLIT), made()
    collection.upsert([{"id": doc_id, "text": text} for doc_id, text in texts.items()])
    tokens = load_encoder("bm25").token_spans
    apart.upsert(
        [
            {"id": f"{doc_id}/{number}", "text": text[start:end]}
            for doc_id, text in texts.items()
            for number, (start, end) in enumerate(split_text(text, tokens(text), 8))
        ]
    )
    for query in ("sea", "hunting in the sea", "whales sing"):
        best = {}
        for hit in apart.search(query, k=50):
            best.setdefault(hit.doc_id[0], (hit.score, int(hit.doc_id[2:])))
        found = {h.doc_id: (h.score, h.passage.number) for h in collection.search(query)}
        assert found == best


def test_large_and_small_writes_split_alike(monkeypatch):
    documents = [{"id": str(n), "text": f"{LONG} Number {n}."} for n in range(30)]
    small = made(SPLIT)
    small.upsert(documents)
    monkeypatch.setattr("lexidex.writer.SMALL_WRITE", 10)
    large = made(SPLIT)
    large.upsert(documents)
    assert large._snapshot.stored
    assert not small._snapshot.stored
    for query in ("number 7", "eagles", "deep sea"):
        assert small.search(query, k=40).hits == large.search(query, k=40).hits
    small.flush()
    assert small.search("number 7").hits == large.search("number 7").hits
    assert small.check().problems == []
