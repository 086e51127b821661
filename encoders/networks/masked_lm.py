"""SPLADE's network: the head that predicts masked words scores the vocabulary."""

from __future__ import annotations

from typing import Any, Self

from ..backbones import Source, load_masked_lm
from ..heads import head_of
from ..projection import Head
from ..screened import fastest
from .base import VocabularyNetwork


class MaskedLMNetwork(VocabularyNetwork):
    """A transformers model for masked language modelling."""

    def __init__(self, model: Any) -> None:
        """Take what `AutoModelForMaskedLM` returns."""
        super().__init__(model)
        self._head = fastest(head_of(model))

    @property
    def head(self) -> Head:
        return self._head

    @classmethod
    def load(cls, source: Source) -> Self:
        return cls(load_masked_lm(source))
