"""Passages of a text: everything is in one, none is too long, and they end where they may."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexidex.encoders import load_encoder
from lexidex.encoders.analysis import word_places, words
from lexidex.encoders.sentences import sentence_starts
from lexidex.encoders.splitting import as_spans, split_text

BM25 = load_encoder("bm25")

LETTERS = st.sampled_from(
    [
        "a",
        "Bc",
        "don't",
        "3.5",
        "x_y",
        ". ",
        "! ",
        " ",
        "\n",
        "\n\n",
        ", ",
        "\u3002",
        "\u6f22\u5b57",
        "\u0e20\u0e32\u0e29\u0e32",
        "\u0e44\u0e17\u0e22",
        "\U0001f469\u200d\U0001f680",
        "e\u0301",
        "\u0130",
        "word ",
        "Sentence ends. ",
        "\u05d0\u05d1 ",
        "\u00ad",
        "\ufeff",
        "\t",
    ]
)
TEXTS = st.lists(LETTERS, max_size=60).map("".join)


def letters(text):
    """As a tokenizer of single letters has it: the finest tokens there are."""
    return as_spans(found.span() for found in re.finditer(r"\S", text))


def twice(text):
    """As byte-level tokenizers have it: several tokens may stand for one code point."""
    return np.repeat(letters(text), 2, axis=0)


TOKENS = {"words": BM25.token_spans, "letters": letters, "twice": twice}


def inside(tokens, start, end):
    return int(((tokens[:, 0] >= start) & (tokens[:, 1] <= end)).sum())


@pytest.mark.parametrize("kind", TOKENS)
@given(TEXTS, st.integers(1, 12), st.integers(0, 11))
def test_passages_hold_everything_within_the_budget(kind, text, size, overlap):
    tokens = TOKENS[kind](text)
    overlap = min(overlap, size - 1)
    passages = split_text(text, tokens, size, overlap)

    held = np.zeros(len(text), dtype=bool)
    for start, end in passages:
        assert 0 <= start <= end <= len(text)
        held[start:end] = True
        assert inside(tokens, start, end) <= max(size, 2 if kind == "twice" else 1)
        assert text[start:end].strip() in ("", text[start:end])
    assert all(is_held or letter.isspace() for letter, is_held in zip(text, held, strict=True))
    assert [start for start, _ in passages] == sorted({start for start, _ in passages})
    assert [end for _, end in passages] == sorted({end for _, end in passages})
    for (_, end), (start, _) in itertools.pairwise(passages):
        assert inside(tokens, start, end) <= overlap


@given(TEXTS, st.integers(1, 12), st.integers(0, 11))
def test_words_stay_whole(text, size, overlap):
    tokens = BM25.token_spans(text)
    for start, end in split_text(text, tokens, size, min(overlap, size - 1)):
        cut = (tokens[:, 0] < start) & (tokens[:, 1] > start)
        assert not (cut | ((tokens[:, 0] < end) & (tokens[:, 1] > end))).any()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(9, 20), st.integers(0, 8))
def test_passages_of_sentences_that_fit_are_whole_sentences(lengths, size, overlap):
    text = " ".join(" ".join(["Word"] * n) + "." for n in lengths)
    starts = sentence_starts(text)
    ends = {*(start - 1 for start in starts[1:]), len(text)}
    passages = split_text(text, BM25.token_spans(text), size, overlap)
    for start, end in passages:
        assert start in starts
        assert end in ends
    # Greedy: no passage could have taken its next sentence as well.
    tokens = BM25.token_spans(text)
    for start, end in passages[:-1]:
        following = min(e for e in ends if e > end)
        assert inside(tokens, start, following) > size


def test_a_passage_repeats_the_sentences_that_fit_into_the_overlap():
    text = "One two three. Four five. Six seven. Eight nine ten. Eleven."
    tokens = BM25.token_spans(text)

    def split(size, overlap):
        return [text[start:end] for start, end in split_text(text, tokens, size, overlap)]

    assert split(7, 0) == ["One two three. Four five. Six seven.", "Eight nine ten. Eleven."]
    assert split(7, 4) == [
        "One two three. Four five. Six seven.",
        "Four five. Six seven. Eight nine ten.",
        "Eight nine ten. Eleven.",
    ]
    assert split(7, 3)[1] == "Six seven. Eight nine ten. Eleven."
    assert split(7, 1)[1] == "Eight nine ten. Eleven."  # no sentence fits: none is repeated


def test_a_sentence_that_is_too_long_is_cut_between_words_and_they_overlap():
    text = "Short one. " + " ".join(f"W{n}" for n in range(10)) + ". End."
    tokens = BM25.token_spans(text)
    found = [text[start:end] for start, end in split_text(text, tokens, 4, 1)]
    assert found == ["Short one.", "W0 W1 W2 W3", "W3 W4 W5 W6", "W6 W7 W8 W9.", "End."]


def test_a_word_that_is_too_long_is_cut_between_tokens():
    text = "x abcdefgh y"
    found = [text[start:end] for start, end in split_text(text, letters(text), 3)]
    assert found == ["x", "abc", "def", "gh y"]


@pytest.mark.parametrize("text", ["", " \n ", "...", "one", "  one  "])
def test_a_text_that_fits_is_one_passage(text):
    [(start, end)] = split_text(text, BM25.token_spans(text), 1)
    assert text[start:end] == (text.strip() or text)


@given(TEXTS)
def test_the_words_of_a_text_stand_where_they_are_said_to(text):
    places = word_places(text)
    assert [text[start:end].lower() for start, end in places] == words(text)
