"""DeepCT: learned frequencies by hand, through BM25; imported ones; what is refused."""

from __future__ import annotations

import json
import math
from shutil import copytree

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lexidex import Collection
from lexidex.encoders import load_encoder
from lexidex.encoders.creation import create
from lexidex.encoders.language_model import LanguageModel
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
    tensors["scalar.0.bias"] += 3  # every word counts, whatever the vocabulary
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


LONG = " ".join(f"Sentence {number} speaks of the weather in York." for number in range(30))


@pytest.mark.parametrize("passages", [None, "split", "max"])
def test_nothing_of_a_long_document_is_lost(model, tmp_path, passages):
    encoder = load_encoder("deepct", path=model)
    assert encoder.max_tokens == load_encoder(model).max_tokens == 62
    assert encoder.token_spans(LONG).tolist() == load_encoder(model).token_spans(LONG).tolist()
    collection = Collection.create(tmp_path, encoder, passages=passages)
    collection.upsert([{"id": "long", "text": f"{LONG} Whales sing."}, {"id": "a", "text": "a"}])
    [hit] = collection.search("singing whales").hits
    assert hit.doc_id == "long"
    if passages != "max":
        assert hit.passage.text.endswith("Whales sing.")


def test_a_model_s_licence_and_cost_are_its_own(model, tmp_path):
    told = copytree(model, tmp_path / "told")
    (told / "README.md").write_text("---\nlicense: mit\n---\n")
    by_model, plain = load_encoder("deepct", path=told), load_encoder("deepct")
    assert (by_model.has_licence, by_model.licence, by_model.costly) == (True, "mit", True)
    assert (plain.has_licence, plain.licence, plain.costly) == (False, None, False)
    assert plain.max_tokens is None


def test_a_model_computes_on_every_gpu(model, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    encoder = load_encoder("deepct", path=model)
    assert encoder.devices() == ["cuda:0", "cuda:1"]
    assert load_encoder("deepct").devices() == ["cpu"]
    used = []
    monkeypatch.setattr(LanguageModel, "use_device", lambda self, device: used.append(device))
    encoder.use_device("cuda:1")
    assert used == ["cuda:1"]
    with pytest.raises(ParameterError, match="device: 'tpu'"):
        encoder.use_device("tpu")
    with pytest.raises(ParameterError, match="device: 'cuda'; encoder deepct computes on cpu"):
        load_encoder("deepct").use_device("cuda")


def test_a_model_of_a_hub_is_pinned_to_its_commit(model, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot, asked = copytree(model, tmp_path / commit), []

    def snapshot_download(name, **options):
        asked.append((name, options["revision"]))
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    encoder = load_encoder("deepct", path="org/model", revision="main")
    again = load_encoder("deepct", **encoder.options)
    assert encoder.options["revision"] == commit
    assert asked == [("org/model", "main"), ("org/model", commit)]
    assert again.fingerprint == encoder.fingerprint
    assert load_encoder("deepct", path=model).fingerprint == encoder.fingerprint


def test_what_cannot_be_done_says_why(tmp_path):
    with pytest.raises(ParameterError, match="weighting: 'tf'; known are bm25, weights"):
        load_encoder("deepct", weighting="tf")
    with pytest.raises(ParameterError, match="weighs tokens, not words"):
        load_encoder("deepct", path=write_plain(tmp_path / "plain", "bert"))
    with pytest.raises(
        ParameterError, match="deepct: no model: give each document its frequencies"
    ):
        load_encoder("deepct").draft_documents(["a"])
