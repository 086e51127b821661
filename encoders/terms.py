"""Which positions of a text stand for a term, and for which: tokens of the tokenizer, or words.

A document may end in expansion text: what doc2query or TILDE predicted for it. Of that, only what
the text lacks is appended, once each (uniCOIL and TILDEv2 as Pyserini does it: at most 400 tokens
of text and 100 of expansion, [CLS] text [SEP] expansion [SEP]).
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lexidex.index.vectors import Components

from .base import Texts
from .tokenizer import ModelTokenizer
from .vocabulary import Vocabulary

_PUNCTUATION = frozenset(string.punctuation)
_EXPANSION_SHARE = 5
_MOST_EXPANSION = 100


@dataclass(frozen=True)
class Tokens:
    """A text as a model takes it.

    Attributes:
        ids: of its tokens.
        terms: which component each position stands for, int32; -1 where it stands for none.
    """

    ids: list[int]
    terms: Components


class Terms(Protocol):
    """Texts -> tokens, and which terms they stand for."""

    tokenizer: ModelTokenizer

    @property
    def dim(self) -> int:
        """Number of components known at present."""

    @property
    def identity(self) -> list[Any]:
        """JSON values; equal for those that give equal terms."""

    def read(self, texts: Texts) -> list[Tokens]:
        """Each text's tokens."""


class TokenTerms:
    """Every token stands for itself, but those that are masked."""

    def __init__(
        self, tokenizer: ModelTokenizer, masked: Sequence[int] = (), delimiter: str | None = None
    ) -> None:
        """Take a tokenizer.

        Args:
            tokenizer: whose ids are components.
            masked: ids that stand for nothing.
            delimiter: what stands between a text and its expansion; None where there is none.
        """
        self.tokenizer = tokenizer
        self._masked = np.array(masked, dtype=np.int32)
        self._delimiter = delimiter

    @property
    def dim(self) -> int:
        return len(self.tokenizer)

    @property
    def identity(self) -> list[Any]:
        return [self.tokenizer.identity, self._masked.tolist(), self._delimiter]

    def read(self, texts: Texts) -> list[Tokens]:
        found = []
        for ids in self._ids(texts):
            terms = np.array(ids, dtype=np.int32)
            terms[np.isin(terms, self._masked)] = -1
            found.append(Tokens(ids, terms))
        return found

    def _ids(self, texts: Texts) -> list[list[int]]:
        if self._delimiter is None:
            return self.tokenizer.encode(texts)
        pairs = [text.partition(self._delimiter) for text in texts]
        whole = self.tokenizer.encode([text for text, _, _ in pairs])
        pieces = self.tokenizer.pieces([part for text, _, more in pairs for part in (text, more)])
        expanded = zip(whole, pieces[::2], pieces[1::2], strict=True)
        return [self._joined(*parts) if parts[2] else parts[0] for parts in expanded]

    def _joined(self, whole: list[int], text: list[int], expansion: list[int]) -> list[int]:
        before, after = self.tokenizer.frame()
        most = self.tokenizer.max_length or len(whole) + len(expansion) + 2 * len(after)
        room = most - len(before) - 2 * len(after)
        n_more = min(_MOST_EXPANSION, room // _EXPANSION_SHARE)
        text = text[: min(room - n_more, n_more * (_EXPANSION_SHARE - 1))]
        more = list(dict.fromkeys(i for i in expansion[:n_more] if i not in set(text)))
        return [*before, *text, *after, *more, *after]


class WordTerms:
    """The first token of a word stands for the word, wherever it occurs.

    Words that are one punctuation mark are left out (DeeperImpact's rule).
    """

    def __init__(
        self,
        tokenizer: ModelTokenizer,
        vocabulary: Vocabulary,
        *,
        grow: bool,
        delimiter: str | None = None,
    ) -> None:
        """Take a tokenizer.

        Args:
            tokenizer: cuts texts into words, and words into tokens.
            vocabulary: components of words.
            grow: whether new words become components; otherwise they stand for nothing.
            delimiter: what stands between a text and its expansion; None where there is none.
        """
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        self._grow = grow
        self._delimiter = delimiter

    @property
    def dim(self) -> int:
        return len(self.vocabulary)

    @property
    def identity(self) -> list[Any]:
        return [self.tokenizer.identity, "words, at all their places", self._delimiter]

    def read(self, texts: Texts) -> list[Tokens]:
        if self._delimiter is not None:
            texts = [self._with_expansion(text) for text in texts]
        found = []
        for ids, words in self.tokenizer.words(texts):
            terms = np.full(len(ids), -1, dtype=np.int32)
            for word, position in _counted(words):
                component = self.vocabulary.find(word)
                if component is None and self._grow:
                    component = self.vocabulary.add(word)
                if component is not None:
                    terms[position] = component
            found.append(Tokens(ids, terms))
        return found

    def _with_expansion(self, text: str) -> str:
        text, _, expansion = text.partition(self._delimiter or "\n")
        known = set(distinct_words(self.tokenizer, text))
        more = distinct_words(self.tokenizer, expansion)
        return " ".join([text, *(word for word in more if word not in known)])


def distinct_words(tokenizer: ModelTokenizer, text: str) -> list[str]:
    """The distinct words of a text, in order."""
    return list(dict.fromkeys(word for word, _ in _counted(tokenizer.words([text])[0][1])))


def first_alone(text: Tokens) -> Tokens:
    """The text, in which each term stands where it stands first, and nowhere else."""
    terms = np.full_like(text.terms, -1)
    places = np.unique(text.terms, return_index=True)[1]
    terms[places] = text.terms[places]
    return Tokens(text.ids, terms)


def _counted(words: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Words and their positions, without punctuation."""
    return [(word, position) for word, position in words if word not in _PUNCTUATION]
