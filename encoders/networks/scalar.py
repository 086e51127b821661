"""One score a position, for the term that stands there: what uniCOIL and its kin share.

    w_t = pooled over the positions i of term t:  ReLU(a . h_i + b)

uniCOIL (arXiv 2106.14807), TILDEv2 (arXiv 2108.08513), BGE-M3 (arXiv 2402.03216) and DeeperImpact
(arXiv 2405.17093) have one linear map, DeepImpact (arXiv 2104.12016) two with ReLU between them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from lexidex.index.vectors import Float32s

from ..activations import activate_tensor
from ..backbones import Source, load_backbone, read_config
from ..heads import headless
from ..scalar_weights import Layer, read_layers, write_layers
from .base import Network


class ScalarNetwork(Network):
    """A backbone and linear maps onto one number."""

    def __init__(self, model: Any, layers: nn.ModuleList) -> None:
        """Take a model and its linear maps, the last of them onto one number."""
        super().__init__(model)
        self.layers = layers

    @classmethod
    def load(cls, source: Source) -> Self:
        return cls(load_backbone(source), load_layers(source))

    def scores(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Scores of positions, float32 (texts, longest), with gradients; of any sign.

        Args:
            ids: int64 (texts, longest).
            mask: where there is text, bool (texts, longest).
        """
        states = self.states(ids, mask)
        for place, layer in enumerate(self.layers):
            states = layer(states.relu() if place else states)
        return states[..., 0]

    def weigh(self, ids: torch.Tensor, mask: torch.Tensor, activation: str) -> torch.Tensor:
        """Weights of positions, float32 (texts, longest), with gradients; 0 where no text is.

        Args:
            ids, mask: as `scores` takes them.
            activation: from scores to weights.
        """
        return activate_tensor(self.scores(ids, mask), activation) * mask

    def weights(self, ids: torch.Tensor, mask: torch.Tensor, activation: str) -> Float32s:
        """`weigh` without gradients."""
        ids, mask = self.placed(ids, mask)
        with self.encoding():
            found: Float32s = self.weigh(ids, mask, activation).cpu().numpy()
        self.check_finite(found)
        return found

    def write(self, folder: Path) -> None:
        super().write(folder)
        write_layers(folder, as_layers(self.layers))


def load_layers(source: Source, name: str = "") -> nn.ModuleList:
    """Linear maps of that name in a folder; random where they may be untrained and are not there.

    Raises:
        ParameterError: there are none.
    """
    found = read_layers(source.folder, name)
    if found:
        return nn.ModuleList([_as_module(layer) for layer in found])
    if not source.untrained:
        raise headless(source.folder, [f"{name or 'scalar'} head"])
    return nn.ModuleList([nn.Linear(read_config(source).hidden_size, 1)])


def as_layers(modules: nn.ModuleList) -> list[Layer]:
    """Linear maps as arrays."""
    return [
        (_array(module.weight), _array(module.bias))
        for module in modules
        if isinstance(module, nn.Linear)
    ]


def scatter(weights: torch.Tensor, terms: torch.Tensor, n_terms: int, pooling: str) -> torch.Tensor:
    """Weights of terms, float32 (texts, n_terms), of weights of positions; differentiable.

    Args:
        weights: float32 (texts, longest), none negative.
        terms: which term a position stands for, int64 (texts, longest), below `n_terms`; -1 where
            it stands for none.
        n_terms: number of terms.
        pooling: "sum" over the positions of a term, or else the largest; of "first", `terms` has
            one position a term.
    """
    values, places = weights * (terms >= 0), terms.clamp(min=0)
    out = weights.new_zeros((weights.shape[0], n_terms))
    if pooling == "sum":
        return out.scatter_add(1, places, values)
    return out.scatter_reduce(1, places, values, "amax")


def _as_module(layer: Layer) -> nn.Linear:
    weight, bias = map(torch.from_numpy, layer)
    module = nn.Linear(weight.shape[1], weight.shape[0])
    module.load_state_dict({"weight": weight, "bias": bias})
    return module


def _array(tensor: torch.Tensor) -> Float32s:
    array: Float32s = tensor.detach().cpu().float().numpy()
    return array
