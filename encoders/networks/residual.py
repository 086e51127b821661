"""A masked language model's head with a small network beside its dense map.

    z = W . LayerNorm( gelu( D h + U2 gelu(U1 h) ) ) + b

Where a backbone is frozen, its head has to do all the learning; a wide residual network gives it
room, and starts as nothing, so that the head begins where the plain one would.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from lexidex.errors import CorruptFile, ParameterError

from ..backbones import Source, load_masked_lm
from ..projection import TiledHead
from ..scalar_weights import RESIDUAL
from ..screened import fastest, whole_of
from ..weights import write_safetensors
from .masked_lm import MaskedLMNetwork


class ResidualNetwork(MaskedLMNetwork):
    """A masked language model of BERT's kind, and the network beside its dense map.

    Attributes:
        residual: from states to what is added to the dense map's values.
    """

    def __init__(self, model: Any, residual: nn.Sequential) -> None:
        """Take what `AutoModelForMaskedLM` returns, and the network of `residual_network`.

        Raises:
            ParameterError: a model whose head has no such dense map.
        """
        super().__init__(model)
        self.residual = residual
        plain = whole_of(self._head)
        if plain is None or not hasattr(model, "cls"):
            raise ParameterError(f"{type(model).__name__}: residual heads are for BERT's head")
        self._head = fastest(TiledHead(self._transform, plain.weight, plain.bias))

    @classmethod
    def load(cls, source: Source) -> Self:
        file = source.folder / RESIDUAL
        try:
            tensors = load_file(file)
            width, inner = tensors["0.weight"].shape[1], tensors["0.weight"].shape[0]
            residual = residual_network(width, inner)
            residual.load_state_dict(tensors)
        except (OSError, KeyError, RuntimeError, ValueError, SafetensorError) as error:
            reason = str(error).partition("\n")[0]
            raise CorruptFile(f"{file}: no residual head in it: {reason}") from None
        return cls(load_masked_lm(source), residual)

    def write(self, folder: Path) -> None:
        super().write(folder)
        write_residual(folder, self.residual)

    def _transform(self, states: torch.Tensor) -> torch.Tensor:
        transform = self.model.cls.predictions.transform
        inner = transform.dense(states) + self.residual(states)
        found: torch.Tensor = transform.LayerNorm(transform.transform_act_fn(inner))
        return found


def residual_network(width: int, inner: int) -> nn.Sequential:
    """The network, which adds nothing yet: its last map is 0."""
    network = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
    for parameter in network[2].parameters():
        nn.init.zeros_(parameter)
    return network


def write_residual(folder: Path, residual: nn.Sequential) -> None:
    """Write the network into a checkpoint's folder."""
    tensors = residual.state_dict()
    write_safetensors(
        {name: tensor.contiguous().cpu().numpy() for name, tensor in tensors.items()},
        folder / RESIDUAL,
    )
