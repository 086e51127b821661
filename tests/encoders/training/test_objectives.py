"""Objectives against their formulas in NumPy, and their gradients against differences."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from lexidex.encoders.training.objectives import (
    info_nce,
    kl_and_margin_mse,
    kl_divergence,
    margin_mse,
    masked_language_model,
    term_recall,
)

QUERIES, CANDIDATES = 5, 7


@pytest.fixture
def scores():
    """Scores of a student and of a teacher, float64 (queries, candidates)."""
    rng = np.random.default_rng(3)
    student = rng.normal(8, 3, (QUERIES, CANDIDATES))
    return student, rng.normal(0, 5, student.shape)


def tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array))


@pytest.mark.parametrize("temperature", [1.0, 0.05])
def test_info_nce_is_the_negative_logarithm_of_the_positives_share(scores, temperature):
    student, _ = scores
    positives = np.array([0, 6, 2, 2, 5])
    share = np.exp(student / temperature - (student / temperature).max(1, keepdims=True))
    share = share / share.sum(1, keepdims=True)
    wanted = -np.log(share[np.arange(QUERIES), positives]).mean()
    found = info_nce(tensor(student), tensor(positives), temperature=temperature)
    assert float(found) == pytest.approx(wanted, rel=1e-9)


def test_info_nce_leaves_excluded_documents_out_but_never_the_positive(scores):
    student, _ = scores
    positives = np.zeros(QUERIES, dtype=np.int64)
    excluded = np.zeros(student.shape, dtype=bool)
    excluded[:, 0] = True
    excluded[:, 4:] = True
    found = info_nce(tensor(student), tensor(positives), excluded=tensor(excluded))
    assert float(found) == pytest.approx(-log_softmax(student[:, :4], axis=1)[:, 0].mean())


def test_margin_mse_takes_every_pair_of_positive_and_negative(scores):
    student, teacher = scores
    squares = [
        ((s[0] - s[place]) - (t[0] - t[place])) ** 2
        for s, t in zip(student, teacher, strict=True)
        for place in range(1, CANDIDATES)
    ]
    assert float(margin_mse(tensor(student), tensor(teacher))) == pytest.approx(np.mean(squares))


def test_margin_mse_knows_differences_alone(scores):
    student, _ = scores
    shifted = student + np.arange(QUERIES)[:, None]
    assert float(margin_mse(tensor(student), tensor(shifted))) == pytest.approx(0, abs=1e-18)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kl_divergence_goes_from_the_teacher_to_the_student(scores, temperature):
    student, teacher = scores
    p, q = softmax(teacher / temperature, axis=1), softmax(student / temperature, axis=1)
    wanted = (p * np.log(p / q)).sum(1).mean()
    found = kl_divergence(tensor(student), tensor(teacher), temperature=temperature)
    assert float(found) == pytest.approx(wanted)
    assert float(kl_divergence(tensor(student), tensor(student + 3))) == pytest.approx(0, abs=1e-12)


def test_both_together_are_the_weighted_sum(scores):
    student, teacher = map(tensor, scores)
    wanted = 0.99 * kl_divergence(student, teacher) + 0.05 * margin_mse(student, teacher)
    found = kl_and_margin_mse(student, teacher, kl_weight=0.99, margin_weight=0.05)
    assert float(found) == pytest.approx(float(wanted))


def test_hidden_tokens_cost_what_the_scores_and_the_activated_scores_say():
    rng = np.random.default_rng(5)
    logits, labels = rng.normal(0, 4, (6, 11)), rng.integers(0, 11, 6)
    rows = np.arange(6)
    plain = -log_softmax(logits, axis=1)[rows, labels].mean()
    activated = -log_softmax(np.log1p(np.maximum(logits, 0)), axis=1)[rows, labels].mean()
    assert float(masked_language_model(tensor(logits), tensor(labels))) == pytest.approx(plain)
    both = masked_language_model(tensor(logits), tensor(labels), activated_weight=0.3)
    assert float(both) == pytest.approx(plain + 0.3 * activated)


def test_where_nothing_is_hidden_nothing_is_lost():
    logits = torch.zeros(0, 11, requires_grad=True)
    none = torch.zeros(0, dtype=torch.int64)
    loss = masked_language_model(logits, none, activated_weight=0.3)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None


def test_term_recall_is_the_mean_of_squared_errors(scores):
    weights, recalls = (side.ravel() for side in scores)
    wanted = np.square(weights - recalls).sum() / weights.size
    assert float(term_recall(tensor(weights), tensor(recalls))) == pytest.approx(wanted)
    assert float(term_recall(tensor(weights[:0]), tensor(recalls[:0]))) == 0


@pytest.mark.parametrize(
    "objective",
    [
        lambda s, t: info_nce(s, torch.tensor([0, 6, 2, 2, 5]), temperature=2.0),
        lambda s, t: info_nce(s, torch.tensor([0, 6, 2, 2, 5]), excluded=t > 6),
        margin_mse,
        kl_divergence,
        kl_and_margin_mse,
        term_recall,
        lambda s, t: masked_language_model(s, torch.tensor([0, 6, 2, 2, 5]), activated_weight=0.5),
    ],
)
def test_gradients(scores, objective):
    student, teacher = map(tensor, scores)
    assert torch.autograd.gradcheck(lambda s: objective(s, teacher), student.requires_grad_())
