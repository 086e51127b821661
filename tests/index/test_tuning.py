"""Tuning: what it promises holds on fresh queries, and what it found is kept with the index."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lexidex.errors import CorruptFile, ParameterError
from lexidex.eval import synthetic
from lexidex.index import BuildParams, ExactIndex, SearchParams, SeismicIndex
from lexidex.index.seismic.frontier import Frontier, Point
from lexidex.index.seismic.oracle import exact_ordinals
from lexidex.index.seismic.sample import LENGTHS, sample_queries
from lexidex.index.seismic.seismic_index import KIND
from lexidex.index.seismic.tuning import overlap
from lexidex.index.storage.arrays import load_arrays, save_arrays

from .collections import batches, brute_force

SLACK = 0.01
"""What fresh queries may fall short of the target."""


def point(k=10, query_cut=4, heap_factor=0.9, accuracy=0.95, assured=0.94, documents=50, cost=9.0):
    return Point(k, query_cut, heap_factor, accuracy, assured, documents, cost)


TABLE = Frontier(
    [
        point(query_cut=3, accuracy=0.91, assured=0.9, cost=5.0),
        point(query_cut=6, accuracy=0.96, assured=0.95, cost=8.0),
        point(query_cut=9, accuracy=0.99, assured=0.98, cost=20.0),
        point(k=100, query_cut=12, accuracy=0.97, assured=0.96, cost=40.0),
    ]
)


@pytest.fixture(scope="module")
def collection():
    return synthetic.generate(10_000, seed=3, n_queries=400)


@pytest.fixture(scope="module")
def exact(collection):
    return ExactIndex.build(collection.documents)


@pytest.fixture
def small():
    """An index that tuning takes no time with, and queries to it."""
    rng = np.random.default_rng(5)
    dense = rng.gamma(0.7, 1.0, (300, 60)) * (rng.random((300, 60)) < 0.3)
    documents = sparse.csr_array(dense.astype(np.float32))
    return SeismicIndex.build(documents, BuildParams(n_postings=40)), documents[::7]


# What it promises


@pytest.mark.compiled_only
@pytest.mark.parametrize("given", ["tuning_queries", "short_tuning_queries", None])
def test_fresh_queries_reach_the_target(collection, exact, given):
    index = SeismicIndex.build(collection.documents)
    sample = getattr(collection, given) if given else None
    fresh = [collection.test_queries, collection.short_test_queries]
    if given:
        fresh = [fresh[given.startswith("short")]]
    for k, target in ((10, 0.9), (10, 0.97), (100, 0.93)):
        params = index.tune(sample, k, target)
        assert params.expected_accuracy >= target
        for queries in fresh:
            found = index.search(queries, k, params)
            reached = overlap(found.ordinals, exact.search(queries, k).ordinals).mean()
            assert reached >= target - SLACK, (given, k, target, params, reached)
            # Far from exact search.
            assert found.counters.documents_scored < 0.1 * 10_000 * queries.shape[0]
            again = index.search(queries, k, accuracy=target)
            np.testing.assert_array_equal(again.ordinals, found.ordinals)


@pytest.mark.compiled_only
def test_more_accuracy_costs_more_and_less_less(collection):
    index = SeismicIndex.build(collection.documents)
    index.tune(collection.tuning_queries)
    scored = [
        index.search(collection.test_queries, accuracy=target).counters.postings_scored
        for target in (0.8, 0.9, 0.95, 0.98)
    ]
    assert scored == sorted(scored)
    assert scored[0] < 0.7 * scored[-1]


@pytest.mark.compiled_only
def test_the_same_queries_give_the_same_table_whatever_the_threads(small):
    index, queries = small
    tables = []
    for n_threads in (1, 3):
        index.tune(queries, 5, 0.5, n_threads=n_threads)
        index.tune(None, 7, 0.5, n_threads=n_threads)
        tables.append(index.frontier.points)
    assert tables[0] == tables[1]
    assert {point.k for point in tables[0]} == {5, 7}


def test_half_of_the_queries_have_no_part_in_finding(small):
    index, queries = small
    index.tune(queries, 5, 0.5)
    before = index.frontier.points
    verifying = sparse.csr_array(queries[1::2])
    only = index.search(verifying, 5, before[0].params)
    truth = ExactIndex.build(index_documents(index)).search(verifying, 5)
    assert before[0].accuracy == pytest.approx(overlap(only.ordinals, truth.ordinals).mean())


def test_a_target_out_of_reach_gives_the_best_and_a_warning(small):
    _, queries = small
    poor = SeismicIndex.build(index_documents(small[0]), BuildParams(n_postings=1))
    with pytest.warns(UserWarning, match=r"accuracy@5 of 0\.999 .* BuildParams\.accurate\(\)"):
        params = poor.tune(queries, 5, 0.999)
    best = poor.frontier.of(5)[-1]
    assert params == best.params
    assert params.expected_accuracy == best.accuracy < 0.999
    # In the search path it is no error, and no warning either.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(
            poor.search(queries, 5, accuracy=1.0).ordinals, poor.search(queries, 5, params).ordinals
        )


def test_exact_results_that_the_caller_has_are_taken(small):
    index, queries = small
    truth = ExactIndex.build(index_documents(index)).search(queries, 9).ordinals
    index.tune(queries, 5, 0.5, exact=truth)
    by_caller = index.frontier.points
    index.tune(queries, 5, 0.5)
    assert by_caller == index.frontier.points
    with pytest.warns(UserWarning, match="is not assured"):
        index.tune(queries, 5, 0.5, exact=np.where(truth >= 0, (truth + 150) % 300, -1))
    assert index.frontier.points != by_caller


# Exact results from the index's own records


@given(batches(max_rows=40), batches(max_rows=6), st.integers(1, 45), st.integers(1, 3))
@settings(max_examples=60)
def test_the_oracle_equals_brute_force(documents, queries, k, n_threads):
    index = SeismicIndex.build(documents, BuildParams(value_type="f32"))
    nothing = np.full(queries.shape[0], -1)
    found = exact_ordinals(index.records, index.components, queries, k, nothing, n_threads)
    np.testing.assert_array_equal(found, brute_force(queries, documents, k)[1])


@given(batches(max_rows=30), st.integers(1, 12))
@settings(max_examples=30)
def test_the_oracle_leaves_out_what_it_is_told_to(documents, k):
    index = SeismicIndex.build(documents, BuildParams(value_type="f32"))
    own = np.arange(documents.shape[0])
    found = exact_ordinals(index.records, index.components, documents, k, own)
    for row in own:
        expected = brute_force(documents[[row]], documents, k, own != row)[1]
        np.testing.assert_array_equal(found[[row]], expected)


def test_the_oracle_ranks_by_the_very_scores_of_the_index(small):
    queries = small[1][:8]
    everything = SearchParams(query_cut=1000, heap_factor=0)
    nothing = np.full(queries.shape[0], -1)
    for value_type in ("u8", "u16", "f32"):
        index = SeismicIndex.build(
            index_documents(small[0]), BuildParams(n_postings=300, value_type=value_type)
        )
        found = exact_ordinals(index.records, index.components, queries, 20, nothing)
        np.testing.assert_array_equal(found, index.search(queries, 20, everything).ordinals)


def test_queries_made_from_documents_have_their_entries(small):
    index, _ = small
    documents = index_documents(index)
    queries, sources = sample_queries(index.records, index.components, index.dim, 1000, seed=1)
    assert sorted(sources.tolist()) == np.flatnonzero(np.diff(documents.indptr)).tolist()
    for place, source in enumerate(sources):
        query, document = queries[[place]], documents[[source]]
        assert query.nnz == min(LENGTHS[place % len(LENGTHS)], document.nnz)
        assert set(query.indices) <= set(document.indices)
    again, _ = sample_queries(index.records, index.components, index.dim, 1000, seed=1)
    np.testing.assert_array_equal(again.toarray(), queries.toarray())


def test_overlap_counts_each_query_by_its_own_results():
    found = np.array([[4, 2, -1], [0, 1, 2], [7, -1, -1]])
    expected = np.array([[2, 9, -1], [2, 1, 0], [3, 4, 5]])
    assert overlap(found, expected).tolist() == [0.5, 1.0, 0.0]


# The table


def test_the_cheapest_point_that_reaches_the_accuracy_is_taken():
    assert TABLE.choose(10, 0.9).query_cut == 3
    assert TABLE.choose(10, 0.9001).query_cut == 6
    assert TABLE.choose(10, 0.98).query_cut == 9
    assert TABLE.choose(10, 1).query_cut == 9
    assert TABLE.find(10, 0.981) is None
    assert TABLE.choose(10, 0.95).expected_accuracy == 0.96


def test_a_k_between_takes_the_next_larger_and_none_beyond():
    assert TABLE.choose(1, 0.9).query_cut == 3
    assert TABLE.choose(11, 0.9).query_cut == 12
    assert TABLE.find(101, 0.1) is None
    with pytest.raises(ParameterError, match=r"tuned for k up to 100, k is 101; call tune\(k=101"):
        TABLE.choose(101, 0.9)
    with pytest.raises(ParameterError, match=r"tuned not at all, k is 5; call tune\(k=5\)"):
        Frontier().choose(5, 0.9)


def test_points_that_a_cheaper_one_equals_are_left_out():
    worse = point(query_cut=5, assured=0.9, cost=7.0)
    assert Frontier([worse, *TABLE.points]).points == TABLE.points
    replaced = TABLE.with_points([point(k=100, query_cut=1)])
    assert replaced.of(10) == TABLE.of(10)
    assert [one.query_cut for one in replaced.of(100)] == [1]


def test_the_table_is_saved_and_opened(small, tmp_path):
    index, queries = small
    assert index.frontier.points == ()
    index.tune(queries, 5, 0.6)
    index.save(tmp_path / "tuned")
    opened = SeismicIndex.open(tmp_path / "tuned")
    assert opened.frontier.points == index.frontier.points
    assert len(opened.frontier.points) > 1
    np.testing.assert_array_equal(
        opened.search(queries, 5, accuracy=0.9).ordinals,
        index.search(queries, 5, accuracy=0.9).ordinals,
    )


def test_a_file_without_the_table_is_an_index_never_tuned(small, tmp_path):
    index, _ = small
    rewrite(index, tmp_path / "old", lambda meta: meta.pop("frontier"))
    assert SeismicIndex.open(tmp_path / "old").frontier.points == ()


ROW = TABLE.rows()[0]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({}, "a dict, expected a list"),
        ([7], "mapping"),
        ([{}], "missing"),
        ([{**ROW, "more": 1}], "more"),
        ([{**ROW, "k": 0}], "k: 0"),
        ([{**ROW, "k": 10.0}], "k: 10.0"),
        ([{**ROW, "query_cut": -3}], "query_cut: -3"),
        ([{**ROW, "heap_factor": float("nan")}], "heap_factor: nan"),
        ([{**ROW, "heap_factor": "1"}], "heap_factor: '1'"),
        ([{**ROW, "accuracy": 1.5}], "accuracy: 1.5"),
        ([{**ROW, "accuracy": None}], "accuracy: None"),
        ([{**ROW, "assured": True}], "assured: True"),
        ([{**ROW, "documents": -1}], "documents: -1"),
        ([{**ROW, "cost": float("inf")}], "cost: inf"),
        ([ROW, ROW], "not in order"),
        (TABLE.rows()[::-1], "not in order"),
    ],
)
def test_a_damaged_table_is_refused(small, tmp_path, rows, words):
    index, _ = small
    rewrite(index, tmp_path / "bad", lambda meta: meta.update(frontier=rows))
    with pytest.raises(CorruptFile, match=f"bad: the table of tuned points: .*{words}"):
        SeismicIndex.open(tmp_path / "bad")


# What is refused


@pytest.mark.parametrize("accuracy", [0, -0.1, 1.01, float("nan"), "0.9", True, None])
def test_an_accuracy_out_of_range_is_refused(small, accuracy):
    index, queries = small
    with pytest.raises(ParameterError, match=r"accuracy: .*; expected a number, above 0, at most"):
        index.tune(queries, 5, accuracy)
    index.frontier = TABLE
    if accuracy is not None:
        with pytest.raises(ParameterError, match="accuracy: "):
            index.search_one([1], [1.0], 5, accuracy=accuracy)


def test_accuracy_and_params_exclude_one_another(small):
    index, queries = small
    index.frontier = TABLE
    for search in (
        lambda **chosen: index.search(queries, 5, **chosen),
        lambda **chosen: index.search_one([1], [1.0], 5, **chosen),
    ):
        with pytest.raises(ParameterError, match="accuracy and params: give one of them"):
            search(accuracy=0.9, params=SearchParams())
    with pytest.raises(ParameterError, match=r"call tune\(k=101\) first"):
        index.search(queries, 101, accuracy=0.9)
    with pytest.raises(ParameterError, match="k: 0; expected an integer"):
        index.search(queries, 0, accuracy=0.9)


def test_too_little_to_tune_by_is_refused(small):
    index, queries = small
    with pytest.raises(ParameterError, match="queries: 9 have a result; tuning needs at least 10"):
        index.tune(queries[:9])
    unknown = sparse.csr_array((50, 60), dtype=np.float32)
    with pytest.raises(ParameterError, match="queries: 0 have a result"):
        index.tune(unknown)
    with pytest.raises(ParameterError, match="k: 0; expected an integer"):
        index.tune(queries, 0)
    with pytest.raises(ParameterError, match=r"exact: shape \(1, 1\); expected .* \(43, 10\)"):
        index.tune(queries, exact=[[1]])
    with pytest.raises(ParameterError, match="exact: float64 values; expected ordinals"):
        index.tune(queries, 2, exact=np.zeros((queries.shape[0], 2)))
    with pytest.raises(ParameterError, match="nothing to tune by"):
        SeismicIndex.build(sparse.csr_array((0, 5), dtype=np.float32)).tune()


def test_the_expected_accuracy_tells_and_changes_nothing():
    told = SearchParams(expected_accuracy=0.9)
    assert told == SearchParams()
    assert hash(told) == hash(SearchParams())
    assert replace(told, query_cut=3).expected_accuracy == 0.9
    with pytest.raises(
        ParameterError, match=r"expected_accuracy: 1\.1; expected a number, at least"
    ):
        SearchParams(expected_accuracy=1.1)


def index_documents(index):
    """The documents of `small`, which are drawn by a seed."""
    rng = np.random.default_rng(5)
    dense = rng.gamma(0.7, 1.0, (300, 60)) * (rng.random((300, 60)) < 0.3)
    documents = sparse.csr_array(dense.astype(np.float32))
    assert index.n_documents == 300
    return documents


def rewrite(index, path, change):
    """Save the index with another meta, checksums included."""
    index.save(path)
    arrays, meta = load_arrays(path, KIND, "load")
    change(meta)
    save_arrays(path, KIND, arrays, meta)
