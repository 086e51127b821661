"""Long texts -> passages of so many tokens: whole sentences, overlapping, with their places.

A passage is filled with whole sentences. A sentence that fits into none is cut between words, and a
word that fits into none between tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain
from typing import TypeAlias

import numpy as np
import regex
from numpy.typing import NDArray

from .sentences import sentence_starts

Spans: TypeAlias = NDArray[np.int64]
"""Stretches of a text, int64 (n, 2): start and end in code points."""

Places: TypeAlias = NDArray[np.int64]

_WORD_BOUNDARY = regex.compile(r"\b", regex.WORD | regex.VERSION1)
"""Between words by the rules of Unicode Standard Annex 29."""


def as_spans(given: Iterable[tuple[int, int]]) -> Spans:
    """(start, end) pairs as an array."""
    return np.fromiter(chain.from_iterable(given), dtype=np.int64).reshape(-1, 2)


def split_text(text: str, tokens: Spans, size: int, overlap: int = 0) -> list[tuple[int, int]]:
    """The passages of a text, as (start, end) in code points, without spaces around them.

    Together they hold everything but spaces. Each ends behind the last sentence that fits, or,
    where that would leave it nothing, behind the last word, or token. It repeats of the one before
    as many whole sentences as have no more than `overlap` tokens, or words, where a sentence had to
    be cut; fewer where it could not go on from there.

    Args:
        text: any text; one without tokens is one passage.
        tokens: where the tokens of the text stand, in order.
        size: most tokens of a passage, at least 1. A passage has more only if a code point has.
        overlap: most tokens that a passage repeats of the one before, less than `size`.
    """
    cuts = _Cuts(text, tokens)
    passages, start = [], 0
    while True:
        end = cuts.end(start, size)
        passages.append(_trimmed(text, start, end))
        if end == len(text):
            return passages
        start = cuts.start(end, overlap) if overlap else end
        if cuts.end(start, size) <= end:
            start = end


class _Cuts:
    """Places where a text may be cut, the better kinds first, with the tokens before each."""

    def __init__(self, text: str, tokens: Spans) -> None:
        self._text = text
        self._token_starts = np.unique(tokens[:, 0])
        self._token_ends = np.maximum.accumulate(tokens[:, 1])
        starts = sentence_starts(text)
        self._sentences = self._counted(np.array(starts, dtype=np.int64))
        self._is_sentence = frozenset(starts)

    def end(self, start: int, size: int) -> int:
        """Where a passage that begins at `start` ends."""
        limit = self._before(start) + size
        if limit >= self._token_ends.size:
            return len(self._text)
        for places, before in self._kinds():
            last = int(np.searchsorted(before, limit, side="right")) - 1
            if last >= 0 and places[last] > start:
                return int(places[last])
        # One code point has more tokens than fit.
        following = int(np.searchsorted(self._token_starts, start, side="right"))
        return int([*self._token_starts[following : following + 1], len(self._text)][0])

    def start(self, end: int, overlap: int) -> int:
        """Where the passage begins that follows one with that end."""
        places, before = self._sentences if end in self._is_sentence else self._words
        first = int(np.searchsorted(before, self._before(end) - overlap))
        return min(int(places[first]), end) if first < places.size else end

    def _kinds(self) -> Iterator[tuple[Places, Places]]:
        yield self._sentences
        yield self._words
        yield self._tokens

    @cached_property
    def _words(self) -> tuple[Places, Places]:
        boundaries = [found.start() for found in _WORD_BOUNDARY.finditer(self._text)]
        return self._counted(np.intersect1d(boundaries, self._token_starts, assume_unique=True))

    @cached_property
    def _tokens(self) -> tuple[Places, Places]:
        return self._counted(self._token_starts)

    def _before(self, place: int) -> int:
        return int(np.searchsorted(self._token_ends, place, side="right"))

    def _counted(self, places: Places) -> tuple[Places, Places]:
        """Places, and the numbers of tokens that end before them."""
        return places, np.searchsorted(self._token_ends, places, side="right")


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The stretch without the spaces around it; as it is where it has nothing else."""
    shown = text[start:end]
    if not shown.strip():
        return start, end
    return start + len(shown) - len(shown.lstrip()), end - len(shown) + len(shown.rstrip())
