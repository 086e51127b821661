"""Cross-encoders next to transformers' own scores of the same pairs."""

import json
import logging

import numpy as np
import pytest

from lexidex.encoders.cross_encoder import CrossEncoder
from lexidex.errors import CorruptFile, EncoderNotFound, ParameterError

from .checkpoints import TEXTS, write_cross_encoder, write_plain

QUERIES = ["weather in New York", "inverted indexes", "", "sparse retrieval"] * 2


def transformers_scores(folder, max_length):
    """One pair at a time, without padding."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    words = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    found = []
    for query, text in zip(QUERIES, TEXTS, strict=True):
        tokens = words([query], [text], truncation=True, max_length=max_length, return_tensors="pt")
        with torch.inference_mode():
            found.append(float(model(**tokens).logits[0, -1]))
    return found


@pytest.mark.parametrize("n_labels", [1, 2])
@pytest.mark.parametrize("max_length", [None, 12])
def test_scores_are_those_of_transformers(tmp_path, n_labels, max_length):
    folder = write_cross_encoder(tmp_path / "model", n_labels=n_labels)
    model = CrossEncoder(folder, max_length=max_length, batch=3)
    expected = transformers_scores(folder, model.max_length)
    assert len(set(np.round(expected, 6))) > 4
    np.testing.assert_allclose(model.scores(QUERIES, TEXTS), expected, rtol=1e-4, atol=1e-4)
    assert model.scores([], []).shape == (0,)


def test_the_length_is_the_folder_s_and_the_longer_text_is_cut(tmp_path):
    folder = write_cross_encoder(tmp_path / "model")
    assert CrossEncoder(folder).max_length == 64
    with pytest.raises(ParameterError, match="max_length: 0; expected"):
        CrossEncoder(folder, max_length=0)
    with pytest.raises(ParameterError, match="batch: 0; expected"):
        CrossEncoder(folder, batch=0)


def test_what_is_no_cross_encoder_is_refused(tmp_path):
    with pytest.raises(EncoderNotFound, match="cross-encoder 'nowhere': no folder"):
        CrossEncoder("nowhere")
    plain = write_plain(tmp_path / "plain")
    with pytest.raises(ParameterError, match=r"plain: weights are missing: .*classifier"):
        CrossEncoder(plain)
    folder = write_cross_encoder(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CorruptFile, match="truncated or no safetensors file"):
        CrossEncoder(folder)
    folder = write_cross_encoder(tmp_path / "unknown")
    (folder / "config.json").write_text(json.dumps({"model_type": "no such"}))
    with pytest.raises(CorruptFile, match="cannot be loaded"):
        CrossEncoder(folder)


def test_the_licence_is_logged(tmp_path, caplog):
    folder = write_cross_encoder(tmp_path / "model")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    with caplog.at_level(logging.INFO, "lexidex"):
        assert CrossEncoder(folder).licence == "mit"
    assert f"{folder}: licence: mit" in caplog.text
