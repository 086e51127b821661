"""Facets count what a plain counter counts, over several segments."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lexidex.index.filters import FacetCount, FacetCounts
from lexidex.index.filters.values import KINDS

from . import reference
from .test_columns import columns_of

KIND_OF = {"bool": "boolean", "int": "integer", "float": "float", "str": "string"}


@given(
    st.lists(st.lists(st.tuples(reference.metadata, st.booleans()), max_size=6), max_size=3),
    st.sampled_from(["a", "b", "a.b"]),
    st.integers(1, 5),
)
def test_the_most_frequent_values_are_those_of_a_counter(segments, field, n):
    counts, expected = FacetCounts(field), Counter()
    for documents in segments:
        chosen = np.array([wanted for _, wanted in documents], dtype=np.bool_)
        counts.add(columns_of([metadata for metadata, _ in documents]), chosen)
        for metadata, wanted in documents:
            if wanted:
                expected.update(reference.values_of(metadata, field))
    order = sorted(
        expected.items(),
        key=lambda one: (-one[1], KINDS.index(KIND_OF[one[0][0]]), one[0][1]),
    )
    found = counts.most_frequent(n)
    assert found == [FacetCount(value, count) for (_, value), count in order[:n]]
    assert [type(one.value).__name__ for one in found] == [kind for (kind, _), _ in order[:n]]


def test_a_document_counts_once_for_each_of_its_values():
    counts = FacetCounts("tag")
    counts.add(columns_of([{"tag": ["a", "a", "b"]}, {"tag": "a"}, {}]), np.ones(3, dtype=np.bool_))
    assert counts.most_frequent(9) == [FacetCount("a", 2), FacetCount("b", 1)]
    counts = FacetCounts("x")
    counts.add(columns_of([{"x": [0.0, -0.0]}, {"x": -0.0}]), np.ones(2, dtype=np.bool_))
    assert counts.most_frequent(9) == [FacetCount(0.0, 2)]
    assert FacetCounts("none").most_frequent(3) == []
