"""Words and terms against the rules of Unicode Annex 29, written down a second time and otherwise.

The module cuts by one regular expression; the oracle here decides, rule by rule, between which two
characters a word may be cut, and drops the pieces that hold no letter.
"""

# ruff: noqa: RUF001 (other scripts are what is tested here)

import time
from functools import cache

import pytest
import regex
import Stemmer
from hypothesis import given
from hypothesis import strategies as st

from lexidex.encoders.analysis import ENGLISH_STOP_WORDS, Analyzer, words
from lexidex.errors import ParameterError

CLASSES = [
    "CR", "LF", "Newline", "Extend", "ZWJ", "Format", "Katakana", "Hebrew_Letter", "ALetter",
    "Single_Quote", "Double_Quote", "MidNumLet", "MidLetter", "MidNum", "Numeric", "ExtendNumLet",
]  # fmt: skip
LETTERS = {"ALetter", "Hebrew_Letter"}
QUOTES = {"MidNumLet", "Single_Quote"}
JOINABLE = LETTERS | {"Numeric", "Katakana"}


@cache
def word_break(character):
    found = (name for name in CLASSES if regex.fullmatch(rf"\p{{WB={name}}}", character))
    return next(found, "Other")


def joined(before, left, right, after):
    """Rules WB5 to WB13b: whether no word ends between left and right."""
    return (
        (left in LETTERS and right in LETTERS)
        or (left in LETTERS and right in QUOTES | {"MidLetter"} and after in LETTERS)
        or (before in LETTERS and left in QUOTES | {"MidLetter"} and right in LETTERS)
        or (left == "Hebrew_Letter" and right == "Single_Quote")
        or (left == after == "Hebrew_Letter" and right == "Double_Quote")
        or (before == right == "Hebrew_Letter" and left == "Double_Quote")
        or (left in LETTERS | {"Numeric"} and right in LETTERS | {"Numeric"})
        or (before == "Numeric" and left in QUOTES | {"MidNum"} and right == "Numeric")
        or (left == "Numeric" and right in QUOTES | {"MidNum"} and after == "Numeric")
        or (left == right == "Katakana")
        or (left in JOINABLE | {"ExtendNumLet"} and right == "ExtendNumLet")
        or (left == "ExtendNumLet" and right in JOINABLE)
    )


def annex_29(text):
    """The words of a text without scripts that Lucene treats otherwise, nor emoji."""
    units = []
    for character in text.lower():
        kind = word_break(character)
        mark = kind in ("Extend", "Format", "ZWJ")
        if mark and units and units[-1][1] not in ("CR", "LF", "Newline"):  # WB4
            units[-1] = (units[-1][0] + character, units[-1][1])
        else:
            units.append((character, kind))
    kinds = [None, None, *(kind for _, kind in units), None]
    pieces = []
    for place, (piece, _) in enumerate(units):
        if place and joined(*kinds[place : place + 4]):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return [piece for piece in pieces if any(map(is_letter, piece))]


@cache
def is_letter(character):
    ideograph = regex.fullmatch(r"[\p{Ideographic}\p{Script=Hiragana}]", character)
    return bool(ideograph) or word_break(character) in JOINABLE


ONE_OF_EACH = (
    "aZé\u05d0\u05d11\u0663\uff12カー漢ひ한々_\u203f'’\".,:;·-/ \u0301\xad\u200d\n\r\U00010400"
)


@given(st.text(st.sampled_from(ONE_OF_EACH), max_size=12))
def test_words_follow_annex_29(text):
    assert words(text) == annex_29(text)


@given(
    st.text(
        st.characters(
            codec="utf-8",
            exclude_categories=["So", "Cn", "Co"],
            exclude_characters="\N{PARTY POPPER}",
        ).filter(
            lambda c: not regex.fullmatch(r"[\p{LB=Complex_Context}\p{Emoji}--0-9]", c, regex.V1)
        ),
        max_size=12,
    )
)
def test_words_of_any_script_follow_annex_29(text):
    assert words(text) == annex_29(text)


@given(st.text(st.characters(max_codepoint=127), max_size=30))
def test_the_short_way_for_ascii_gives_the_same(text):
    # A letter of another script apart from the rest takes the long way.
    assert [*words(text), "я"] == words(f"{text}\n я")


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\n -- !? ", []),
        ("The QUICK brown-fox", ["the", "quick", "brown", "fox"]),
        ("don't can’t rock'n'roll 'quoted'", ["don't", "can’t", "rock'n'roll", "quoted"]),
        ("dogs' o'", ["dogs", "o"]),
        ("1,000.50 3.14. 1;2 12'000 1:2", ["1,000.50", "3.14", "1;2", "12'000", "1", "2"]),
        ("a.b U.S.A. e.g. x:y a;b a,b", ["a.b", "u.s.a", "e.g", "x:y", "a", "b", "a", "b"]),
        ("a1.2 1a.b v2.0 a.1 1.a", ["a1.2", "1a.b", "v2.0", "a", "1", "1", "a"]),
        ("snake_case __init__ _x 1_000 __ _", ["snake_case", "__init__", "_x", "1_000"]),
        ("x@example.com https://a.b/c?d=e", ["x", "example.com", "https", "a.b", "c", "d", "e"]),
        ("naïve Ärger ÇA", ["naïve", "ärger", "ça"]),
        ("cafe\u0301s n\u0303", ["cafe\u0301s", "n\u0303"]),
        ("co\xadoperate zero\u200dwidth", ["co\xadoperate", "zero\u200dwidth"]),
        ("日本語 人々", ["日", "本", "語", "人", "々"]),
        ("ひらがな", ["ひ", "ら", "が", "な"]),
        ("カタカナ スーパー ﾊﾝｶｸ", ["カタカナ", "スーパー", "ﾊﾝｶｸ"]),
        ("カ_タ aカ _カ 漢_a", ["カ_タ", "a", "カ", "_カ", "漢", "_a"]),
        ("한국어 단어", ["한국어", "단어"]),
        ("สวัสดี ชาวโลก", ["สวัสดี", "ชาวโลก"]),
        ("ก1 aข", ["ก", "1", "a", "ข"]),
        ("ລາວ ខ្មែរ မြန်မာ", ["ລາວ", "ខ្មែរ", "မြန်မာ"]),
        ("שלום ג'ירפה", ["שלום", "ג'ירפה"]),
        ("צה\"ל צה״ל ג' \"ל\"", ["צה\"ל", "צה״ל", "ג'", "ל"]),
        ("a\"b א\"b", ["a", "b", "א", "b"]),
        ("привет мир", ["привет", "мир"]),
        ("مرحبا بالعالم ٣٫١٤", ["مرحبا", "بالعالم", "٣٫١٤"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("１２３ ＡＢＣ", ["１２３", "ａｂｃ"]),
        ("\N{PARTY POPPER} party \N{PARTY POPPER}s", ["party", "s"]),
        ("\ufeffbom", ["bom"]),
        ("\ud800lone", ["lone"]),
    ],
)  # fmt: skip
def test_words(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize("piece", ["_", "_\u0301", "a'", "1,", 'א"', "カ_", "漢", "a:a:", "\u0301"])
@pytest.mark.parametrize("start", ["", "é "])
def test_long_runs_take_linear_time(start, piece):
    """A ruled line of underscores must not hold up an index: 40,000 took minutes once."""
    text = start + piece * 40_000
    began = time.process_time()
    words(text)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The foxes are running", ["fox", "run"]),
        ("dog's dog’s dog＇s DOG'S", ["dog"] * 4),
        ("the's it's that’s", []),
        ("James' s", ["jame", "s"]),
        ("US gas is as us", ["us", "ga", "us"]),
        ("relational conditional", ["relat", "condit"]),
        ("a b I", ["b", "i"]),
        ("not IN the Such", []),
        ("1,000 c++ c# .net", ["1,000", "c", "c", "net"]),
        ("naïve cafés", ["naïv", "café"]),
    ],
)
def test_english_terms_are_lucene_s(text, expected):
    assert Analyzer().terms(text) == expected


def test_stop_words_are_lucene_s_33():
    assert len(ENGLISH_STOP_WORDS) == 33
    assert Analyzer().terms(" ".join(ENGLISH_STOP_WORDS)) == []
    assert Analyzer().terms("he she we you i") == ["he", "she", "we", "you", "i"]


def test_other_languages_are_stemmed_by_snowball_and_have_no_stop_words():
    german = Analyzer("german")
    assert german.terms("Die Häuser am Tag's-Ende") == ["die", "haus", "am", "tag", "end"]
    for language in Stemmer.algorithms():
        if language != "english":
            expected = Stemmer.Stemmer(language).stemWords(["hasta", "running", "häuser"])
            assert Analyzer(language).terms("hasta running häuser") == expected


@pytest.mark.parametrize("language", Stemmer.algorithms())
def test_no_term_is_empty(language):
    analyzer = Analyzer(language)
    for word in ("s", "e", "ed", "ly", "en", "ous", "'s"):
        assert analyzer.term(word) != "", word
        assert "" not in analyzer.terms(word)


def test_no_language_keeps_words_as_they_are():
    assert Analyzer("none").terms("The dog's RUNNING") == ["the", "dog's", "running"]


def test_stop_words_of_one_s_own():
    assert Analyzer(stop_words=frozenset({"fox"})).terms("the fox runs") == ["the", "run"]
    assert Analyzer(stop_words=frozenset()).terms("the fox") == ["the", "fox"]
    assert Analyzer("german", frozenset({"die"})).terms("die Stadt") == ["stadt"]


@given(st.text(max_size=40), st.sampled_from(["english", "none", "french"]))
def test_terms_are_the_terms_of_the_words(text, language):
    analyzer = Analyzer(language)
    terms = analyzer.terms(text)
    assert terms == [t for t in map(analyzer.term, words(text)) if t is not None]
    assert all(terms)
    assert terms == analyzer.terms(text)


def test_an_unknown_language_is_named():
    with pytest.raises(ParameterError) as caught:
        Analyzer("klingon")
    message = str(caught.value)
    assert message.startswith("language: 'klingon'; known are arabic, ")
    assert ", none, " in message
    assert ", english, " in message


def test_analyzers_are_equal_when_they_do_the_same():
    assert Analyzer() == Analyzer("english", ENGLISH_STOP_WORDS)
    assert Analyzer() != Analyzer("english", frozenset())
