"""The module that is optimised: a student, and what else is learned or counted beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lexidex.errors import ParameterError

from .columns import SampledColumns
from .gathering import n_processes
from .student import Batch, Student, Vectors, module_of

DF_STEPS = 100
"""Steps after which document frequencies are counted anew (arXiv 2505.15070)."""


class Trained(nn.Module):
    """Student, factor of the scores, and document frequencies; all of it goes into checkpoints."""

    document_frequency: Tensor
    counted: Tensor
    n_counted: Tensor

    def __init__(
        self,
        student: Student,
        *,
        columns: SampledColumns | None = None,
        scale: float = 1.0,
        learned_scale: bool = False,
        count_documents: bool = False,
    ) -> None:
        """Wrap a student.

        Args:
            student: what is trained.
            columns: which terms of documents a step computes; None for all.
            scale: what inner products are multiplied by before objectives see them; retrieval
                never does, for it changes no order.
            learned_scale: whether that factor is trained.
            count_documents: keep the share of documents that have each term.

        Raises:
            ParameterError: documents are to be counted, but only some columns are computed; or
                several processes are to learn a factor, or to draw columns.
        """
        super().__init__()
        if n_processes() > 1 and (learned_scale or columns is not None):
            raise ParameterError(
                "a learned scale and sampled columns are for one process; leave them out here"
            )
        if columns is not None and count_documents:
            raise ParameterError("df-flops counts all terms: it needs training without columns")
        self.student: Any = module_of(student)
        self._columns = columns
        self._scale = scale
        self.log_scale = nn.Parameter(torch.zeros(())) if learned_scale else None
        self._counts = count_documents
        if count_documents:
            for name in ("document_frequency", "counted"):
                self.register_buffer(name, torch.zeros(student.dim))
            self.register_buffer("n_counted", torch.zeros(()))

    @property
    def frequencies(self) -> Tensor | None:
        """Share of documents with each term, float32 (dim,), as last counted; None if not."""
        return self.document_frequency if self._counts else None

    def forward(self, queries: Batch, documents: Batch, step: int = 0) -> Vectors:
        """The vectors of both sides, float32 whatever the precision of the model.

        Args:
            queries, documents: what `Student.prepare` gave.
            step: from 0; which columns are computed depends on it.
        """
        asked = self.student.queries(queries).float()
        if self._columns is None:
            return Vectors(asked, self.student.documents(documents).float())
        columns, stands_for = self._columns.of_step(step, asked)
        found = self.student.documents(documents, columns).float()
        return Vectors(asked, found, columns, stands_for)

    def scaled(self, scores: Tensor) -> Tensor:
        """Inner products as objectives see them."""
        scores = scores * self._scale
        return scores if self.log_scale is None else scores * self.log_scale.exp()

    @torch.no_grad()
    def count(self, documents: Tensor, step: int) -> None:
        """Count the terms of a step's documents; every DF_STEPS the counts become the shares.

        The first step's counts serve until then.
        """
        if not self._counts:
            return
        self.counted += (documents > 0).sum(0)
        self.n_counted += len(documents)
        if step % DF_STEPS == 0:
            self.document_frequency.copy_(self.counted / self.n_counted)
            self.counted.zero_()
            self.n_counted.zero_()


def concatenated(parts: Sequence[Vectors]) -> Vectors:
    """The vectors of parts of a batch, of which all have all columns, as those of the batch."""
    return Vectors(
        torch.cat([part.queries for part in parts]), torch.cat([part.documents for part in parts])
    )
