"""From a recipe to a trained encoder in a folder.

    recipe.json         the recipe as it was run; whether another one is refused: `claim`
    start/              the untrained encoder
    round-1/            candidates.parquet, checkpoints/, log.json
    model/              the trained encoder, with its model card and learning curve

A run that was killed goes on where its last checkpoint lies, and ends like one that was not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState

from lexidex.errors import InputError, ParameterError

from .building import check_precision, student_of, trainer_of
from .candidates import Candidates, read_candidates
from .checkpoints import complete_checkpoints
from .claim import CANDIDATES, CHECKPOINTS, START, claim, round_folder
from .curve import Log, draw_curve
from .data import read_data
from .encoder_student import EncoderStudent
from .finishing import finish
from .frozen_states import Kept
from .gathering import is_main
from .held_out import HeldOut, measured_at, with_ends
from .model_card import LICENCE, Results, model_card
from .named_models import ensemble, judge, retriever
from .negatives import Mining, Retriever, SparseRetriever, mine
from .pairs import Pairs
from .readiness import check_models, check_start
from .recipe import TrainingRecipe
from .sections import STUDENT, MiningSection, TeacherSection
from .teachers import Teacher
from .trainer import PlannedTrainer, Progress

Say = Callable[[str], None]
OnStep = Callable[[int, int], None]


def _silent(*_: Any) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Memory:
    """What is worth keeping between runs on the same data.

    Attributes:
        states: of a frozen backbone, by its place and number of layers.
        teachers: with the vectors they have made, by their sections.
    """

    states: dict[tuple[str | None, int | None], Kept] = field(default_factory=dict)
    teachers: dict[TeacherSection, Teacher] = field(default_factory=dict)

    def of_backbone(self, recipe: TrainingRecipe) -> Kept:
        """States of the recipe's backbone."""
        key = recipe.model.backbone, recipe.model.layers
        return self.states.setdefault(key, Kept())


@dataclass(frozen=True)
class Run:
    """A training in its folder; `train` does all of it.

    Attributes:
        recipe: what is done.
        folder: where everything is written.
        say: told what is being done, a line a time.
        on_step: told steps done and steps in all.
        memory: what runs on the same data may share.
    """

    recipe: TrainingRecipe
    folder: Path
    say: Say = _silent
    on_step: OnStep = _silent
    memory: Memory = field(default_factory=lambda: Memory())

    def train(self) -> Results:
        """Train, and write the folder; goes on where a former run ended.

        Raises:
            ParameterError: the folder holds a run of another recipe, or the recipe has settings
                that its models, its data or this machine cannot have.
            EncoderNotFound: it names a model that is not there.
            InputError: the data cannot be read.
            TrainingCollapsed: see `guards`.
        """
        check_precision(self.recipe.training.precision)
        started = time.process_time()
        processes = PartialState(cpu=not torch.cuda.is_available())
        with processes.main_process_first():
            check_models(self.recipe)
            claim(self.folder, self.recipe)
        training, held_out = read_data(self.recipe)
        self.say(
            f"{len(training):,} queries and {len(training.documents):,} documents to train on, "
            f"{len(held_out):,} queries among {len(held_out.documents):,} documents to measure on"
        )
        measure = HeldOut(held_out)
        before: dict[str, float] = {}
        logs: list[Log] = []
        student = None
        for number in range(1, self._n_rounds + 1):
            with processes.main_process_first():
                # The student first: what it cannot have shows before anything is mined.
                before_it, student = student, self._student(training)
                candidates = self._candidates(number, training, before_it)
            if not before:
                before = measure.measure(student)
                self.say(f"before: {_shown(before)}")
            log = self._round(number, student, training, candidates, measure)
            steps = self.recipe.training.steps
            after = measured_at(log, steps) or measure.measure(student)
            logs.append(with_ends(log, before, after, steps))
            self._keep_log(number, logs[-1])
        assert student is not None
        self.say(f"after: {_shown(after)}")
        minutes = (time.process_time() - started) / 60
        results = Results(
            before, after, len(held_out), len(held_out.documents), len(training), minutes
        )
        if processes.is_main_process:
            self._write(student, results, logs, held_out)
        return results

    @property
    def _n_rounds(self) -> int:
        return self.recipe.mining.rounds if self.recipe.mining else 1

    def _candidates(self, number: int, pairs: Pairs, student: EncoderStudent | None) -> Candidates:
        """Candidate lists of a round: stored, mined, or the positives alone."""
        recipe, mining = self.recipe, self.recipe.mining
        if recipe.data.candidates and number == 1:
            return self._given(read_candidates(Path(recipe.data.candidates), pairs))
        if mining is None:
            lists = [(query, row) for query, rows in enumerate(pairs.positives) for row in rows]
            return Candidates(
                np.array([query for query, _ in lists], dtype=np.int64),
                [np.array([row], dtype=np.int64) for _, row in lists],
            )
        file = round_folder(self.folder, number) / CANDIDATES
        if not file.is_file():
            self._mined(mining, mining.of_round(number), pairs, student).save(file, pairs)
        return read_candidates(file, pairs)

    def _mined(
        self,
        mining: MiningSection,
        names: Sequence[str],
        pairs: Pairs,
        student: EncoderStudent | None,
    ) -> Candidates:
        """Candidate lists by these retrievers; tells how many of them are empty."""
        self.say(f"mining negatives by {', '.join(names)}")
        rules = Mining(
            mining.bands,
            mining.draw,
            mining.absolute_margin,
            mining.relative_margin,
            self.recipe.training.seed,
        )
        judging = judge(self.recipe, pairs, self.memory.teachers) if rules.filters else None
        mined = mine(pairs, [self._retriever(name, student) for name in names], rules, judging)
        without = len(mined) - len(mined.with_negatives())
        told = f"{without:,} of {len(mined):,} lists are without negatives"
        if without > len(mined) / 2:
            mend = "lower the margins" if rules.filters else "name other retrievers"
            raise ParameterError(f"mining: {told}; {mend}, or look at more ranks (mining.bands)")
        self.say(told)
        return mined

    def _given(self, candidates: Candidates) -> Candidates:
        """The lists of data.candidates; where stored scores teach, those with negatives."""
        kept = candidates.with_negatives()
        without = len(candidates) - len(kept)
        if not len(kept):
            raise InputError(
                f"{self.recipe.data.candidates}: all {without} lists are without negatives; mine "
                "with smaller margins, or deeper bands"
            )
        stored = self.recipe.has_stored_scores
        if without:
            instead = "left out" if stored else "which get random documents"
            self.say(f"{without:,} of {len(candidates):,} lists are without negatives, {instead}")
        return kept if stored else candidates

    def _retriever(self, name: str, student: EncoderStudent | None) -> Retriever:
        if name == STUDENT and student is not None:
            student.write_back()
            return SparseRetriever(student.encoder)
        return retriever(name)

    def _student(self, pairs: Pairs) -> EncoderStudent:
        kept = self.memory.of_backbone(self.recipe)
        student = student_of(self.recipe, self.folder / START, pairs, kept)
        check_start(self.recipe, student, pairs)
        return student

    def _round(
        self,
        number: int,
        student: EncoderStudent,
        pairs: Pairs,
        candidates: Candidates,
        held_out: HeldOut,
    ) -> list[dict[str, float]]:
        """Train the student on these candidates; returns the log."""
        place = round_folder(self.folder, number)
        recipe, teacher = self.recipe, None
        if recipe.teacher:
            teacher = ensemble(recipe, pairs, candidates, self.memory.teachers)
        trainer = trainer_of(
            recipe, student, pairs, candidates, held_out, place / CHECKPOINTS, teacher
        )
        self._report(trainer)
        done = complete_checkpoints(place / CHECKPOINTS)
        trainer.train(resume_from_checkpoint=str(done[-1]) if done else None)
        log: list[dict[str, float]] = trainer.state.log_history
        return log

    def _keep_log(self, number: int, log: Log) -> None:
        if is_main():
            file = round_folder(self.folder, number) / "log.json"
            file.write_text(json.dumps(log, indent=1), encoding="utf-8")

    def _report(self, trainer: PlannedTrainer) -> None:
        steps = self.recipe.training.steps

        def on_log(step: int, logs: Mapping[str, float]) -> None:
            self.say(f"step {step}: {_shown(logs)}")

        trainer.add_callback(Progress(lambda step: self.on_step(step, steps), on_log))

    def _write(
        self,
        student: EncoderStudent,
        results: Results,
        logs: list[Log],
        held_out: Pairs,
    ) -> None:
        folder = self.folder / "model"
        student.save(folder)
        finish(folder, self.recipe, held_out.documents)
        card = model_card(self.recipe, results, student.encoder.licence or LICENCE)
        (folder / "README.md").write_text(card, encoding="utf-8")
        drawing = draw_curve(logs, f"{self.recipe.name}: learning curve")
        (folder / "curve.svg").write_text(drawing, encoding="utf-8")


def _shown(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
