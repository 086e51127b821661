"""Filters over columns let through what the plain reading lets through, document by document."""

import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lexidex.index.filters import Columns, ColumnsWriter, evaluate, parse_filter

from . import reference


def columns_of(documents):
    file = io.BytesIO()
    writer = ColumnsWriter()
    for metadata in documents:
        writer.add(metadata)
    writer.write(file)
    return Columns(memoryview(file.getvalue()), "here")


def passing(given_filter, documents):
    return evaluate(parse_filter(given_filter), columns_of(documents)).tolist()


@settings(max_examples=400)
@given(st.lists(reference.metadata, max_size=6), reference.filters)
def test_random_filters_over_random_metadata(documents, given_filter):
    expected = [reference.lets_through(given_filter, metadata) for metadata in documents]
    assert passing(given_filter, documents) == expected


@settings(max_examples=150)
@given(
    st.lists(st.fixed_dictionaries({"a": reference.scalars}), max_size=12),
    st.fixed_dictionaries({"a": reference.operators}),
)
def test_random_operators_where_every_document_has_one_value(documents, given_filter):
    expected = [reference.lets_through(given_filter, metadata) for metadata in documents]
    assert passing(given_filter, documents) == expected


numbers = (
    reference.integers
    | reference.floats
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)


@settings(max_examples=150)
@given(st.lists(numbers, min_size=1, max_size=8), numbers, st.sampled_from(["lt", "gte", "eq"]))
@example([2**53 + 1, 2.0**53], 2.0**53, "gte")
@example([2.0**53, 2.0**53 + 2], 2**53 + 1, "lt")
@example([2.0**53 + 2, 2.0**53 + 4], 2**53 + 3, "lt")
@example([2.0**53, 2.0**53 + 2], 2**53 + 1, "gte")
@example([2.0**53 + 2, 2.0**53 + 4], 2**53 + 3, "gte")
def test_integers_and_floats_compare_without_rounding(values, bound, operator):
    documents = [{"x": value} for value in values]
    expected = [reference.test(operator, value, bound) for value in values]
    assert passing({"x": {operator: bound}}, documents) == expected


def test_whole_numbers_beyond_64_bits_are_the_nearest_float():
    documents = [{"x": 10**30}, {"x": 10**30 + 1}, {"x": 10**400}, {"x": -(10**400)}]
    assert passing({"x": 10**30}, documents) == [True, True, False, False]
    assert passing({"x": {"gt": 10**31}}, documents) == [False, False, True, False]
    assert passing({"x": {"lt": -(10**500)}}, documents) == [False] * 4
    assert passing({"x": {"lte": -(10**500)}}, documents) == [False, False, False, True]


def test_both_zeros_are_one_value():
    documents = [{"x": -0.0}, {"x": 0.0}, {"x": 0}]
    assert passing({"x": {"in": [-0.0, 7.5, 8.5, 9.5]}}, documents) == [True] * 3
    assert passing({"x": {"in": [0.0, 7.5, 8.5, 9.5]}}, documents) == [True] * 3


def test_a_boolean_is_no_number_and_its_filter_is_cached_apart():
    documents = [{"x": True}, {"x": 1}, {"x": 1.0}, {"x": "true"}]
    assert passing({"x": True}, documents) == [True, False, False, False]
    assert passing({"x": 1}, documents) == [False, True, True, False]
    assert parse_filter({"x": True}) != parse_filter({"x": 1})


def test_one_element_of_a_list_must_satisfy_all_operators_of_the_field():
    documents = [{"year": [1990, 2020]}, {"year": [2005]}, {"year": [1990, 2005]}]
    within = {"gte": 2000, "lt": 2010}
    assert passing({"year": within}, documents) == [False, True, True]
    assert passing({"and": [{"year": {"gte": 2000}}, {"year": {"lt": 2010}}]}, documents) == [
        True,
        True,
        True,
    ]
    assert passing({"year": {"ne": 1990}}, documents) == [False, True, False]


def test_null_empty_and_missing_are_the_same():
    documents = [{"x": None}, {"x": []}, {"x": {}}, {}, {"x": [None, 0]}, {"x": {"y": ""}}]
    assert passing({"x": {"exists": True}}, documents) == [False] * 4 + [True, True]
    assert passing({"x": {"exists": False}}, documents) == [True] * 4 + [False, False]
    assert passing({"x": {"ne": 0}}, documents) == [True] * 4 + [False, True]


def test_a_path_leads_through_objects_and_lists_of_them():
    documents = [
        {"author": {"name": "Ada"}},
        {"author": [{"name": "Bo"}, {"name": ["Cy", "Ada"]}]},
        {"author.name": "Ada"},
        {"author": "Ada"},
    ]
    assert passing({"author.name": "Ada"}, documents) == [True, True, True, False]
    assert passing({"author": {"exists": True}}, documents) == [True] * 4


def test_a_date_time_compares_as_a_moment_and_other_text_as_text():
    documents = [
        {"at": "2024-05-01T10:00:00+02:00"},
        {"at": "2024-05-01 08:00"},
        {"at": "2024-05-01"},
        {"at": "2024-05-01T09:59:59.999999-05:00"},
        {"at": "yesterday"},
        {"at": 2024},
    ]
    assert passing({"at": "2024-05-01T08:00Z"}, documents) == [True, True] + [False] * 4
    assert passing({"at": {"lt": "2024-05-01T08:00Z"}}, documents) == [
        *(False, False, True, False, False, False)
    ]
    assert passing({"at": {"gte": "2024-05-01"}}, documents) == [True] * 4 + [False] * 2
    assert passing({"at": {"gte": "2024"}}, documents) == [True] * 5 + [False]
    assert passing({"at": {"in": ["2024-05-01T00:00Z", "yesterday"]}}, documents) == [
        *(False, False, True, False, True, False)
    ]


def test_a_prefix_is_of_characters_of_any_script():
    documents = [{"x": text} for text in ("\u00e9t\u00e9", "et", "\U0001f419s", "\uffff", "", "e")]
    assert passing({"x": {"prefix": "\u00e9"}}, documents) == [True] + [False] * 5
    assert passing({"x": {"prefix": "\U0001f419"}}, documents)[2]
    assert passing({"x": {"prefix": ""}}, documents) == [True] * 6
    assert passing({"x": {"prefix": "\uffff"}}, documents) == [False] * 3 + [True] + [False] * 2


@pytest.mark.parametrize("given_filter", [{}, {"and": []}, {"not": {"or": []}}])
def test_no_condition_lets_everything_through(given_filter):
    assert passing(given_filter, [{}, {"x": 1}]) == [True, True]


def test_a_segment_without_documents_or_fields():
    assert passing({"x": 1}, []) == []
    assert passing({"not": {"x": {"exists": True}}}, [{}, {}]) == [True, True]
