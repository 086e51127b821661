"""A torch model whose linear maps multiply integers of a byte, by our kernels."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .maps import BlockSparseMap, DenseMap, Map, block_density
from .sparse_products import BLOCK

DENSEST = 0.6
"""Share of blocks up to which a map counts as block-sparse."""


class IntegerLinear(nn.Module):
    """What takes the place of `torch.nn.Linear`; for inference on the CPU only."""

    def __init__(self, applied: Map, n_outputs: int) -> None:
        """Take a map."""
        super().__init__()
        self._map = applied
        self._n_outputs = n_outputs

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Outputs (..., outputs) of states (..., inputs), float32."""
        flat = states.reshape(-1, states.shape[-1]).contiguous()
        outputs = torch.from_numpy(self._map.apply(flat.detach().numpy()))
        return outputs.reshape(*states.shape[:-1], self._n_outputs)


def use_integers(model: Any) -> None:
    """Replace the linear maps of a torch model, in place; those whose shapes do not fit stay."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and child.in_features % 4 == 0:
                setattr(parent, name, _integer_linear(child))


def _integer_linear(linear: nn.Linear) -> IntegerLinear:
    weight = linear.weight.detach().float().numpy()
    shift: torch.Tensor | None = linear.bias
    absent = torch.zeros(linear.out_features)
    bias = (absent if shift is None else shift.detach().float()).numpy()
    fits = linear.out_features % BLOCK == 0
    sparse = fits and block_density(weight) <= DENSEST
    applied = BlockSparseMap(weight, bias) if sparse else DenseMap(weight, bias)
    return IntegerLinear(applied, linear.out_features)
