"""States of layers that are not trained, computed once a text and kept.

With frozen layers a step costs what is above them alone: on a CPU that is the difference between
20 and 100 texts a second. States are kept in half precision, about 0.8 kB a token at width 384;
dropout has to be off, or there would be nothing to keep.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lexidex.errors import ParameterError

from ..learned import LearnedEncoder
from ..networks.base import Network
from ..transformer_layers import Tap, hidden_of, layers_of

LIMIT = 8 << 30
"""Bytes that are kept; texts beyond that are computed anew each time."""


class Kept:
    """States by the ids of their texts; encoders with one backbone may share them."""

    def __init__(self, limit: int = LIMIT) -> None:
        """Keep at most so many bytes."""
        self._limit = limit
        self._states: dict[bytes, Tensor] = {}
        self._bytes = 0

    def find(self, key: bytes) -> Tensor | None:
        """The states of a text, float16 (positions, width), or None."""
        return self._states.get(key)

    def add(self, key: bytes, states: Tensor) -> None:
        """Keep the states of a text, if there is room."""
        size = states.numel() * states.element_size() + len(key)
        if key not in self._states and self._bytes + size <= self._limit:
            self._states[key] = states
            self._bytes += size


def cache_states(
    encoder: LearnedEncoder, n_layers: int, kept: Kept | None = None, precision: str = "fp32"
) -> None:
    """Keep the states of the encoder's lowest layers from now on.

    Args:
        encoder: whose networks are changed.
        n_layers: how many layers, all of them frozen.
        kept: where; None for a place of its own.
        precision: that states are computed in, "fp32" or "bf16".

    Raises:
        ParameterError: one of these layers still has something to train.
    """
    for side in (encoder.documents, encoder.queries):
        network: Any = getattr(side.module(), "network", None)
        if network is None or isinstance(network.states, StateCache):
            continue
        backbone = network.model.base_model
        frozen = (backbone.embeddings, *layers_of(backbone)[:n_layers])
        if any(each.requires_grad for part in frozen for each in part.parameters()):
            raise ParameterError(
                f"cached_states: the lowest {n_layers} layers are still trained; freeze them"
            )
        # An attribute of the module stands before the method of its class.
        network.states = StateCache(network, n_layers, kept or Kept(), precision)


class StateCache:
    """`Network.states`, but each text passes through the frozen layers once."""

    def __init__(self, network: Network, n_layers: int, kept: Kept, precision: str) -> None:
        """Take the network, how many of its layers are frozen, and where states are kept."""
        self._compute = network.states
        self._layers = layers_of(network.model.base_model)
        self._n_frozen = n_layers
        self._kept = kept
        self._precision = precision
        self._tap = Tap(self._layers[n_layers - 1])

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """States of ids int64 and mask bool, (texts, longest): float32 (texts, longest, width)."""
        states = self._frozen(ids, mask)
        trained = self._layers[self._n_frozen :]
        if not len(trained):
            return states
        ignored = torch.finfo(states.dtype).min
        bias = torch.zeros_like(mask, dtype=states.dtype).masked_fill(~mask, ignored)
        for layer in trained:
            states = hidden_of(layer(states, bias[:, None, None, :]))
        return states

    def _frozen(self, ids: Tensor, mask: Tensor) -> Tensor:
        """States of the highest frozen layer, kept or computed; 0 where no text is."""
        texts = [row[there].cpu() for row, there in zip(ids, mask, strict=True)]
        keys = [text.numpy().tobytes() for text in texts]
        known = {key: self._kept.find(key) for key in keys}
        found = {key: states for key, states in known.items() if states is not None}
        for row, key in enumerate(keys):
            if key not in found:
                found[key] = self._computed(ids[row, mask[row]])
                self._kept.add(key, found[key])
        width = next(iter(found.values())).shape[1]
        joined = torch.zeros((*ids.shape, width), device=ids.device)
        # Autocast joins no float16 with what it casts to, so they are float32 before.
        joined[mask] = torch.cat([found[key].float() for key in keys]).to(ids.device)
        return joined

    def _computed(self, ids: Tensor) -> Tensor:
        """States of one text in the highest frozen layer, float16 (positions, width).

        By itself: to the last bit they depend on the text alone, not on the batch in which it was
        met first, and a training that goes on sees what it has seen. Without padding this is as
        fast on a processor.
        """
        precise = torch.autocast(ids.device.type, torch.bfloat16, enabled=self._precision == "bf16")
        with torch.no_grad(), precise, self._tap.listening(alone=True) as tapped:
            self._compute(ids[None], torch.ones_like(ids[None], dtype=torch.bool))
        return tapped.states[0].half().cpu()
