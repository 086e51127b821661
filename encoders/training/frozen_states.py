"""States of layers that are not trained, computed once a text and kept.

With a frozen backbone a step costs the head alone: on a CPU that is the difference between 20 and
100 texts a second. States are kept in half precision, about 0.8 kB a token at width 384; dropout
has to be off, or there would be nothing to keep.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lexidex.errors import ParameterError

from ..learned import LearnedEncoder

LIMIT = 8 << 30
"""Bytes that are kept; texts beyond that are computed anew each time."""

States = Callable[[Tensor, Tensor], Tensor]


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


def cache_states(encoder: LearnedEncoder, kept: Kept | None = None) -> None:
    """Keep the states of the encoder's backbones from now on.

    Args:
        encoder: whose networks are changed.
        kept: where; None for a place of its own.

    Raises:
        ParameterError: a backbone still has something to train.
    """
    for side in (encoder.documents, encoder.queries):
        network: Any = getattr(side.module(), "network", None)
        if network is None or isinstance(network.states, StateCache):
            continue
        training = [
            name for name, each in network.model.base_model.named_parameters() if each.requires_grad
        ]
        training = [name for name in training if not name.startswith("pooler.")]
        if training:
            raise ParameterError(
                f"cached_states: {training[0]} is still trained; freeze all layers that are kept"
            )
        # An attribute of the module stands before the method of its class.
        network.states = StateCache(network.states, kept or Kept())


class StateCache:
    """`Network.states`, but each text passes through the backbone once."""

    def __init__(self, compute: States, kept: Kept) -> None:
        """Take what computes states, float (texts, longest, width), and where they are kept."""
        self._compute = compute
        self._kept = kept

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """States of ids int64 and mask bool, (texts, longest): float32 (texts, longest, width)."""
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
        """States of one text, float16 (positions, width).

        By itself, and never in mixed precision: to the last bit they depend on the text alone, not
        on the batch in which it was met first, and a training that goes on sees what it has seen.
        Without padding this is as fast on a processor.
        """
        with torch.no_grad(), torch.autocast(ids.device.type, enabled=False):
            states = self._compute(ids[None], torch.ones_like(ids[None], dtype=torch.bool))
        return states[0].half().cpu()
