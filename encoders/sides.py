"""The two sides of an encoder, documents and queries: each turns texts into vectors its own way."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from lexidex.errors import CorruptFile
from lexidex.index.vectors import Components, Float32s, Vectors, build_vectors

from .base import Texts
from .batching import token_batches
from .language_model import LanguageModel
from .projection import Pooling
from .tokenizer import ModelTokenizer

BATCH_TOKENS = 1024
"""Tokens that pass through a model together, padding included."""

ROUNDING = 1024
"""Terms that a model may have beyond its tokenizer's: vocabularies are rounded up for speed."""

_MAX_POOLED = 1 << 24
"""Scores of a batch, [batch, vocabulary], are at most this many: 64 MiB."""


class Side(Protocol):
    """Texts -> vectors, and what makes those vectors differ from another side's."""

    tokenizer: ModelTokenizer

    @property
    def dim(self) -> int:
        """Number of components."""

    @property
    def identity(self) -> list[Any]:
        """JSON values; equal for sides that give equal vectors."""

    def encode(self, texts: Texts) -> Vectors:
        """Vectors of texts, csr_array (len(texts), dim)."""


class ModelSide:
    """Texts that pass through a masked language model: weighed and expanded by it."""

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: ModelTokenizer,
        pooling: Pooling,
        prompt: str = "",
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        """Join a model and its tokenizer.

        Args:
            model: may be shared between sides.
            tokenizer: of the same vocabulary.
            pooling: how scores become weights.
            prompt: what each text is preceded by.
            batch_tokens: tokens of a batch; changes speed and memory, not results.

        Raises:
            CorruptFile: the tokenizer has terms that the model lacks, or far fewer.
        """
        if not 0 <= model.vocabulary - len(tokenizer) <= ROUNDING:
            raise CorruptFile(
                f"{model.folder}: the model has {model.vocabulary} terms, the tokenizer in "
                f"{tokenizer.folder} {len(tokenizer)}; they do not belong together"
            )
        self.tokenizer = tokenizer
        self.model = model
        self.pooling = pooling
        self._prompt = prompt
        self._batch_tokens = batch_tokens

    @property
    def dim(self) -> int:
        return self.model.vocabulary

    @property
    def identity(self) -> list[Any]:
        pooling = [self.pooling.strategy, self.pooling.activation]
        return [self.model.identity, self.tokenizer.identity, pooling, self._prompt]

    def encode(self, texts: Texts) -> Vectors:
        ids = self.tokenizer.encode([self._prompt + text for text in texts])
        lengths = np.array([len(text) for text in ids], dtype=np.int64)
        nothing = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
        rows: list[tuple[Components, Float32s]] = [nothing] * len(texts)
        for batch in token_batches(lengths, self._batch_tokens, max(1, _MAX_POOLED // self.dim)):
            vectors = self.model.vectors([ids[row] for row in batch], self.pooling)
            for row, vector in zip(batch, vectors, strict=True):
                rows[row] = vector
        return build_vectors(rows, self.dim)
