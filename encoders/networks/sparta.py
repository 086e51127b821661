"""SPARTA: a term's score is the inner product of a state with the term's input embedding.

    w_j = log(1 + ReLU(max over positions i of  e_j . h_i))

(Zhao, Lu and Lee, arXiv 2009.13013; as the BEIR benchmark has it: without a bias.)
"""

from __future__ import annotations

from typing import Self

from ..backbones import Source, load_backbone
from ..projection import Head, TiledHead
from .base import VocabularyNetwork


class EmbeddingNetwork(VocabularyNetwork):
    """A backbone whose own word embeddings are the head."""

    @property
    def head(self) -> Head:
        weight = self.model.get_input_embeddings().weight
        return TiledHead(lambda states: states, weight, weight.new_zeros(weight.shape[0]))

    @classmethod
    def load(cls, source: Source) -> Self:
        return cls(load_backbone(source))
