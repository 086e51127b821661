"""The layers of a transformer one by one: where they are, and what passes through them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from lexidex.errors import ParameterError


def layers_of(backbone: Any) -> nn.ModuleList:
    """The layers of a transformer, the lowest first.

    Raises:
        ParameterError: an architecture whose layers are not known.
    """
    for owner in (getattr(backbone, "encoder", None), getattr(backbone, "transformer", None)):
        found = getattr(owner, "layer", None)
        if isinstance(found, nn.ModuleList):
            return found
    raise ParameterError(f"{type(backbone).__name__}: its layers are not known")


def hidden_of(output: Any) -> Tensor:
    """The states in what a layer returns, which may be a tuple."""
    states: Tensor = output[0] if isinstance(output, tuple) else output
    return states


class Tap:
    """What a layer gives while the model above it runs, for other layers to go on from.

    Each thread finds what its own pass left.
    """

    def __init__(self, layer: nn.Module) -> None:
        """Listen to a layer from now on."""
        self._left = threading.local()
        layer.register_forward_hook(self._keep, with_kwargs=True)

    def _keep(self, layer: nn.Module, given: tuple[Any, ...], named: Any, output: Any) -> None:
        self._left.found = hidden_of(output), given[1:], named

    def through(self, layers: Sequence[nn.Module]) -> Tensor:
        """The states that these layers make of what the last pass left, masked as it was."""
        states, given, named = self._left.found
        del self._left.found
        for layer in layers:
            states = hidden_of(layer(states, *given, **named))
        found: Tensor = states
        return found
