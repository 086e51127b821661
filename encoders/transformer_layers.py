"""The layers of a transformer one by one: where they are, and what passes through them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
    """What a layer gives while the model runs, for other layers to go on from.

    It listens for good, but only passes that ask leave anything; each thread finds its own.
    """

    def __init__(self, layer: nn.Module) -> None:
        """Listen to a layer."""
        layer.register_forward_hook(self._keep, with_kwargs=True)

    def _keep(self, layer: nn.Module, given: tuple[Any, ...], named: Any, output: Any) -> None:
        found: Tapped | None = getattr(_passes, "tapped", None)
        if found is not None and found.tap is self:
            found.left = hidden_of(output), given[1:], named
            if found.alone:
                raise _Enough

    @contextmanager
    def listening(self, *, alone: bool = False) -> Iterator[Tapped]:
        """What the pass within leaves.

        Args:
            alone: whether the pass ends at the layer; what would come of it is not needed.
        """
        _passes.tapped = found = Tapped(self, alone)
        try:
            with suppress(_Enough):
                yield found
        finally:
            _passes.tapped = None


@dataclass
class Tapped:
    """What one pass has left at a tap.

    Attributes:
        tap: where.
        alone: whether the pass ends there.
        left: states, and what else the layer was called with.
    """

    tap: Tap
    alone: bool
    left: tuple[Tensor, tuple[Any, ...], dict[str, Any]] | None = None

    @property
    def states(self) -> Tensor:
        """What the layer gave, (texts, longest, width)."""
        assert self.left is not None
        return self.left[0]

    def through(self, layers: Sequence[nn.Module]) -> Tensor:
        """The states that these layers make of it, masked as they were."""
        assert self.left is not None
        states, given, named = self.left
        for layer in layers:
            states = hidden_of(layer(states, *given, **named))
        return states


class _Enough(Exception):
    """The pass has come as far as it has to."""


_passes = threading.local()
"""What the pass of this thread is listened to for; not in `Tap`, so that models can be copied."""
