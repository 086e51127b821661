"""From a recipe to a trained encoder in a folder.

    recipe.json         the recipe as it was run; another one is refused
    start/              the untrained encoder
    round-1/            candidates.parquet, checkpoints/, log.json
    model/              the trained encoder, with its model card and learning curve

A run that was killed goes on where its last checkpoint lies, and ends like one that was not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lexidex.errors import ParameterError

from ..base import Encoder
from .candidates import Candidates, read_candidates
from .curve import draw_curve
from .held_out import HeldOut
from .model_card import LICENCE, Results, model_card
from .negatives import DenseRetriever, Mining, Retriever, SparseRetriever, mine
from .pairs import Pairs, draw, hold_out, join, read_pairs
from .plan import Plan, cluster
from .recipe import TeacherSection, TrainingRecipe
from .teachers import (
    CrossEncoderTeacher,
    DenseTeacher,
    Ensemble,
    SparseTeacher,
    StoredTeacher,
    Teacher,
)

if TYPE_CHECKING:
    from .encoder_student import EncoderStudent
    from .trainer import SparseTrainer

STUDENT = "student"
"""As a retriever: the encoder that the round before has trained."""

_RESCALED_ON = 256
_CHECKPOINTS = "checkpoints"

Say = Callable[[str], None]
OnStep = Callable[[int, int], None]


def _silent(*_: Any) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Run:
    """A training in its folder; `train` does all of it.

    Attributes:
        recipe: what is done.
        folder: where everything is written.
        say: told what is being done, a line a time.
        on_step: told steps done and steps in all.
    """

    recipe: TrainingRecipe
    folder: Path
    say: Say = _silent
    on_step: OnStep = _silent

    def train(self) -> Results:
        """Train, and write the folder; goes on where a former run ended.

        Raises:
            ParameterError: the folder holds a run of another recipe, or the recipe names what is
                not there.
            InputError: the data cannot be read.
            TrainingCollapsed: see `guards`.
        """
        started = time.process_time()
        self._claim()
        training, held_out = self._data()
        self.say(
            f"{len(training):,} queries and {len(training.documents):,} documents to train on, "
            f"{len(held_out):,} queries among {len(held_out.documents):,} documents to measure on"
        )
        measure = HeldOut(held_out)
        before: dict[str, float] = {}
        student = None
        for number in range(1, self._n_rounds + 1):
            candidates = self._candidates(number, training, student)
            student = self._student(training)
            if not before:
                before = measure.measure(student)
                self.say(f"before: {_shown(before)}")
            log = self._round(number, student, training, candidates, measure)
        assert student is not None
        after = measure.measure(student)
        self.say(f"after: {_shown(after)}")
        minutes = (time.process_time() - started) / 60
        results = Results(
            before, after, len(held_out), len(held_out.documents), len(training), minutes
        )
        self._write(student, results, log)
        return results

    @property
    def _n_rounds(self) -> int:
        return self.recipe.mining.rounds if self.recipe.mining else 1

    def _claim(self) -> None:
        """Take the folder for this recipe."""
        described = self.recipe.model_dump(mode="json")
        file = self.folder / "recipe.json"
        if file.is_file() and json.loads(file.read_text(encoding="utf-8")) != described:
            raise ParameterError(
                f"{self.folder}: holds a training by another recipe; give another folder, or "
                "delete this one"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(described, indent=2), encoding="utf-8")

    def _data(self) -> tuple[Pairs, Pairs]:
        return read_data(self.recipe)

    def _candidates(self, number: int, pairs: Pairs, student: EncoderStudent | None) -> Candidates:
        """Candidate lists of a round: stored, mined, or the positives alone."""
        recipe, mining = self.recipe, self.recipe.mining
        if recipe.data.candidates and number == 1:
            return read_candidates(Path(recipe.data.candidates), pairs)
        if mining is None:
            lists = [(query, row) for query, rows in enumerate(pairs.positives) for row in rows]
            return Candidates(
                np.array([query for query, _ in lists], dtype=np.int64),
                [np.array([row], dtype=np.int64) for _, row in lists],
            )
        file = self.folder / f"round-{number}" / "candidates.parquet"
        if not file.is_file():
            names = [name for name in mining.retrievers if name != STUDENT or student is not None]
            self.say(f"mining negatives by {', '.join(names)}")
            retrievers = [self._retriever(name, student) for name in names]
            rules = Mining(
                mining.bands,
                mining.draw,
                mining.absolute_margin,
                mining.relative_margin,
                recipe.training.seed,
            )
            teacher = ensemble(recipe, pairs) if rules.filters else None
            mine(pairs, retrievers, rules, teacher).save(file, pairs)
        return read_candidates(file, pairs)

    def _retriever(self, name: str, student: EncoderStudent | None) -> Retriever:
        if name == STUDENT and student is not None:
            student.write_back()
            return SparseRetriever(student.encoder)
        return retriever(name)

    def _student(self, pairs: Pairs) -> EncoderStudent:
        return student_of(self.recipe, self.folder / "start", pairs)

    def _round(
        self,
        number: int,
        student: EncoderStudent,
        pairs: Pairs,
        candidates: Candidates,
        held_out: HeldOut,
    ) -> list[dict[str, float]]:
        """Train the student on these candidates; returns the log."""
        place = self.folder / f"round-{number}"
        trainer = trainer_of(
            self.recipe, student, pairs, candidates, held_out, place / _CHECKPOINTS
        )
        self._report(trainer)
        trainer.train(resume_from_checkpoint=_last_checkpoint(place / _CHECKPOINTS))
        log: list[dict[str, float]] = trainer.state.log_history
        (place / "log.json").write_text(json.dumps(log, indent=1), encoding="utf-8")
        return log

    def _report(self, trainer: SparseTrainer) -> None:
        from .trainer import Progress

        steps = self.recipe.training.steps

        def on_log(step: int, logs: Mapping[str, float]) -> None:
            self.say(f"step {step}: {_shown(logs)}")

        trainer.add_callback(Progress(lambda step: self.on_step(step, steps), on_log))

    def _write(
        self, student: EncoderStudent, results: Results, log: list[dict[str, float]]
    ) -> None:
        folder = self.folder / "model"
        student.save(folder)
        card = model_card(self.recipe, results, student.encoder.licence or LICENCE)
        (folder / "README.md").write_text(card, encoding="utf-8")
        drawing = draw_curve(log, f"{self.recipe.name}: learning curve")
        (folder / "curve.svg").write_text(drawing, encoding="utf-8")


def read_data(recipe: TrainingRecipe) -> tuple[Pairs, Pairs]:
    """What a recipe trains on, and what it measures on.

    Raises:
        ParameterError: the recipe names no data.
        InputError: they cannot be read.
    """
    data, seed = recipe.data, recipe.training.seed
    if not data.pairs:
        raise ParameterError("data.pairs: none given; name files or folders of pairs (--data)")
    parts = [read_pairs(Path(path), data.split) for path in data.pairs]
    if data.limit is not None:
        parts = [draw(part, data.limit, seed) for part in parts]
    whole = parts[0] if len(parts) == 1 else join(parts)
    return hold_out(whole, recipe.held_out.queries, recipe.held_out.documents, seed)


def student_of(recipe: TrainingRecipe, folder: Path, pairs: Pairs) -> EncoderStudent:
    """The untrained student, made in `folder` if it is not there yet.

    Raises:
        ParameterError: the recipe names no backbone, or settings that it cannot have.
    """
    import torch

    from ..learned import LearnedEncoder
    from .encoder_student import EncoderStudent
    from .frozen_states import cache_states
    from .start import calibrate, freeze, make_start

    model = recipe.model
    torch.manual_seed(recipe.training.seed)
    if not (folder / "config.json").is_file():
        if model.backbone is None:
            raise ParameterError("model.backbone: none given; name a folder (--backbone)")
        make_start(
            model.preset,
            located(model.backbone),
            folder,
            pairs.documents,
            layers=model.layers,
            max_length=model.max_length,
        )
    encoder = LearnedEncoder(
        folder, max_length=model.max_length, query_max_length=model.query_max_length
    )
    if model.active is not None:
        torch.manual_seed(recipe.training.seed)
        calibrate(encoder, pairs.documents, model.active)
    freeze(encoder, model.frozen_layers)
    student = EncoderStudent(encoder, dropout=model.dropout and not model.cached_states)
    student.read_words(pairs.documents)
    if model.cached_states:
        cache_states(encoder)
    if model.frozen_table:
        student.freeze_table()
    return student


def trainer_of(
    recipe: TrainingRecipe,
    student: EncoderStudent,
    pairs: Pairs,
    candidates: Candidates,
    held_out: HeldOut | None,
    folder: Path,
) -> SparseTrainer:
    """The loop of a recipe."""
    from .gathering import n_processes
    from .guards import CollapseGuard
    from .loss import Loss
    from .trained import Trained
    from .trainer import SparseTrainer

    training = recipe.training
    teacher = ensemble(recipe, pairs, candidates) if recipe.teacher else None
    idf = student.idf(pairs.documents) if _names(recipe, "idf-flops") else None
    loss = Loss(recipe.objective, recipe.regulariser, idf)
    trained = Trained(
        student,
        columns=sampled_columns(recipe, student, pairs),
        scale=training.score_scale,
        learned_scale=training.learned_scale,
        count_documents=loss.needs_document_frequency,
    )
    n_examples = training.steps * training.batch * training.accumulate * n_processes()
    clusters = None
    if training.block > 1:
        clusters = query_clusters(recipe, pairs)[candidates.queries]
    plan = Plan(
        candidates,
        len(pairs.documents),
        n_examples,
        negatives=training.negatives,
        seed=training.seed,
        clusters=clusters,
        block=training.block,
    )
    return SparseTrainer(
        trained,
        arguments_of(recipe, folder, measures=held_out is not None),
        plan,
        pairs,
        loss,
        teacher=teacher,
        held_out=held_out,
        chunk=training.chunk,
        learning_rate_of=partial(learning_rate, recipe),
        guard=CollapseGuard(student.dim, training.patience) if student.can_be_empty else None,
    )


def arguments_of(recipe: TrainingRecipe, folder: Path, *, measures: bool) -> Any:
    """The Trainer's arguments for a recipe."""
    import torch
    from transformers import TrainingArguments

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


def learning_rate(recipe: TrainingRecipe, name: str) -> float | None:
    """The learning rate of a parameter of the student, by its name; None for the usual one."""
    training = recipe.training
    if "_queries.weight" in name:
        return training.table_learning_rate
    if name == "log_scale":
        return training.head_learning_rate
    if ".base_model." in name or ".encoder." in name or ".embeddings." in name:
        return None
    if name.endswith(("decoder.bias", "predictions.bias", "vocab_projector.bias")):
        return training.bias_learning_rate or training.head_learning_rate
    return training.head_learning_rate


def ensemble(
    recipe: TrainingRecipe, pairs: Pairs, candidates: Candidates | None = None
) -> Ensemble:
    """The teachers of a recipe as one."""
    settings = recipe.ensemble
    teachers = [teacher_of(section, pairs, candidates) for section in recipe.teacher]
    weights = [section.weight for section in recipe.teacher]
    combined = Ensemble(teachers, weights, settings.normalisation, settings.scale)
    if settings.rescaled_to is None or candidates is None:
        return combined
    if settings.rescaled_to >= len(teachers):
        raise ParameterError(
            f"ensemble.rescaled_to: {settings.rescaled_to}; there are {len(teachers)} teachers"
        )
    width = min(documents.size for documents in candidates.documents)
    lists = np.stack([documents[:width] for documents in candidates.documents[:_RESCALED_ON]])
    queries = candidates.queries[:_RESCALED_ON]
    return combined.rescaled(teachers[settings.rescaled_to], queries, lists)


def teacher_of(
    section: TeacherSection, pairs: Pairs, candidates: Candidates | None = None
) -> Teacher:
    """One teacher."""
    from ..loading import load_encoder

    if section.kind == "stored":
        if candidates is None:
            raise ParameterError("teacher: 'stored' scores come with data.candidates; none there")
        return StoredTeacher(candidates, pairs)
    if section.kind == "bm25":
        return SparseTeacher(load_encoder("bm25"), pairs)
    assert section.path is not None
    if section.kind == "encoder":
        return SparseTeacher(load_encoder(section.path), pairs)
    if section.kind == "cross-encoder":
        return CrossEncoderTeacher(located(section.path), pairs, max_length=section.max_length)
    return DenseTeacher(dense(section.path, section.max_length).encode, pairs)


def retriever(name: str) -> Retriever:
    """What mines: "dense:FOLDER", or any name that `load_encoder` knows."""
    from ..loading import load_encoder

    kind, _, path = name.partition(":")
    if kind == "dense" and path:
        return DenseRetriever(dense(path).encode)
    encoder: Encoder = load_encoder(name)
    return SparseRetriever(encoder)


def dense(path: str, max_length: int | None = None) -> Any:
    """The dense model in a folder or on a hub."""
    import torch

    from .dense_model import DenseModel

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return DenseModel(located(path), max_length=max_length, device=device)


def located(name: str) -> Path:
    """The folder of a model: itself, or what was fetched of a hub's."""
    from ..hub import fetch, looks_like_hub_id

    folder = Path(name)
    if folder.is_dir() or not looks_like_hub_id(name):
        if not folder.is_dir():
            raise ParameterError(f"{name!r}: no such folder, and no organisation/model")
        return folder
    return fetch(name, None)


def sampled_columns(recipe: TrainingRecipe, student: EncoderStudent, pairs: Pairs) -> Any:
    """The columns that steps compute; None for all."""
    from .columns import SampledColumns

    if recipe.columns is None:
        return None
    frequencies = student.document_frequencies(pairs.documents)
    frequent = np.argsort(-frequencies, kind="stable")[: recipe.columns.frequent]
    return SampledColumns(
        student.dim, np.sort(frequent), recipe.columns.drawn, recipe.training.seed
    )


def query_clusters(recipe: TrainingRecipe, pairs: Pairs) -> Any:
    """The cluster of each query, by the vectors of the first dense teacher."""
    folders = [section.path for section in recipe.teacher if section.kind == "dense"]
    if not folders or folders[0] is None:
        raise ParameterError("training.block: blocks of like queries need a teacher of kind dense")
    vectors = dense(folders[0]).encode(pairs.queries)
    return cluster(vectors, recipe.training.clusters, recipe.training.seed)


def _names(recipe: TrainingRecipe, regulariser: str) -> bool:
    return any(each.name == regulariser for each in recipe.regulariser)


def _last_checkpoint(folder: Path) -> str | None:
    from transformers.trainer_utils import get_last_checkpoint

    untyped: Any = get_last_checkpoint
    found: str | None = untyped(str(folder)) if folder.is_dir() else None
    return found


def _shown(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
