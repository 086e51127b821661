"""What the loop trains: two sides that turn prepared texts into vectors, with gradients.

A batch is a mapping of tensors whose first dimension are the texts: token ids and mask, or states
of frozen layers. The loop cuts and moves batches, and never looks inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from lexidex.index.vectors import Vectors as SparseVectors

if TYPE_CHECKING:
    from torch import Tensor

Batch: TypeAlias = "Mapping[str, Tensor]"
"""Texts, prepared: tensors (texts, ...)."""

SIDES = ("queries", "documents")


class Student(Protocol):
    """A model of both sides; also a torch.nn.Module, whose parameters are trained."""

    @property
    def dim(self) -> int:
        """Number of terms, the length of a vector."""

    def prepare(self, side: str, texts: Sequence[str]) -> dict[str, Tensor]:
        """Texts of a side, "queries" or "documents", as a batch on the CPU."""

    def queries(self, batch: Batch) -> Tensor:
        """Vectors of queries, float (texts, dim), nothing negative."""

    def documents(self, batch: Batch, columns: Tensor | None = None) -> Tensor:
        """Vectors of documents, float (texts, dim), nothing negative.

        Args:
            batch: what `prepare` gave.
            columns: int64, only these terms, in this order; None for all.
        """

    def encode(self, side: str, texts: Sequence[str]) -> SparseVectors:
        """Vectors of a side's texts as the encoder will make them, csr_array (texts, dim).

        Without gradients, pruning included; draws no random number.
        """

    def save(self, path: str | PathLike[str]) -> None:
        """Write what `load_encoder` reads."""


@dataclass(frozen=True)
class Vectors:
    """The vectors of a batch, as the loss takes them.

    Attributes:
        queries: float32 (queries, dim).
        documents: float32 (documents, dim), or of some columns.
        columns: int64, the terms of `documents`; None for all.
        stands_for: float32, how many terms each column stands for; None for one.
    """

    queries: Tensor
    documents: Tensor
    columns: Tensor | None = None
    stands_for: Tensor | None = None

    @property
    def scores(self) -> Tensor:
        """Inner products, float32 (queries, documents)."""
        return self._compared @ self.documents.t()

    @property
    def flops(self) -> Tensor:
        """Products that a query and a document of the batch are expected to take, a scalar.

        Sum over terms of the shares of queries and of documents that have it (arXiv 2004.05665).
        """
        sides = (self._compared, self.documents)
        queries, documents = ((side.detach() > 0).float().mean(0) for side in sides)
        return queries @ documents

    @property
    def _compared(self) -> Tensor:
        """The queries' weights of the documents' columns."""
        return self.queries if self.columns is None else self.queries[:, self.columns]


def module_of(student: Student) -> Any:
    """The student as the torch.nn.Module that it is."""
    return student
