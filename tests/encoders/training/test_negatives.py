"""Mining against brute force: ranks, bands, turns, margins."""

import numpy as np
import pytest

from lexidex.encoders import load_encoder
from lexidex.encoders.training import negatives
from lexidex.encoders.training.negatives import (
    Band,
    DenseRetriever,
    Mining,
    SparseRetriever,
    mine,
    take_turns,
)
from lexidex.encoders.training.pairs import text_id
from lexidex.encoders.training.teachers import Ensemble
from lexidex.errors import ParameterError

from .test_teachers import Table
from .tiny import tiny_pairs

N = 40


@pytest.fixture(scope="module")
def pairs():
    """Pairs whose documents repeat words of others, so that BM25 ranks many."""
    plain = tiny_pairs(N)
    queries = [" ".join(text.split()[:3]) for text in plain.documents]
    return type(plain)(
        plain.query_ids, queries, plain.document_ids, plain.documents, plain.positives
    )


class Fixed:
    """A retriever whose ranking is given."""

    def __init__(self, ranking):
        self._ranking = np.array(ranking)

    def ranking(self, pairs, k):
        return np.tile(self._ranking[:k], (len(pairs), 1))


def test_sparse_ranking_is_that_of_all_products(pairs):
    encoder = load_encoder("bm25").fit(pairs.documents)
    scores = (
        encoder.encode_queries(pairs.queries) @ encoder.encode_documents(pairs.documents).T
    ).toarray()
    found = SparseRetriever(load_encoder("bm25")).ranking(pairs, 10)
    for query, rows in enumerate(found):
        ranked = scores[query, rows[rows >= 0]]
        np.testing.assert_allclose(ranked, np.sort(scores[query])[::-1][: ranked.size], rtol=1e-5)


def test_beyond_a_size_the_approximate_index_mines(pairs, monkeypatch):
    exact = SparseRetriever(load_encoder("bm25")).ranking(pairs, 5)
    monkeypatch.setattr(negatives, "EXACT_UP_TO", N - 1)
    found = SparseRetriever(load_encoder("bm25")).ranking(pairs, 5)
    assert found.shape == exact.shape
    shared = [len(set(one) & set(other)) for one, other in zip(found, exact, strict=True)]
    assert np.mean(shared) > 4.5


class Random:
    """A dense encoder whose vectors are random, but those of a text always the same."""

    def encode_documents(self, texts):
        seeds = [int(text_id(text), 16) for text in texts]
        vectors = [np.random.default_rng(seed).normal(size=8) for seed in seeds]
        return np.array(vectors, dtype=np.float32)

    encode_queries = encode_documents


def test_dense_ranking_is_that_of_all_products(pairs):
    encoder = Random()
    scores = encoder.encode_queries(pairs.queries) @ encoder.encode_documents(pairs.documents).T
    found = DenseRetriever(encoder).ranking(pairs, 7)
    np.testing.assert_array_equal(found, np.argsort(-scores, axis=1, kind="stable")[:, :7])
    assert DenseRetriever(encoder).ranking(pairs, 1000).shape == (N, N)


def test_negatives_are_what_is_ranked_high_and_is_no_positive(pairs):
    mined = mine(pairs, [Fixed(range(N))], Mining([Band(1, 5, 5)]))
    assert mined.queries.tolist() == list(range(N))
    for query, documents in zip(mined.queries, mined.documents, strict=True):
        assert documents.tolist() == [query, *(row for row in range(5) if row != query)]
    assert mined.scores is None


def test_bands_take_so_many_of_their_ranks(pairs):
    bands = [Band(1, 10, 4), Band(1, 30, 6), Band(35, 40, 2)]
    mined = mine(pairs, [Fixed(range(N))], Mining(bands, seed=3))
    for query, documents in zip(mined.queries, mined.documents, strict=True):
        negatives = documents[1:]
        assert len(set(negatives)) == len(negatives) == 12
        assert query not in negatives
        assert ((negatives < 10).sum() >= 4) & ((negatives >= 34).sum() == 2)
    assert len({tuple(documents[1:]) for documents in mined.documents}) > N // 2
    again = mine(pairs, [Fixed(range(N))], Mining(bands, seed=3))
    assert all((a == b).all() for a, b in zip(mined.documents, again.documents, strict=True))


def test_the_best_of_a_band_are_taken_where_nothing_is_drawn(pairs):
    mined = mine(pairs, [Fixed(range(20, N))], Mining([Band(3, 20, 2)], draw=False))
    assert mined.documents[0].tolist() == [0, 22, 23]


def test_retrievers_take_turns():
    found = take_turns([np.array([4, 1, 7, -1]), np.array([1, 9, 4, 2])], np.array([9]))
    assert found.rows.tolist() == [4, 1, 7, 2]
    assert found.ranks.tolist() == [1, 1, 3, 4]
    shorter = take_turns([np.array([4]), np.array([1, 9])], np.array([], dtype=np.int64))
    assert shorter.rows.tolist() == [4, 1, 9]


@pytest.mark.parametrize(
    ("margins", "limit"),
    [({"absolute_margin": 0.0}, 10), ({"absolute_margin": 4.0}, 6), ({"relative_margin": 0.7}, 3)],
)
def test_what_the_teacher_finds_as_good_as_the_positive_is_no_negative(pairs, margins, limit):
    scores = np.tile(np.arange(N, dtype=np.float32), (N, 1))  # document i has score i ...
    np.fill_diagonal(scores, 10)  # ... and every positive has 10
    teacher = Ensemble([Table(scores)], [1.0])
    mined = mine(pairs, [Fixed(range(N))], Mining([Band(1, N, N)], **margins), teacher)
    for query, documents, known in zip(mined.queries, mined.documents, mined.scores, strict=True):
        assert documents[1:].tolist() == [row for row in range(limit) if row != query]
        np.testing.assert_array_equal(known, scores[query, documents])


def test_a_teacher_without_margins_scores_the_lists(pairs):
    teacher = Ensemble(
        [Table(np.random.default_rng(0).normal(size=(N, N)).astype(np.float32))], [2.0]
    )
    mined = mine(pairs, [Fixed(range(N))], Mining([Band(1, 9, 3)]), teacher)
    for query, documents, known in zip(mined.queries, mined.documents, mined.scores, strict=True):
        assert documents.size == 4
        np.testing.assert_allclose(known, 2 * teacher.teachers[0].table[query, documents])


def test_every_positive_gets_a_list_without_the_others(pairs):
    twice = [np.array([row, (row + 1) % N]) for row in range(N)]
    doubled = type(pairs)(
        pairs.query_ids, pairs.queries, pairs.document_ids, pairs.documents, twice
    )
    mined = mine(doubled, [Fixed(range(N))], Mining([Band(1, 5, 5)]))
    assert len(mined) == 2 * N
    for query, documents in zip(mined.queries, mined.documents, strict=True):
        assert documents[0] in twice[query]
        assert not set(documents[1:]) & set(twice[query])


def test_sparse_and_dense_models_mine_together(pairs):
    retrievers = [SparseRetriever(load_encoder("bm25")), DenseRetriever(Random())]
    rankings = [retriever.ranking(pairs, 4) for retriever in retrievers]
    mined = mine(pairs, retrievers, Mining([Band(1, 4, 8)]))
    for query, documents in zip(mined.queries, mined.documents, strict=True):
        ranked = {int(row) for ranking in rankings for row in ranking[query] if row >= 0}
        assert set(documents[1:]) == ranked - {query}
    assert any(len(documents) > 5 for documents in mined.documents)


def test_margins_need_a_teacher(pairs):
    with pytest.raises(ParameterError, match="give a teacher"):
        mine(pairs, [Fixed(range(N))], Mining(absolute_margin=0.0))


@pytest.mark.parametrize("name", ["absolute_margin", "relative_margin"])
@pytest.mark.parametrize("margin", [float("nan"), float("inf")])
def test_margins_are_numbers(name, margin):
    with pytest.raises(ParameterError, match=f"{name}: {margin}; expected a finite number"):
        Mining(**{name: margin})


@pytest.mark.parametrize("band", [(0, 5, 1), (6, 5, 1), (1, 5, 0)])
def test_bands_that_hold_nothing_are_refused(band):
    with pytest.raises(ParameterError, match="band"):
        Band(*band)
