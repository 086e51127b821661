"""Some columns of the vocabulary instead of all: what makes training on a CPU bearable.

Scores need the terms of the batch's queries, a few hundred of 30,000, and a penalty on all terms
can be estimated from a sample. So a step computes the query terms, the most frequent terms, which
make up most of the penalty, and a draw from the rest, each of which then stands for many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lexidex.errors import ParameterError
from lexidex.index.vectors import Int64s

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SampledColumns:
    """Which columns a step computes.

    Attributes:
        dim: number of terms.
        frequent: int64, terms that every step computes.
        n_drawn: how many of the others a step draws.
        seed: of the draws.
    """

    dim: int
    frequent: Int64s
    n_drawn: int
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.n_drawn <= self.dim - self.frequent.size:
            raise ParameterError(
                f"columns: {self.n_drawn} drawn beside {self.frequent.size} frequent ones of "
                f"{self.dim} terms; expected at least 1 and no more than are left"
            )

    def of_step(self, step: int, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Columns of a step, and how many terms each stands for in a penalty.

        A query's term that was not drawn stands for none: it is there for the scores alone, and
        counting it would count the terms of the batch twice.

        Args:
            step: from 0; the draw depends on it and on the seed alone.
            queries: (queries, dim), whose terms have to be among the columns.

        Returns:
            int64 and float32 (columns,), on the device of the queries.
        """
        import torch

        rng = np.random.default_rng([self.seed, step])
        rest = np.setdiff1d(np.arange(self.dim), self.frequent, assume_unique=True)
        drawn = rng.choice(rest, self.n_drawn, replace=False)
        stands_for = np.zeros(self.dim, dtype=np.float32)
        stands_for[self.frequent] = 1
        stands_for[drawn] = rest.size / self.n_drawn
        asked = (queries.detach() > 0).any(0).cpu().numpy()
        columns = np.flatnonzero(asked | (stands_for > 0))
        return (
            torch.from_numpy(columns).to(queries.device),
            torch.from_numpy(stands_for[columns]).to(queries.device),
        )
