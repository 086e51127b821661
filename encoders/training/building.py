"""From the sections of a recipe to the parts of a training: student, loop, columns, clusters."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainingArguments

from lexidex.errors import ParameterError
from lexidex.index.vectors import Int64s

from ..learned import LearnedEncoder
from ..presets import find_preset
from ..recipe import BINARY
from .candidates import Candidates
from .columns import SampledColumns
from .continued import begin_trained
from .encoder_student import EncoderStudent
from .frozen_states import Kept, cache_states
from .gathering import n_processes
from .guards import CollapseGuard
from .held_out import HeldOut
from .learning_rates import rates_of
from .loss import Loss
from .middle_training import MaskedModel, MaskedTrainer, MaskingCollator
from .named_models import located
from .pairs import Pairs
from .plan import Plan, cluster
from .recipe import TrainingRecipe
from .start import calibrate, freeze, make_start
from .teachers import DenseTeacher, Ensemble
from .term_recall import RecallCollator, RecallModel, RecallTrainer
from .trained import Trained
from .trainer import PlannedTrainer, SparseTrainer


def student_of(
    recipe: TrainingRecipe, folder: Path, pairs: Pairs, kept: Kept | None = None
) -> EncoderStudent:
    """The student as it is before training, made in `folder` if it is not there yet.

    Raises:
        ParameterError: the recipe names no backbone, or settings that it cannot have.
    """
    model = recipe.model
    if not folder.is_dir():
        _make(recipe, folder, pairs)
    torch.manual_seed(recipe.training.seed)
    encoder = LearnedEncoder(
        folder, max_length=model.max_length, query_max_length=model.query_max_length
    )
    if model.active is not None and model.start is None:
        calibrate(encoder, pairs.documents, model.active, model.identity_layers)
    freeze(encoder, model.frozen_layers)
    student = EncoderStudent(encoder, dropout=model.drops_out)
    student.read_words(pairs.documents)
    if model.cached_states:
        cache_states(encoder, model.frozen_layers, kept, recipe.training.precision)
    if model.frozen_table or find_preset(model.preset).queries.head == BINARY:
        student.freeze_table()
    return student


def _make(recipe: TrainingRecipe, folder: Path, pairs: Pairs) -> None:
    """Write the student as it is before training, complete or not at all."""
    unfinished = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    torch.manual_seed(recipe.training.seed)
    _begin(recipe, unfinished, pairs)
    os.replace(unfinished, folder)


def _begin(recipe: TrainingRecipe, folder: Path, pairs: Pairs) -> None:
    """Write the student as it is before training: a fresh one, or one that goes on learning."""
    model = recipe.model
    if model.start is not None:
        begin_trained(model, model.start, folder)
        return
    if model.backbone is None:
        raise ParameterError("model.backbone: none given; name a folder (--backbone)")
    make_start(
        model.preset,
        located(model.backbone),
        folder,
        pairs.documents,
        layers=model.layers,
        residual=model.residual,
        max_length=model.max_length,
    )


def trainer_of(
    recipe: TrainingRecipe,
    student: EncoderStudent,
    pairs: Pairs,
    candidates: Candidates,
    held_out: HeldOut | None,
    folder: Path,
    teacher: Ensemble | None = None,
) -> PlannedTrainer:
    """The loop of a recipe; its checkpoints go into `folder`."""
    shared: dict[str, Any] = {
        "held_out": held_out,
        "learning_rate_of": rates_of(recipe.training, student),
        "guard": CollapseGuard(
            student.dim, recipe.training.patience, counts_terms=student.can_be_empty
        ),
    }
    arguments = arguments_of(recipe, folder, measures=held_out is not None)
    plan = plan_of(recipe, candidates, len(pairs.documents), teacher)
    if recipe.task == "masked-language-model":
        return MaskedTrainer(
            MaskedModel(student),
            arguments,
            plan,
            MaskingCollator(student, pairs, recipe.masked.rate, recipe.training.seed),
            regularisers=recipe.regulariser,
            activated_weight=recipe.masked.activated_weight,
            **shared,
        )
    if recipe.task == "term-recall":
        model, collator = RecallModel(student), RecallCollator(student, pairs)
        return RecallTrainer(model, student, arguments, plan, collator, **shared)
    weighted = any(each.name == "idf-flops" for each in recipe.regulariser)
    idf = student.idf(pairs.documents) if weighted else None
    loss = Loss(recipe.objective, recipe.regulariser, idf)
    trained = Trained(
        student,
        columns=sampled_columns(recipe, student, pairs),
        scale=recipe.training.score_scale,
        learned_scale=recipe.training.learned_scale,
        count_documents=loss.needs_document_frequency,
    )
    return SparseTrainer(
        trained,
        arguments,
        plan,
        pairs,
        loss,
        teacher=teacher,
        chunk=recipe.training.chunk,
        **shared,
    )


def plan_of(
    recipe: TrainingRecipe, candidates: Candidates, n_documents: int, teacher: Ensemble | None
) -> Plan:
    """The examples of all steps, of all processes."""
    training = recipe.training
    clusters = None
    if training.block > 1:
        clusters = query_clusters(recipe, teacher)[candidates.queries]
    return Plan(
        candidates,
        n_documents,
        training.steps * training.batch * training.accumulate * n_processes(),
        negatives=training.negatives,
        repeats=recipe.has_stored_scores,
        seed=training.seed,
        clusters=clusters,
        block=training.block,
    )


def arguments_of(recipe: TrainingRecipe, folder: Path, *, measures: bool) -> TrainingArguments:
    """The Trainer's arguments for a recipe."""
    training, every = recipe.training, recipe.held_out.every
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=training.steps,
        per_device_train_batch_size=training.batch,
        gradient_accumulation_steps=training.accumulate,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        warmup_steps=training.warmup,
        lr_scheduler_type=training.schedule,
        max_grad_norm=training.max_grad_norm,
        bf16=training.precision == "bf16",
        fp16=training.precision == "fp16",
        use_cpu=not torch.cuda.is_available(),
        seed=training.seed,
        logging_steps=training.log_every,
        save_steps=training.save_every,
        save_total_limit=2,
        eval_strategy="steps" if every and measures else "no",
        eval_steps=every,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
    )


def check_precision(precision: str) -> None:
    """Refuse what the Trainer would silently train without.

    Raises:
        ParameterError: fp16 without a GPU, or bf16 on a GPU that has none.
    """
    has_gpu = torch.cuda.is_available()
    if precision == "fp16" and not has_gpu:
        raise ParameterError(
            "training.precision: 'fp16' needs a GPU; on processors train in 'bf16' or 'fp32'"
        )
    if precision == "bf16" and has_gpu and not torch.cuda.is_bf16_supported():
        raise ParameterError(
            "training.precision: 'bf16'; this GPU has none: train in 'fp16' or 'fp32'"
        )


def sampled_columns(
    recipe: TrainingRecipe, student: EncoderStudent, pairs: Pairs
) -> SampledColumns | None:
    """The columns that steps compute; None for all."""
    if recipe.columns is None:
        return None
    frequencies = student.document_frequencies(pairs.documents)
    frequent = np.argsort(-frequencies, kind="stable")[: recipe.columns.frequent]
    return SampledColumns(
        student.dim, np.sort(frequent), recipe.columns.drawn, recipe.training.seed
    )


def query_clusters(recipe: TrainingRecipe, teacher: Ensemble | None) -> Int64s:
    """The cluster of each query, by the vectors of the first dense teacher.

    Raises:
        ParameterError: there is none.
    """
    teachers = () if teacher is None else teacher.teachers
    dense = next((each for each in teachers if isinstance(each, DenseTeacher)), None)
    if dense is None:
        raise ParameterError("training.block: blocks of like queries need a teacher of kind dense")
    return cluster(dense.query_vectors(), recipe.training.clusters, recipe.training.seed)
