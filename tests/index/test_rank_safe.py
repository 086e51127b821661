"""Rank-safe search misses nothing: it equals exact search of the values that the index holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lexidex.index import BuildParams, ExactIndex, SearchParams, SeismicIndex

from .collections import batches, brute_force

RANK_SAFE = SearchParams(query_cut=1, heap_factor=9, rank_safe=True)
PRUNED = {"n_postings": 1, "posting_fraction": 0.0}


def learned_batch(rng, rows, dim):
    """Weights as learned ones are: skewed, of any size."""
    dense = rng.gamma(0.7, 1.0, (rows, dim)) * (rng.random((rows, dim)) < 0.3)
    return sparse.csr_array(dense.astype(np.float32))


def as_stored(documents, value_type):
    """What an index of that value type holds, after the table in records.py."""
    if value_type == "f32":
        return documents
    stored = documents.copy()
    for row in range(documents.shape[0]):
        entries = slice(documents.indptr[row], documents.indptr[row + 1])
        values = documents.data[entries]
        scale = values.max(initial=0) / np.float32(255)
        step = scale / np.float32(1 if value_type == "u8" else 256)
        codes = np.floor(values / step + np.float32(0.5))
        stored.data[entries] = step * np.maximum(codes, 1)
    return stored


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["u8", "u16", "f32"]),
    st.integers(1, 60),
    st.sampled_from([None, 0.0, 0.02, 0.5, 1.0]),
)
@settings(max_examples=40)
def test_the_order_is_that_of_the_stored_values(seed, value_type, k, share):
    rng = np.random.default_rng(seed)
    documents = learned_batch(rng, 150, 30)
    queries = learned_batch(rng, 3, 30)
    mask = None if share is None else rng.random(150) < share
    index = SeismicIndex.build(documents, BuildParams(**PRUNED, value_type=value_type))
    found = index.search(queries, k, RANK_SAFE, allowed=mask)
    exact = ExactIndex.build(as_stored(documents, value_type)).search(queries, k, allowed=mask)
    np.testing.assert_allclose(found.scores, exact.scores, rtol=1e-5)
    swapped = found.ordinals != exact.ordinals  # only among scores that rounding cannot tell apart
    for row, place in zip(*np.nonzero(swapped), strict=True):
        near = np.isclose(exact.scores[row], exact.scores[row, place], rtol=1e-5)
        assert near.sum() > 1 or place == k - 1


@given(batches(), batches(max_rows=4), st.integers(1, 50), st.data())
@settings(max_examples=40)
def test_it_equals_brute_force_whatever_pruning_dropped(documents, queries, k, data):
    mask = data.draw(st.none() | st.just(np.arange(documents.shape[0]) % 3 != 1))
    index = SeismicIndex.build(documents, BuildParams(**PRUNED, value_type="f32"))
    scores, ordinals = brute_force(queries, documents, k, mask)
    found = index.search(queries, k, RANK_SAFE, allowed=mask)
    np.testing.assert_array_equal(found.ordinals, ordinals)
    np.testing.assert_array_equal(found.scores, scores)


def test_it_finds_what_approximate_search_misses():
    rng = np.random.default_rng(2)
    documents, queries = learned_batch(rng, 2000, 60), learned_batch(rng, 20, 60)
    index = SeismicIndex.build(documents, BuildParams(**PRUNED, value_type="f32"))
    exact = ExactIndex.build(documents).search(queries, 10)
    assert (index.search(queries, 10).ordinals != exact.ordinals).any()
    safe = index.search(queries, 10, RANK_SAFE)
    np.testing.assert_array_equal(safe.ordinals, exact.ordinals)
    np.testing.assert_array_equal(safe.scores, exact.scores)
    threaded = index.search(queries, 10, RANK_SAFE, n_threads=3)
    np.testing.assert_array_equal(threaded.ordinals, exact.ordinals)
    assert threaded.counters == safe.counters
    assert safe.counters.documents_scored == 20 * 2000
    assert safe.counters.blocks_scored == safe.counters.blocks_skipped == 0


@pytest.mark.parametrize("value_type", ["u8", "u16", "f32"])
def test_ties_stand_in_order_of_ordinals(value_type):
    documents = sparse.csr_array(np.ones((200, 2), dtype=np.float32))
    index = SeismicIndex.build(documents, BuildParams(**PRUNED, value_type=value_type))
    mask = np.arange(200) % 2 == 1
    found = index.search_one([0, 1], [1.0, 2.0], 4, RANK_SAFE, allowed=mask)
    assert found.ordinals.tolist() == [[1, 3, 5, 7]]
