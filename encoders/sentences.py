"""Where sentences begin: the rules of Unicode Standard Annex 29, for texts of any language.

A sentence ends behind a full stop, question or exclamation mark of any script, with the closing
marks and spaces that follow, and behind a line; not where a lower-case letter goes on after a full
stop, as behind many abbreviations. One departure: a single line end before a lower-case letter is
a space, so that hard-wrapped text keeps its sentences. Scripts that mark no sentences, such as
Thai, have only their lines.
"""

from __future__ import annotations

import regex

_EXTEND = r"[\p{SB=Extend}\p{SB=Format}]*+"
_AFTER_LETTER = r"(?<=[\p{SB=Upper}\p{SB=Lower}][\p{SB=Extend}\p{SB=Format}]*."
_LINE_END = r"(?:\r\n|[\p{SB=Sep}\p{SB=CR}\p{SB=LF}])"
_WRAP = rf"(?:{_LINE_END}(?=[ \t]*+\p{{SB=Lower}}))"
_SPACE = rf"(?:\p{{SB=Sp}}{_EXTEND}|{_WRAP})"
_SENTENCE_END = regex.compile(
    rf"""
    (?:
      (?P<full_stop>\p{{SB=ATerm}}) {_EXTEND} (?!\p{{SB=Numeric}})
      (?! {_AFTER_LETTER}{_EXTEND}) \p{{SB=Upper}})
      | \p{{SB=STerm}} {_EXTEND}
    )
    (?:\p{{SB=Close}}{_EXTEND})*+ {_SPACE}*+
    (?:
      {_LINE_END}
      | (?![\p{{SB=SContinue}}\p{{SB=ATerm}}\p{{SB=STerm}}])
        (?(full_stop)
          (?!
            (?:[^\p{{SB=OLetter}}\p{{SB=Upper}}\p{{SB=Lower}}\p{{SB=STerm}}\p{{SB=ATerm}}
                \p{{SB=Sep}}\p{{SB=CR}}\p{{SB=LF}}] | {_WRAP})*+
            \p{{SB=Lower}}
          )
        )
    )
    | (?!{_WRAP}) {_LINE_END}
    """,
    regex.VERBOSE | regex.VERSION1 | regex.DOTALL,
)


def sentence_starts(text: str) -> list[int]:
    """The code points at which sentences begin, ascending, from 0; none for an empty text.

    A sentence ends where the next begins: the spaces behind it are its own.
    """
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    return [place for place in [0, *ends] if place < len(text)]
