"""Pruning against the rules spelt out for one row at a time."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexidex.encoders.pruning import NO_PRUNING, Pruning, as_pruning, prune
from lexidex.errors import ParameterError
from lexidex.index.vectors import build_vectors

# Small whole values: ties are many and sums are exact.
rows = st.lists(st.dictionaries(st.integers(0, 30), st.integers(1, 6), max_size=12), max_size=6)
prunings = st.builds(
    Pruning,
    top_k=st.none() | st.integers(1, 8),
    threshold=st.none() | st.sampled_from([0.5, 2.0, 3.0]),
    max_ratio=st.none() | st.sampled_from([0.25, 0.5, 1.0]),
    mass=st.none() | st.sampled_from([0.25, 0.5, 0.75, 1.0]),
)


def kept(row, pruning):
    """The rules, one by one, over the row's values in order."""
    order = sorted(row, key=lambda component: (-row[component], component))
    total, largest, before, found = sum(row.values()), max(row.values(), default=0), 0, {}
    for rank, component in enumerate(order):
        value = row[component]
        passes = [
            pruning.top_k is None or rank < pruning.top_k,
            pruning.threshold is None or value >= pruning.threshold,
            pruning.max_ratio is None or value >= pruning.max_ratio * largest,
            pruning.mass is None or before < pruning.mass * total,
        ]
        before += value
        if all(passes):
            found[component] = float(value)
    return found


@given(rows, prunings)
def test_each_row_keeps_what_the_rules_say(given_rows, pruning):
    pairs = [(sorted(row), [row[component] for component in sorted(row)]) for row in given_rows]
    vectors = build_vectors(pairs, 31)
    before = vectors.data.copy()

    pruned = prune(vectors, pruning)

    assert pruned.shape == vectors.shape
    assert pruned.has_canonical_format
    assert pruned.data.dtype == np.float32
    np.testing.assert_array_equal(vectors.data, before)
    for number, row in enumerate(given_rows):
        part = slice(*pruned.indptr[number : number + 2])
        found = dict(zip(pruned.indices[part].tolist(), pruned.data[part].tolist(), strict=True))
        assert found == kept(row, pruning)


def test_top_k_is_sentence_transformers_max_active_dims():
    from sentence_transformers.util import select_max_active_dims

    dense = np.random.default_rng(0).random((5, 40)).astype(np.float32)
    vectors = build_vectors([(np.arange(40), row) for row in dense], 40)
    expected = select_max_active_dims(dense, 7).numpy()
    np.testing.assert_array_equal(prune(vectors, Pruning(top_k=7)).toarray(), expected)


def test_no_rule_keeps_the_vectors_themselves():
    vectors = build_vectors([([1, 2], [0.5, 0.25])], 3)
    assert prune(vectors, NO_PRUNING) is vectors
    assert not NO_PRUNING
    assert prune(build_vectors([], 3), Pruning(mass=0.5)).shape == (0, 3)


def test_a_pruning_is_read_from_what_people_and_files_write():
    expected = Pruning(top_k=64, max_ratio=0.1)
    assert as_pruning("top_k=64, max_ratio=0.1") == expected
    assert as_pruning(json.loads(json.dumps(expected.options))) == expected
    assert as_pruning(expected) is expected
    assert as_pruning("") == as_pruning(None) == NO_PRUNING


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("top_k=0", "top_k: 0; expected a whole number above 0"),
        ("top_k=1.5", "'top_k=1.5'; expected rule=number"),
        ({"top_k": True}, "top_k: True; expected a whole number above 0"),
        ("threshold=-1", r"threshold: -1\.0; expected a finite number above 0"),
        ("threshold=inf", "threshold: inf; expected a finite number above 0"),
        ("max_ratio=1.1", r"max_ratio: 1\.1; expected a number above 0, at most 1"),
        ("mass=nan", "mass: nan; expected a number above 0, at most 1"),
        ("most=3", "expected some of top_k, threshold, max_ratio, mass"),
        ([64], r"\[64\]; expected some of top_k"),
        ("64", "'64'; expected rule=number"),
    ],
)
def test_rules_out_of_their_range_are_refused(rules, message):
    with pytest.raises(ParameterError, match=f"^query_pruning: .*{message}"):
        as_pruning(rules, "query_pruning")
