"""Where sentences begin: the cases of Unicode Standard Annex 29, and where we depart from it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexidex.encoders.sentences import sentence_starts

# A bar stands where a sentence ends.
RULES = [
    "One. |Two! |Three?! |Four",
    "He said \u201cGo.\u201d |Then (all of) it ended.) |So",
    "It is 3.14 or so. |Fine",
    "The U.S.A. joined. |Also c.d goes on",
    "The resp. leaders are. |Next",
    "etc.)\u2019 \u2018(the case. |Not",
    "One... |Two",
    "One, |\nTwo".replace("|\n", "\n|"),
    "A line\r\n|Another\n|\n|After a gap",
    "\u3053\u308c\u306f\u6587\u3002|\u6b21\u3060\uff01|\u7d42",
    "\u0915\u094d\u092f\u093e \u0964 |\u0920\u0940\u0915 \u0964",
    "Soft\u00ad.\u00ad |Hyphen",
    "E\u0301.\u0301 |Combining",
    "No end to this",
    "\U0001f600! |\U0001f600",
    "...",
]
WRAPPED = ["A line that\ngoes on. |Next", "as in etc.\n  and so on. |Next", "a.\n|\nb"]


@pytest.mark.parametrize("marked", RULES + WRAPPED)
def test_sentences_end_where_the_rules_say(marked):
    text = marked.replace("|", "")
    cuts = [*sentence_starts(text), len(text)]
    found = [text[start:end] for start, end in itertools.pairwise(cuts)]
    assert found == marked.split("|")


def test_an_empty_text_has_none():
    assert sentence_starts("") == []


@given(
    st.text(alphabet=st.sampled_from("aB1.!?,) \n\r\t\u3002\u0301\u2029\u00ad\u0e01"), max_size=40)
)
def test_sentences_begin_within_the_text_and_once(text):
    starts = sentence_starts(text)
    assert starts == sorted(set(starts))
    assert starts[:1] == ([0] if text else [])
    assert all(0 <= start < len(text) for start in starts)
    for start in starts[1:]:  # behind a mark or a line end, and what belongs to it
        assert set(text[:start].rstrip(") \t\u0301\u00ad")[-1:]) & set(".!?\u3002\n\r\u2029")


@pytest.mark.parametrize("pattern", [".", ". ", "1. ", "\n", '.")', ".\n a", "a. ", ".\u0301"])
def test_long_runs_take_no_longer_than_their_length(pattern):
    n = 20_000
    assert len(sentence_starts(pattern * n)) <= n
