"""The two sides of an encoder, documents and queries: each turns texts into vectors its own way.

A side has two forms: `encode`, and for training `module`, a torch module that weighs the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from lexidex.errors import CorruptFile
from lexidex.index.vectors import Components, Float32s, Vectors, build_vectors

from .base import Texts
from .batching import token_batches
from .language_model import LanguageModel
from .projection import Pooling
from .terms import Terms, Tokens, TokenTerms, first_alone
from .tokenizer import ModelTokenizer

if TYPE_CHECKING:
    from .networks.side import SideModule

BATCH_TOKENS = 1024
"""Tokens that pass through a model together, padding included."""

ROUNDING = 1024
"""Terms that a model may have beyond its tokenizer's: vocabularies are rounded up for speed."""

_MAX_POOLED = 1 << 24
"""Scores of a batch, [batch, vocabulary], are at most this many: 64 MiB."""

Result = TypeVar("Result")


class Side(Protocol):
    """Texts -> vectors, and what makes those vectors differ from another side's."""

    tokenizer: ModelTokenizer

    @property
    def dim(self) -> int:
        """Number of components."""

    @property
    def identity(self) -> list[Any]:
        """JSON values; equal for sides that give equal vectors."""

    @property
    def table(self) -> Float32s | None:
        """What tokens are multiplied by, or weigh, float32 (terms,); None where all count alike."""

    def encode(self, texts: Texts) -> Vectors:
        """Vectors of texts, csr_array (len(texts), dim)."""

    def tokens(self, texts: Texts) -> list[Tokens]:
        """Texts as `module` takes them, prompt included; words of documents become terms."""

    def module(self) -> SideModule:
        """This side as a torch module, sharing its parameters; see `SideModule`.

        `LearnedEncoder.save` then writes the parameters as they are in memory.
        """


class ModelSide:
    """Texts that pass through a head that scores the vocabulary: weighed and expanded by it."""

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: ModelTokenizer,
        pooling: Pooling,
        prompt: str = "",
        batch_tokens: int = BATCH_TOKENS,
        *,
        masked: Sequence[int] = (),
        own_terms: Float32s | None = None,
    ) -> None:
        """Join a model and its tokenizer.

        Args:
            model: may be shared between sides.
            tokenizer: of the same vocabulary.
            pooling: how scores become weights.
            prompt: what each text is preceded by.
            batch_tokens: tokens of a batch; changes speed and memory, not results.
            masked: ids that never get a weight.
            own_terms: where only a text's own tokens get a weight, what it is multiplied by for
                each token, float32 (at most dim,); None lets the model expand texts.

        Raises:
            CorruptFile: the tokenizer has terms that the model lacks, or far fewer.
        """
        check_vocabulary(model, tokenizer)
        self.tokenizer = tokenizer
        self._model = model
        self._pooling = pooling
        self._prompt = prompt
        self._batch_tokens = batch_tokens
        self._masked = tuple(masked)
        self._own_terms = own_terms

    @property
    def dim(self) -> int:
        return self._model.vocabulary

    @property
    def model(self) -> LanguageModel:
        """What scores the vocabulary."""
        return self._model

    @property
    def pooling(self) -> Pooling:
        """How scores become weights."""
        return self._pooling

    @property
    def table(self) -> Float32s | None:
        return self._own_terms

    @property
    def identity(self) -> list[Any]:
        pooling = [self._pooling.strategy, self._pooling.activation, self._pooling.skipped]
        own = None if self._own_terms is None else zlib.crc32(self._own_terms.tobytes())
        filters = [self._masked, own]
        return [self._model.identity, self.tokenizer.identity, pooling, filters, self._prompt]

    def tokens(self, texts: Texts) -> list[Tokens]:
        found = self.tokenizer.encode([self._prompt + text for text in texts])
        return [Tokens(ids, np.array(ids, dtype=np.int32)) for ids in found]

    def encode(self, texts: Texts) -> Vectors:
        def weigh(batch: list[Sequence[int]]) -> list[tuple[tuple[Components, Float32s], None]]:
            return [(vector, None) for vector in self._model.vectors(batch, self._pooling)]

        return self.encode_by(texts, weigh)[0]

    def encode_by(
        self,
        texts: Texts,
        weigh: Callable[
            [list[Sequence[int]]], Sequence[tuple[tuple[Components, Float32s], Result]]
        ],
    ) -> tuple[Vectors, list[Result | None]]:
        """Vectors by another pass through the model, and what that gives beside each of them.

        Args:
            texts: to encode.
            weigh: from the ids of a batch to a vector of each text, unfiltered, and the rest.
        """
        ids = self.tokenizer.encode([self._prompt + text for text in texts])
        found = in_batches(ids, weigh, self._batch_tokens, max_rows=max(1, _MAX_POOLED // self.dim))
        rows = [
            _nothing() if one is None else self._filtered(text, *one[0])
            for text, one in zip(ids, found, strict=True)
        ]
        return build_vectors(rows, self.dim), [None if one is None else one[1] for one in found]

    def _filtered(
        self, ids: Sequence[int], components: Components, values: Float32s
    ) -> tuple[Components, Float32s]:
        """What is left of a vector without masked terms, and without those of others."""
        if self._own_terms is not None:
            own = np.unique(np.array(ids, dtype=np.int32))
            own = own[own < self._own_terms.size]
            kept = np.isin(components, own)
            components, values = components[kept], values[kept]
            values = values * self._own_terms[components]
            components, values = components[values > 0], values[values > 0]
        if self._masked:
            kept = ~np.isin(components, self._masked)
            components, values = components[kept], values[kept]
        return components, values

    def module(self) -> SideModule:
        from .networks.side import ExpandingModule

        return ExpandingModule(
            self._model.trainable(), self._pooling, self.dim, self._masked, self._own_terms
        )


class ScalarSide:
    """Texts of which each position gets a weight, for the term that stands there: no expansion."""

    def __init__(
        self,
        model: LanguageModel,
        terms: Terms,
        activation: str,
        pooling: str,
        prompt: str = "",
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        """Join a model and what its positions stand for.

        Args:
            model: with a scalar head; may be shared between sides.
            terms: of a tokenizer of the same vocabulary.
            activation: from scores to weights.
            pooling: over the positions of a term, "max" or "sum"; or "first", that one alone.
            prompt: what each text is preceded by.
            batch_tokens: tokens of a batch; changes speed and memory, not results.

        Raises:
            CorruptFile: the tokenizer has terms that the model lacks, or far fewer.
        """
        check_vocabulary(model, terms.tokenizer)
        self.tokenizer = terms.tokenizer
        self._model = model
        self._terms = terms
        self._activation = activation
        self._pooling = pooling
        self._prompt = prompt
        self._batch_tokens = batch_tokens

    @property
    def dim(self) -> int:
        return self._model.vocabulary if isinstance(self._terms, TokenTerms) else self._terms.dim

    @property
    def table(self) -> None:
        return None

    @property
    def identity(self) -> list[Any]:
        how = [self._activation, self._pooling, self._prompt]
        return [self._model.identity, self._terms.identity, how]

    def tokens(self, texts: Texts) -> list[Tokens]:
        read = self._terms.read([self._prompt + text for text in texts])
        return list(map(first_alone, read)) if self._pooling == "first" else read

    def encode(self, texts: Texts) -> Vectors:
        read = self.tokens(texts)
        found = in_batches(
            [text.ids for text in read],
            lambda batch: self._model.weights(batch, self._activation),
            self._batch_tokens,
        )
        rows = [
            _nothing() if weights is None else self._folded(text.terms, weights)
            for text, weights in zip(read, found, strict=True)
        ]
        return build_vectors(rows, self.dim)

    def _folded(self, terms: Components, weights: Float32s) -> tuple[Components, Float32s]:
        """The weights of positions as those of terms."""
        counted = (terms >= 0) & (weights > 0)
        components, places = np.unique(terms[counted], return_inverse=True)
        values = np.zeros(components.size, dtype=np.float32)
        fold = np.add if self._pooling == "sum" else np.maximum
        fold.at(values, places, weights[counted])
        return components, values

    def module(self) -> SideModule:
        from .networks.side import WeighingModule

        return WeighingModule(self._model.trainable(), self._activation, self._pooling, self.dim)


def check_vocabulary(model: LanguageModel, tokenizer: ModelTokenizer) -> None:
    """CorruptFile where a tokenizer has terms that a model lacks, or far fewer."""
    if not 0 <= model.vocabulary - len(tokenizer) <= ROUNDING:
        raise CorruptFile(
            f"{model.folder}: the model has {model.vocabulary} terms, the tokenizer in "
            f"{tokenizer.folder} {len(tokenizer)}; they do not belong together"
        )


def in_batches(
    texts: Sequence[Sequence[int]],
    weigh: Callable[[list[Sequence[int]]], Sequence[Result]],
    batch_tokens: int,
    max_rows: int | None = None,
) -> list[Result | None]:
    """What `weigh` makes of each text, texts of like length together; None for those of length 0.

    Args:
        texts: ids of each text.
        weigh: called with the ids of a batch, gives one result a text.
        batch_tokens: tokens of a batch, padding included.
        max_rows: most texts of a batch.
    """
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    found: list[Result | None] = [None] * len(texts)
    for batch in token_batches(lengths, batch_tokens, max_rows):
        for row, result in zip(batch, weigh([texts[row] for row in batch]), strict=True):
            found[row] = result
    return found


def _nothing() -> tuple[Components, Float32s]:
    return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
