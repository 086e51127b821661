"""A side of an encoder as a torch module: texts' tokens in, dense weights with gradients out.

Every module is called alike, so that one training loop serves all families:

    weights = module(ids, mask, terms, n_terms)     # float32 (texts, n_terms), none negative

with `ids` int64 and `mask` bool, both (texts, longest), and `terms` int64 (texts, longest), which
term a position stands for, -1 for none. `terms` matters to those that weigh positions and to
those that have no model; the others weigh the vocabulary, and `n_terms` is its size.
A score is the inner product of two rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import pad

from lexidex.index.vectors import Float32s

from ..language_model import padded
from ..projection import Pooling
from ..terms import Tokens
from .base import VocabularyNetwork
from .scalar import ScalarNetwork, scatter


def collate(
    texts: Sequence[Tokens], padding: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """`ids`, `mask` and `terms` of a batch of texts, which `Side.tokens` gave.

    Args:
        texts: at least one.
        padding: the id that texts are padded with.
    """
    ids, mask = padded([text.ids for text in texts], padding)
    terms, _ = padded([text.terms for text in texts], -1)
    return ids, mask, terms


class SideModule(nn.Module):
    """What all sides share.

    Attributes:
        n_terms: number of terms where the caller names none.
    """

    def __init__(self, n_terms: int) -> None:
        """Take the number of terms where the caller names none."""
        super().__init__()
        self.n_terms = n_terms

    def forward(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        terms: torch.Tensor | None = None,
        n_terms: int | None = None,
    ) -> torch.Tensor:
        """See the module's text; `terms` of None are the ids themselves."""
        raise NotImplementedError


class ExpandingModule(SideModule):
    """A head that scores the vocabulary; see `lexidex.encoders.sides.ModelSide`."""

    kept: torch.Tensor
    own: torch.Tensor | None

    def __init__(
        self,
        network: VocabularyNetwork,
        pooling: Pooling,
        n_terms: int,
        masked: Sequence[int],
        own_terms: Float32s | None,
    ) -> None:
        """Take what `ModelSide` has; the network is shared with it."""
        super().__init__(n_terms)
        self.network = network
        self.pooling = pooling
        kept = torch.ones(n_terms)
        kept[list(masked)] = 0
        self.register_buffer("kept", kept, persistent=False)
        own: Any = None if own_terms is None else torch.zeros(n_terms)
        if own_terms is not None:
            own[: own_terms.size] = torch.from_numpy(own_terms)
        self.register_buffer("own", own, persistent=False)

    def forward(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        terms: torch.Tensor | None = None,
        n_terms: int | None = None,
    ) -> torch.Tensor:
        weights = self.network.expand(ids, mask, self.pooling) * self.kept
        if self.own is not None:
            present = scatter(mask.to(weights), ids, self.n_terms, "max")
            weights = weights * present * self.own
        return weights


class WeighingModule(SideModule):
    """A scalar head; see `lexidex.encoders.sides.ScalarSide`."""

    def __init__(self, network: ScalarNetwork, activation: str, pooling: str, n_terms: int) -> None:
        """Take what `ScalarSide` has; the network is shared with it."""
        super().__init__(n_terms)
        self.network = network
        self.activation = activation
        self.pooling = pooling

    def forward(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        terms: torch.Tensor | None = None,
        n_terms: int | None = None,
    ) -> torch.Tensor:
        weights = self.network.weigh(ids, mask, self.activation)
        places = ids if terms is None else terms
        return scatter(weights, places, n_terms or self.n_terms, self.pooling)


class StaticModule(SideModule):
    """A table of weights, or all of them 1; see `lexidex.encoders.static`.

    Attributes:
        weight: float32 (terms,), of which what is negative counts as 0; None where every term
            weighs 1.
    """

    weight: torch.Tensor | None

    def __init__(self, n_terms: int, table: Float32s | None = None, learned: bool = True) -> None:
        """Take a table; where it is learned, it becomes a parameter."""
        super().__init__(n_terms)
        weight = None if table is None else torch.tensor(table)
        if weight is not None and learned:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)

    def forward(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        terms: torch.Tensor | None = None,
        n_terms: int | None = None,
    ) -> torch.Tensor:
        places = ids if terms is None else terms
        present = scatter(mask.float(), places, n_terms or self.n_terms, "max")
        if self.weight is None:
            return present
        weights = self.weight.relu()
        return present * pad(weights, (0, present.shape[1] - weights.shape[0]))
