"""Filters: what may be given, and that a search under one is as accurate as without."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lexidex.errors import ParameterError
from lexidex.eval.synthetic import generate
from lexidex.index import Allowed, BuildParams, ExactIndex, SearchParams, SeismicIndex
from lexidex.index.seismic.route import choose_route

from .collections import batches, brute_force

# What may be given


@given(st.integers(0, 300), st.data())
def test_a_mask_and_ordinals_in_any_order_say_the_same(n_documents, data):
    chosen = data.draw(st.sets(st.integers(0, n_documents - 1))) if n_documents else set()
    mask = np.zeros(n_documents, dtype=np.bool_)
    mask[list(chosen)] = True
    shuffled = data.draw(st.permutations(sorted(chosen) * 2))
    for given_ in (mask, mask.tolist(), shuffled, np.array(shuffled, dtype=np.int32)):
        if not isinstance(given_, np.ndarray) and not given_ and n_documents:
            given_ = np.array(given_, dtype=np.int64)
        allowed = Allowed(given_, n_documents)
        assert allowed.count == len(chosen)
        assert allowed.ordinals.tolist() == sorted(chosen)
        assert allowed.words.size == -(-n_documents // 64)


def test_a_filter_does_not_change_with_the_array_that_it_was_made_from():
    mask = np.ones(3, dtype=np.bool_)
    allowed = Allowed(mask, 3)
    mask[:] = False
    assert allowed.count == 3
    assert allowed.ordinals.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (np.array([0, 9]), r"ordinal 9 is not in \[0, 2\)"),
        (np.array([-1, 0]), r"ordinal -1 is not in \[0, 2\)"),
        (Allowed([0], 3), "made for 3 documents; the index has 2"),
        ("all", "expected a bool array of shape"),
    ],
)
@pytest.mark.parametrize("kind", [SeismicIndex, ExactIndex])
def test_a_bad_filter_is_refused(kind, given_, words):
    index = kind.build(sparse.csr_array(np.eye(2, dtype=np.float32)))
    with pytest.raises(ParameterError, match=words):
        index.search_one([0], [1.0], 1, allowed=given_)


# Right answers


@given(
    batches(max_rows=300),
    batches(max_rows=3),
    st.integers(1, 20),
    st.sampled_from([0.0, 0.01, 0.1, 0.5, 0.99, 1.0]),
    st.sampled_from([SearchParams(1000, 0), SearchParams(query_cut=1), SearchParams(1000, 1e-9)]),
)
@settings(max_examples=60)
def test_only_allowed_documents_are_returned_by_their_scores(documents, queries, k, share, params):
    n = documents.shape[0]
    mask = np.random.default_rng(n).random(n) < share
    index = SeismicIndex.build(documents, BuildParams(n_postings=1000, value_type="f32"))
    found = index.search(queries, k, params, allowed=Allowed(mask, n))
    scores, ordinals = brute_force(queries, documents, k, mask)
    real = found.ordinals >= 0
    assert mask[found.ordinals[real]].all()
    if params.query_cut == 1000:  # nothing is missed: pruning kept all, every block is visited
        np.testing.assert_array_equal(found.ordinals, ordinals)
        np.testing.assert_array_equal(found.scores, scores)
    exact = ExactIndex.build(documents).search(queries, k, allowed=np.flatnonzero(mask))
    np.testing.assert_array_equal(exact.ordinals, ordinals)


def test_every_kind_of_filter_and_every_path_gives_the_same():
    rng = np.random.default_rng(4)
    weights = rng.random((900, 30)) ** 3 * (rng.random((900, 30)) < 0.4)
    documents = sparse.csr_array(weights.astype(np.float32))
    index = SeismicIndex.build(documents, BuildParams(n_postings=20))
    queries = documents[:5]
    mask = rng.random(900) < 0.9
    found = index.search(queries, 8, allowed=mask)
    for allowed in (np.flatnonzero(mask)[::-1], Allowed(mask, 900)):
        again = index.search(queries, 8, allowed=allowed, n_threads=2)
        np.testing.assert_array_equal(again.ordinals, found.ordinals)
        assert again.counters == found.counters
    one = index.search_one(queries[[2]].indices, queries[[2]].data, 8, allowed=mask)
    np.testing.assert_array_equal(one.ordinals, found.ordinals[[2]])


# Accuracy and work


@pytest.fixture(scope="module")
def collection():
    """A seeded collection as SPLADE makes them, its two indexes, and the topic of a filter."""
    made = generate(20_000, seed=3, n_queries=150)
    documents, queries = made.documents, made.test_queries
    centre = documents[[5, 600, 7000]].sum(axis=0)
    topic = np.argsort(-(documents @ centre), kind="stable")
    return queries, SeismicIndex.build(documents), ExactIndex.build(documents), topic


def accuracy(found, exact):
    shares = [
        len(set(a) & set(b) - {-1}) / max(1, len(set(b) - {-1}))
        for a, b in zip(found.ordinals.tolist(), exact.ordinals.tolist(), strict=True)
    ]
    return float(np.mean(shares))


@pytest.mark.compiled_only
@pytest.mark.parametrize("params", [SearchParams(6, 1.0), SearchParams(10, 0.9)])
@pytest.mark.parametrize("by_topic", [False, True])
def test_accuracy_under_a_filter_is_that_without_one(collection, params, by_topic):
    queries, index, exact, topic = collection
    plain = accuracy(index.search(queries, 10, params), exact.search(queries, 10))
    n = index.n_documents
    for share in (0.7, 0.5, 0.3, 0.2, 0.1, 0.03, 0.01, 0.001):
        mask = np.random.default_rng(1).random(n) < share
        allowed = Allowed(topic[: round(share * n)] if by_topic else mask, n)
        found = index.search(queries, 10, params, allowed=allowed)
        reached = accuracy(found, exact.search(queries, 10, allowed=allowed))
        assert reached >= plain - 0.005, f"{reached} of {share}, {plain} without a filter"


@pytest.mark.compiled_only
def test_deletions_cost_nothing_and_a_small_filter_less_than_none(collection):
    queries, index, _, _ = collection
    rng = np.random.default_rng(5)

    def work(share):
        mask = rng.random(index.n_documents) < share
        counters = index.search(queries, 10, allowed=mask).counters
        return counters.bytes_touched, counters.documents_scored

    plain = index.search(queries, 10).counters
    bytes_touched, documents_scored = work(0.999)
    assert abs(bytes_touched / plain.bytes_touched - 1) < 0.02
    assert abs(documents_scored / plain.documents_scored - 1) < 0.02
    assert work(0.002)[0] < plain.bytes_touched / 2


# The choice


def route(share, k=10, longest=200, n=100_000, **params):
    return choose_route(SearchParams(**params), k, longest, n, round(share * n))


def test_a_search_widens_as_fewer_documents_are_allowed_and_ends_exact():
    routes = [route(share) for share in (1.0, 0.5, 0.2, 0.1, 0.02, 0.001)]
    assert (routes[0].query_cut, routes[0].heap_factor) == (8, 0.9)
    factors = [r.heap_factor for r in routes]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == 0
    assert [r.is_exact for r in routes] == [False, False, False, False, True, True]
    cuts = [r.query_cut for r in routes[:4]]
    assert cuts == sorted(cuts)


def test_more_results_and_more_accurate_parameters_go_exact_earlier():
    assert not route(0.15).is_exact
    assert route(0.15, k=100).is_exact
    assert route(0.15, query_cut=14, heap_factor=0.8).is_exact


def test_a_filter_that_leaves_nearly_all_changes_nothing_whatever_k():
    for k in (1, 10, 100, 1000):
        nearly = route(0.999, k=k, longest=500)
        assert nearly.query_cut == 8
        assert nearly.heap_factor > 0.899
