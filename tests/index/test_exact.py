"""Exact search against brute force: scores, ordinals, ties, masks, shapes, threads, files."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from lexidex.errors import CorruptFile, ParameterError
from lexidex.index import Counters, ExactIndex
from lexidex.index.exact import exact_index
from lexidex.index.exact.block_maxima import BLOCK
from lexidex.index.exact.champions import CHAMPIONS
from lexidex.index.exact.posting_lists import WINDOW
from lexidex.index.vectors import build_vectors

from .collections import batches, brute_force, random_batch


@given(batches(), batches(max_rows=5), st.integers(1, 50), st.data())
@settings(max_examples=60)
def test_search_equals_brute_force(documents, queries, k, data):
    mask = data.draw(st.none() | st.just(np.arange(documents.shape[0]) % 3 != 1))
    found = ExactIndex.build(documents).search(queries, k, allowed=mask)
    scores, ordinals = brute_force(queries, documents, k, mask)
    np.testing.assert_array_equal(found.ordinals, ordinals)
    np.testing.assert_array_equal(found.scores, scores)
    assert found.scores.dtype == np.float32
    assert found.ordinals.dtype == np.int64


@given(batches(), batches(max_rows=1), st.data())
@settings(max_examples=60)
def test_chosen_documents_are_scored_by_their_inner_products(documents, query, data):
    n = documents.shape[0]
    chosen = np.array(data.draw(st.lists(st.integers(0, max(n - 1, 0)), max_size=9 if n else 0)))
    chosen, dim = chosen.astype(np.int64), min(documents.shape[1], query.shape[1])
    for row in range(query.shape[0]):
        with pytest.MonkeyPatch.context() as patch:  # so few that documents are taken in parts
            patch.setattr(exact_index, "_SHARED", data.draw(st.sampled_from([1, 2, 3, 256])))
            scores = ExactIndex.build(documents).score(query[[row]], chosen)
        expected = documents.toarray()[chosen, :dim] @ query.toarray()[row, :dim]
        np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_chosen_documents_have_the_very_sums_of_64_bits_whatever_their_company():
    random = np.random.default_rng(5)
    documents, query = (random_batch(random, n, 900, 0.5) for n in (40, 1))
    index = ExactIndex.build(documents)
    of_query = query.toarray()[0]
    expected = np.zeros(40, dtype=np.float32)
    for row in range(40):
        part = slice(*documents.indptr[row : row + 2])
        products = documents.data[part] * of_query[documents.indices[part]]
        expected[row] = sum(products.tolist())
    chosen = random.permutation(40)
    np.testing.assert_array_equal(index.score(query, chosen), expected[chosen])
    for row in chosen[:3].tolist():
        np.testing.assert_array_equal(index.score(query, np.array([row])), expected[[row]])


def test_components_that_share_their_lowest_bits_are_told_apart():
    far = [7, 7 + (1 << 20), 7 + (1 << 28), (1 << 31) - 1]
    documents = build_vectors([(far[:1], [2.0]), (far[1:], [3.0, 5.0, 7.0]), ([8], [1.0])], 1 << 31)
    query = build_vectors([(far[::2], [10.0, 100.0])], 1 << 31)
    scores = ExactIndex.build(documents).score(query, np.array([2, 1, 0, 1]))
    assert scores.tolist() == [0.0, 500.0, 20.0, 500.0]


def test_an_index_without_its_documents_scores_none(tmp_path):
    index = ExactIndex.build(random_batch(np.random.default_rng(0), 5, 6, 0.5))
    file = io.BytesIO()
    index.write(file)
    alone = ExactIndex.read(memoryview(file.getvalue()), "memory")
    with pytest.raises(ParameterError, match="without its document vectors"):
        alone.score(random_batch(np.random.default_rng(1), 1, 6, 0.5), np.array([0]))


@pytest.mark.compiled_only
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_windows_join_without_a_seam(extra):
    rng = np.random.default_rng(extra + 5)
    documents = random_batch(rng, 2 * WINDOW + extra, 6, 0.3)
    queries = random_batch(rng, 4, 6, 0.7)
    found = ExactIndex.build(documents).search(queries, 25)
    scores, ordinals = brute_force(queries, documents, 25)
    np.testing.assert_array_equal(found.ordinals, ordinals)
    np.testing.assert_array_equal(found.scores, scores)


@pytest.fixture
def pruning(monkeypatch):
    """Every search looks for terms that it can leave out."""
    monkeypatch.setattr(exact_index, "PRUNED_FROM", 0)


def skewed(rng, rows, dim, queries=8):
    """Documents whose components are the rarer, the heavier, and queries; floats with many ties."""
    shares = np.geomspace(0.6, 0.002, dim)
    weights = (rng.random((rows, dim)) < shares) * rng.integers(1, 9, (rows, dim)) / 7 / shares
    documents = sparse.csr_array(weights.astype(np.float32))
    chosen = rng.random((queries, dim)) < 0.6
    return documents, sparse.csr_array((chosen * rng.random((queries, dim))).astype(np.float32))


def assert_pruning_changes_nothing(index, queries, k, monkeypatch, allowed=None):
    """Same bits as of all postings; the counters of the pruned search."""
    found = index.search(queries, k, allowed=allowed)
    with monkeypatch.context() as patch:
        patch.setattr(exact_index, "PRUNED_FROM", 1 << 50)
        plain = index.search(queries, k, allowed=allowed)
    np.testing.assert_array_equal(found.ordinals, plain.ordinals)
    np.testing.assert_array_equal(found.scores.view(np.int32), plain.scores.view(np.int32))
    assert plain.counters.documents_scored == 0
    return found.counters, plain.counters


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([300, 5000]),
    st.sampled_from([1, 3, 16, 17, 400]),
    st.sampled_from([None, 0.5, 0.02]),
    st.booleans(),
)
@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_what_is_left_out_changes_no_bit(pruning, monkeypatch, seed, rows, k, share, integers):
    rng = np.random.default_rng(seed)
    documents, queries = skewed(rng, rows, 25)
    if integers:  # sums are exact, so ties are many
        documents.data, queries.data = np.ceil(documents.data % 3), np.ceil(queries.data * 2)
    allowed = None if share is None else rng.random(rows) < share
    index = ExactIndex.build(documents)
    assert_pruning_changes_nothing(index, queries, k, monkeypatch, allowed)


@pytest.mark.compiled_only
@pytest.mark.parametrize("k", [1, 10, 40])
@pytest.mark.parametrize("share", [None, 0.3])
def test_what_is_left_out_of_several_windows_changes_no_bit(monkeypatch, pruning, k, share):
    rng = np.random.default_rng(k)
    documents, queries = skewed(rng, 3 * WINDOW + 17, 20)
    allowed = None if share is None else rng.random(documents.shape[0]) < share
    index = ExactIndex.build(documents)
    done, plain = assert_pruning_changes_nothing(index, queries, k, monkeypatch, allowed)
    assert done.documents_scored > 0
    assert done.postings_scored < 0.6 * plain.postings_scored


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, where kernels are interpreted
@pytest.mark.parametrize("weight", [1e-37, 1e-20, 1e30])
def test_extreme_weights_are_searched_like_others(monkeypatch, pruning, weight):
    rng = np.random.default_rng(4)
    documents, queries = skewed(rng, 2000, 12)
    documents.data *= np.float32(weight)
    queries.data *= np.float32(1e-3 if weight < 1 else 1e12)  # some sums underflow or overflow
    queries.eliminate_zeros()
    assert_pruning_changes_nothing(ExactIndex.build(documents), queries, 5, monkeypatch)


def test_without_its_vectors_an_index_reads_every_posting(tmp_path, pruning):
    documents, queries = skewed(np.random.default_rng(6), 3000, 20)
    index = ExactIndex.build(documents)
    file = io.BytesIO()
    index.write(file)
    alone = ExactIndex.read(memoryview(file.getvalue()), "alone")
    handed = ExactIndex.read(memoryview(file.getvalue()), "handed", documents)
    index.save(tmp_path / "whole.lxd")
    expected = index.search(queries, 6)
    for other in (alone, handed, ExactIndex.open(tmp_path / "whole.lxd")):
        found = other.search(queries, 6)
        np.testing.assert_array_equal(found.ordinals, expected.ordinals)
        np.testing.assert_array_equal(found.scores, expected.scores)
        assert (found.counters == expected.counters) == (other is not alone)
    assert alone.search(queries, 6).counters.documents_scored == 0


def test_block_maxima_bound_every_posting(pruning):
    documents, _ = skewed(np.random.default_rng(8), 1000, 20)
    maxima = ExactIndex.build(documents)._index.maxima
    dense = documents.toarray()
    for number, row in enumerate(maxima.rows):
        assert (row >= 0) == (np.count_nonzero(dense[:, number]) >= -(-1000 // BLOCK))
        if row >= 0:
            bounds = np.repeat(maxima.codes[row] * maxima.units[row], BLOCK)[:1000]
            assert (dense[:, number] <= bounds * (1 + 1e-6)).all()


def test_champions_are_the_documents_with_the_largest_impacts(pruning):
    documents, _ = skewed(np.random.default_rng(9), 1500, 20)
    champions = ExactIndex.build(documents)._index.champions
    dense = documents.toarray()
    for number, row in enumerate(champions.rows):
        if row >= 0:
            best = np.lexsort((np.arange(1500), -dense[:, number]))[:CHAMPIONS]
            assert champions.ordinals[row].tolist() == best.tolist()
            assert champions.peaks[row] == dense[:, number].max()
    assert 0 < (champions.rows >= 0).sum() < 20


def test_nothing_is_prepared_where_no_query_can_have_many_postings():
    index = ExactIndex.build(skewed(np.random.default_rng(9), 1500, 20)[0])._index
    assert index.maxima.codes.size == index.champions.ordinals.size == 0


def test_equal_scores_stand_in_order_of_ordinals():
    documents = sparse.csr_array(np.ones((100, 1), dtype=np.float32))
    found = ExactIndex.build(documents).search(documents[[0]], 7)
    assert found.ordinals.tolist() == [[0, 1, 2, 3, 4, 5, 6]]


def test_hashed_components_take_no_space_and_match():
    high = 2**31 - 1
    rows = sparse.csr_array(
        (np.array([1, 2, 3], np.float32), np.array([5, high, high]), np.array([0, 2, 3])),
        shape=(2, 2**31),
    )
    index = ExactIndex.build(rows)
    found = index.search_one([high, 77], [1.0, 9.0], k=3)
    assert found.ordinals.tolist() == [[1, 0, -1]]
    assert found.scores.tolist() == [[3.0, 2.0, -np.inf]]
    assert index.document_frequencies([high, 77, 5]).tolist() == [2, 0, 1]


def test_one_query_and_a_batch_agree_and_threads_change_nothing():
    rng = np.random.default_rng(3)
    index = ExactIndex.build(random_batch(rng, 200, 20))
    queries = random_batch(rng, 17, 20)
    alone = [index.search_one(q.indices, q.data, 9) for q in (queries[[i]] for i in range(17))]
    single, threaded = index.search(queries, 9), index.search(queries, 9, n_threads=4)
    for found in (threaded, *[single]):
        np.testing.assert_array_equal(found.ordinals, np.vstack([a.ordinals for a in alone]))
        np.testing.assert_array_equal(found.scores, np.vstack([a.scores for a in alone]))
    assert single.counters == threaded.counters == sum((a.counters for a in alone), Counters())


def test_the_counter_tells_the_postings_of_the_query_s_terms():
    documents = sparse.csr_array(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 4]], dtype=np.float32))
    query = sparse.csr_array(np.array([[1, 1, 0]], dtype=np.float32))
    assert ExactIndex.build(documents).search(query, 1).counters.postings_scored == 3


@given(batches(), batches(max_rows=5))
@settings(max_examples=30)
def test_the_work_of_a_query_is_what_the_search_then_does(documents, queries):
    index = ExactIndex.build(documents)
    postings, lists = index.work(queries)
    assert postings.sum() == index.search(queries, 1).counters.postings_scored
    has = set(documents.indices.tolist())
    assert lists.tolist() == [
        len(has & set(queries[[row]].indices.tolist())) for row in range(queries.shape[0])
    ]


def test_no_documents_no_queries_and_empty_ones():
    empty = sparse.csr_array((0, 4), dtype=np.float32)
    one = sparse.csr_array(np.array([[1, 0, 0, 2]], dtype=np.float32))
    assert ExactIndex.build(empty).search(one, 2).ordinals.tolist() == [[-1, -1]]
    assert ExactIndex.build(one).search(empty, 2).ordinals.shape == (0, 2)
    nothing = sparse.csr_array((1, 4), dtype=np.float32)
    assert ExactIndex.build(one).search(nothing, 1).ordinals.tolist() == [[-1]]


@pytest.mark.parametrize("k", [0, -1, 1.5, True, 10**7])
def test_a_bad_k_is_refused(k):
    index = ExactIndex.build(sparse.csr_array(np.eye(2, dtype=np.float32)))
    with pytest.raises(ParameterError, match=r"k: .*expected an integer from 1"):
        index.search_one([0], [1.0], k)


@pytest.mark.parametrize("mask", [[True], [1.0, 0.0], [[0]], np.ones((2, 1), bool)])
def test_a_bad_mask_is_refused(mask):
    index = ExactIndex.build(sparse.csr_array(np.eye(2, dtype=np.float32)))
    with pytest.raises(ParameterError, match=r"expected a bool array of shape \(2,\)"):
        index.search_one([0], [1.0], 1, allowed=mask)


def test_searching_changes_neither_queries_nor_index():
    rng = np.random.default_rng(1)
    documents, queries = random_batch(rng, 30, 8), random_batch(rng, 3, 8)
    before = queries.copy()
    index = ExactIndex.build(documents)
    first = index.search(queries, 5)
    np.testing.assert_array_equal(index.search(queries, 5).scores, first.scores)
    np.testing.assert_array_equal(queries.toarray(), before.toarray())


@pytest.mark.parametrize("memory", ["map", "load"])
def test_a_saved_index_finds_the_same(tmp_path, memory):
    rng = np.random.default_rng(2)
    index = ExactIndex.build(random_batch(rng, 50, 9))
    queries = random_batch(rng, 6, 9)
    index.save(tmp_path / "saved.lxd")
    reopened = ExactIndex.open(tmp_path / "saved.lxd", memory=memory)
    np.testing.assert_array_equal(
        reopened.search(queries, 4).ordinals, index.search(queries, 4).ordinals
    )
    assert [p.name for p in tmp_path.iterdir()] == ["saved.lxd"]


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "x.lxd").write_bytes(b"PAR1" * 30)
    with pytest.raises(CorruptFile, match="not a Lexidex file"):
        ExactIndex.open(tmp_path / "x.lxd")
