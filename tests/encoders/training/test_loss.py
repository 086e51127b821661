"""The loss of a step: its parts, its ramps, and what a sample of columns changes."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from lexidex.encoders.training import objectives, regularisers
from lexidex.encoders.training.columns import SampledColumns
from lexidex.encoders.training.held_out import expected_products
from lexidex.encoders.training.loss import Loss, Objective, Regulariser, Scores
from lexidex.encoders.training.student import Vectors
from lexidex.errors import ParameterError

QUERIES, CANDIDATES, DIM = 4, 3, 50


@pytest.fixture
def vectors():
    rng = np.random.default_rng(1)
    queries = np.zeros((QUERIES, DIM), dtype=np.float32)
    queries[np.arange(QUERIES)[:, None], rng.integers(0, DIM, (QUERIES, 3))] = 1.5
    documents = rng.uniform(0, 2, (QUERIES * CANDIDATES, DIM)).astype(np.float32)
    documents *= rng.random(documents.shape) < 0.6
    return Vectors(torch.from_numpy(queries), torch.from_numpy(documents))


@pytest.fixture
def scores(vectors):
    teacher = torch.from_numpy(np.random.default_rng(2).normal(0, 3, (QUERIES, 12)))
    candidates = torch.arange(QUERIES * CANDIDATES).view(QUERIES, CANDIDATES)
    return Scores(vectors.scores, candidates, teacher.float())


def test_the_total_is_the_weighted_sum_of_objectives_and_penalties(vectors, scores):
    loss = Loss(
        [Objective("kl", over="batch"), Objective("info-nce", weight=0.5, temperature=2.0)],
        [Regulariser("flops", "documents", 0.02), Regulariser("l1", "queries", 0.3)],
    )
    total = loss.total(vectors, scores, step=0)
    positives = scores.candidates[:, 0]
    wanted = (
        objectives.kl_divergence(scores.student, scores.teacher)
        + 0.5 * objectives.info_nce(scores.student, positives, temperature=2.0)
        + 0.02 * regularisers.flops(vectors.documents)
        + 0.3 * regularisers.l1(vectors.queries)
    )
    assert float(total) == pytest.approx(float(wanted))
    assert loss.parts["flops_documents"] == pytest.approx(
        float(regularisers.flops(vectors.documents))
    )
    assert loss.parts["nnz_queries"] == pytest.approx(
        float((vectors.queries > 0).sum(1).float().mean())
    )
    assert set(loss.parts) == {
        "kl", "info-nce", "flops_documents", "l1_queries", "nnz_queries", "nnz_documents", "flops"
    }  # fmt: skip


def test_flops_of_a_batch_are_the_products_that_are_expected(vectors, scores):
    queries, documents = (csr_array(side.numpy()) for side in (vectors.queries, vectors.documents))
    wanted = expected_products(queries, documents)
    loss = Loss([Objective("info-nce")])
    loss.total(vectors, scores, 0)
    assert loss.parts["flops"] == pytest.approx(wanted)
    # Every term of a query is among a step's columns, so a sample changes nothing.
    columns, stands_for = SampledColumns(DIM, np.array([0, 7]), 12).of_step(0, vectors.queries)
    part = Vectors(vectors.queries, vectors.documents[:, columns], columns, stands_for)
    assert float(part.flops) == pytest.approx(wanted)


def test_lists_compare_each_query_with_its_own_candidates(vectors, scores):
    for name, value in (
        ("margin-mse", objectives.margin_mse),
        ("kl", objectives.kl_divergence),
        ("kl-margin-mse", objectives.kl_and_margin_mse),
    ):
        total = Loss([Objective(name)]).total(vectors, scores, 0)
        own = [scores.student[row, 3 * row : 3 * row + 3] for row in range(QUERIES)]
        taught = [scores.teacher[row, 3 * row : 3 * row + 3] for row in range(QUERIES)]
        assert float(total) == pytest.approx(float(value(torch.stack(own), torch.stack(taught))))


def test_the_batch_compares_each_query_s_positive_with_all_documents(vectors, scores):
    positives = scores.candidates[:, 0].tolist()
    order = [[own, *(c for c in range(12) if c != own)] for own in positives]
    rows = np.arange(QUERIES)[:, None]
    student, teacher = (each.numpy()[rows, order] for each in (scores.student, scores.teacher))
    margins = [each[:, :1] - each[:, 1:] for each in (student, teacher)]
    found = Loss([Objective("margin-mse", over="batch")]).total(vectors, scores, 0)
    assert float(found) == pytest.approx(float(np.square(margins[0] - margins[1]).mean()))
    found = Loss([Objective("kl-margin-mse", over="batch")]).total(vectors, scores, 0)
    whole = objectives.kl_and_margin_mse(torch.from_numpy(student), torch.from_numpy(teacher))
    assert float(found) == pytest.approx(float(whole))


def test_answers_of_a_query_are_not_its_negatives(vectors, scores):
    also = torch.zeros(QUERIES, 12, dtype=torch.bool)
    also[0, 5] = also[0, 0] = True
    marked = Scores(scores.student, scores.candidates, scores.teacher, also)
    excluded = scores.student.clone()
    excluded[0, 5] = -1e4
    wanted = objectives.info_nce(excluded, scores.candidates[:, 0])
    assert float(Loss([Objective("info-nce")]).total(vectors, marked, 0)) == pytest.approx(
        float(wanted)
    )
    objective = Objective("info-nce", skip_false_negatives=True)
    better = scores.teacher > scores.teacher.gather(1, scores.candidates[:, :1])
    wanted = objectives.info_nce(scores.student, scores.candidates[:, 0], excluded=better | also)
    assert objective.needs_teacher
    assert float(Loss([objective]).total(vectors, marked, 0)) == pytest.approx(float(wanted))


def test_penalties_rise_with_the_square_of_the_step(vectors, scores):
    loss = Loss([Objective("info-nce")], [Regulariser("flops", "documents", 2.0, ramp=10)])
    plain = float(Loss([Objective("info-nce")]).total(vectors, scores, 0))
    penalty = float(regularisers.flops(vectors.documents))
    for step, share in ((0, 0), (5, 0.25), (10, 1), (50, 1)):
        assert float(loss.total(vectors, scores, step)) == pytest.approx(
            plain + 2 * share * penalty
        )


def test_each_penalty_gets_what_it_needs(vectors, scores):
    idf, df = torch.linspace(0.5, 8, DIM), torch.linspace(0, 1, DIM)
    documents, nnz = vectors.documents, (vectors.documents > 0).sum(1)
    wanted = {
        Regulariser("idf-flops", "documents", 1, form="paper"): regularisers.flops(documents / idf),
        Regulariser("masked-flops", "documents", 1, threshold=28): regularisers.masked_flops(
            documents, nnz, 28
        ),
        Regulariser("df-flops", "documents", 1, alpha=0.2, beta=4): regularisers.df_flops(
            documents, df, alpha=0.2, beta=4
        ),
        Regulariser("anti-zero", "documents", 1): regularisers.anti_zero(documents),
        Regulariser("flops", "documents", 1, per_position=True): regularisers.flops(
            documents, None, CANDIDATES
        ),
    }
    loss = Loss([Objective("info-nce")], list(wanted), idf=idf)
    loss.total(vectors, scores, 0, document_frequency=df)
    for regulariser, value in wanted.items():
        assert loss.parts[f"{regulariser.name}_documents"] == pytest.approx(float(value))


def test_a_sample_of_columns_keeps_scores_and_on_average_penalties(vectors):
    sampled = SampledColumns(DIM, np.array([0, 7]), 12, seed=0)
    penalties, nnz = [], []
    for step in range(400):
        columns, stands_for = sampled.of_step(step, vectors.queries)
        part = Vectors(vectors.queries, vectors.documents[:, columns], columns, stands_for)
        np.testing.assert_allclose(part.scores, vectors.scores, rtol=1e-5)
        penalties.append(float(regularisers.flops(part.documents, stands_for)))
        nnz.append(float(((part.documents > 0).float() @ stands_for).mean()))
        assert float(stands_for.sum()) == DIM
    assert np.mean(penalties) == pytest.approx(
        float(regularisers.flops(vectors.documents)), rel=0.02
    )
    assert np.mean(nnz) == pytest.approx(
        float((vectors.documents > 0).sum(1).float().mean()), rel=0.02
    )
    again, _ = sampled.of_step(399, vectors.queries)
    assert again.tolist() == columns.tolist()


def test_a_temperature_is_passed_on_to_both_together(vectors, scores):
    for over, order in (("batch", None), ("lists", scores.candidates)):
        student, teacher = scores.student, scores.teacher
        if order is None:
            student, teacher = scores.in_batch(student), scores.in_batch(teacher)
        else:
            student, teacher = student.gather(1, order), teacher.gather(1, order)
        wanted = objectives.kl_divergence(student, teacher, temperature=3.0)
        wanted = wanted + 0.05 * objectives.margin_mse(student, teacher)
        found = Objective("kl-margin-mse", over=over, temperature=3.0).value(scores)
        assert float(found) == pytest.approx(float(wanted))


def test_parts_of_one_name_have_keys_of_their_own(vectors, scores):
    loss = Loss(
        [Objective("info-nce"), Objective("info-nce", temperature=5.0)],
        [Regulariser("flops", "documents", 1, per_position=own) for own in (False, True)],
    )
    loss.total(vectors, scores, 0)
    positives = scores.candidates[:, 0]
    wanted = {
        "info-nce": objectives.info_nce(scores.student, positives),
        "info-nce-2": objectives.info_nce(scores.student, positives, temperature=5.0),
        "flops_documents": regularisers.flops(vectors.documents),
        "flops_documents-2": regularisers.flops(vectors.documents, None, CANDIDATES),
    }
    assert {key: loss.parts[key] for key in wanted} == pytest.approx(
        {key: float(value) for key, value in wanted.items()}
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Loss([Objective("mse")]), "objective: 'mse'"),
        (lambda: Loss([Objective("kl", over="all")]), "over: 'all'"),
        (lambda: Loss([Objective("kl")], [Regulariser("l2", "queries", 1)]), "regulariser: 'l2'"),
        (lambda: Loss([]), "training needs one"),
        (lambda: Objective("info-nce", over="lists"), "over: 'lists'; info-nce is always over"),
        (lambda: Objective("margin-mse", temperature=2.0), r"temperature: 2\.0; margin-mse does"),
        (lambda: Objective("kl", margin_weight=2.0), r"2\.0; kl does .* only kl-margin-mse"),
        (lambda: Objective("kl", skip_false_negatives=True), "kl does not look at it, only info"),
        (lambda: Regulariser("flops", "documents", 1, threshold=9), "only masked-flops"),
        (lambda: Regulariser("l1", "documents", 1, per_position=True), "l1 does not look at it"),
        (lambda: SampledColumns(10, np.arange(4), 7), "7 drawn beside 4"),
    ],
)
def test_unknown_parts_are_named(make, message):
    with pytest.raises(ParameterError, match=message):
        make()
