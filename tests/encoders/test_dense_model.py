"""Dense models against sentence-transformers, which reads the same folders by its own code."""

import json

import numpy as np
import pytest

from lexidex.encoders.loading import load_dense_encoder
from lexidex.errors import EncoderNotFound, ParameterError

from .checkpoints import TEXTS, copy_of, write_dense, write_json, write_plain

_ST = "sentence_transformers"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder in sentence-transformers' layout for each name."""
    folder = tmp_path_factory.mktemp("dense")
    shapes = {
        "mean": {"pooling_mode_mean_tokens": True},
        "cls": {"pooling_mode_cls_token": True},
        "joined": {"pooling_mode_max_tokens": True, "pooling_mode_mean_sqrt_len_tokens": True},
        "last": {"pooling_mode_lasttoken": True},
    }
    return {
        name: write_dense(folder / name, pooling, layers=name == "cls", normalize=name != "last")
        for name, pooling in shapes.items()
    }


@pytest.mark.parametrize("name", ["mean", "cls", "joined", "last"])
def test_vectors_are_those_of_sentence_transformers(models, name):
    from sentence_transformers import SentenceTransformer

    ours, other = load_dense_encoder(models[name]), SentenceTransformer(str(models[name]))
    for encode, expected in (
        (ours.encode_documents, other.encode_document(TEXTS)),
        (ours.encode_queries, other.encode_query(TEXTS)),
    ):
        vectors = encode(TEXTS)
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(TEXTS), ours.dim)
        np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)
    assert ours.metric == ("inner-product" if name == "last" else "cosine")


def test_a_plain_folder_needs_to_be_told_how_states_become_a_vector(tmp_path):
    folder = write_plain(tmp_path / "plain", "distilbert")
    with pytest.raises(ParameterError, match=r"does not tell how .*; give pooling: cls, mean"):
        load_dense_encoder(folder)
    encoder = load_dense_encoder(folder, pooling="mean", max_length=16)
    assert encoder.encode_documents(["one text"]).shape == (1, 32)
    again = load_dense_encoder(encoder.kind, **encoder.options)
    assert again.fingerprint == encoder.fingerprint
    other = load_dense_encoder(folder, pooling="cls", max_length=16)
    assert other.fingerprint != encoder.fingerprint


def test_company_and_order_change_nothing_but_rounding(models):
    encoder = load_dense_encoder(models["mean"])
    together = encoder.encode_documents(TEXTS)
    alone = np.concatenate([encoder.encode_documents([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    assert encoder.encode_documents([]).shape == (0, 32)


def test_models_that_are_not_dense_are_refused(models, tmp_path):
    with pytest.raises(EncoderNotFound):
        load_dense_encoder(tmp_path / "nowhere")
    folder = copy_of(models["mean"], tmp_path / "other")
    listed = json.loads((folder / "modules.json").read_text())
    listed[1]["type"] = f"{_ST}.models.WordWeights"
    write_json(folder / "modules.json", listed)
    with pytest.raises(ParameterError, match=r"modules Transformer \+ WordWeights \+ Normalize"):
        load_dense_encoder(folder)
    with pytest.raises(ParameterError, match=r"pooling: 'cls'; .* tells how; leave it out"):
        load_dense_encoder(models["mean"], pooling="cls")
    with pytest.raises(ParameterError, match="dense encoder: unknown option 'depth'"):
        load_dense_encoder(models["mean"], depth=3)
