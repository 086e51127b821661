"""Queries made of documents: whose words they are, and what they leave alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexidex.encoders.analysis import words
from lexidex.encoders.training.data import read_data, read_texts
from lexidex.encoders.training.made_queries import make_queries
from lexidex.encoders.training.pairs import Pairs, text_id
from lexidex.encoders.training.recipe_files import read_recipe
from lexidex.errors import InputError

from .tiny import tiny_pairs, write_pairs

FROG = "The frog sat on a warm stone by the river. It did not move until the rain began to fall."
FISH = "A fish swims in the river and eats what the rain brings. Nobody sees it in the muddy water."


def documents(*texts):
    return Pairs([], [], [text_id(text) for text in texts], list(texts), [])


def asked(pairs):
    """{document: its queries}."""
    found = {}
    for query, rows in zip(pairs.queries, pairs.positives, strict=True):
        for row in rows.tolist():
            found.setdefault(pairs.documents[row], set()).add(query)
    return found


def test_half_of_the_queries_are_sentences_and_half_are_words_in_their_order():
    made = asked(make_queries(documents(FROG, FISH), range(2), 4, seed=1))
    for text in (FROG, FISH):
        sentences = {f"{part.strip()}." for part in text.split(".") if part}
        whole = made[text] & sentences
        drawn = made[text] - sentences
        assert len(whole) == 2
        assert len(drawn) == 2
        for query in drawn:
            places = [words(text).index(word) for word in query.split()]
            assert 2 <= len(places) <= 8
            assert places == sorted(places)


def test_words_that_every_document_has_are_never_drawn():
    common = [f"the {word}" for word in ("frog fish", "dog cat", "sun moon", "oak elm")]
    made = make_queries(documents(*common), range(4), 3, seed=0)
    assert len(made)
    assert not any("the" in query.split() for query in made.queries)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=6, unique=True), st.integers(0, 3))
def test_every_query_is_of_words_of_its_document(texts, n_each):
    pairs = documents(*texts)
    made = make_queries(pairs, range(len(texts)), n_each, seed=5)
    assert len(made) <= n_each * len(texts)
    assert made.documents == pairs.documents
    for query, (row,) in zip(made.queries, made.positives, strict=True):
        assert set(words(query)) <= set(words(texts[row]))


def test_a_document_is_asked_the_same_wherever_it_stands():
    one = make_queries(documents(FROG, FISH), range(2), 2, seed=3)
    other = make_queries(documents(FISH, FROG), range(2), 2, seed=3)
    assert asked(one) == asked(other)
    assert asked(one) != asked(make_queries(documents(FROG, FISH), range(2), 2, seed=4))


def test_queries_that_are_there_stay_and_made_ones_follow():
    pairs = tiny_pairs(20)
    made = make_queries(pairs, range(5), 1, seed=0)
    assert made.queries[: len(pairs)] == pairs.queries
    assert all(int(rows[0]) < 5 for rows in made.positives[len(pairs) :])


def texts_file(folder, texts):
    file = folder / "texts.jsonl"
    lines = [json.dumps({"id": str(place), "text": text}) for place, text in enumerate(texts)]
    file.write_text("\n".join(lines))
    return file


def test_texts_join_what_is_trained_on_and_nothing_that_is_measured(tmp_path):
    given_pairs = tiny_pairs(60)
    write_pairs(tmp_path / "pairs.jsonl", given_pairs)
    base = read_recipe("cpu").changed(
        {"data.pairs": [str(tmp_path / "pairs.jsonl")], "held_out.queries": 10}
    )
    plain, measured = read_data(base)
    answers = {measured.documents[row] for rows in measured.positives for row in rows}
    file = texts_file(tmp_path, [FROG, FISH, FROG, *sorted(answers)])
    training, same = read_data(base.changed({"data.texts": [str(file)], "data.made_of_pairs": 1}))
    assert same == measured or asked(same) == asked(measured)
    assert set(training.documents) == {*plain.documents, FROG, FISH}
    made = asked(training.of_queries(range(len(plain), len(training))))
    assert {FROG, FISH} <= set(made)
    assert set(made) & set(plain.documents)
    assert not set(made) & answers
    alone, _ = read_data(base.changed({"data.texts": [str(file)], "data.limits": {file.name: 2}}))
    assert len(alone.documents) <= len(plain.documents) + 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "a", "text": 3}', r"texts.jsonl:1: .*text"),
        ('{"id": "a", "text": ""}', r"texts.jsonl: no texts in it"),
    ],
)
def test_bad_texts_are_named(tmp_path, line, message):
    (tmp_path / "texts.jsonl").write_text(line)
    with pytest.raises(InputError, match=message):
        read_texts(tmp_path / "texts.jsonl")


def test_the_draw_prefers_rare_words():
    texts = [
        " ".join([*(f"common{word}" for word in range(20) if word != place % 20), f"rare{place}"])
        for place in range(200)
    ]
    drawn = make_queries(documents(*texts), range(200), 2, seed=2).queries
    assert sum("rare" in query for query in drawn) > 0.8 * len(drawn)
    assert sum("common7" in query.split() for query in drawn) < 0.5 * len(drawn)
