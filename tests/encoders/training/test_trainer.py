"""The loop: it learns, goes on after a kill as if there had been none, stops when it collapses."""

import numpy as np
import pytest
import torch
from transformers import TrainerCallback, TrainingArguments

from lexidex.encoders.training.candidates import Candidates
from lexidex.encoders.training.guards import CollapseGuard
from lexidex.encoders.training.held_out import HeldOut
from lexidex.encoders.training.loss import Loss, Objective, Regulariser
from lexidex.encoders.training.pairs import hold_out
from lexidex.encoders.training.plan import Plan
from lexidex.encoders.training.teachers import Ensemble
from lexidex.encoders.training.trained import Trained
from lexidex.encoders.training.trainer import SparseTrainer
from lexidex.errors import TrainingCollapsed

from .linear_student import LinearStudent
from .tiny import tiny_pairs

TRAINING, HELD_OUT = hold_out(tiny_pairs(), 40, 60, seed=0)
BATCH, STEPS = 8, 24


class Overlap:
    """A teacher that knows the synonyms: how many words of a query a document says."""

    def scores(self, queries, documents):
        found = [
            sum(
                f"d{word[1:]}" in TRAINING.documents[d].split()
                for word in TRAINING.queries[q].split()
            )
            for q, d in zip(queries, documents, strict=True)
        ]
        return np.array(found, dtype=np.float32) * 5


def trainer(
    folder, *, student=None, steps=STEPS, loss=None, options=None, learned=True, **settings
):
    """A training of the linear student with every part that has a state: dropout, df, a factor."""
    lists = Candidates(np.arange(len(TRAINING)), TRAINING.positives)
    plan = Plan(lists, len(TRAINING.documents), steps * BATCH, negatives=2, seed=1)
    penalties = [
        Regulariser("df-flops", "documents", 0.01, ramp=10),
        Regulariser("anti-zero", "queries", 1e-3),
    ]
    loss = loss or Loss(
        [Objective("kl", over="batch"), Objective("info-nce", weight=0.5)], penalties
    )
    counts = loss.needs_document_frequency
    trained = Trained(
        student or LinearStudent(dropout=0.2), learned_scale=learned, count_documents=counts
    )
    settled = {
        "per_device_train_batch_size": BATCH,
        "learning_rate": 0.03,
        "logging_steps": 4,
        "save_steps": 8,
        "eval_strategy": "steps",
        "eval_steps": 8,
    }
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=3,
        **(settled | (options or {})),
    )
    return SparseTrainer(
        trained,
        arguments,
        plan,
        TRAINING,
        loss,
        teacher=Ensemble([Overlap()], [1.0]),
        held_out=HeldOut(HELD_OUT),
        **settings,
    )


def weights(run):
    return {name: tensor.clone() for name, tensor in run.model.state_dict().items()}


class KillAt(TrainerCallback):
    """Ends the process, as far as a test can, after a step."""

    def __init__(self, step):
        self._step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self._step:
            raise KeyboardInterrupt


def test_a_training_that_was_killed_ends_like_one_that_was_not(tmp_path):
    whole = trainer(tmp_path / "whole")
    whole.train()
    killed = trainer(tmp_path / "killed")
    killed.add_callback(KillAt(13))
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    resumed = trainer(tmp_path / "killed", student=LinearStudent(seed=99, dropout=0.2))
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == STEPS
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(resumed)[name]), name
    measured = [
        [line for line in run.state.log_history if "eval_nDCG@10" in line]
        for run in (whole, resumed)
    ]
    assert measured[0] == measured[1]
    assert len(measured[0]) == 3


def test_the_log_has_the_parts_of_the_loss(tmp_path):
    run = trainer(tmp_path)
    run.train()
    first = run.state.log_history[0]
    assert first["step"] == 4
    parts = ("kl", "info-nce", "df-flops_documents", "anti-zero_queries", "nnz_queries", "flops")
    assert all(first[part] > 0 for part in parts)
    assert first["nnz_queries"] == 2
    measured = next(line for line in run.state.log_history if "eval_flops" in line)
    assert measured["eval_nnz_queries"] == 2
    assert measured["eval_nnz_documents"] > 2


def test_cached_gradients_are_those_of_the_whole_batch(tmp_path):
    runs = []
    for chunk in (None, 3, 1):
        run = trainer(tmp_path / str(chunk), student=LinearStudent(), steps=6, chunk=chunk)
        run.train()
        runs.append(weights(run))
    start = Trained(LinearStudent()).state_dict()
    assert not torch.allclose(runs[0]["student.weight"], start["student.weight"])
    for other in runs[1:]:
        for name, tensor in runs[0].items():
            torch.testing.assert_close(tensor, other[name], rtol=1e-4, atol=1e-5)


def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path):
    runs = []
    for accumulated, chunk in ((1, None), (2, None), (2, 2)):
        sizes = {
            "per_device_train_batch_size": BATCH // accumulated,
            "gradient_accumulation_steps": accumulated,
        }
        # A loss that no query shares with another, so that parts of a batch add up to it.
        loss = Loss([Objective("kl")], [Regulariser("l1", "documents", 0.1)])
        place = tmp_path / f"{accumulated}-{chunk}"
        run = trainer(
            place, student=LinearStudent(), steps=6, loss=loss, options=sizes, chunk=chunk
        )
        run.train()
        runs.append(
            (weights(run), [line["loss"] for line in run.state.log_history if "loss" in line])
        )
    for found, log in runs[1:]:
        assert log == pytest.approx(runs[0][1], rel=1e-4)
        for name, tensor in runs[0][0].items():
            torch.testing.assert_close(tensor, found[name], rtol=1e-4, atol=1e-5)


def test_a_second_pass_drops_what_the_first_has_dropped():
    from lexidex.encoders.training.gradient_cache import cached_step

    torch.manual_seed(0)
    trained = Trained(LinearStudent(dropout=0.5))
    seen = []

    def forward(queries, documents):
        vectors = trained(queries, documents)
        seen.append(vectors.documents.detach().clone())
        return vectors

    batches = [
        trained.student.prepare(side, getattr(TRAINING, side)[:4])
        for side in ("queries", "documents")
    ]
    cached_step(forward, *batches, lambda v: v.scores.sum(), torch.Tensor.backward, n_chunks=2)
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])
    assert not torch.equal(seen[0], seen[1])


def test_a_largest_norm_of_0_sets_no_limit(tmp_path):
    runs = []
    for limit in (0, 1e9, 1e-3):
        loss = Loss([Objective("info-nce", weight=100.0)])
        options = {"max_grad_norm": limit, "optim": "sgd"}
        place = tmp_path / str(limit)
        runs.append(trainer(place, student=LinearStudent(), steps=1, loss=loss, options=options))
        runs[-1].optimizer = torch.optim.SGD(runs[-1].model.parameters(), lr=1e-3)
        runs[-1].train()
    found = [weights(run)["student.weight"] for run in runs]
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


def test_bfloat16_and_accumulation_train(tmp_path):
    run = trainer(tmp_path, steps=6, options={"bf16": True, "gradient_accumulation_steps": 2})
    run._plan._length *= 2
    run.train()
    assert run.state.global_step == 6
    assert all(tensor.isfinite().all() for tensor in weights(run).values())


def test_training_finds_what_shares_no_word_with_the_query(tmp_path):
    student = LinearStudent()
    before = HeldOut(HELD_OUT).measure(student)["nDCG@10"]
    loss = Loss(
        [Objective("info-nce", temperature=0.2)],
        [Regulariser("flops", "documents", 1e-3, ramp=20)],
    )
    run = trainer(tmp_path, student=student, steps=150, loss=loss)
    run.train()
    after = HeldOut(HELD_OUT).measure(student)["nDCG@10"]
    # Ranking 60 documents at random gives .08 on average over 40 queries, give or take .03.
    assert before < 0.2
    assert after > 0.5


def test_learning_rates_of_parameters(tmp_path):
    student = LinearStudent()
    rates = {student.table: 0.5}
    options = {"weight_decay": 0.1}
    run = trainer(tmp_path, student=student, learning_rate_of=rates.get, options=options)
    groups = run.create_optimizer().param_groups
    rate_of = {
        parameter: (group["lr"], group["weight_decay"])
        for group in groups
        for parameter in group["params"]
    }
    assert rate_of[student.weight] == (0.03, 0.1)
    assert rate_of[student.bias] == (0.03, 0.0)
    assert rate_of[student.table] == (0.5, 0.0)


@pytest.mark.parametrize(
    ("parts", "loss", "message"),
    [
        ({"nnz_documents": 600.0, "nnz_queries": 5.0}, 1.0, r"documents have 600 of 1,000 terms"),
        ({"nnz_documents": 5.0, "nnz_queries": 0.2}, 1.0, r"queries have 0\.20 terms"),
        ({"nnz_documents": 5.0, "nnz_queries": 5.0}, float("nan"), r"the loss is nan"),
    ],
)
def test_guards_tell_what_has_collapsed(parts, loss, message):
    guard = CollapseGuard(1000, patience=1, grace=2)
    with pytest.raises(TrainingCollapsed, match=message):
        guard.check(2, loss, parts)


def test_a_guard_of_heads_that_are_never_zero_still_looks_at_the_loss():
    guard = CollapseGuard(1000, patience=1, grace=0, counts_terms=False)
    guard.check(5, 1.0, {"nnz_documents": 1000.0, "nnz_queries": 0.0})
    with pytest.raises(TrainingCollapsed, match="the loss is inf"):
        guard.check(6, float("inf"), {})


def test_guards_let_a_bad_step_pass():
    guard = CollapseGuard(1000, patience=3, grace=0)
    for step in range(30):
        nnz = 0.0 if step % 3 else 50.0
        guard.check(step, 1.0, {"nnz_documents": nnz, "nnz_queries": 900.0 if step % 3 else 5.0})


def test_a_penalty_that_empties_the_documents_ends_the_training(tmp_path):
    loss = Loss([Objective("info-nce")], [Regulariser("flops", "documents", 1e4)])
    run = trainer(tmp_path, steps=200, loss=loss, guard=CollapseGuard(136, patience=5))
    with pytest.raises(TrainingCollapsed, match=r"documents have .* nearly none"):
        run.train()
