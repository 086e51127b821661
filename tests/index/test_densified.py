"""Densified vectors against sparse inner products of vectors with one component a slice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lexidex.errors import ParameterError
from lexidex.index.densified import DensifiedIndex, Slicing, densify
from lexidex.index.vectors import as_vectors


def random_vectors(n, dim, density=0.3, seed=0):
    random = np.random.default_rng(seed)
    values = random.integers(1, 9, (n, dim)) * (random.random((n, dim)) < density)
    return as_vectors(sparse.csr_array(values.astype(np.float32)))


def ranking(scores, k, positive):
    """Ordinals of the k best, equal scores by the lower ordinal."""
    some = [o for o in range(scores.size) if scores[o] > 0 or not positive]
    return sorted(some, key=lambda o: (-scores[o], o))[:k]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 20), st.integers(1, 30), st.integers(1, 12), st.integers(0, 6), st.integers())
def test_each_slice_keeps_its_largest_value(n, dim, n_slices, first, seed):
    vectors = random_vectors(n, dim, seed=abs(seed))
    kept = densify(vectors, Slicing(n_slices, first)).toarray()
    expected = np.zeros_like(kept)
    for row, values in enumerate(vectors.toarray()):
        for number in range(n_slices):
            components = range(first + number, dim, n_slices)
            best = max(components, key=lambda c: (values[c], -c), default=None)
            if best is not None:
                expected[row, best] = values[best]
    np.testing.assert_array_equal(kept, expected)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 30),
    st.integers(1, 10),
    st.booleans(),
    st.booleans(),
    st.sampled_from([(5, 0), (3, 4), (40, 0)]),
    st.integers(0, 1000),
)
def test_exact_search_is_the_sparse_product_of_what_is_stored(n, k, dense, filtered, cut, seed):
    random = np.random.default_rng(seed)
    slicing = Slicing(*cut)
    documents, queries = random_vectors(n, 24, seed=seed), random_vectors(3, 30, seed=seed + 1)
    mask = random.random(n) < 0.6 if filtered else None
    rows, ones = random.standard_normal((n, 4)), random.standard_normal((3, 4))
    index = DensifiedIndex.build(
        documents, rows if dense else None, slicing=slicing, metric="inner-product"
    )
    options = {"dense": ones, "dense_weight": 2.0} if dense else {}
    top = index.search(queries, k, allowed=mask, n_threads=2, **options)
    kept = densify(queries, slicing).toarray()[:, :24]
    expected = kept @ index.stored().toarray().T + (2 * ones @ rows.T if dense else 0)
    for row, scores in enumerate(expected):
        scores = np.where(mask, scores, -np.inf) if filtered else scores
        best = [o for o in ranking(scores, k, positive=not dense) if scores[o] > -np.inf]
        found = top.ordinals[row, : len(best)]
        np.testing.assert_allclose(top.scores[row, : len(best)], scores[best], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(scores[found], scores[best], rtol=1e-4, atol=1e-4)
        assert (top.ordinals[row, len(best) :] == -1).all()


def test_what_is_stored_is_within_half_a_step():
    documents, slicing = random_vectors(50, 200, seed=1), Slicing(16)
    index = DensifiedIndex.build(documents, slicing=slicing)
    difference = np.abs(index.stored().toarray() - densify(documents, slicing).toarray())
    assert difference.max() <= 8 / 65_535 / 2 + 1e-6


@pytest.mark.parametrize("dense", [False, True])
def test_a_threshold_only_proposes_and_scores_stay_exact(dense):
    documents, queries = random_vectors(300, 500, 0.1), random_vectors(5, 500, 0.1, seed=2)
    rows, ones = np.random.default_rng(0).standard_normal((2, 300, 8))
    index = DensifiedIndex.build(documents, rows if dense else None, slicing=Slicing(64))
    options = {"dense": ones[:5]} if dense else {}
    exact = index.search(queries, 10, **options)
    rough = index.search(queries, 10, theta=3.0, refine=30, **options)
    np.testing.assert_allclose(rough.scores, exact.scores, rtol=1e-5)
    assert rough.counters.postings_scored < exact.counters.postings_scored
    narrow = index.search(queries, 10, theta=6.0, refine=2, **options)
    for row in range(5):
        shared = np.intersect1d(narrow.ordinals[row], exact.ordinals[row])
        assert shared.size > 0
        for ordinal in shared:
            one = narrow.scores[row][narrow.ordinals[row] == ordinal]
            other = exact.scores[row][exact.ordinals[row] == ordinal]
            np.testing.assert_allclose(one, other, rtol=1e-5)


def test_it_is_the_same_after_saving(tmp_path):
    documents, queries = random_vectors(40, 60), random_vectors(4, 60, seed=5)
    index = DensifiedIndex.build(documents, slicing=Slicing(7, 3))
    index.save(tmp_path / "densified")
    again = DensifiedIndex.open(tmp_path / "densified")
    assert again.n_bytes == index.n_bytes == 7 * 40 * 3
    assert again.slicing == Slicing(7, 3)
    for one, other in zip(index.search(queries), again.search(queries), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("slicing", "options", "message"),
    [
        (Slicing(0), {}, "expected 1 slice or more"),
        (Slicing(2.5), {}, "expected 1 slice or more"),
        (Slicing(4), {"metric": "l2"}, "metric: 'l2'; expected one of"),
        (Slicing(2), {"dim": 200_000}, "2 slices of 100,000 components; take more slices"),
        (Slicing(4), {"dense": np.ones((3, 2))}, "dense: 3 vectors for 2 documents"),
    ],
)
def test_what_does_not_fit_is_refused(slicing, options, message):
    dim = options.pop("dim", 20)
    vectors = as_vectors(sparse.csr_array((2, dim), dtype=np.float32))
    with pytest.raises(ParameterError, match=message):
        DensifiedIndex.build(vectors, slicing=slicing, **options)


@pytest.mark.parametrize(
    "wrong",
    [{"refine": 0}, {"refine": 1.5}, {"theta": -1}, {"theta": np.nan}, {"dense_weight": "1"}],
)
def test_a_search_that_makes_no_sense_is_refused(wrong):
    index = DensifiedIndex.build(random_vectors(30, 20))
    (name,) = wrong
    with pytest.raises(ParameterError, match=f"{name}: .*; expected"):
        index.search(random_vectors(1, 20), **{"theta": 0.5, **wrong})


def test_dense_queries_need_dense_documents():
    index = DensifiedIndex.build(random_vectors(3, 20))
    with pytest.raises(ParameterError, match="built without dense vectors"):
        index.search(random_vectors(1, 20), dense=np.ones((1, 4)))
