"""DeepCT: learned frequencies by hand, through BM25; imported ones; what is refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lexidex import Collection
from lexidex.encoders import load_encoder
from lexidex.encoders.creation import create
from lexidex.errors import ParameterError

from .checkpoints import TEXTS, write_plain

ASKED = "The weather in York's documents"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that weighs words; not to be changed."""
    folder = tmp_path_factory.mktemp("deepct")
    torch.manual_seed(1)
    create("deepct", write_plain(tmp_path_factory.mktemp("backbone"), "bert"), folder)
    tensors = load_file(folder / "scalar_head.safetensors")
    tensors["scalar.0.bias"] += 0.5  # most words count, whatever the seed makes
    save_file(tensors, folder / "scalar_head.safetensors")
    return folder


def frequencies(model, analyzer, text):
    """Rounded weights of words, those of words with one stem added up."""
    words = load_encoder(model)
    row = words.encode_documents([text]).toarray()[0]
    found = {}
    for component in np.flatnonzero(row):
        for term in analyzer.terms(words.term(component)):
            found[term] = found.get(term, 0) + round(float(row[component]) * 100)
    return {term: tf for term, tf in found.items() if tf}


@pytest.mark.parametrize("weighting", ["bm25", "weights"])
def test_documents_are_scored_by_learned_frequencies(model, tmp_path, weighting):
    encoder = load_encoder("deepct", path=model, weighting=weighting)
    collection = Collection.create(tmp_path, encoder, passages="truncate")
    collection.upsert({"id": str(n), "text": text} for n, text in enumerate(TEXTS))

    texts = [frequencies(model, encoder.analyzer, text) for text in TEXTS]
    average = sum(sum(text.values()) for text in texts) / len(texts)
    expected = {}
    for number, text in enumerate(texts):
        score = 0.0
        for term in encoder.analyzer.terms(ASKED):
            tf, df = text.get(term, 0), sum(term in one for one in texts)
            if weighting == "bm25" and tf:
                idf = math.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
                score += idf * tf / (tf + 10 * (0.1 + 0.9 * sum(text.values()) / average))
            else:
                score += tf
        if score:
            expected[str(number)] = score
    found = {hit.doc_id: hit.score for hit in collection.search(ASKED).hits}
    assert found
    assert found == pytest.approx(expected, rel=1e-5)


def test_imported_frequencies_are_the_model_s(model, tmp_path):
    by_model = Collection.create(
        tmp_path / "model", load_encoder("deepct", path=model), passages="truncate"
    )
    imported = Collection.create(tmp_path / "imported", "deepct")
    analyzer = imported.encoder.analyzer
    for number, text in enumerate(TEXTS):
        by_model.upsert([{"id": str(number), "text": text}])
        weights = frequencies(model, analyzer, text)
        imported.upsert(
            [{"id": str(number), "vector": {term: float(tf) for term, tf in weights.items()}}]
        )

    found = {hit.doc_id: hit.score for hit in imported.search(ASKED).hits}
    assert found == pytest.approx(
        {h.doc_id: h.score for h in by_model.search(ASKED).hits}, rel=1e-5
    )
    assert imported.explain(ASKED, next(iter(found))).score == pytest.approx(
        next(iter(found.values()))
    )


def test_words_that_documents_bring_are_analysed():
    encoder = load_encoder("deepct")
    given = {"Weathers": 50.0, "weather": 2.0, "the": 9.0, "New York's": 3.0, "": 1.0}
    assert encoder.weights_of_words(given) == {"weather": 52, "new": 3, "york": 3}


def test_options_and_fingerprint(model, tmp_path):
    encoder = load_encoder("deepct", path=model, max_length=20)
    again = load_encoder("deepct", **json.loads(json.dumps(encoder.options)))
    assert again.fingerprint == encoder.fingerprint
    assert load_encoder("deepct", path=model).fingerprint != encoder.fingerprint
    assert load_encoder("deepct", k1=1.2).fingerprint != load_encoder("deepct").fingerprint
    encoder.fit(TEXTS).save(tmp_path)
    assert load_encoder(tmp_path).fingerprint == encoder.fingerprint


def test_what_cannot_be_done_says_why(tmp_path):
    with pytest.raises(ParameterError, match="weighting: 'tf'; known are bm25, weights"):
        load_encoder("deepct", weighting="tf")
    with pytest.raises(ParameterError, match="weighs tokens, not words"):
        load_encoder("deepct", path=write_plain(tmp_path / "plain", "bert"))
    with pytest.raises(
        ParameterError, match="deepct: no model: give each document its frequencies"
    ):
        load_encoder("deepct").draft_documents(["a"])
