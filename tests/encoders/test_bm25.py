"""BM25 vectors: their inner products are the formula, computed plainly; and an encoder's duties."""

import json
import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexidex.encoders import bm25, load_encoder
from lexidex.encoders.analysis import Analyzer
from lexidex.encoders.bm25 import BM25Encoder
from lexidex.encoders.vocabulary import Vocabulary
from lexidex.errors import ParameterError
from lexidex.index.vectors import as_vectors

WORDS = ["fox", "foxes", "dog", "the", "of", "running", "café", "1,000", "s", "quick", "漢字"]
TEXT = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
TEXTS = st.lists(TEXT, min_size=1, max_size=8)
K1 = st.floats(0.01, 5)
B = st.floats(0, 1)


class Counts:
    """Statistics of a collection, as a searcher hands them over."""

    def __init__(self, n_documents, frequencies):
        self.n_documents = n_documents
        self.frequencies = frequencies

    def document_frequencies(self, components):
        return np.array([self.frequencies.get(int(c), 0) for c in components], dtype=np.int64)


def plain_bm25(texts, query, k1, b):
    """Every document's score, by the formula and nothing else."""
    documents = [Counter(Analyzer().terms(text)) for text in texts]
    average = sum(sum(d.values()) for d in documents) / len(documents)
    scores = []
    for document in documents:
        length, score = sum(document.values()), 0.0
        for term, repeats in Counter(Analyzer().terms(query)).items():
            df = sum(term in other for other in documents)
            if document[term]:
                idf = math.log(1 + (len(documents) - df + 0.5) / (df + 0.5))
                damping = k1 * (1 - b + b * length / average)
                score += repeats * idf * document[term] / (document[term] + damping)
        scores.append(score)
    return scores


def assert_canonical(vectors, shape):
    assert vectors.shape == shape
    assert vectors.dtype == np.float32
    assert vectors.indices.dtype == np.int32
    assert (vectors.data > 0).all()
    for row in range(shape[0]):
        ids = vectors.indices[vectors.indptr[row] : vectors.indptr[row + 1]]
        assert (np.diff(ids) > 0).all()
        assert ids.size == 0 or 0 <= ids[0] <= ids[-1] < shape[1]
    if vectors.nnz:
        assert np.shares_memory(as_vectors(vectors).data, vectors.data)


def dense(vectors, encoder):
    """Rows as {term: weight}, to compare encoders whose components differ."""
    return [
        {encoder.term(c): float(w) for c, w in zip(row.indices, row.data, strict=True)}
        for row in (vectors[[number]] for number in range(vectors.shape[0]))
    ]


@pytest.mark.smoke
@given(TEXTS, st.lists(TEXT, min_size=1, max_size=3), K1, B)
def test_inner_products_are_bm25(texts, queries, k1, b):
    encoder = BM25Encoder(k1, b).fit(texts)
    documents, asked = encoder.encode_documents(texts), encoder.encode_queries(queries)
    assert_canonical(documents, (len(texts), encoder.dim))
    assert_canonical(asked, (len(queries), encoder.dim))
    scores = (asked @ documents.T).toarray()
    expected = [plain_bm25(texts, query, k1, b) for query in queries]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def test_a_score_worked_out_by_hand():
    """Two documents of two and four terms, k1 = 1, b = 0.5; 'fox' is in one, 'dog' in both."""
    texts = ["fox dog", "dog dog dog dog"]
    encoder = BM25Encoder(1, 0.5).fit(texts)
    assert encoder.average_length == 3
    fox, dog = math.log(1 + 1.5 / 1.5), math.log(1 + 0.5 / 2.5)
    assert dense(encoder.encode_queries(["fox dog dog"]), encoder) == [
        {"fox": pytest.approx(fox), "dog": pytest.approx(2 * dog)}
    ]
    short, long = 1 * (1 - 0.5 + 0.5 * 2 / 3), 1 * (1 - 0.5 + 0.5 * 4 / 3)
    assert dense(encoder.encode_documents(texts), encoder) == [
        {"fox": pytest.approx(1 / (1 + short)), "dog": pytest.approx(1 / (1 + short))},
        {"dog": pytest.approx(4 / (4 + long))},
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 1024])
def test_batches_join_without_a_seam(monkeypatch, size):
    texts = ["fox", "", "dog fox", "the", "quick quick dog", "fox"]
    whole = BM25Encoder().fit(texts)
    expected = whole.encode_documents(texts)
    monkeypatch.setattr(bm25, "_BATCH", size)
    encoder = BM25Encoder().fit(iter(texts))
    assert encoder.average_length == whole.average_length
    assert encoder.statistics.n_documents == 6
    np.testing.assert_array_equal(encoder.statistics.frequencies, whole.statistics.frequencies)
    assert (encoder.encode_documents(texts) != expected).nnz == 0


@given(TEXTS, st.floats(0.1, 20))
def test_drafts_are_term_frequencies_and_are_finished_by_the_average_length(texts, average):
    encoder = BM25Encoder(1.2, 0.75)
    drafts = encoder.draft_documents(texts)
    assert_canonical(drafts, (len(texts), encoder.dim))
    assert dense(drafts, encoder) == [dict(Counter(Analyzer().terms(t))) for t in texts]
    before = drafts.data.copy()
    finished = encoder.finish_documents(drafts, average)
    np.testing.assert_array_equal(drafts.data, before)
    for text, row in zip(texts, dense(finished, encoder), strict=True):
        counts = Counter(Analyzer().terms(text))
        damping = 1.2 * (0.25 + 0.75 * counts.total() / average)
        assert row == {t: pytest.approx(n / (n + damping), rel=1e-5) for t, n in counts.items()}


@given(TEXTS, TEXT, st.integers(5, 100))
def test_queries_are_weighed_by_the_statistics_that_are_bound(texts, query, n_documents):
    encoder = BM25Encoder()
    encoder.draft_documents(texts)
    counts = Counts(n_documents, {c: 1 + c % 5 for c in range(encoder.dim)})
    bound = encoder.bind(counts)
    terms = Counter(t for t in Analyzer().terms(query) if encoder.component(t) is not None)
    expected = {}
    for term, repeats in terms.items():
        df = 1 + encoder.component(term) % 5
        idf = math.log(1 + (n_documents - df + 0.5) / (df + 0.5))
        expected[term] = pytest.approx(repeats * idf, rel=1e-5)
    assert dense(bound.encode_queries([query]), bound) == [expected]
    counts.n_documents *= 10
    changed = dense(bound.encode_queries([query]), bound)[0]
    assert all(changed[term] > weight.expected for term, weight in expected.items())


def test_binding_shares_the_vocabulary_and_leaves_the_encoder_as_it_was():
    encoder = BM25Encoder().fit(["fox"])
    bound = encoder.bind(Counts(10, {0: 5}))
    assert bound is not encoder
    assert bound.vocabulary is encoder.vocabulary
    encoder.draft_documents(["dog"])
    assert bound.component("dog") == encoder.component("dog") == 1
    assert encoder.statistics.n_documents == 1
    assert encoder.fingerprint == bound.fingerprint


def test_terms_and_components_are_one_to_one_and_never_change():
    encoder = BM25Encoder().fit(["The foxes run", "a quick dog"])
    assert [encoder.term(c) for c in range(encoder.dim)] == ["fox", "run", "quick", "dog"]
    assert [encoder.component(t) for t in ("fox", "run", "quick", "dog")] == [0, 1, 2, 3]
    assert encoder.component("foxes") is None
    assert encoder.component("the") is None
    encoder.encode_documents(["new fox words"])
    assert [encoder.component(t) for t in ("fox", "run", "new", "word")] == [0, 1, 4, 5]
    assert encoder.dim == 6


def test_a_term_that_no_fitted_document_has_is_as_rare_as_can_be():
    encoder = BM25Encoder().fit(["fox", "dog"])
    encoder.encode_documents(["cat"])
    weights = dense(encoder.encode_queries(["cat fox cow"]), encoder)[0]
    assert set(weights) == {"cat", "fox"}
    assert weights["cat"] == pytest.approx(math.log(1 + 2.5 / 0.5))


def test_queries_do_not_extend_the_vocabulary():
    encoder = BM25Encoder().fit(["fox"])
    assert encoder.encode_queries(["dog cat"]).nnz == 0
    assert encoder.dim == 1


def test_ignored_terms_are_those_without_a_component():
    encoder = BM25Encoder().fit(["The quick fox"])
    assert encoder.ignored_terms("the lazy lazy dogs and the quick foxes") == ["lazi", "dog"]
    assert encoder.ignored_terms("") == []


def test_empty_texts_have_empty_vectors():
    encoder = BM25Encoder().fit(["", "the", ""])
    assert encoder.dim == 0
    assert encoder.average_length == 0
    assert_canonical(encoder.encode_documents(["", "the", "fox"]), (3, 1))
    assert_canonical(encoder.encode_queries(["", "the"]), (2, 1))
    assert_canonical(encoder.encode_documents([]), (0, 1))
    assert_canonical(encoder.encode_queries([]), (0, 1))
    assert_canonical(BM25Encoder().fit([]).encode_documents([]), (0, 0))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A folder that Hypothesis writes over and over."""
    return tmp_path_factory.mktemp("scratch")


@given(TEXTS, TEXTS, K1, B, st.sampled_from([None, ["fox"], []]))
def test_saved_and_loaded_it_is_the_same(scratch, texts, queries, k1, b, stop_words):
    path = scratch / "encoder"
    encoder = BM25Encoder(k1, b, "english", stop_words).fit(texts)
    encoder.save(path)
    loaded = load_encoder(path)
    assert type(loaded) is BM25Encoder
    assert loaded.options == encoder.options
    assert loaded.fingerprint == encoder.fingerprint
    assert loaded.vocabulary.terms == encoder.vocabulary.terms
    assert (loaded.encode_queries(queries) != encoder.encode_queries(queries)).nnz == 0
    assert (loaded.encode_documents(texts) != encoder.encode_documents(texts)).nnz == 0
    assert dense(loaded.encode_documents(queries), loaded) == dense(
        encoder.encode_documents(queries), encoder
    )


def test_saving_again_replaces_and_leaves_nothing_else(tmp_path):
    BM25Encoder().fit(["fox"]).save(tmp_path / "encoder")
    BM25Encoder(language="none").fit(["foxes dogs"]).save(tmp_path / "encoder")
    assert [file.name for file in (tmp_path / "encoder").iterdir()] == ["lexidex_encoder.json"]
    loaded = load_encoder(tmp_path / "encoder")
    assert loaded.vocabulary.terms == ["foxes", "dogs"]
    assert load_encoder(tmp_path / "encoder", k1=2).k1 == 2


def test_a_collection_s_encoder_weighs_queries_when_loaded_but_no_documents(tmp_path):
    """A collection keeps no one average length; vectors made without it would be wrong."""
    encoder = BM25Encoder()
    encoder.draft_documents(["fox", "dog"])
    bound = encoder.bind(Counts(2, {0: 1, 1: 1}))
    message = "^bm25 weighs documents by their average length: call fit"
    with pytest.raises(ParameterError, match=message):
        bound.encode_documents(["fox"])
    bound.save(tmp_path)
    loaded = load_encoder(tmp_path)
    assert dense(loaded.encode_queries(["fox"]), loaded) == [{"fox": pytest.approx(math.log(2))}]
    with pytest.raises(ParameterError, match=message):
        loaded.encode_documents(["fox"])


def test_fingerprints_tell_options_apart():
    same = {BM25Encoder().fingerprint, BM25Encoder(0.9, 0.4, "english", None).fingerprint}
    assert len(same) == 1
    others = [
        BM25Encoder(k1=1),
        BM25Encoder(b=0.5),
        BM25Encoder(language="german"),
        BM25Encoder(stop_words=[]),
        BM25Encoder(stop_words=["a"]),
    ]
    assert len({e.fingerprint for e in others} | same) == 6
    assert (
        BM25Encoder(stop_words=["b", "a"]).fingerprint
        == BM25Encoder(stop_words=("a", "b", "a")).fingerprint
    )
    for encoder in others:
        json.dumps(encoder.options)
        assert BM25Encoder(**encoder.options).fingerprint == encoder.fingerprint


def test_options_change_what_is_encoded():
    texts = ["the Häuser of"]
    assert BM25Encoder(language="none").fit(texts).vocabulary.terms == ["the", "häuser", "of"]
    assert BM25Encoder(language="german").fit(texts).vocabulary.terms == ["the", "haus", "of"]
    assert BM25Encoder(stop_words=["the"]).fit(texts).vocabulary.terms == ["häuser", "of"]


def test_a_vocabulary_that_is_handed_over_is_used():
    encoder = BM25Encoder()
    encoder.draft_documents(["dog"])
    encoder.use_vocabulary(Vocabulary(["fox", "dog"]))
    assert encoder.draft_documents(["dog cat"]).indices.tolist() == [1, 2]
    assert encoder.vocabulary.terms == ["fox", "dog", "cat"]


@given(st.text(st.sampled_from("aAbs İIßﬁ'\u2019_.,1漢é\u0301 -"), max_size=15), TEXT)
def test_spans_show_the_terms_of_a_text_where_they_stand(text, known):
    encoder = BM25Encoder()
    encoder.draft_documents([text, known])
    spans = encoder.spans(text)
    assert [encoder.term(component) for _, _, component in spans] == Analyzer().terms(text)
    end = 0
    for start, stop, component in spans:
        assert end <= start < stop <= len(text)
        assert Analyzer().terms(text[start:stop]) == [encoder.term(component)]
        end = stop


def test_spans_leave_out_terms_without_a_component():
    encoder = BM25Encoder()
    encoder.draft_documents(["fox"])
    assert encoder.spans("The FOXES, a dog, the fox's.") == [(4, 9, 0), (22, 27, 0)]


def test_many_threads_encode_alike():
    texts = [f"{a} {b} running foxes" for a in WORDS for b in WORDS]
    encoder = BM25Encoder().fit(texts)
    expected = encoder.encode_queries(texts)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(encoder.encode_queries, [texts] * 16):
            assert (found != expected).nnz == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k1": 0}, "k1: 0; expected a finite number above 0"),
        ({"k1": -1}, "k1: -1; expected a finite number above 0"),
        ({"k1": math.nan}, "k1: nan; expected a finite number above 0"),
        ({"k1": math.inf}, "k1: inf; expected a finite number above 0"),
        ({"k1": "1"}, "k1: '1'; expected a finite number above 0"),
        ({"b": -0.1}, "b: -0.1; expected a number from 0 to 1"),
        ({"b": 1.1}, "b: 1.1; expected a number from 0 to 1"),
        ({"b": math.nan}, "b: nan; expected a number from 0 to 1"),
        ({"b": None}, "b: None; expected a number from 0 to 1"),
        ({"language": "klingon"}, "language: 'klingon'; known are arabic, "),
        ({"stop_words": "the"}, "stop_words: 'the'; expected a list of words"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ParameterError) as caught:
        BM25Encoder(**options)
    assert str(caught.value).startswith(message)


def test_nothing_can_be_encoded_before_fit():
    encoder = BM25Encoder()
    with pytest.raises(ParameterError, match=r"average length: call fit\(texts\) first$"):
        encoder.encode_documents(["fox"])
    message = r"^bm25 weighs by the collection's statistics: call fit\(texts\) first$"
    with pytest.raises(ParameterError, match=message):
        encoder.encode_queries(["fox"])
    with pytest.raises(ParameterError, match=message):
        encoder.save("never")


@pytest.mark.parametrize("method", ["fit", "encode_documents", "encode_queries", "draft_documents"])
def test_texts_must_be_a_list_of_strings(method):
    encode = getattr(BM25Encoder().fit(["fox"]), method)
    with pytest.raises(ParameterError, match=r"^texts: expected a list of strings, got str$"):
        encode("fox")
    with pytest.raises(ParameterError, match=r"^texts\[1\]: expected a string, got NoneType$"):
        encode(["fox", None])


@pytest.mark.parametrize("method", ["encode_documents", "encode_queries", "draft_documents"])
def test_any_iterable_of_texts_will_do(method):
    encoder = BM25Encoder().fit(["fox", "dog fox"])
    encode = getattr(encoder, method)
    texts = ["fox", "dog fox"]
    for given_ in (tuple(texts), iter(texts), dict.fromkeys(texts)):
        assert (encode(given_) != encode(texts)).nnz == 0
