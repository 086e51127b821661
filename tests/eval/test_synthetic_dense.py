"""Synthetic dense vectors: on the subjects of the sparse ones, and as near as those of text."""

import numpy as np
import pytest

from lexidex.eval.synthetic import generate, plan_of, targets_of
from lexidex.eval.synthetic_dense import DIM, generate_dense


@pytest.fixture(scope="module")
def made():
    return generate_dense(4_000, n_queries=100)


def test_a_seed_gives_the_same_vectors_of_unit_length(made):
    again = generate_dense(4_000, n_queries=100)
    np.testing.assert_array_equal(made.documents, again.documents)
    np.testing.assert_array_equal(made.test_queries, again.test_queries)
    assert (made.documents.shape, made.test_queries.shape) == ((4_000, DIM), (100, DIM))
    assert made.documents.dtype == np.float32
    for vectors in (made.documents, made.test_queries):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert not np.array_equal(generate_dense(4_000, seed=8).documents, made.documents)


def test_queries_are_drawn_from_the_documents_of_the_sparse_ones(made):
    targets = targets_of(4_000, 7, 100)
    np.testing.assert_array_equal(targets, generate(4_000, n_queries=100).test_targets)
    cosines = made.test_queries @ made.documents.T
    assert 0.65 < cosines[np.arange(100), targets].mean() < 0.85
    assert (cosines.argmax(axis=1) == targets).mean() > 0.9
    assert abs(cosines.mean()) < 0.02
    assert 0.06 < cosines.std() < 0.10


def test_nearness_follows_subject_topic_and_area(made):
    plan = plan_of(4_000, 7)
    own = plan.originals < 0
    subjects = np.where(own, plan.subjects, -1)
    cosines = made.documents @ made.documents.T
    np.fill_diagonal(cosines, np.nan)
    both = own[:, None] & own[None, :]
    areas, topics = subjects >> 8, subjects >> 4
    same_topic = both & (topics[:, None] == topics[None, :])
    same_area = both & (areas[:, None] == areas[None, :]) & ~same_topic
    others = both & (areas[:, None] != areas[None, :])
    near, middle, far = (np.nanmean(cosines[mask]) for mask in (same_topic, same_area, others))
    assert near > middle + 0.2
    assert middle > far + 0.1
    copies = np.flatnonzero(~own)
    assert cosines[copies, plan.originals[copies]].mean() > 0.95
