"""From the states of positions to one score a vocabulary term, pooled over each text.

A model scores every term of the vocabulary at every position: [batch, length, vocabulary], more
than a gigabyte for 32 passages. That array never exists here. Positions lie flat, without padding,
and the scores are computed one tile at a time and pooled into [batch, vocabulary] before the next:

- `TiledHead` cuts the vocabulary. A tile is `W[a:b] @ states.T`, (terms, positions): transposed,
  so that pooling runs along contiguous memory.
- `WholeHead` cuts the positions, for heads of which only the whole can be called.

For maximum pooling the activation comes after, on [batch, vocabulary]: it is monotone. For the sum
it has to come before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lexidex.errors import ParameterError
from lexidex.index.vectors import Float32s

from .activations import activate, activate_in_place

if TYPE_CHECKING:
    import torch

POOLINGS = ("max", "sum")
"""How the scores of a text's positions become one: sum in SPLADE v1, max ever since."""

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
    """How the scores of positions become the weights of a text."""

    strategy: str = "max"
    activation: str = "relu"

    @property
    def sums(self) -> bool:
        """Whether the weights of positions are added up."""
        return self.strategy == "sum"

    def reduce(self, scores: torch.Tensor, out: torch.Tensor) -> None:
        """Pool scores (terms, positions) into `out` (terms,), overwriting it."""
        import torch

        (torch.sum if self.sums else torch.amax)(scores, 1, out=out)

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


class Head(Protocol):
    """What turns states into scores."""

    def pool(self, states: torch.Tensor, lengths: Sequence[int], pooling: Pooling) -> torch.Tensor:
        """Pooled scores of each text, float32 (texts, vocabulary).

        Raw scores for maximum pooling, activated and added up ones for the sum.

        Args:
            states: hidden states of all positions, text after text, float32 (positions, width).
            lengths: positions of each text, at least 1; they add up to `positions`.
            pooling: maximum or sum, and of what.
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
        empty = 0.0 if pooling.sums else -np.inf
        pooled = states.new_full((len(lengths), self.vocabulary), empty)
        ends = np.cumsum([0, *lengths]).tolist()
        for row, (start, end) in enumerate(pairwise(ends)):
            for first in range(start, end, self.chunk):
                scores = self.score(states[first : min(first + self.chunk, end)])
                if pooling.sums:
                    scores = activate_in_place(scores, pooling.activation)
                pooling.merge(scores.t(), pooled[row])
        return pooled
