"""Dense search against comparing with every vector in NumPy, in double precision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexidex.errors import CorruptFile, ParameterError
from lexidex.index import Allowed
from lexidex.index.dense import DenseIndex, DenseParams, DenseSearchParams
from lexidex.index.dense.params import TooFewVectors
from lexidex.index.dense.products import inner_products

FACTORIES = (
    "Flat",
    "SQ8",
    "HNSW16",
    "HNSW16_SQ8",
    "IVF8,Flat",
    "HNSW16_PQ4np",
    "PQ4np",
    "PQ4x4fs",
    "IVF8,PQ4x4fs",
    "OPQ4,IVF8,PQ4x4fs",
)
THOROUGH = DenseSearchParams(ef_search=600, n_probe=8, refine=600)


def gaussian(n, d=16, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def brute_force(vectors, query, k, metric, owners=None, mask=None):
    """(passage, score) pairs, best first, equal scores by lower passage."""
    vectors, query = vectors.astype(np.float64), query.astype(np.float64)
    if metric == "cosine":
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        query = query / np.linalg.norm(query)
    best: dict[int, float] = {}
    for place, score in enumerate((vectors @ query).tolist()):
        owner = place if owners is None else int(owners[place])
        if mask is None or mask[owner]:
            best[owner] = max(score, best.get(owner, -np.inf))
    return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:k]


def check(top, row, expected, k):
    n = len(expected)
    assert top.ordinals[row, :n].tolist() == [owner for owner, _ in expected]
    np.testing.assert_allclose(top.scores[row, :n], [s for _, s in expected], rtol=1e-5, atol=1e-5)
    assert (top.ordinals[row, n:] == -1).all()
    assert (top.scores[row, n:] == -np.inf).all()


@pytest.fixture
def by_index(monkeypatch):
    """Whatever is searched, it costs less than comparing with every vector."""
    monkeypatch.setattr("lexidex.index.dense.faiss_index._PER_NODE", 0.01)
    monkeypatch.setattr("lexidex.index.dense.faiss_index._PER_CODE", 0.0001)


def shares_found(index, vectors, queries, k, mask=None, params=None):
    """Which share of each query's k best is found, by an index of vectors of any length."""
    top = index.search(queries, k, params, allowed=mask)
    best = [brute_force(vectors, query, k, "cosine", mask=mask) for query in queries]
    return np.array(
        [
            np.isin([owner for owner, _ in one], found).mean()
            for one, found in zip(best, top.ordinals, strict=True)
        ]
    ), top


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 40),
    st.integers(1, 12),
    st.sampled_from(["cosine", "inner-product"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 1000),
)
def test_flat_search_is_brute_force(n, k, metric, several, filtered, seed):
    random = np.random.default_rng(seed)
    # Small integers: equal scores are common and sums are exact.
    vectors = random.integers(-3, 4, (n, 5)).astype(np.float32)
    vectors[~vectors.any(axis=1)] = 1
    if metric == "cosine":  # of unit length up to rounding, so that equal scores are rare
        vectors = random.standard_normal((n, 5)).astype(np.float32)
    owners = np.sort(random.integers(0, 15, n)) if several else None
    n_passages = 15 if several else n
    mask = random.random(n_passages) < 0.5 if filtered else None
    index = DenseIndex.build(vectors, DenseParams(metric), owners=owners, n_passages=n_passages)
    queries = random.integers(-3, 4, (2, 5)).astype(np.float32) + np.float32(0.5)
    top = index.search(queries, k, allowed=mask)
    for row in range(2):
        check(top, row, brute_force(vectors, queries[row], k, metric, owners, mask), k)


@pytest.mark.usefixtures("by_index")
@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("several", [False, True])
def test_every_kind_of_index_finds_the_best_when_searched_thoroughly(factory, several, tmp_path):
    vectors = gaussian(600)
    owners = np.repeat(np.arange(300), 2) if several else None
    index = DenseIndex.build(vectors, DenseParams(factory=factory), owners=owners)
    index.save(tmp_path / "dense")
    queries = gaussian(5, seed=1)
    mask = np.random.default_rng(2).random(index.n_passages) < 0.5
    for one in (index, DenseIndex.open(tmp_path / "dense")):
        for allowed in (None, mask, Allowed(mask, mask.size)):
            top = one.search(queries, 7, THOROUGH, allowed=allowed, n_threads=2)
            for row in range(5):
                expected = brute_force(
                    vectors, queries[row], 7, "cosine", owners, None if allowed is None else mask
                )
                check(top, row, expected, 7)


def test_many_queries_at_once_find_what_each_finds_alone():
    vectors, queries = gaussian(500), gaussian(20, seed=1)
    index = DenseIndex.build(vectors)
    for mask in (None, np.arange(500) % 3 == 0):
        together = index.search(queries, 7, allowed=mask)
        for row, query in enumerate(queries):
            check(together, row, brute_force(vectors, query, 7, "cosine", mask=mask), 7)
            alone = index.search(query[None], 7, allowed=mask)
            assert alone.ordinals[0].tolist() == together.ordinals[row].tolist()
            assert alone.scores[0].tolist() == together.scores[row].tolist()


def clustered(n, n_queries, n_clusters=40, d=16):
    """Vectors in clusters; a mask of half of the clusters; queries in the others."""
    random = np.random.default_rng(5)
    centres = random.standard_normal((n_clusters, d))
    of_each, asked = random.integers(0, n_clusters, n), random.integers(0, n_clusters, n_queries)
    asked //= 2
    vectors, queries = (
        (centres[which] + 0.3 * random.standard_normal((which.size, d))).astype(np.float32)
        for which in (of_each, asked)
    )
    return vectors, of_each >= n_clusters // 2, queries


@pytest.mark.usefixtures("by_index")
@pytest.mark.parametrize("factory", ["HNSW16_SQ8", "IVF64,Flat", "SQ8"])
def test_a_filter_that_leaves_out_all_that_is_near_hides_nothing(factory):
    vectors, mask, queries = clustered(6_000, 30)
    index = DenseIndex.build(vectors, DenseParams(factory=factory))
    for allowed in (mask, ~mask):
        shares, top = shares_found(
            index, vectors, queries, 10, allowed, DenseSearchParams(ef_search=32, n_probe=4)
        )
        assert not top.exact.all()
        assert allowed[top.ordinals].all()
        assert shares.mean() > 0.97
        assert shares.min() >= 0.7


@pytest.mark.usefixtures("by_index")
@pytest.mark.parametrize("factory", ["HNSW16_SQ8", "IVF64,Flat", "SQ8"])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.3, 0.99])
def test_the_fewer_may_be_found_the_deeper_is_searched(factory, share):
    """So that a filter costs no accuracy; before, .64 of the best were found of 2 %."""
    vectors, queries = gaussian(6_000), gaussian(30, seed=1)
    mask = np.random.default_rng(2).random(6_000) < share
    index = DenseIndex.build(vectors, DenseParams(factory=factory))
    params = DenseSearchParams(ef_search=64, n_probe=16)
    shares, top = shares_found(index, vectors, queries, 10, mask, params)
    without, _ = shares_found(index, vectors, queries, 10, None, params)
    assert not top.exact.any()
    assert mask[top.ordinals].all()
    assert shares.mean() > without.mean() - 0.02


def test_whichever_costs_less_is_done():
    """Comparing with all allowed vectors, or a search that goes deeper as fewer are allowed."""
    vectors, queries = gaussian(20_000), gaussian(3, seed=1)
    index = DenseIndex.build(vectors, DenseParams(factory="HNSW16_SQ8"))
    order = np.random.default_rng(2).permutation(20_000)
    for n_allowed, exact in ((20_000, False), (19_800, False), (12_000, False), (5_000, True)):
        top = index.search(queries, 10, allowed=order[:n_allowed])
        assert top.exact.tolist() == [exact] * 3
        if exact:
            assert top.counters.documents_scored == 3 * n_allowed
        else:
            assert top.counters.documents_scored < 3 * 128 * 20_000 / n_allowed + 10
    everything = index.search(queries, 10, DenseSearchParams(exact=True))
    assert everything.exact.all()
    assert everything.counters.documents_scored == 3 * 20_000


def test_what_an_index_proposes_needs_no_look_at_all_vectors(monkeypatch):
    vectors = np.random.default_rng(0).standard_normal((5_000, 8))
    index = DenseIndex.build(vectors, DenseParams(factory="HNSW8"))
    monkeypatch.setattr("lexidex.index.dense.dense_index.nearest", None)
    assert index.search(vectors[:3], 1).ordinals[:, 0].tolist() == [0, 1, 2]


def test_more_lists_are_looked_at_until_enough_is_found():
    vectors, queries = gaussian(5_000), gaussian(5, seed=1)
    index = DenseIndex.build(vectors, DenseParams(factory="IVF128,Flat"))
    params = DenseSearchParams(n_probe=1)
    found = index.search(queries, 300, params)
    assert (found.ordinals >= 0).all()
    assert not found.exact.any()
    every = index.search(queries, 5_000, params)
    assert np.sort(every.ordinals, axis=1).tolist() == [list(range(5_000))] * 5


def test_scores_of_chosen_passages_are_those_of_the_search():
    vectors, owners = gaussian(200), np.sort(np.random.default_rng(3).integers(0, 60, 200))
    index = DenseIndex.build(vectors, owners=owners, n_passages=70)
    query = gaussian(1, seed=4)
    top = index.search(query, 70)
    found = top.ordinals[0] >= 0
    scores = index.score(query[0], np.arange(70))
    assert np.isnan(scores[~np.isin(np.arange(70), owners)]).all()
    assert scores[top.ordinals[0][found]].tolist() == top.scores[0][found].tolist()
    alone = [index.score(query[0], np.array([passage]))[0] for passage in (3, 11)]
    np.testing.assert_array_equal(alone, scores[[3, 11]])


@given(st.integers(0, 40), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_an_inner_product_has_the_same_bits_in_whatever_company(n, dim, seed):
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((50, dim)).astype(np.float32)
    query, rows = vectors[0].copy(), random.integers(0, 50, n)
    products, alone = np.empty(n, dtype=np.float32), np.empty(1, dtype=np.float32)
    inner_products(vectors.reshape(-1), query, rows, products)
    expected = vectors[rows].astype(np.float64) @ query.astype(np.float64)
    np.testing.assert_allclose(products, expected, atol=1e-4)
    for row, product in zip(rows, products, strict=True):
        inner_products(vectors.reshape(-1), query, np.array([row]), alone)
        assert alone[0] == product


def test_a_few_are_flat_and_many_have_an_index():
    assert DenseParams().factory_for(9_999) == "Flat"
    assert DenseParams().factory_for(10_000) == "SQ8"
    assert DenseParams().factory_for(49_999) == "SQ8"
    assert DenseParams().factory_for(50_000) == "HNSW32_SQ8"
    assert DenseParams(factory="SQ8").factory_for(10) == "SQ8"


@pytest.mark.usefixtures("by_index")
def test_candidates_for_fusion_are_as_many_and_the_nearest_are_among_them():
    vectors, queries = gaussian(3_000), gaussian(20, seed=1)
    index = DenseIndex.build(vectors, DenseParams(factory="HNSW16_SQ8"))
    few = DenseSearchParams.for_fusion(exact=False)
    found = index.search(queries, 200, few)
    assert (found.ordinals >= 0).all()
    best = index.search(queries, 10, DenseSearchParams(exact=True)).ordinals
    known = [
        np.isin(row, ordinals).mean() for row, ordinals in zip(best, found.ordinals, strict=True)
    ]
    assert np.mean(known) > 0.95
    deeper = index.search(queries, 200, DenseSearchParams(ef_search=64, refine=1))
    exact = index.search(queries, 200, DenseSearchParams(exact=True)).ordinals

    def overlap(top):
        pairs = zip(exact, top.ordinals, strict=True)
        return np.mean([np.isin(one, other).mean() for one, other in pairs])

    assert overlap(deeper) > overlap(found)  # it is for the effort that there is a choice
    for mask in (np.arange(3_000) % 2 == 0, np.arange(3_000) % 100 > 0):
        filtered = index.search(queries, 200, few, allowed=mask)
        assert (filtered.ordinals >= 0).all()
        assert mask[filtered.ordinals].all()
        assert not filtered.exact.any()
        shares, _ = shares_found(index, vectors, queries, 10, mask, few)
        assert shares.mean() > 0.95
        # No deeper than without a filter, but for what it leaves out.
        most = 1.5 * found.counters.documents_scored / mask.mean()
        assert filtered.counters.documents_scored < most


def test_nothing_is_found_where_nothing_is():
    index = DenseIndex.build(np.empty((0, 4)), n_passages=3)
    top = index.search(np.ones((1, 4)), 2)
    assert top.ordinals.tolist() == [[-1, -1]]
    assert np.isnan(index.score(np.ones(4), np.arange(3))).all()


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones(3), r"vectors: shape \(3,\); expected \(n, dimensions\)"),
        ([["a"]], "vectors: expected numbers of shape"),
        ([[1.0, np.nan]], "value nan in row 0; values must be finite"),
        ([[1.0, 0], [0, 0]], "row 1 is all zeros"),
    ],
)
def test_vectors_that_cannot_be_compared_are_refused(vectors, message):
    with pytest.raises(ParameterError, match=message):
        DenseIndex.build(vectors)


def test_no_inner_product_of_accepted_vectors_is_infinite():
    params = DenseParams("inner-product")
    largest = np.full((2, 1 << 16), 1e16, dtype=np.float32)
    index = DenseIndex.build(largest, params)
    scores = index.search(largest[:1], 2).scores
    assert np.isfinite(scores).all()
    assert scores[0, 0] > 1e36
    with pytest.raises(ParameterError, match=r"vectors: value -1e\+25 in row 1; inner products"):
        DenseIndex.build([[1.0, 2.0], [3.0, -1e25]], params)
    with pytest.raises(ParameterError, match="queries: value"):
        index.search(np.full((1, 1 << 16), 1e20), 2)
    cosines = DenseIndex.build([[1.0, 2.0], [3.0, -1e25]])
    assert cosines.search([[1e-20, 0.0]], 2).scores[0, 0] == pytest.approx(5**-0.5)


def test_queries_of_another_width_and_unknown_factories_are_refused():
    index = DenseIndex.build(gaussian(10))
    with pytest.raises(ParameterError, match="queries: 3 dimensions; the index has 16"):
        index.search(np.ones((1, 3)))
    with pytest.raises(ParameterError, match="factory: 'Tree' for vectors of 16 dimensions; FAISS"):
        DenseIndex.build(gaussian(10), DenseParams(factory="Tree"))
    with pytest.raises(TooFewVectors, match="factory: 'IVF64,Flat' for 10 vectors"):
        DenseIndex.build(gaussian(10), DenseParams(factory="IVF64,Flat"))
    with pytest.raises(ParameterError, match="metric: 'l2'"):
        DenseParams("l2")
    with pytest.raises(ParameterError, match="owners: passage 7 of 5"):
        DenseIndex.build(gaussian(2), owners=[0, 7], n_passages=5)


@pytest.mark.parametrize(
    ("factory", "dim", "message"),
    [
        ("Bogus", None, "FAISS says: could not parse index string Bogus"),
        ("PQ48", 50, "'PQ48' for vectors of 50 dimensions; FAISS says: The dimension"),
        ("LSH", None, "FAISS says: it has none for inner products"),
        ("IVF256,SQ8,RFlat", None, "of no use with such an index"),
        ("NSG16", None, "of no use with such an index"),
        ("IDMap,Flat", None, "of no use with such an index"),
        ("HNSW8_2+PQ4", None, "of no use with such an index"),
        ("IVF16(IVF4,Flat),SQ8", None, "of no use with such an index"),
        ("HNSW16_SQ8_direct", None, "of no use with such an index"),
        ("IVF9999999999,Flat", None, "9999999999 stands where 0 to 1,048,576 may"),
        ("IVF0,Flat", None, "0 stands where 1 to 1,048,576 may"),
        ("HNSW1_SQ8", 16, "1 stands where 2 to 1,048,576 may"),
        ("IVF4_HNSW0,SQ8", 16, "0 stands where 2 to 1,048,576 may"),
        ("HNSW8_PQ8x20", None, "20 stands where 1 to 12 may"),
    ],
)
def test_what_no_collection_can_have_is_told_by_its_name_in_a_line(factory, dim, message):
    with pytest.raises(ParameterError) as raised:
        DenseParams(factory=factory).check(dim)
    said = str(raised.value)
    assert said.startswith(f"factory: {factory!r}")
    assert message in said
    assert "expected a name such as" in said
    for internal in ("faiss::", ".cpp", "std::", "\n"):
        assert internal not in said


def test_what_a_collection_can_have_is_told_without_vectors():
    for factory in (*FACTORIES, "auto", "IVF1024,PQ48x4fs", "OPQ7_56,IVF64,PQ7", "PCA256,SQ8"):
        DenseParams(factory=factory).check()
    DenseParams(factory="PQ48").check(384)


@pytest.mark.usefixtures("by_index")
def test_what_faiss_cannot_search_is_an_error_in_a_line():
    """Of a collection that was made before names were looked at."""
    index = DenseIndex.build(gaussian(3_000), DenseParams(factory="IVF4,RQ2x4fs"))
    with pytest.raises(ParameterError, match="dense index: FAISS cannot search it: search params"):
        index.search(gaussian(1))


def test_an_index_that_faiss_cannot_read_is_named(tmp_path):
    index = DenseIndex.build(gaussian(600), DenseParams(factory="SQ8"))
    index._arrays["faiss"] = index._arrays["faiss"][:50].copy()
    index.save(tmp_path / "dense")
    with pytest.raises(CorruptFile, match="dense: FAISS cannot read its index"):
        DenseIndex.open(tmp_path / "dense").search(gaussian(1))


@pytest.mark.parametrize("several", [False, True])
def test_the_rows_of_passages_are_theirs_in_the_order_asked_for(several):
    vectors = gaussian(7, 3)
    owners = [0, 0, 1, 3, 3, 3, 5] if several else None
    index = DenseIndex.build(
        vectors, DenseParams("inner-product"), owners=owners, n_passages=9 if several else None
    )
    asked = np.array([5, 3, 2, 0, 8 if several else 6])
    rows, places = index.rows_of(asked)
    expected = [
        (place, row)
        for place, passage in enumerate(asked.tolist())
        for row, owner in enumerate(owners or range(7))
        if owner == passage
    ]
    assert places.tolist() == [place for place, _ in expected]
    assert rows.tobytes() == vectors[[row for _, row in expected]].tobytes()
