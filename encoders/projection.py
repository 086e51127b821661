"""From the states of positions to one score a vocabulary term, pooled over each text.

A model scores every term of the vocabulary at every position: [batch, length, vocabulary], more
than a gigabyte for 32 passages. That array never exists here. Positions lie flat, without padding,
and the scores are computed one tile at a time and pooled into [batch, vocabulary] before the next:

- `TiledHead` cuts the vocabulary. A tile is `W[a:b] @ states.T`, (terms, positions): transposed,
  so that pooling runs along contiguous memory.
- `WholeHead` cuts the positions, for heads of which only the whole can be called.

For maximum pooling the activation comes after, on [batch, vocabulary]: it is monotone. For the sum
it has to come before.

Training needs gradients and has small batches: `Head.weights` makes the array after all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lexidex.errors import ParameterError
from lexidex.index.vectors import Components, Float32s, Int64s

from .activations import activate, activate_in_place, activate_tensor, least_score

if TYPE_CHECKING:
    import torch

POOLINGS = ("max", "sum", "cls")
"""How the scores of a text's positions become one: sum in SPLADE v1, max ever since; "cls" takes
those of the first position alone (CLS-MLM; TILDE, SNRM's successors)."""

TILE = 2048
"""Vocabulary terms of a tile; speed is flat from 1,024 to 8,192."""

CHUNK = 64
"""Positions of a chunk where the head is called as a whole."""


def check_pooling(name: object, where: str = "pooling") -> str:
    """`name` if it is a pooling; ParameterError otherwise."""
    if isinstance(name, str) and name in POOLINGS:
        return name
    raise ParameterError(f"{where}: {name!r}; known are {', '.join(POOLINGS)}")


@dataclass(frozen=True)
class Pooling:
    """How the scores of positions become the weights of a text.

    Attributes:
        strategy: one of `POOLINGS`.
        activation: one of `lexidex.encoders.activations.LOGARITHMS`.
        skipped: ids whose positions are left out.
    """

    strategy: str = "max"
    activation: str = "relu"
    skipped: tuple[int, ...] = ()

    @property
    def sums(self) -> bool:
        """Whether the weights of positions are added up."""
        return self.strategy == "sum"

    def counted(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Which positions are pooled, bool (texts, longest).

        Args:
            ids: int64 (texts, longest).
            mask: where there is text, bool (texts, longest).
        """
        import torch

        if self.strategy == "cls":
            mask = mask & (torch.arange(mask.shape[1], device=mask.device) == 0)
        if self.skipped:
            mask = mask & ~torch.isin(ids, torch.tensor(self.skipped, device=ids.device))
        return mask

    def reduce(self, scores: torch.Tensor, out: torch.Tensor) -> None:
        """Pool scores (terms, positions) into `out` (terms,), overwriting it."""
        import torch

        if not scores.shape[1]:
            out.fill_(self.empty)
        else:
            (torch.sum if self.sums else torch.amax)(scores, 1, out=out)

    @property
    def empty(self) -> float:
        """What no position at all is pooled to."""
        return 0.0 if self.sums else -np.inf

    def merge(self, scores: torch.Tensor, out: torch.Tensor) -> None:
        """Pool scores (terms, positions) and what `out` (terms,) holds already into `out`."""
        import torch

        if self.sums:
            out += scores.sum(1)
        else:
            torch.maximum(out, scores.amax(1), out=out)

    def finish(self, pooled: Float32s) -> Float32s:
        """Weights, from what a head pooled."""
        return pooled if self.sums else activate(pooled, self.activation)

    def positions(self, ids: Sequence[int]) -> Int64s:
        """`counted` for one text without padding: the positions that are pooled, int64."""
        if self.strategy == "cls":
            ids = ids[:1]
        if not self.skipped:
            return np.arange(len(ids))
        return np.flatnonzero(~np.isin(ids, self.skipped))

    def rows(self, pooled: Float32s) -> list[tuple[Components, Float32s]]:
        """The terms of each text that have a weight, and their weights, from what a head pooled."""
        least = 0.0 if self.sums else least_score(self.activation)
        found = []
        for row in pooled:
            components = np.flatnonzero(row > least).astype(np.int32)
            found.append((components, self.finish(row[components])))
        return found

    def weights(self, scores: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
        """Weights by the book, (texts, vocabulary), differentiable.

        Args:
            scores: (texts, longest, vocabulary).
            counted: which positions are pooled, bool (texts, longest).
        """
        counted = counted[..., None]
        if self.sums:
            return (activate_tensor(scores, self.activation) * counted).sum(1)
        highest = scores.masked_fill(~counted, -np.inf).amax(1)
        return activate_tensor(highest, self.activation)


class Head(Protocol):
    """What turns states into weights: tile by tile, and differentiable."""

    def pool(self, states: torch.Tensor, lengths: Sequence[int], pooling: Pooling) -> torch.Tensor:
        """Pooled scores of each text, float32 (texts, vocabulary).

        Raw scores for maximum pooling, activated and added up ones for the sum.

        Args:
            states: hidden states of all positions, text after text, float32 (positions, width).
            lengths: positions of each text; they add up to `positions`.
            pooling: maximum or sum, and of what.
        """

    def weights(
        self, states: torch.Tensor, counted: torch.Tensor, pooling: Pooling
    ) -> torch.Tensor:
        """Weights of each text, (texts, vocabulary), with gradients; makes the whole array.

        Args:
            states: hidden states, padding included, (texts, longest, width).
            counted: which positions are pooled, bool (texts, longest).
            pooling: how.
        """


@dataclass(frozen=True)
class TiledHead:
    """A head that ends in a linear map onto the vocabulary, computed tile by tile of it.

    Attributes:
        transform: what comes before the linear map, (positions, width) to the same.
        weight: float32 (vocabulary, width).
        bias: float32 (vocabulary,).
        tile: vocabulary terms at a time, at least 1.
    """

    transform: Callable[[torch.Tensor], torch.Tensor]
    weight: torch.Tensor
    bias: torch.Tensor
    tile: int = TILE

    def pool(self, states: torch.Tensor, lengths: Sequence[int], pooling: Pooling) -> torch.Tensor:
        """See `Head`."""
        import torch

        columns = self.transform(states).t()
        ends = np.cumsum([0, *lengths]).tolist()
        vocabulary = self.weight.shape[0]
        pooled = states.new_empty((len(lengths), vocabulary))
        buffer = states.new_empty((min(self.tile, vocabulary), columns.shape[1]))
        for first in range(0, vocabulary, self.tile):
            terms = slice(first, min(first + self.tile, vocabulary))
            tile = buffer[: terms.stop - first]
            torch.mm(self.weight[terms], columns, out=tile)
            if pooling.sums:
                activate_in_place(tile.add_(self.bias[terms, None]), pooling.activation)
            for row, (start, end) in enumerate(pairwise(ends)):
                pooling.reduce(tile[:, start:end], pooled[row, terms])
        # A bias moves all positions alike, so the maximum need not wait for it.
        return pooled if pooling.sums else pooled.add_(self.bias)

    def weights(
        self, states: torch.Tensor, counted: torch.Tensor, pooling: Pooling
    ) -> torch.Tensor:
        """See `Head`."""
        return pooling.weights(self.scores(states), counted)

    def scores(self, states: torch.Tensor) -> torch.Tensor:
        """Scores of states (..., width), (..., vocabulary)."""
        return self.transform(states) @ self.weight.t() + self.bias


@dataclass(frozen=True)
class WholeHead:
    """Any head that scores each position by itself, computed a few positions at a time.

    Attributes:
        score: (positions, width) to scores (positions, vocabulary).
        vocabulary: number of terms.
        chunk: positions at a time, at least 1.
    """

    score: Callable[[torch.Tensor], torch.Tensor]
    vocabulary: int
    chunk: int = CHUNK

    def pool(self, states: torch.Tensor, lengths: Sequence[int], pooling: Pooling) -> torch.Tensor:
        """See `Head`."""
        pooled = states.new_full((len(lengths), self.vocabulary), pooling.empty)
        ends = np.cumsum([0, *lengths]).tolist()
        for row, (start, end) in enumerate(pairwise(ends)):
            for first in range(start, end, self.chunk):
                scores = self.score(states[first : min(first + self.chunk, end)])
                if pooling.sums:
                    scores = activate_in_place(scores, pooling.activation)
                pooling.merge(scores.t(), pooled[row])
        return pooled

    def weights(
        self, states: torch.Tensor, counted: torch.Tensor, pooling: Pooling
    ) -> torch.Tensor:
        """See `Head`."""
        return pooling.weights(self.scores(states), counted)

    def scores(self, states: torch.Tensor) -> torch.Tensor:
        """Scores of states (texts, longest, width), (texts, longest, vocabulary)."""
        return self.score(states.flatten(0, 1)).view(*states.shape[:2], -1)
