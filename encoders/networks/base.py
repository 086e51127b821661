"""What all networks share, and what those have in common that score the whole vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from lexidex.errors import CorruptFile
from lexidex.index.vectors import Components, Float32s

from ..backbones import Source, quiet_transformers
from ..projection import Head, Pooling
from ..weights import let_umask_decide, weight_files

Rows = list[tuple[Components, Float32s]]


class Network(nn.Module):
    """A backbone, with the head of a subclass above it.

    Attributes:
        model: a transformers model, float32; its `base_model` is the backbone.
    """

    def __init__(self, model: Any) -> None:
        """Take a model in evaluation mode."""
        super().__init__()
        self.model = model

    @classmethod
    def load(cls, source: Source) -> Self:
        """The network in a folder; see `lexidex.encoders.backbones` for what is raised."""
        raise NotImplementedError

    def states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Hidden states (texts, longest, width) of ids int64 and mask bool, (texts, longest)."""
        found: torch.Tensor = self.model.base_model(
            input_ids=ids, attention_mask=mask
        ).last_hidden_state
        return found

    def placed(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        """Tensors where the network's parameters are."""
        device = next(self.parameters()).device
        return [tensor.to(device) for tensor in tensors]

    def write(self, folder: Path) -> None:
        """Write config.json and all weights into `folder`, which `load` reads back."""
        with quiet_transformers():
            self.model.save_pretrained(folder)
        let_umask_decide(weight_files(folder))

    @contextmanager
    def encoding(self) -> Iterator[None]:
        """No gradients and no dropout, in the midst of training too."""
        was_training = self.model.training
        if was_training:
            self.eval()
        try:
            with torch.inference_mode():
                yield
        finally:
            if was_training:
                self.train()

    def check_finite(self, weights: Float32s) -> None:
        """CorruptFile where the model gives what no vector can hold."""
        highest = weights.max(initial=-np.inf)
        if np.isnan(highest) or highest == np.inf:
            raise CorruptFile(f"{self.model.name_or_path}: the model gives a score of {highest}")


class VocabularyNetwork(Network):
    """A network whose head scores the whole vocabulary at every position."""

    @property
    def head(self) -> Head:
        """The head, over the parameters as they are now."""
        raise NotImplementedError

    def expand(self, ids: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
        """Weights of texts, float32 (texts, vocabulary), none negative, with gradients.

        Args:
            ids: int64 (texts, longest).
            mask: where there is text, bool (texts, longest).
            pooling: which positions count, and how.
        """
        return self.head.weights(self.states(ids, mask), pooling.counted(ids, mask), pooling)

    def vectors(self, ids: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> Rows:
        """`expand` without gradients and large arrays: (components, values) of each text."""
        ids, mask = self.placed(ids, mask)
        with self.encoding():
            counted = pooling.counted(ids, mask)
            states = self.states(ids, mask)[counted]
            pooled = self.head.pool(states, counted.sum(1).tolist(), pooling).cpu().numpy()
        self.check_finite(pooled)
        return pooling.rows(pooled)
