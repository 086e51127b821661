"""Documents at the border: whatever comes, a Document that can be stored, or an InputError."""

import datetime
import json
import math
from collections import OrderedDict
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexidex.documents import FIELDS, Document, check_document, check_sparse, is_numbered
from lexidex.encoders.ready_made import ReadyMadeEncoder
from lexidex.encoders.vocabulary import Vocabulary
from lexidex.errors import InputError
from lexidex.index.vectors import as_vector
from lexidex.sparse_input import adopt, read_query, resolve

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 3),
    st.sampled_from([10**400, 2**31, -(2**63), 2**64]),
    st.floats(),
    st.text(st.characters(), max_size=4),
    st.sampled_from(["\ud800", "a\udfff", "\n", "", "x" * 1025, "components", "values"]),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=3),
        st.fixed_dictionaries({"components": inner, "values": inner}),
    ),
    max_leaves=8,
)
NUMBERED = st.fixed_dictionaries(
    {
        "components": st.lists(st.integers(-1, 4) | SCALARS, max_size=4),
        "values": st.lists(st.floats(0, 2) | SCALARS, max_size=4),
    }
)
WORDED = st.dictionaries(st.text(st.characters(), max_size=2), st.floats(0, 2) | SCALARS)
SOUND = st.one_of(
    st.dictionaries(st.text(max_size=2), st.floats(0, 2**100), max_size=4),
    st.lists(st.integers(0, 2**31 - 1), unique=True, max_size=4).flatmap(
        lambda ids: st.fixed_dictionaries(
            {
                "components": st.just(ids),
                "values": st.lists(st.floats(0, 2**100), min_size=len(ids), max_size=len(ids)),
            }
        )
    ),
)


def one_line(error):
    text = str(error)
    assert text
    assert len(text) < 300
    assert text.isprintable()
    text.encode()


def assert_storable(document):
    """What the layers below rely on, said independently of how it is checked."""
    assert isinstance(document.id, str)
    assert 1 <= len(document.id) <= 1024
    for text in (document.id, document.text, document.title or "", document.full_text):
        assert isinstance(text, str)
        text.encode("utf-8")
    assert json.loads(json.dumps(document.metadata, allow_nan=False)) is not None
    json.dumps(document.metadata, ensure_ascii=False).encode("utf-8")
    if document.vector is not None:
        assert_sound(document.vector)


def assert_sound(vector):
    if is_numbered(vector):
        ids, values = as_vector(vector["components"], vector["values"])
        assert (np.diff(ids.astype(np.int64)) > 0).all()
    else:
        for term in vector:
            term.encode("utf-8")
        values = np.array(list(vector.values()), dtype=np.float32)
    assert np.isfinite(values).all()
    assert (values >= 0).all()


@pytest.mark.smoke
@given(
    st.one_of(
        ANYTHING,
        st.fixed_dictionaries(
            {"id": st.text(max_size=3) | SCALARS},
            optional={
                "text": st.text(max_size=3) | ANYTHING,
                "title": st.text(max_size=3) | ANYTHING,
                "metadata": st.dictionaries(st.text(max_size=3), ANYTHING) | ANYTHING,
                "vector": ANYTHING | NUMBERED | WORDED,
                "other": ANYTHING,
            },
        ),
    ),
    st.booleans(),
)
def test_anything_is_a_storable_document_or_an_input_error(given_, others):
    try:
        document = check_document(given_, others_to_metadata=others)
    except InputError as error:
        one_line(error)
    else:
        assert_storable(document)


@given(ANYTHING | NUMBERED | WORDED | SOUND)
def test_anything_is_a_sound_vector_or_an_input_error(given_):
    try:
        vector = check_sparse(given_)
    except InputError as error:
        one_line(error)
    else:
        assert vector is given_
        assert_sound(vector)


@given(SOUND)
def test_sound_vectors_are_taken(vector):
    assert check_sparse(vector) is vector


@given(
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1),
    st.text(st.characters(codec="utf-8")),
    st.none() | st.text(st.characters(codec="utf-8")),
    st.dictionaries(
        st.text(st.characters(codec="utf-8")),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False).filter(math.isfinite),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=2), inner),
            max_leaves=4,
        ),
    ),
)
def test_sound_documents_are_taken_as_they_are(doc_id, text, title, metadata):
    given_ = {"id": doc_id, "text": text, "title": title, "metadata": metadata}
    assert check_document(given_) == Document(doc_id, text, title, metadata)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (None, "expected an object with id and text, got None"),
        ("text", "expected an object with id and text, got 'text'"),
        (["1", "x"], "expected an object with id and text, got ['1', 'x']"),
        (
            {"id": "1", "text": "x", "url": "u"},
            "unknown field 'url'; a document has id, title, text, metadata, vector, dense, "
            "passages (your own fields go under metadata)",
        ),
        ({"id": [10**5000], "text": "x"}, "field 'id': <list too large to show>; expected a "),
        ({"id": 10**5000, "text": "x"}, "field 'id': <int too large to show>; expected a "),
        ({"id": 10**1024, "text": "x"}, "field 'id': 10000000000000000000"),
        ({"id": b"1", "text": "x"}, "field 'id': b'1'; expected a string of 1 to 1024 "),
        ({"id": "a\N{ZERO WIDTH SPACE}", "text": "x"}, "field 'id': 'a\\u200b'; it has unprint"),
        (
            {"id": "1", "text": "x", "metadata": {1: 2}},
            "field 'metadata': {1: 2}; expected an object",
        ),
        (
            {"id": "1", "text": "x", "metadata": {"when": datetime.date(2024, 1, 2)}},
            "metadata field 'when': datetime.date(2024, 1, 2); expected what JSON can hold (Object "
            "of type date is not JSON serializable)",
        ),
        (
            {"id": "1", "text": "x", "metadata": {"ok": 1, "bad": {"a": {1, 2}}}},
            "metadata field 'bad': {'a': {1, 2}}; expected what JSON can hold (Object of type set",
        ),
        (
            {"id": "1", "text": "x", "vector": {"fox": float("inf")}},
            "vector: weight inf of term 'fox'; weights must be finite numbers and not negative",
        ),
        (
            {"id": "1", "text": "x", "vector": {7: 1.0}},
            "vector: weight 1.0 of term 7; weights must be finite numbers and not negative",
        ),
        (
            {"id": "1", "text": "x", "vector": {"components": [1]}},
            "vector: weight [1] of term 'components'; weights must be finite numbers and not ",
        ),
    ],
)
def test_messages_say_what_is_wrong(given_, message):
    with pytest.raises(InputError) as caught:
        check_document(given_)
    assert str(caught.value).startswith(message)


def test_a_structure_without_end_is_refused():
    endless = []
    endless.append(endless)
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for value in (endless, deep):
        with pytest.raises(InputError, match=r"^metadata field 'a': .*; expected what JSON can"):
            check_document({"id": "1", "text": "x", "metadata": {"a": value}})


def test_the_limit_of_ids():
    assert check_document({"id": "i" * 1024, "text": ""}).id == "i" * 1024
    assert check_document({"id": 10**1023, "text": ""}).id == str(10**1023)
    assert check_document({"id": -5, "text": ""}).id == "-5"
    assert check_document({"id": "\N{CAT FACE} a/b c:d", "text": ""}).id == "\N{CAT FACE} a/b c:d"


def test_the_limit_of_weights():
    largest = float(np.finfo(np.float32).max)
    assert check_sparse({"a": largest, "b": 0, "c": 1e-50})
    with pytest.raises(InputError, match=r"weight 3\.5e\+38 of term 'a'"):
        check_sparse({"a": 3.5e38})
    assert check_sparse({"components": [1], "values": [largest]})


def test_numpy_s_numbers_are_numbers():
    given_ = {"a": np.float32(0.5), "b": np.int64(2), "c": np.float64(0.25)}
    assert check_sparse(given_) is given_
    arrays = {"components": np.array([3, 1], dtype=np.uint32), "values": np.ones(2)}
    assert check_sparse(arrays) is arrays


@pytest.mark.parametrize("mapping", [OrderedDict, MappingProxyType])
def test_any_mapping_will_do(mapping):
    given_ = mapping({"id": "1", "text": "x", "vector": mapping({"a": 1.0})})
    assert check_document(given_) == Document("1", "x", vector={"a": 1.0})


def test_what_is_given_stays_as_it_was():
    given_ = {"id": 1, "text": "x", "metadata": {"a": 1}, "more": 2}
    before = json.dumps(given_)
    assert check_document(given_, others_to_metadata=True).metadata == {"more": 2, "a": 1}
    assert json.dumps(given_) == before


def test_others_become_metadata_and_never_replace_it():
    given_ = {"id": "1", "text": "x", "metadata": {"year": 1}, "year": 2, "url": "u"}
    document = check_document(given_, others_to_metadata=True)
    assert document.metadata == {"year": 1, "url": "u"}


def test_a_document_passes_unchanged():
    document = Document("1", "x")
    assert check_document(document) is document


@pytest.mark.parametrize(
    ("title", "text", "full"),
    [("T", "x", "T x"), (None, "x", "x"), ("", "x", "x"), ("T", "", "T"), ("T", " x ", "T  x")],
)
def test_title_and_text_are_read_together(title, text, full):
    assert Document("1", text, title).full_text == full


@pytest.mark.parametrize("read", [resolve, read_query])
def test_a_query_vector_is_resolved_through_the_vocabulary(read):
    encoder = ReadyMadeEncoder()
    encoder.use_vocabulary(Vocabulary(["fox", "dog", "cat"]))
    ids, values, unknown = read({"cat": 2, "nothing": 1, "fox": 0.5, "dog": 0}, encoder)
    assert (ids.tolist(), values.tolist(), unknown) == ([0, 2], [0.5, 2.0], ["nothing"])
    ids, values, unknown = read({"components": [2, 0], "values": [1, 3]}, encoder)
    assert (ids.tolist(), values.tolist(), unknown) == ([0, 2], [3.0, 1.0], [])
    message = "^vector: component 3; the encoder's components lie below 3$"
    with pytest.raises(InputError, match=message):
        read({"components": [3], "values": [1]}, encoder)
    assert encoder.vocabulary.terms == ["fox", "dog", "cat"]


@pytest.mark.parametrize(
    "given",
    [
        [1.0],
        {"a": -1.0},
        {"components": [1, 1], "values": [1.0, 2.0]},
        {"components": ["1"], "values": [1.0]},
        {"components": [1], "values": [1e39]},
        {"components": 7, "values": [1.0]},
    ],
)
def test_a_query_vector_that_is_none_is_refused_in_the_words_for_documents(given):
    with pytest.raises(InputError) as expected:
        check_sparse(given)
    with pytest.raises(InputError) as found:
        read_query(given, ReadyMadeEncoder())
    assert str(found.value) == str(expected.value)


def test_a_document_vector_extends_a_vocabulary_that_grows():
    encoder = ReadyMadeEncoder()
    ids, values = adopt({"fox": 1, "none": 0, "dog": 2}, encoder)
    assert (ids.tolist(), values.tolist()) == ([0, 1], [1.0, 2.0])
    ids, values = adopt({"dog": 3, "cat": 0.5}, encoder)
    assert (ids.tolist(), values.tolist()) == ([1, 2], [3.0, 0.5])
    assert encoder.vocabulary.terms == ["fox", "dog", "cat"]


def test_a_document_vector_has_the_terms_of_a_fixed_vocabulary():
    class Fixed(ReadyMadeEncoder):
        vocabulary = None
        dim = 2

        def __init__(self):
            """Two words and no more."""

        def component(self, term):
            return {"fox": 0, "dog": 1}.get(term)

    ids, values = adopt({"dog": 3, "fox": 1}, Fixed())
    assert (ids.tolist(), values.tolist()) == ([0, 1], [1.0, 3.0])
    message = "^vector: term 'cat' is not in the vocabulary of encoder vectors$"
    with pytest.raises(InputError, match=message):
        adopt({"dog": 3, "cat": 1}, Fixed())


@given(SOUND)
def test_any_sound_vector_is_adopted_and_found_again(vector):
    encoder = ReadyMadeEncoder()
    ids, values = adopt(check_sparse(vector), encoder)
    assert (np.diff(ids.astype(np.int64)) > 0).all()
    assert (values > 0).all()
    again, weights, unknown = resolve(vector, encoder)
    np.testing.assert_array_equal(again, ids)
    np.testing.assert_array_equal(weights, values)
    assert all(vector[term] == 0 for term in unknown)


def test_fields_are_those_of_a_document():
    assert set(FIELDS) == set(Document.__dataclass_fields__)


@pytest.mark.parametrize(
    ("vector", "numbered"),
    [
        ({"components": [1], "values": [2.0]}, True),
        ({"components": [], "values": []}, True),
        ({"components": 0.5, "values": 1.5}, False),
        ({"components": 0.5}, False),
        ({"values": 1, "fox": 2}, False),
        ({}, False),
    ],
)
def test_the_two_forms_of_a_vector_are_told_apart(vector, numbered):
    assert is_numbered(check_sparse(vector)) is numbered
