"""Ends a training that has failed, and says how: texts with all terms, texts with none, no number.

The two ways in which learned sparse models collapse: too small or too late a penalty lets all terms
of the vocabulary become active, too large or too early a one leaves none. Both show within steps in
how many terms texts have, hours before a measure would tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from lexidex.errors import TrainingCollapsed

ALL_ACTIVE = 0.5
"""Share of the vocabulary that a text has when nothing is sparse any more."""

ALL_ZERO = 0.5
"""Terms a text when most texts have none."""


@dataclass
class CollapseGuard:
    """Watches the parts of the loss, step by step.

    Attributes:
        dim: number of terms.
        patience: steps in a row that have to look collapsed.
        grace: steps at the start in which all terms may be active: a fresh head needs some.
        counts_terms: whether texts may have too many terms or too few; without, only a loss that is
            no number ends the training.
    """

    dim: int
    patience: int = 20
    grace: int = 100
    counts_terms: bool = True
    _seen: dict[str, int] = field(default_factory=dict, repr=False)

    def check(self, step: int, loss: float, parts: Mapping[str, float]) -> None:
        """Look at a step.

        Args:
            step: from 0.
            loss: total.
            parts: `nnz_queries`, `nnz_documents`.

        Raises:
            TrainingCollapsed: what has happened, at which step, and what to change.
        """
        if not math.isfinite(loss):
            raise TrainingCollapsed(
                f"step {step}: the loss is {loss}; lower the learning rate, or train in bf16 or "
                "fp32 instead of fp16"
            )
        for side in ("queries", "documents") if self.counts_terms else ():
            nnz = parts.get(f"nnz_{side}")
            if nnz is None:
                continue
            if self._lasts(f"zero {side}", nnz < ALL_ZERO):
                raise TrainingCollapsed(
                    f"step {step}: {side} have {nnz:.2f} terms on average, nearly none, for "
                    f"{self.patience} steps; lower the weight of their penalty, make its ramp "
                    "longer, or start with a larger bias"
                )
            dense = nnz > ALL_ACTIVE * self.dim and step >= self.grace
            if self._lasts(f"dense {side}", dense):
                raise TrainingCollapsed(
                    f"step {step}: {side} have {nnz:,.0f} of {self.dim:,} terms on average for "
                    f"{self.patience} steps: nothing is sparse; raise the weight of their penalty, "
                    "make its ramp shorter, or start with a smaller bias (a head that is not "
                    "calibrated does this, see `model.active`)"
                )

    def _lasts(self, what: str, now: bool) -> bool:
        self._seen[what] = self._seen.get(what, 0) + 1 if now else 0
        return self._seen[what] >= self.patience
