"""Regularisers against their formulas in NumPy, and their gradients against differences."""

import math

import numpy as np
import pytest
import torch

from lexidex.encoders.training.regularisers import (
    anti_zero,
    df_flops,
    df_weight,
    flops,
    idf_aware_flops,
    l1,
    masked_flops,
    quadratic_ramp,
)
from lexidex.errors import ParameterError

TEXTS, TERMS = 6, 9


@pytest.fixture
def vectors():
    """Weights, float64 (texts, terms), half of them 0."""
    rng = np.random.default_rng(4)
    return rng.uniform(0.1, 2, (TEXTS, TERMS)) * (rng.random((TEXTS, TERMS)) < 0.5)


@pytest.fixture
def idf():
    return np.random.default_rng(6).uniform(0.5, 9, TERMS)


def tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array))


def test_flops_is_the_squared_mean_of_each_term(vectors):
    wanted = sum((sum(row[term] for row in vectors) / TEXTS) ** 2 for term in range(TERMS))
    assert float(flops(tensor(vectors))) == pytest.approx(wanted)


def test_l1_is_the_mean_mass_of_a_text(vectors):
    assert float(l1(tensor(vectors))) == pytest.approx(np.mean([row.sum() for row in vectors]))


def test_the_two_readings_of_idf_aware_flops_are_one_penalty(vectors, idf):
    code = idf_aware_flops(tensor(vectors), tensor(idf), "code")
    paper = idf_aware_flops(tensor(vectors * idf), tensor(idf), "paper")
    assert float(code) == pytest.approx((vectors.mean(0) ** 2).sum())
    assert float(paper) == pytest.approx(float(code))
    with pytest.raises(ParameterError, match="'papers'"):
        idf_aware_flops(tensor(vectors), tensor(idf), "papers")


def test_masked_flops_spares_texts_with_few_terms_but_counts_them(vectors):
    nnz = (vectors > 0).sum(1)
    threshold = int(np.sort(nnz)[2])
    many = vectors[nnz > threshold]
    assert 0 < len(many) < TEXTS
    wanted = ((many.sum(0) / TEXTS) ** 2).sum()
    found = masked_flops(tensor(vectors), tensor(nnz), threshold)
    assert float(found) == pytest.approx(wanted)
    assert float(masked_flops(tensor(vectors), tensor(nnz), TERMS)) == 0


@pytest.mark.parametrize("positions", [2, 3])
def test_positions_of_candidates_have_means_of_their_own(vectors, idf, positions):
    def wanted(weights):
        places = [weights[place::positions] for place in range(positions)]
        return sum((place.mean(0) ** 2).sum() for place in places)

    n_texts = TEXTS // positions * positions
    w, nnz = vectors[:n_texts], (vectors[:n_texts] > 0).sum(1)
    threshold = int(np.sort(nnz)[2])
    many = w * (nnz > threshold)[:, None]
    found = [
        flops(tensor(w), positions=positions),
        idf_aware_flops(tensor(w), tensor(idf), "code", positions=positions),
        idf_aware_flops(tensor(w), tensor(idf), "paper", positions=positions),
        masked_flops(tensor(w), tensor(nnz), threshold, positions=positions),
    ]
    given = [w, w, w / idf, many]
    assert [float(value) for value in found] == pytest.approx([wanted(each) for each in given])
    alike = np.repeat(w[:2], positions, axis=0)
    penalties = [float(flops(tensor(alike), positions=number)) for number in (1, positions)]
    assert penalties[1] == pytest.approx(positions * penalties[0])


def test_df_flops_weighs_terms_by_how_many_documents_have_them(vectors):
    alpha, beta = 0.1, 3.0
    shares = np.linspace(0.02, 1, TERMS)
    weights = [1 / (1 + (x ** (math.log(2) / math.log(alpha)) - 1) ** beta) for x in shares]
    wanted = ((np.array(weights) * vectors.mean(0)) ** 2).sum()
    found = df_flops(tensor(vectors), tensor(shares), alpha=alpha, beta=beta)
    assert float(found) == pytest.approx(wanted)


def test_the_weight_of_a_document_frequency_rises_from_nothing_over_a_half_to_one():
    shares = torch.tensor([0.0, 0.001, 0.1, 0.5, 1.0], dtype=torch.float64)
    weights = df_weight(shares, 0.1, 10.0).numpy()
    assert (np.diff(weights[1:]) >= 0).all()
    np.testing.assert_allclose(weights[[0, 2, 4]], [0, 0.5, 1], atol=1e-6)


def test_anti_zero_is_a_wall_before_empty_vectors(vectors):
    assert float(anti_zero(tensor(vectors))) == pytest.approx(1 / vectors.sum() ** 2)
    empty = anti_zero(torch.zeros(2, 3))
    assert torch.isfinite(empty)
    assert float(empty) > 1e6


@pytest.mark.parametrize(
    "penalty",
    [
        flops,
        l1,
        lambda w, c=None: idf_aware_flops(w, torch.arange(1.0, TERMS + 1), "paper", c),
        lambda w, c=None: masked_flops(w, torch.arange(TEXTS), 2, c),
        lambda w, c=None: flops(w, c, 2),
        lambda w, c=None: df_flops(w, torch.linspace(0.1, 1, TERMS), columns=c),
        anti_zero,
    ],
)
def test_a_column_counts_for_as_many_terms_as_it_stands_for(vectors, penalty):
    w = tensor(vectors)
    doubled = torch.full((TERMS,), 2.0, dtype=w.dtype)
    factor = 0.25 if penalty is anti_zero else 2.0
    assert float(penalty(w, doubled)) == pytest.approx(factor * float(penalty(w)))


@pytest.mark.parametrize(
    "penalty",
    [
        flops,
        l1,
        lambda w: idf_aware_flops(w, torch.arange(1.0, TERMS + 1, dtype=w.dtype), "paper"),
        lambda w: masked_flops(w, torch.arange(TEXTS), 2),
        lambda w: flops(w, None, 2),
        lambda w: df_flops(w, torch.linspace(0.1, 1, TERMS, dtype=w.dtype)),
        anti_zero,
    ],
)
def test_gradients(vectors, penalty):
    assert torch.autograd.gradcheck(penalty, tensor(vectors).requires_grad_())


def test_the_ramp_is_quadratic_and_then_flat():
    assert [quadratic_ramp(step, 4) for step in range(6)] == [0, 1 / 16, 1 / 4, 9 / 16, 1, 1]
    assert quadratic_ramp(0, 0) == 1
