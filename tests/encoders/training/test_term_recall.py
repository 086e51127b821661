"""Term recall: counted as its formula says, laid over words, and learned; then searched with."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lexidex import Collection
from lexidex.encoders import load_encoder
from lexidex.encoders.analysis import Analyzer
from lexidex.encoders.training.encoder_student import EncoderStudent
from lexidex.encoders.training.pairs import Pairs
from lexidex.encoders.training.plan import Example
from lexidex.encoders.training.run import Run
from lexidex.encoders.training.start import make_start
from lexidex.encoders.training.term_recall import (
    NO_WORD,
    RecallCollator,
    RecallModel,
    term_recalls,
)
from lexidex.errors import ParameterError

from .tiny import tiny_pairs, write_backbone, write_pairs
from .tiny_recipes import tiny_recipe

WORDS = ("grassland", "grasslands", "animal", "the", "tree")
STEMS = ("grassland", "grassland", "anim", None, "tree")


def student_of(preset, folder):
    backbone = write_backbone(folder / "backbone")
    return EncoderStudent(make_start(preset, backbone, folder / "start", []), dropout=False)


def asked(queries, documents, positives):
    """Pairs of these texts."""
    rows = [np.array(sorted(own), dtype=np.int64) for own in positives]
    names = [f"q{n}" for n in range(len(queries))]
    return Pairs(names, queries, [f"d{n}" for n in range(len(documents))], documents, rows)


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, len(WORDS) - 1), min_size=1, max_size=4),
            st.sets(st.integers(0, 3), min_size=1),
        ),
        max_size=6,
    )
)
def test_recall_is_the_share_of_a_document_s_queries_that_say_the_term(drawn):
    queries = [" ".join(WORDS[word] for word in words) for words, _ in drawn]
    pairs = asked(queries, ["a"] * 4, [own for _, own in drawn])
    found = term_recalls(pairs, Analyzer())
    for document in range(4):
        of_it = [{STEMS[word] for word in words} for words, own in drawn if document in own]
        for stem in filter(None, STEMS):
            wanted = np.mean([stem in terms for terms in of_it]) if of_it else 0
            assert found[document].get(stem, 0) == pytest.approx(wanted)
        assert set(found[document]) <= set(STEMS) - {None}


def test_recalls_lie_where_words_are_weighed(tmp_path):
    student = student_of("deepct", tmp_path)
    pairs = asked(["d1 d2", "d2", "f3"], ["d2 f1 d1 d2", "f3"], [{0}, {0}, {1}])
    batch = RecallCollator(student, pairs)([Example(0, np.array([0])), Example(2, np.array([1]))])
    # [CLS] d2 f1 d1 d2 [SEP]: either place of d2 may weigh it.
    wanted = [[NO_WORD, 1.0, 0.0, 0.5, 1.0, NO_WORD], [NO_WORD, 1.0, *[NO_WORD] * 4]]
    assert batch["recalls"].tolist() == wanted
    assert batch["mask"].sum(1).tolist() == [6, 3]


def test_scores_are_the_weights_of_the_encoder_before_they_are_rectified(tmp_path):
    student = student_of("deepct", tmp_path)
    texts = tiny_pairs(20).documents
    batch = student.prepare("documents", texts)
    with torch.no_grad():
        scores = RecallModel(student)(batch["ids"], batch["mask"])
    encoded = student.encode("documents", texts).toarray()
    rows, places = np.nonzero(batch["terms"].numpy() >= 0)
    weighed = np.zeros_like(encoded)
    terms = batch["terms"].numpy()[rows, places]
    np.maximum.at(weighed, (rows, terms), scores.numpy()[rows, places])
    assert (scores < 0).any()
    np.testing.assert_allclose(weighed, encoded, atol=1e-5)


@pytest.mark.parametrize("preset", ["splade-max", "unicoil"])
def test_heads_that_weigh_no_words_are_refused(preset, tmp_path):
    with pytest.raises(ParameterError, match="needs a head that weighs words, as that of deepct"):
        RecallModel(student_of(preset, tmp_path))


def test_what_is_trained_is_indexed_and_searched(tmp_path):
    pairs = tiny_pairs(120)
    queries = [query.replace("q", "d") for query in pairs.queries]
    file = write_pairs(tmp_path / "pairs.jsonl", dataclasses.replace(pairs, queries=queries))
    world = {"backbone": write_backbone(tmp_path / "backbone"), "pairs": file}
    changes = {"training.steps": 60, "training.batch": 16, "training.learning_rate": 5e-3}
    results = Run(tiny_recipe("deepct", world).changed(changes), tmp_path / "run").train()
    assert results.after["nDCG@10"] > 0.9
    # Words d are in every query of a document that has them, words f in none.
    model = load_encoder(tmp_path / "run" / "model")
    row = model.encode_documents(["d1 f2 d3 f4"]).toarray()[0]
    weights = {model.term(place): row[place] for place in np.flatnonzero(row)}
    assert min(weights["d1"], weights["d3"]) > 0.8
    assert max(weights.get("f2", 0), weights.get("f4", 0)) < 0.2

    encoder = load_encoder("deepct", path=tmp_path / "run" / "model")
    collection = Collection.create(tmp_path / "collection", encoder, passages="truncate")
    collection.upsert({"id": str(n), "text": text} for n, text in enumerate(pairs.documents))
    assert collection.search(queries[7], k=1).hits[0].doc_id == "7"
