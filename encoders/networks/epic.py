"""EPIC: scores of the vocabulary, weighed by the importance of positions and the text's quality.

    documents  w_j = sigmoid(c . h_CLS + d) * max over positions i of  f(z_ij) f(a . h_i + b)
    queries    w_t = sum over the positions i of t:  f(q . h_i + r)
    f(x) = log(1 + log(1 + exp(x)))

z are scores of the language-model head and h the states below it; [CLS] and [SEP] are no positions
(MacAvaney et al., arXiv 2004.14245, as its authors' OpenNIR computes it, without dropout).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from lexidex.errors import ParameterError

from ..activations import activate_in_place, activate_tensor
from ..backbones import Source, load_masked_lm
from ..heads import head_of
from ..projection import Head, Pooling, TiledHead
from ..scalar_weights import IMPORTANCE, QUALITY, write_layers
from .base import Rows, VocabularyNetwork
from .scalar import ScalarNetwork, as_layers, load_layers


class EpicNetwork(VocabularyNetwork, ScalarNetwork):
    """Both sides of EPIC: `expand` and `vectors` for documents, `weigh` for queries.

    Attributes:
        layers: the linear map of query tokens.
        importance: that of document positions.
        quality: that of documents.
    """

    def __init__(
        self, model: Any, layers: nn.ModuleList, importance: nn.ModuleList, quality: nn.ModuleList
    ) -> None:
        """Take a model for masked language modelling and three linear maps onto one number."""
        ScalarNetwork.__init__(self, model, layers)
        self.importance, self.quality = importance, quality
        head = head_of(model)
        if not isinstance(head, TiledHead):
            raise ParameterError(f"{type(model).__name__}: a head that cannot be taken apart")
        self._head = head

    @classmethod
    def load(cls, source: Source) -> Self:
        layers = (load_layers(source, name) for name in ("", IMPORTANCE, QUALITY))
        return cls(load_masked_lm(source), *layers)

    @property
    def head(self) -> Head:
        return self._head

    def expand(self, ids: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
        states = self.states(ids, mask)
        counted = pooling.counted(ids, mask)[..., None]
        weights = activate_tensor(self._head.scores(states), pooling.activation)
        weights = (weights * self.importance_of(states, pooling) * counted).amax(1)
        return weights * self.quality_of(states)

    def vectors(self, ids: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> Rows:
        ids, mask = self.placed(ids, mask)
        with self.encoding():
            states, counted = self.states(ids, mask), pooling.counted(ids, mask)
            weights = self._pool(states[counted], counted.sum(1).tolist(), pooling)
            pooled = (weights * self.quality_of(states)).cpu().numpy()
        self.check_finite(pooled)
        rows: Rows = []
        for row in pooled:
            components = np.flatnonzero(row > 0).astype(np.int32)
            rows.append((components, row[components]))
        return rows

    def write(self, folder: Path) -> None:
        super().write(folder)
        for name, layers in ((IMPORTANCE, self.importance), (QUALITY, self.quality)):
            write_layers(folder, as_layers(layers), name)

    def importance_of(self, states: torch.Tensor, pooling: Pooling) -> torch.Tensor:
        """Of positions, (..., 1)."""
        return activate_tensor(self.importance[0](states), pooling.activation)

    def quality_of(self, states: torch.Tensor) -> torch.Tensor:
        """Of texts, (texts, 1), from the states of their first positions."""
        quality: torch.Tensor = self.quality[0](states[:, 0]).sigmoid()
        return quality

    def _pool(self, states: torch.Tensor, lengths: Sequence[int], pooling: Pooling) -> torch.Tensor:
        """As `TiledHead.pool`, but activated: importance differs from position to position."""
        head = self._head
        columns, importance = head.transform(states).t(), self.importance_of(states, pooling)[:, 0]
        ends = np.cumsum([0, *lengths]).tolist()
        pooled = states.new_zeros((len(lengths), head.weight.shape[0]))
        for first in range(0, pooled.shape[1], head.tile):
            terms = slice(first, min(first + head.tile, pooled.shape[1]))
            tile = torch.mm(head.weight[terms], columns).add_(head.bias[terms, None])
            tile = activate_in_place(tile, pooling.activation).mul_(importance)
            for row, (start, end) in enumerate(pairwise(ends)):
                if start < end:
                    pooling.reduce(tile[:, start:end], pooled[row, terms])
        return pooled
