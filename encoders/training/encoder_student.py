"""One of our encoders as a student: its two sides as torch modules, trained where they lie.

All families come out of `lexidex.encoders.presets` and are trained alike. Where a text's weights
come from the text's own tokens, or from a head that maps states linearly onto the vocabulary, only
the columns that a step asks for are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lexidex.index.vectors import Vectors, build_vectors

from ..activations import activate_tensor
from ..batching import token_batches
from ..language_model import padded
from ..learned import LearnedEncoder
from ..networks.side import ExpandingModule, StaticModule
from ..projection import Pooling, TiledHead
from .student import SIDES, Batch

_ROWS = 64
"""Texts that are encoded together where there is a GPU."""

_TOKENS = 16384


class EncoderStudent(nn.Module):
    """A learned encoder in training; `encoder` sees every change at once.

    Attributes:
        encoder: whose parameters are trained.
    """

    def __init__(self, encoder: LearnedEncoder, *, dropout: bool = True) -> None:
        """Take an encoder.

        Args:
            encoder: of any learned family.
            dropout: whether the backbone drops out in training.
        """
        super().__init__()
        self.encoder = encoder
        self._documents = encoder.documents.module()
        shared = encoder.queries is encoder.documents
        self._queries = self._documents if shared else encoder.queries.module()
        self._dropout = dropout
        self.train()

    @property
    def dim(self) -> int:
        """Number of terms; grows while words are read (`read_words`)."""
        return self.encoder.dim

    def read_words(self, texts: Sequence[str]) -> None:
        """Let a vocabulary of words know the words of these documents, before any batch is made."""
        if self.encoder.vocabulary is not None:
            self.encoder.documents.tokens(texts)

    def train(self, mode: bool = True) -> EncoderStudent:
        """Switch between training and encoding; without dropout both are one."""
        super().train(mode and self._dropout)
        self.training = mode
        return self

    def prepare(self, side: str, texts: Sequence[str]) -> dict[str, Tensor]:
        """See `Student`: ids, mask, and which term each position stands for."""
        tokens = self._side(side).tokens(texts)
        ids, mask = padded([text.ids for text in tokens], self._padding)
        terms = np.full(ids.shape, -1, dtype=np.int64)
        for row, text in enumerate(tokens):
            terms[row, : len(text.terms)] = text.terms
        return {"ids": ids, "mask": mask, "terms": torch.from_numpy(terms)}

    def queries(self, batch: Batch) -> Tensor:
        """See `Student`."""
        # A learned table may dip below 0, which no index can hold.
        found = self._queries(batch["ids"], batch["mask"], batch["terms"], self.dim).relu()
        if found.shape[1] < self.dim:
            found = nn.functional.pad(found, (0, self.dim - found.shape[1]))
        return found

    def documents(self, batch: Batch, columns: Tensor | None = None) -> Tensor:
        """See `Student`."""
        ids, mask, terms = batch["ids"], batch["mask"], batch["terms"]
        module = self._documents
        if isinstance(module, ExpandingModule) and isinstance(module.network.head, TiledHead):
            if type(module.network).expand is _PLAIN_EXPAND and module.own is None:
                return expand(module, ids, mask, columns)
        if columns is None:
            return module(ids, mask, terms, self.dim)
        if isinstance(module, ExpandingModule):
            return module(ids, mask, terms, self.dim)[:, columns]
        places = torch.full((self.dim + 1,), -1, dtype=torch.int64, device=ids.device)
        places[columns] = torch.arange(columns.numel(), device=ids.device)
        return module(ids, mask, places[terms], columns.numel())

    def encode(self, side: str, texts: Sequence[str]) -> Vectors:
        """See `Student`."""
        self.write_back()
        training = self.training
        self.eval()
        try:
            if self._device.type == "cpu":
                encode = getattr(self.encoder, f"encode_{side}")
                found: Vectors = encode(texts)
                return found
            return self._encode_on_device(side, texts)
        finally:
            self.train(training)

    def write_back(self) -> None:
        """Hand the encoder the tables that were trained, which it keeps as arrays."""
        for module, side in ((self._queries, self.encoder.queries), (self._documents, None)):
            if side is not None and isinstance(module, StaticModule) and side.table is not None:
                assert module.weight is not None
                side.table[:] = module.weight.detach().clamp(min=0).cpu().numpy()

    def save(self, path: str | PathLike[str]) -> None:
        """See `Student`."""
        self.write_back()
        self.encoder.save(path)
