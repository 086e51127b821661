"""The loop: transformers' Trainer, with our batches, losses and measures.

From the Trainer come mixed precision, several GPUs, accumulation, schedules, checkpoints and
resuming; from here what a step is. All that a step depends on is a function of the seed and the
step, or lies in the checkpoint, so that a training that was killed ends like one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from .batches import Collator
from .checkpoints import CheckpointedTrainer
from .gathering import gathered, n_processes, rank
from .gradient_cache import cached_step
from .guards import CollapseGuard
from .held_out import HeldOut
from .loss import Loss, Scores
from .pairs import Pairs
from .plan import Plan
from .student import Student, Vectors
from .teachers import Ensemble
from .trained import Trained


class PlannedTrainer(CheckpointedTrainer):
    """A Trainer of a student by a plan; subclasses say what a step is."""

    def __init__(
        self,
        model: nn.Module,
        student: Student,
        arguments: TrainingArguments,
        plan: Plan,
        collator: Callable[[Any], dict[str, Any]],
        *,
        held_out: HeldOut | None = None,
        learning_rate_of: Callable[[nn.Parameter], float | None] = lambda parameter: None,
        guard: CollapseGuard | None = None,
    ) -> None:
        """Put a training together; `train()` runs it.

        Args:
            model: what is optimised, the student in it.
            student: what is measured.
            arguments: of the Trainer.
            plan: examples, as many as steps, batch and processes take.
            collator: makes batches of them.
            held_out: what `evaluate` measures on.
            learning_rate_of: another learning rate for a parameter; None for the usual one.
            guard: what stops a training that has collapsed.
        """
        self._student = student
        self._plan = plan
        self._held_out = held_out
        self._learning_rate_of = learning_rate_of
        self._guard = guard
        self._sums: dict[str, float] = {}
        self._n_summed = 0
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=plan,
            eval_dataset=None if held_out is None else plan,
            data_collator=collator,
        )
        self.remove_callback(PrinterCallback)  # stdout is for data
        # Without a launcher the Trainer would split each batch over all GPUs by nn.DataParallel,
        # which no in-batch loss survives.
        self.args._n_gpu = min(self.args.n_gpu, 1)

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        """Gradients of one batch; returns its loss, divided by the steps that are accumulated."""
        model.train()
        batch: dict[str, Any] = self._prepare_inputs(inputs)
        step, share = self.state.global_step, 1 / self.current_gradient_accumulation_steps
        loss, parts = self._step(model, batch, step, share)
        for name, value in parts.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._n_summed += 1
        if self._guard is not None:
            self._guard.check(step, float(loss), parts)
        return loss

    def _step(
        self, model: nn.Module, batch: dict[str, Any], step: int, share: float
    ) -> tuple[Tensor, dict[str, float]]:
        """Leave the gradients of a batch in the parameters.

        Args:
            model: as the Trainer wraps it.
            batch: on the device.
            step: from 0.
            share: what the loss is multiplied by.

        Returns:
            The loss, and its parts by name.
        """
        raise NotImplementedError

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """Measure on what is held out; every process measures the same."""
        if self._held_out is None:
            return {}
        measured = self._held_out.measure(self._student)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in measured.items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, and with a step's loss its parts, averaged over the steps since they were logged."""
        if "loss" in logs and self._n_summed:
            logs |= {name: total / self._n_summed for name, total in self._sums.items()}
            self._sums, self._n_summed = {}, 0
        super().log(logs, start_time)

    def create_optimizer(self, model: Any = None) -> Any:
        """AdamW with the learning rates that parameters have of their own."""
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(
                self._groups(), lr=self.args.learning_rate, betas=(0.9, 0.999), eps=1e-8
            )
        return self.optimizer

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters by learning rate and decay; vectors and scalars do not decay."""
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for parameter in self._whole.parameters():
            if parameter.requires_grad:
                rate = self._learning_rate_of(parameter) or self.args.learning_rate
                decay = self.args.weight_decay if parameter.ndim > 1 else 0.0
                groups.setdefault((rate, decay), []).append(parameter)
        return [
            {"params": parameters, "lr": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ]

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return SequentialSampler(self._plan)  # it has the order


class SparseTrainer(PlannedTrainer):
    """Trains for retrieval: queries, documents, scores, penalties."""

    def __init__(
        self,
        trained: Trained,
        arguments: TrainingArguments,
        plan: Plan,
        pairs: Pairs,
        loss: Loss,
        *,
        teacher: Ensemble | None = None,
        chunk: int | None = None,
        **others: Any,
    ) -> None:
        """Put a training together.

        Args:
            trained: the student and what is learned beside it.
            arguments: of the Trainer.
            plan: examples.
            pairs: the texts of the plan's rows.
            loss: of a step.
            teacher: whom the loss compares with.
            chunk: queries that pass through the model together; None for the whole batch.
            others: see `PlannedTrainer`.
        """
        self._trained = trained
        self._loss = loss
        self._teacher = teacher
        self._chunk = chunk
        self._positives = [set(map(int, rows)) for rows in pairs.positives]
        collator = Collator(trained.student, pairs)
        super().__init__(trained, trained.student, arguments, plan, collator, **others)

    def _step(
        self, model: nn.Module, batch: dict[str, Any], step: int, share: float
    ) -> tuple[Tensor, dict[str, float]]:
        def loss_of(vectors: Vectors) -> Tensor:
            return self._total(vectors, batch, step) * share

        if self._chunk is None:
            loss = loss_of(model(batch["queries"], batch["documents"], step))
            self.accelerator.backward(loss)
        else:
            loss = cached_step(
                model,
                batch["queries"],
                batch["documents"],
                loss_of,
                self.accelerator.backward,
                n_chunks=math.ceil(len(batch["query_rows"]) / self._chunk),
                without_sync=lambda: self.accelerator.no_sync(model),
            )
        return loss.detach(), self._loss.parts

    def _total(self, vectors: Vectors, inputs: Mapping[str, Any], step: int) -> Tensor:
        """The loss of a batch: this process's queries against the documents of all of them."""
        everything = Vectors(
            vectors.queries, gathered(vectors.documents), vectors.columns, vectors.stands_for
        )
        document_rows = gathered(inputs["document_rows"])
        query_rows = inputs["query_rows"]
        self._trained.count(everything.documents, step)
        # Models of teachers load when they are first asked, which draws random numbers. Those are
        # not the student's: else it would drop out otherwise in a training that goes on.
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            taught = self._taught(query_rows, document_rows)
        scores = Scores(
            student=self._trained.scaled(everything.scores),
            candidates=self._candidates(len(query_rows), len(document_rows)),
            teacher=taught,
            also_positive=self._also_positive(query_rows, document_rows),
        )
        penalised = Vectors(
            gathered(vectors.queries), everything.documents, vectors.columns, vectors.stands_for
        )
        return self._loss.total(penalised, scores, step, self._trained.frequencies)

    def _candidates(self, n_queries: int, n_documents: int) -> Tensor:
        """Columns of each query's candidates, int64 (queries, candidates)."""
        per_query = n_documents // n_processes() // n_queries
        first = rank() * n_queries * per_query
        columns = torch.arange(first, first + n_queries * per_query, device=self.args.device)
        return columns.view(n_queries, per_query)

    def _taught(self, query_rows: Tensor, document_rows: Tensor) -> Tensor | None:
        """The teacher's scores, float32 (queries, documents), as far as the loss looks at them."""
        if self._teacher is None or not self._loss.needs_teacher:
            return None
        queries, documents = query_rows.cpu().numpy(), document_rows.cpu().numpy()
        if self._loss.needs_matrix:
            return torch.from_numpy(self._teacher.matrix(queries, documents)).to(self.args.device)
        columns = self._candidates(len(queries), len(documents))
        scores = self._teacher.lists(queries, documents[columns.cpu().numpy()])
        found = torch.zeros((len(queries), len(documents)), device=self.args.device)
        return found.scatter_(1, columns, torch.from_numpy(scores).to(self.args.device))

    def _also_positive(self, query_rows: Tensor, document_rows: Tensor) -> Tensor:
        """Which documents of the batch answer which query, bool (queries, documents)."""
        documents = document_rows.cpu().numpy()
        answers = np.array(
            [[row in self._positives[query] for row in documents] for query in query_rows.tolist()]
        )
        return torch.from_numpy(answers).to(self.args.device)


class Progress(TrainerCallback):
    """Tells a function which step a training has reached, and what was logged there."""

    def __init__(
        self,
        on_step: Callable[[int], None] | None = None,
        on_log: Callable[[int, dict[str, float]], None] | None = None,
    ) -> None:
        """Take the functions; None for those that are not to be called."""
        self._on_step = on_step
        self._on_log = on_log

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After each step."""
        if self._on_step:
            self._on_step(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """After each line of the log."""
        if self._on_log and state.is_world_process_zero:
            self._on_log(state.global_step, dict(logs or {}))
