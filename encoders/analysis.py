"""Text -> terms, the way Lucene's analyzers do it.

Words are cut by the rules of Unicode Standard Annex 29 as Lucene's StandardTokenizer applies them:
apostrophe, full stop and colon join letters, full stop, comma, semicolon and apostrophe join
digits, an underscore joins all but ideographs and hiragana; Hebrew letters are joined by a double
quote too and keep an apostrophe that follows them; an ideograph or a hiragana is a word of its own;
scripts without spaces (Thai, Lao, Khmer, Burmese) stay in runs. English then loses the possessive
's, Lucene's 33 stop words, and its endings by Porter's stemmer; other languages their endings by
Snowball. Unlike Lucene, emoji are no terms and words over 255 characters stay whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import regex
import Stemmer

from lexidex.errors import ParameterError

ENGLISH_STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "for",
        "if",
        "in",
        "into",
        "is",
        "it",
        "no",
        "not",
        "of",
        "on",
        "or",
        "such",
        "that",
        "the",
        "their",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "will",
        "with",
    ]
)

_PORTER_KEEPS = 2
"""Words of so many letters stay as they are, as in Porter's own programs and in Lucene."""

# Neither pattern starts twice in one run of underscores: a ruled line takes linear time.
_ASCII_WORD = re.compile(
    r"(?<!_)(?=_*[a-z0-9])(?:[a-z]+(?:['.:][a-z]+)*|[0-9]+(?:[.,;'][0-9]+)*|_+)+"
)
_EXTEND = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]*+"
_HEBREW = rf"\p{{WB=Hebrew_Letter}}{_EXTEND}"
_LETTERS = rf"(?:\p{{WB=ALetter}}{_EXTEND}|{_HEBREW}(?:\"{_EXTEND}(?={_HEBREW}))?+)++"
_DIGITS = rf"(?:\p{{WB=Numeric}}{_EXTEND})++"
_KATAKANA = rf"(?:\p{{WB=Katakana}}{_EXTEND})++"
_JOINERS = rf"(?:\p{{WB=ExtendNumLet}}{_EXTEND})++"
_CORE = rf"""
    (?:
      (?:
        {_LETTERS}(?:[\p{{WB=MidLetter}}\p{{WB=MidNumLet}}']{_EXTEND}{_LETTERS})*+
        | {_DIGITS}(?:[\p{{WB=MidNum}}\p{{WB=MidNumLet}}']{_EXTEND}{_DIGITS})*+
      )++
      | {_KATAKANA}
    )
"""
_UNICODE_WORD = regex.compile(
    rf"""
    (?:{_JOINERS})?+ {_CORE} (?:{_JOINERS}{_CORE})*+ (?:{_JOINERS})?+
    (?:(?<=\p{{WB=Hebrew_Letter}}[\p{{WB=Extend}}\p{{WB=Format}}\p{{WB=ZWJ}}]*)'{_EXTEND})?+
    | {_JOINERS}(*SKIP)(*FAIL)
    | [\p{{Ideographic}}\p{{Script=Hiragana}}]{_EXTEND}
    | (?:\p{{LB=Complex_Context}}{_EXTEND})++
    """,
    regex.VERBOSE | regex.VERSION1,
)


def words(text: str) -> list[str]:
    """The words of a text, lower-cased, in order."""
    lowered = text.lower()
    found: list[str] = _pattern(lowered).findall(lowered)
    return found


def word_places(text: str) -> list[tuple[int, int]]:
    """Where the words of a text stand, in order: start and end in code points."""
    lowered = text.lower()
    places = [found.span() for found in _pattern(lowered).finditer(lowered)]
    if len(lowered) == len(text):
        return places
    # Some letters, such as \u0130, become two in lower case; both stand for the one.
    origins = [place for place, letter in enumerate(text) for _ in letter.lower()]
    return [(origins[start], origins[end - 1] + 1) for start, end in places]


def _pattern(lowered: str) -> Any:
    return _ASCII_WORD if lowered.isascii() else _UNICODE_WORD


@dataclass(frozen=True)
class Analyzer:
    """Words -> terms: possessives, stop words, stems.

    Attributes:
        language: "english" (Porter), another language of the Snowball stemmers, or "none" for
            words as they are.
        stop_words: words that become no term; None takes Lucene's list for English and none for
            other languages.
    """

    language: str = "english"
    stop_words: frozenset[str] | None = None
    _stemmer: Stemmer.Stemmer | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        known = sorted(set(Stemmer.algorithms()) | {"none"})
        if self.language not in known:
            raise ParameterError(f"language: {self.language!r}; known are {', '.join(known)}")
        english = self.language == "english"
        if self.stop_words is None:
            object.__setattr__(self, "stop_words", ENGLISH_STOP_WORDS if english else frozenset())
        algorithm = "porter" if english else self.language
        stemmer = None if self.language == "none" else Stemmer.Stemmer(algorithm)
        object.__setattr__(self, "_stemmer", stemmer)

    def term(self, word: str) -> str | None:
        """The term that a lower-case word becomes, or None when it becomes none."""
        if self.language == "english" and word.endswith(("'s", "\u2019s", "\uff07s")):
            word = word[:-2]
        if not word or word in (self.stop_words or ()):
            return None
        if self.language == "english" and len(word) <= _PORTER_KEEPS:
            return word
        stem: str = self._stemmer.stemWord(word) if self._stemmer else word
        return stem or None

    def terms(self, text: str) -> list[str]:
        """The terms of a text, in order, repeated as they are."""
        found: Iterable[str | None] = map(self.term, words(text))
        return [term for term in found if term]
