"""A head that scores only the terms that a text can have, as integers tell; exact all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from .activations import activate_in_place, least_score
from .engines.processor import has_wide_integer_products
from .projection import Head, Pooling, TiledHead

if TYPE_CHECKING:
    import torch

    from .engines.screening import Screen

MOST = 0.25
"""Share of the vocabulary up to which it is faster to pick terms than to score them all."""


@dataclass
class ScreenedHead:
    """What a `TiledHead` gives, sooner where few terms have a weight.

    Scores of terms that have none are not worked out: they are minus infinity by the maximum, and 0
    by the sum.

    Attributes:
        whole: the head.
    """

    whole: TiledHead
    _screen: tuple[tuple[int, int], Screen] | None = field(default=None, repr=False)

    def pool(self, states: torch.Tensor, lengths: Sequence[int], pooling: Pooling) -> torch.Tensor:
        """See `Head`."""
        import torch

        least = least_score(pooling.activation)
        if states.device.type != "cpu" or least == -np.inf:
            return self.whole.pool(states, lengths, pooling)
        inputs = self.whole.transform(states)
        found = self._current_screen().candidates(inputs.numpy(), lengths, least)
        vocabulary = self.whole.weight.shape[0]
        if sum(terms.size for terms in found) > MOST * vocabulary * len(found):
            return self.whole.pool(states, lengths, pooling)
        pooled = states.new_full((len(lengths), vocabulary), pooling.empty)
        ends = np.cumsum([0, *lengths]).tolist()
        for row, ((start, end), terms) in enumerate(zip(pairwise(ends), found, strict=True)):
            picked = torch.from_numpy(terms)
            scores = torch.mm(self.whole.weight[picked], inputs[start:end].t())
            scores += self.whole.bias[picked, None]
            if pooling.sums:
                scores = activate_in_place(scores, pooling.activation)
            reduced = scores.new_empty(len(terms))
            pooling.reduce(scores, reduced)
            pooled[row, picked] = reduced
        return pooled

    def weights(
        self, states: torch.Tensor, counted: torch.Tensor, pooling: Pooling
    ) -> torch.Tensor:
        """See `Head`."""
        return self.whole.weights(states, counted, pooling)

    def _current_screen(self) -> Screen:
        """The screen of the weights as they are: training changes them in place."""
        from .engines.screening import Screen

        weight, bias = self.whole.weight, self.whole.bias
        version = weight._version, bias._version
        if self._screen is None or self._screen[0] != version:
            arrays = (part.detach().numpy() for part in (weight, bias))
            self._screen = version, Screen(*arrays)
        return self._screen[1]


def whole_of(head: Head) -> TiledHead | None:
    """The head that ends in a linear map onto the vocabulary, screened or not; None for another."""
    found = head.whole if isinstance(head, ScreenedHead) else head
    return found if isinstance(found, TiledHead) else None


def fastest(head: Head) -> Head:
    """The head, screened where this processor multiplies integers fast enough for it to pay."""
    if not isinstance(head, TiledHead) or not has_wide_integer_products():
        return head
    return head if head.weight.shape[1] % 4 else ScreenedHead(head)
