"""Dense vectors on their way: cut, chosen and joined as lists of lists would be."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lexidex.index.dense import DenseIndex, DenseParams, DenseRows
from lexidex.index.storage.passages import Passages

PARAMS = DenseParams("inner-product", "SQ8")
lists = st.lists(st.lists(st.integers(-5, 5), max_size=3), max_size=6)


def rows_of(values):
    """Vectors of one dimension: values[i] are those of passage i."""
    flat = np.array([[value] for one in values for value in one], dtype=np.float32)
    return DenseRows.of_each(PARAMS, [len(one) for one in values], flat.reshape(-1, 1))


def values_of(rows):
    cut = np.split(rows.vectors[:, 0].astype(int), rows.starts[1:-1])
    return [one.tolist() for one in cut][: rows.starts.size - 1]


@given(lists, st.data())
def test_some_passages_vectors(values, data):
    rows = rows_of(values)
    chosen = data.draw(st.lists(st.integers(0, max(len(values) - 1, 0)), max_size=5))
    chosen = chosen if values else []
    first = data.draw(st.integers(0, len(values)))
    last = data.draw(st.integers(first, len(values)))
    assert values_of(rows.take(np.array(chosen, dtype=np.int64))) == [values[i] for i in chosen]
    assert values_of(rows.between(first, last)) == values[first:last]


@given(st.lists(st.tuples(lists, st.booleans()), max_size=4))
def test_vectors_one_behind_the_other(parts):
    given_parts, expected = [], []
    for values, without in parts:
        given_parts.append((None if without else rows_of(values), len(values)))
        expected += [[] for _ in values] if without else values
    joined = DenseRows.join(given_parts)
    assert (joined is None) == (not any(expected))
    if joined is not None:
        assert values_of(joined) == expected
        again = DenseRows.from_arrays(joined.arrays())
        assert (values_of(again), again.params) == (expected, PARAMS)


@given(lists)
def test_an_index_gives_back_what_it_was_built_of(values):
    rows = rows_of(values)
    index = rows.build()
    assert isinstance(index, DenseIndex)
    assert (index.n_passages, index.factory) == (len(values), "Flat")
    again = DenseRows.of_index(index)
    assert (values_of(again), again.params) == (values, PARAMS)


def test_passages_that_become_one_keep_all_of_their_vectors():
    grouped = rows_of([[1], [2, 3], [], [4]]).grouped(np.array([0, 2, 2, 4]))
    assert values_of(grouped) == [[1, 2, 3], [], [4]]


def test_passages_take_their_vectors_along():
    rows = rows_of([[1], [2, 3], [], [4]])
    passages = Passages.of_each([1, 2, 1], np.zeros((4, 2)), rows)
    assert values_of(passages.take(np.array([1])).dense) == [[2, 3], []]
    assert values_of(passages.between(1, 3).dense) == [[2, 3], [], [4]]
    joined = Passages.join([passages, Passages.whole(["a"]), passages.take(np.array([0]))])
    assert values_of(joined.dense) == [[1], [2, 3], [], [4], [], [1]]
    assert values_of(Passages.from_arrays(joined.arrays()).dense) == values_of(joined.dense)
    assert Passages.join([Passages.whole(["a"])]).dense is None
