"""Approximate search: equal to exact search with nothing pruned, and in which direction it errs."""

import gzip
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lexidex.errors import ParameterError
from lexidex.index import (
    BuildParams,
    Counters,
    ExactIndex,
    SearchParams,
    SeismicBuilder,
    SeismicIndex,
)

from .collections import batches, brute_force

EVERYTHING = BuildParams(n_postings=100_000, value_type="f32")
EVERY_BLOCK = SearchParams(query_cut=100_000, heap_factor=0)


def assert_same(found, expected):
    np.testing.assert_array_equal(found.ordinals, expected.ordinals)
    np.testing.assert_array_equal(found.scores, expected.scores)


def accuracy(found, exact):
    """Share of the exact results that were found: accuracy@k."""
    hits = [
        len(set(a) & set(b) - {-1}) / max(1, len(set(b) - {-1}))
        for a, b in zip(found.ordinals.tolist(), exact.ordinals.tolist(), strict=True)
    ]
    return float(np.mean(hits))


def topical_batch(rng, topics, rows, dim=300, size=40):
    """Weights as learned ones are: documents of a topic share components, few weigh much."""
    dense = np.zeros((rows, dim), dtype=np.float32)
    for row in range(rows):
        topic = topics[rng.integers(len(topics))]
        own = np.concatenate((rng.choice(topic, size // 2, False), rng.choice(dim, size // 2)))
        dense[row, own] = rng.gamma(0.7, 1.0, own.size) + 0.01
    return sparse.csr_array(dense)


@pytest.fixture(scope="module")
def topical():
    """A collection with topics, queries to it, and their exact results."""
    rng = np.random.default_rng(11)
    topics = [rng.choice(300, 60, False) for _ in range(12)]
    documents = topical_batch(rng, topics, 500)
    queries = topical_batch(rng, topics, 25, size=24)
    return documents, queries, ExactIndex.build(documents).search(queries, 10)


# With nothing pruned


@given(batches(), batches(max_rows=5), st.integers(1, 50), st.data())
@settings(max_examples=60)
def test_with_nothing_pruned_it_equals_exact_search(documents, queries, k, data):
    mask = data.draw(st.none() | st.just(np.arange(documents.shape[0]) % 3 != 1))
    params = BuildParams(
        n_postings=1000,
        value_type="f32",
        centroid_fraction=data.draw(st.sampled_from([0.01, 0.3, 1.0])),
        min_cluster_size=data.draw(st.integers(1, 4)),
        summary_energy=data.draw(st.sampled_from([0.0, 0.4, 1.0])),
    )
    index = SeismicIndex.build(documents, params)
    found = index.search(queries, k, EVERY_BLOCK, allowed=mask)
    scores, ordinals = brute_force(queries, documents, k, mask)
    np.testing.assert_array_equal(found.ordinals, ordinals)
    np.testing.assert_array_equal(found.scores, scores)
    assert_same(found, ExactIndex.build(documents).search(queries, k, allowed=mask))
    assert found.scores.dtype == np.float32
    assert found.ordinals.dtype == np.int64


def test_scores_are_the_very_bits_of_exact_search(topical):
    documents, queries, exact = topical
    assert_same(SeismicIndex.build(documents, EVERYTHING).search(queries, 10, EVERY_BLOCK), exact)


@given(
    st.integers(0, 2**32 - 1), st.sampled_from(["u8", "u16"]), st.sampled_from([1e-30, 1.0, 1e30])
)
@settings(max_examples=25)
def test_scores_are_as_precise_as_the_value_type_says(seed, value_type, unit):
    rng = np.random.default_rng(seed)
    weights = rng.random((40, 10)) ** 3 * (rng.random((40, 10)) < 0.6)
    documents = sparse.csr_array((weights * unit).astype(np.float32))
    queries = sparse.csr_array(rng.random((3, 10)).astype(np.float32))
    params = BuildParams(n_postings=1000, value_type=value_type)
    found = SeismicIndex.build(documents, params).search(queries, 12, EVERY_BLOCK)
    step = documents.max(axis=1).toarray().ravel() / (255 if value_type == "u8" else 255 * 256)
    products = queries @ documents.T.tocsc()
    exact = np.take_along_axis(products.toarray(), np.maximum(found.ordinals, 0), axis=1)
    real = found.ordinals >= 0
    bound = (
        1e-6 * exact
        + np.outer(queries.sum(axis=1), step)[np.arange(3)[:, None], np.maximum(found.ordinals, 0)]
    )
    assert np.all(np.abs(found.scores - exact)[real] <= bound[real])
    expected = ExactIndex.build(documents).search(queries, 12)
    np.testing.assert_array_equal(expected.ordinals >= 0, real)
    worst = 2.02 * float(queries.sum(axis=1).max()) * float(step.max(initial=0))
    assert np.all(expected.scores[real] - exact[real] <= worst + 1e-5 * exact[real])


def test_equal_scores_stand_in_order_of_ordinals():
    documents = sparse.csr_array(np.ones((100, 1), dtype=np.float32))
    for value_type in ("u8", "u16", "f32"):
        index = SeismicIndex.build(documents, BuildParams(value_type=value_type, n_postings=100))
        found = index.search(documents[[0]], 7, EVERY_BLOCK)
        assert found.ordinals.tolist() == [[0, 1, 2, 3, 4, 5, 6]]
        np.testing.assert_allclose(found.scores, 1, rtol=1e-6)


# In which direction it errs


@given(batches(max_rows=40, max_dim=10), batches(max_rows=4, max_dim=10), st.integers(1, 12))
@settings(max_examples=30)
def test_a_longer_cut_never_lowers_a_score(documents, queries, k):
    index = SeismicIndex.build(documents, BuildParams(n_postings=3, value_type="f32"))
    before = np.full((queries.shape[0], k), -np.inf)
    for query_cut in (1, 2, 3, 6, 20):
        params = SearchParams(query_cut=query_cut, heap_factor=0)
        scores, _ = index.search(queries, k, params)
        assert np.all(scores >= before)
        before = scores


def test_a_heap_factor_of_0_scores_every_block_and_a_huge_one_none_once_the_heap_is_full(topical):
    documents, queries, _ = topical
    index = SeismicIndex.build(documents, BuildParams(n_postings=1000, centroid_fraction=0.3))
    for query_cut, k in ((1, 3), (1, 15), (4, 10)):
        counters = {
            factor: index.search(queries, k, SearchParams(query_cut, factor)).counters
            for factor in (0, 0.5, 1.0, 1e9)
        }
        every = counters[0]
        assert every.blocks_skipped == 0
        assert len({c.blocks_scored + c.blocks_skipped for c in counters.values()}) == 1
        if query_cut == 1:  # blocks of one list share no document: each scored one adds to the heap
            assert counters[1e9].blocks_scored <= k * queries.shape[0]
        assert counters[1e9].blocks_scored < every.blocks_scored
        documents_scored = [counters[factor].documents_scored for factor in (0, 0.5, 1.0, 1e9)]
        assert documents_scored == sorted(documents_scored, reverse=True)


def test_accuracy_falls_as_more_is_skipped_and_rises_with_what_the_index_keeps(topical):
    documents, queries, exact = topical

    def reached(params=None, **build):
        chosen = BuildParams(**{"n_postings": 40, "posting_fraction": 0.0, **build})
        return accuracy(SeismicIndex.build(documents, chosen).search(queries, 10, params), exact)

    tight = {"summary_energy": 0.2}
    assert reached(SearchParams(heap_factor=2), **tight) < reached(SearchParams(heap_factor=0.5))
    assert reached(SearchParams(query_cut=1)) < reached(SearchParams(query_cut=20))
    assert reached(n_postings=5) < reached(n_postings=80)
    assert reached(summary_energy=0.02) < reached(summary_energy=0.8)


@pytest.mark.parametrize(("build", "floor"), [(BuildParams(), 0.85), (BuildParams.accurate(), 0.9)])
def test_accuracy_has_a_floor(topical, build, floor):
    documents, queries, exact = topical
    found = SeismicIndex.build(documents, build).search(queries, 10)
    assert accuracy(found, exact) >= floor, f"accuracy@10 {accuracy(found, exact)} < {floor}"


@pytest.mark.compiled_only
def test_accuracy_on_real_vectors_is_at_least_95_percent(data_folder):
    with gzip.open(data_folder / "vectors/nfcorpus.splade-v3.docs.jsonl.gz", "rt") as lines:
        documents = [json.loads(line)["vector"] for line in lines]
    name = "vectors/topics.beir-v1.0.0-nfcorpus.test.splade-v3.tsv.gz"
    with gzip.open(data_folder / name, "rt", encoding="utf-8") as lines:
        queries = [Counter(line.rstrip("\n").split("\t")[1].split()) for line in lines]
    vocabulary: dict[str, int] = {}

    def vectors(rows):
        entries = [
            (r, vocabulary.setdefault(t, len(vocabulary)), w)
            for r, row in enumerate(rows)
            for t, w in row.items()
        ]
        columns = np.array(entries, dtype=np.float32).T
        shape = (len(rows), 1 << 16)
        return sparse.csr_array((columns[2], columns[:2].astype(np.int64)), shape=shape)

    documents, queries = vectors(documents), vectors(queries)
    exact = ExactIndex.build(documents).search(queries, 10)
    found = SeismicIndex.build(documents).search(queries, 10)
    assert accuracy(found, exact) >= 0.95, f"accuracy@10 {accuracy(found, exact)} < 0.95"
    assert found.counters.documents_scored < 0.06 * documents.shape[0] * queries.shape[0]
    np.testing.assert_allclose(found.scores[:, 0], exact.scores[:, 0], rtol=0.25)


# Paths that agree


def test_one_query_and_a_batch_agree_and_threads_change_nothing(topical):
    documents, queries, _ = topical
    index = SeismicIndex.build(documents)
    alone = [
        index.search_one(q.indices, q.data, 9)
        for q in (queries[[i]] for i in range(len(queries.indptr) - 1))
    ]
    single, threaded = index.search(queries, 9), index.search(queries, 9, n_threads=3)
    for found in (single, threaded):
        np.testing.assert_array_equal(found.ordinals, np.vstack([a.ordinals for a in alone]))
        np.testing.assert_array_equal(found.scores, np.vstack([a.scores for a in alone]))
    assert single.counters == threaded.counters == sum((a.counters for a in alone), Counters())
    assert single.counters.blocks_skipped > 0


def test_searches_at_the_same_time_do_not_disturb_one_another(topical):
    documents, queries, _ = topical
    index = SeismicIndex.build(documents)
    cuts = [1, 30, 3, 8] * 4
    expected = {cut: index.search(queries, 5, SearchParams(query_cut=cut)) for cut in set(cuts)}
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda cut: index.search(queries, 5, SearchParams(query_cut=cut)), cuts)
        for cut, result in zip(cuts, found, strict=True):
            assert_same(result, expected[cut])
            assert result.counters == expected[cut].counters


def test_masked_documents_are_neither_scored_nor_returned(topical):
    documents, queries, _ = topical
    index = SeismicIndex.build(documents, EVERYTHING)
    mask = np.random.default_rng(0).random(documents.shape[0]) < 0.03
    found = index.search(queries, 10, EVERY_BLOCK, allowed=mask)
    assert found.counters.documents_scored <= mask.sum() * queries.shape[0]
    assert_same(found, ExactIndex.build(documents).search(queries, 10, allowed=mask))
    nothing = index.search(queries, 10, allowed=np.zeros_like(mask))
    assert (nothing.ordinals == -1).all()
    assert nothing.counters.documents_scored == 0


def test_searching_changes_neither_queries_nor_index(topical):
    documents, queries, _ = topical
    before = queries.copy()
    index = SeismicIndex.build(documents)
    first = index.search(queries, 5)
    index.search(queries, 5, EVERY_BLOCK)
    assert_same(index.search(queries, 5), first)
    np.testing.assert_array_equal(queries.toarray(), before.toarray())


def test_the_order_and_kind_of_a_query_s_arrays_do_not_matter(topical):
    documents, queries, _ = topical
    index = SeismicIndex.build(documents)
    ids, weights = queries[[0]].indices, queries[[0]].data
    plain = index.search_one(ids, weights, 5)
    assert_same(index.search_one(ids[::-1].tolist(), weights[::-1].tolist(), 5), plain)
    assert_same(index.search_one(ids.astype(np.uint16), weights.astype(np.float64), 5), plain)
    frozen = ids.copy(), weights.copy()
    for array in frozen:
        array.flags.writeable = False
    assert_same(index.search_one(*frozen, 5), plain)


# At the edges


def test_no_documents_no_queries_and_empty_ones():
    empty = sparse.csr_array((0, 4), dtype=np.float32)
    one = sparse.csr_array(np.array([[1, 0, 0, 2]], dtype=np.float32))
    hollow = sparse.csr_array(np.array([[0, 0], [3, 0], [0, 0]], dtype=np.float32))
    assert SeismicIndex.build(empty).search(one, 2).ordinals.tolist() == [[-1, -1]]
    assert SeismicBuilder().finish().search(one, 2).scores.tolist() == [[-np.inf, -np.inf]]
    assert SeismicIndex.build(one).search(empty, 2).ordinals.shape == (0, 2)
    nothing = sparse.csr_array((1, 4), dtype=np.float32)
    assert SeismicIndex.build(one).search(nothing, 1).ordinals.tolist() == [[-1]]
    assert SeismicIndex.build(one).search_one([], [], 1).ordinals.tolist() == [[-1]]
    assert SeismicIndex.build(hollow).search_one([0], [1.0], 4).ordinals.tolist() == [
        [1] + [-1] * 3
    ]
    assert SeismicIndex.build(nothing).search(one, 1).ordinals.tolist() == [[-1]]


def test_unknown_components_of_a_query_count_for_nothing():
    documents = sparse.csr_array(np.array([[0, 2, 0, 1], [0, 0, 0, 3]], dtype=np.float32))
    index = SeismicIndex.build(documents, EVERYTHING)
    found = index.search_one([0, 1, 2, 3, 4, 2**31 - 1], [9.0] * 6, k=2)
    assert found.ordinals.tolist() == [[0, 1]]
    assert found.scores.tolist() == [[27.0, 27.0]]


def test_hashed_components_take_no_space_and_match():
    high = 2**31 - 1
    rows = sparse.csr_array(
        (np.array([1, 2, 3], np.float32), np.array([5, high, high]), np.array([0, 2, 3])),
        shape=(2, 2**31),
    )
    index = SeismicBuilder(EVERYTHING).add(rows[:1]).add(rows[1:]).finish()
    found = index.search_one([6, 77, high], [5.0, 9.0, 1.0], k=3)
    assert found.ordinals.tolist() == [[1, 0, -1]]
    assert found.scores.tolist() == [[3.0, 2.0, -np.inf]]
    assert index.nbytes < 1000


@pytest.mark.compiled_only
@pytest.mark.parametrize("value_type", ["u8", pytest.param("u16", marks=pytest.mark.slow), "f32"])
def test_more_than_65536_components_work_in_one_document_and_in_all(value_type):
    rng = np.random.default_rng(8)
    dense = np.zeros((400, 70_000), dtype=np.float32)
    dense[0] = 0.01
    dense[0, :50] = 9
    for row in range(1, 400):
        own = rng.choice(70_000, 300, replace=False)
        dense[row, own] = rng.integers(1, 9, 300)
    documents = sparse.csr_array(dense)
    # One posting a list on average, so that few lists hold the document that is in all of them.
    index = SeismicIndex.build(documents, BuildParams(n_postings=1, value_type=value_type))
    found = index.search(documents, 5)
    assert found.ordinals[:, 0].tolist() == list(range(400))
    exact = ExactIndex.build(documents).search(documents, 5)
    precision = {"u8": 0.05, "u16": 2e-4, "f32": 0}[value_type]
    np.testing.assert_allclose(found.scores[:, 0], exact.scores[:, 0], rtol=precision)


@pytest.mark.parametrize("k", [0, -1, 1.5, True, 10**7])
def test_a_bad_k_is_refused(k):
    index = SeismicIndex.build(sparse.csr_array(np.eye(2, dtype=np.float32)))
    with pytest.raises(ParameterError, match=r"k: .*expected an integer from 1"):
        index.search_one([0], [1.0], k)


@pytest.mark.parametrize("mask", [[True], [1.0, 0.0], [[0]], np.ones((2, 1), bool)])
def test_a_bad_mask_is_refused(mask):
    index = SeismicIndex.build(sparse.csr_array(np.eye(2, dtype=np.float32)))
    with pytest.raises(ParameterError, match=r"expected a bool array of shape \(2,\)"):
        index.search_one([0], [1.0], 1, allowed=mask)


def test_bad_queries_are_refused():
    index = SeismicIndex.build(sparse.csr_array(np.eye(2, dtype=np.float32)))
    with pytest.raises(ParameterError, match="component 1 is given twice"):
        index.search_one([1, 1], [1.0, 2.0])
    with pytest.raises(ParameterError, match="queries: value nan in row 0"):
        index.search(sparse.csr_array(np.array([[np.nan]], dtype=np.float32)))


# Candidates, met on the way


@given(batches(), batches(max_rows=5), st.integers(1, 50), st.integers(1, 8), st.data())
@settings(max_examples=60)
def test_candidates_are_every_match_where_there_are_no_more(documents, queries, k, sought, data):
    mask = data.draw(st.none() | st.just(np.arange(documents.shape[0]) % 3 != 1))
    index = SeismicIndex.build(documents, EVERYTHING)
    found = index.search(queries, k, SearchParams(100, 0.9), allowed=mask, sought=sought)
    ordinals = brute_force(queries, documents, k, mask)[1]
    matches = brute_force(queries, documents, max(documents.shape[0], 1), mask)[1]
    assert ((found.ordinals >= 0).sum(axis=1) == (ordinals >= 0).sum(axis=1)).all()
    for row in range(queries.shape[0]):
        known = found.ordinals[row][found.ordinals[row] >= 0].tolist()
        assert len(set(known)) == len(known)
        assert set(known) <= set(matches[row].tolist())
    if sought >= k:
        assert_same(found, index.search(queries, k, SearchParams(100, 0.9), allowed=mask))


@pytest.mark.parametrize("value_type", ["u8", "u16", "f32"])
def test_candidates_hold_most_of_those_sought_and_have_upper_bounds(topical, value_type):
    documents, queries, _ = topical
    index = SeismicIndex.build(documents, BuildParams(value_type=value_type))
    found = index.search(queries, 60, sought=10)
    assert accuracy(found, index.search(queries, 10)) >= 0.99
    assert (np.diff(found.scores, axis=1) <= 0).all()
    every = index.search(queries, 500, SearchParams(rank_safe=True))
    for row in range(queries.shape[0]):
        scores = dict(zip(every.ordinals[row].tolist(), every.scores[row].tolist(), strict=True))
        known = [scores[ordinal] for ordinal in found.ordinals[row].tolist()]
        assert (found.scores[row] >= np.array(known) * (1 - 1e-5)).all()
    thorough = index.search(queries, 60)
    assert found.counters.documents_scored < thorough.counters.documents_scored
    again = [index.search_one(*_row(queries, row), 60, sought=10) for row in range(5)]
    assert [one.ordinals[0].tolist() for one in again] == found.ordinals[:5].tolist()


def _row(batch, row):
    part = slice(batch.indptr[row], batch.indptr[row + 1])
    return batch.indices[part], batch.data[part]


def test_a_search_for_no_candidates_is_refused(topical):
    index = SeismicIndex.build(topical[0])
    with pytest.raises(ParameterError, match="sought: 0; expected an integer from 1"):
        index.search(topical[1], 10, sought=0)
