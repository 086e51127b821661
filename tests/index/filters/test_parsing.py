"""What is no filter is refused with the place, what was expected and what is there."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexidex.errors import ParameterError
from lexidex.index.filters import parse_filter
from lexidex.index.filters.parsing import CLAUSE_LIMIT, DEPTH_LIMIT, VALUE_LIMIT


def nested(levels):
    made = {"x": 1}
    for _ in range(levels):
        made = {"not": made}
    return made


REFUSED = [
    ([], "filter: expected an object of fields and conditions, got []"),
    ({1: 2}, "filter: expected names of fields as strings, got 1"),
    (
        {"and": [{}, {"year": {"gt": [1]}}]},
        "filter.and[1].year.gt: expected a number, date-time or string, got [1]",
    ),
    ({"x": {"lt": True}}, "filter.x.lt: expected a number, date-time or string, got true"),
    ({"x": [1]}, "filter.x: expected a value or an object of operators, got [1]"),
    ({"x": None}, 'filter.x: expected .*; for documents without .* {"exists": false}, got null'),
    ({"x": {"ne": None}}, "filter.x.ne: expected a string, number, true or false; .*, got null"),
    ({"x": {}}, "filter.x: expected an operator (eq, ne, in, lt, lte, gt, gte, exists, prefix)"),
    ({"x": {"like": 1}}, 'filter.x: expected operators among eq, .*, got "like"'),
    ({"x": {"in": "ab"}}, 'filter.x.in: expected a list of values, got "ab"'),
    ({"x": {"in": [1, {}]}}, "filter.x.in[1]: expected a string, number, true or false, got {}"),
    ({"x": {"exists": 1}}, "filter.x.exists: expected true or false, got 1"),
    ({"x": {"prefix": 1}}, "filter.x.prefix: expected a string, got 1"),
    ({"x": float("nan")}, "filter.x: expected a value or an object of operators, got NaN"),
    ({"x": {"gt": float("inf")}}, "filter.x.gt: expected .*, got Infinity"),
    ({"or": {"x": 1}}, 'filter.or: expected a list of conditions, got {"x": 1}'),
    ({"not": [{"x": 1}]}, "filter.not: expected an object of fields and conditions, got"),
    ({"a b": {"gt": []}}, 'filter["a b"].gt: expected'),
    ({"\ud800": {"gt": []}}, r'filter["\ud800"].gt: expected'),
    ({"author.name": {"gt": []}}, "filter.author.name.gt: expected"),
    ({"x": {"in": [0] * (VALUE_LIMIT + 1)}}, f"filter.x.in: {VALUE_LIMIT + 1} values; at most"),
    ({"x": ["long"] * 100}, 'filter.x: expected .*, got ["long", .*...'),
    (nested(DEPTH_LIMIT + 1), f"nested deeper than {DEPTH_LIMIT} levels"),
    (nested(5000), f"nested deeper than {DEPTH_LIMIT} levels"),
    (
        {"and": [{"x": 1}] * (CLAUSE_LIMIT + 1)},
        f"filter.and[{CLAUSE_LIMIT}].x: more than {CLAUSE_LIMIT} operators",
    ),
]


@pytest.mark.parametrize(("given_filter", "message"), REFUSED)
def test_what_is_wrong_is_named(given_filter, message):
    pattern = ".*".join(map(re.escape, message.split(".*")))
    with pytest.raises(ParameterError) as error:
        parse_filter(given_filter)
    assert re.search(pattern, str(error.value)), str(error.value)
    assert "\n" not in str(error.value)


def test_limits_are_within_reach():
    parse_filter(nested(DEPTH_LIMIT))
    parse_filter({"and": [{"x": 1}] * CLAUSE_LIMIT})
    parse_filter({"x": {"in": list(range(VALUE_LIMIT))}})


def test_what_means_the_same_is_one_expression():
    assert parse_filter({"x": 1}) == parse_filter({"x": {"eq": 1.0}})
    assert parse_filter({"x": "2024-01-01"}) == parse_filter({"x": {"in": ["2024-01-01T00:00Z"]}})
    assert hash(parse_filter({"and": [{"x": 1}, {"y": 2}]})) == hash(parse_filter({"x": 1, "y": 2}))
    assert parse_filter({"\\and": 1}) != parse_filter({"\\\\and": 1})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["and", "or", "not", "x", "eq", "in", "gt", "exists", "prefix"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(anything)
def test_anything_is_an_expression_or_an_error_of_ours(given_filter):
    try:
        found = hash(parse_filter(given_filter))
    except ParameterError as error:
        found = str(error)
    assert isinstance(found, int) or found.startswith("filter")
