"""Presets over checkpoints whose files tell something else, or less."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lexidex.encoders import load_encoder
from lexidex.encoders.networks.residual import residual_network, write_residual

from .checkpoints import (
    TEXTS,
    copy_of,
    write_json,
    write_modules,
    write_plain,
    write_router,
    write_sentence_transformers,
    write_table,
)
from .published import write_opensearch

INFERENCE_FREE = {
    "inference-free-v1": "relu",
    "inference-free-v2": "relu",
    "li-lsr": "relu",
    "inference-free-v3": "log1p_relu",
}


@pytest.fixture
def residual(tmp_path):
    """A checkpoint with a residual head, in our own layout."""
    folder = write_plain(tmp_path / "residual")
    torch.manual_seed(0)
    network = residual_network(32, 64)
    for weights in network.parameters():
        torch.nn.init.normal_(weights, std=0.5)
    write_residual(folder, network)
    side = {"folder": ".", "max_length": 60, "prompt": "", "lowercase": False, "table": None}
    side["recipe"] = {"head": "residual"}
    write_json(folder / "lexidex_model.json", {"version": 0, "documents": side, "queries": side})
    return folder


@pytest.mark.parametrize("write", [write_opensearch, write_router])
def test_binary_queries_leave_a_table_out(tmp_path, write):
    write(tmp_path / "model")
    encoder = load_encoder(tmp_path / "model", preset="splade-doc")
    plain = load_encoder(write_plain(tmp_path / "plain", "distilbert"), preset="splade-doc")
    found = encoder.encode_queries(TEXTS)
    assert set(found.data) == {1}
    assert (found != plain.encode_queries(TEXTS)).nnz == 0

    encoder.save(tmp_path / "saved")
    again = load_encoder(tmp_path / "saved")
    assert again.fingerprint == encoder.fingerprint == plain.fingerprint
    assert (again.encode_queries(TEXTS) != found).nnz == 0


def test_binary_queries_have_the_documents_tokens(tmp_path):
    """And not those of the folder that the table lies in."""
    folder = write_router(tmp_path / "model")
    for file in (folder / "query_0_SparseStaticEmbedding").glob("tokenizer*"):
        file.unlink()
    encoder = load_encoder(folder, preset="splade-doc")
    assert encoder.queries.tokenizer.folder == folder
    assert encoder.encode_queries(["the weather"]).nnz == 2


def test_a_table_behind_a_model_goes_with_the_own_terms(tmp_path):
    folder = write_sentence_transformers(tmp_path / "model")
    write_table(folder / "2_IDF")
    kinds = {"": "Transformer", "1_SpladePooling": "SpladePooling", "2_IDF": "IDF"}
    write_modules(folder, [(p, p, f"x.{kind}") for p, kind in kinds.items()])
    encoder = load_encoder(folder, preset="splade-max")
    encoder.save(tmp_path / "saved")
    assert load_encoder(tmp_path / "saved").fingerprint == encoder.fingerprint
    assert encoder.fingerprint == load_encoder(write_plain(tmp_path / "plain")).fingerprint


@pytest.mark.parametrize("table", ["idf.json", "query_token_weights.txt"])
@pytest.mark.parametrize("preset", INFERENCE_FREE)
def test_opensearch_s_files_are_the_same_by_preset_and_by_activation(tmp_path, preset, table):
    write_opensearch(tmp_path / "raw", table)
    by_name = load_encoder(tmp_path / "raw", preset=preset)
    by_activation = load_encoder(tmp_path / "raw", activation=INFERENCE_FREE[preset])

    assert by_name.fingerprint == by_activation.fingerprint
    query = by_name.encode_queries(["the [SEP] weather, [UNK]"])
    assert {by_name.term(c) for c in query.indices} == {"the", "weather", ","}


def test_a_table_with_weights_of_special_tokens_keeps_them(tmp_path):
    """As sentence-transformers takes a tensor: as it is."""
    folder = write_router(tmp_path)
    plain, named = load_encoder(folder), load_encoder(folder, preset="inference-free-v3")
    assert plain.fingerprint == named.fingerprint


@pytest.mark.parametrize("preset", ["splade", "splade-doc", "splade-lexical", "splade-top-k"])
def test_a_residual_head_is_kept(residual, tmp_path, preset):
    encoder = load_encoder(residual, preset=preset)
    assert encoder.checkpoint.documents.recipe.head == "residual"
    plain = copy_of(residual, tmp_path / "plain")
    (plain / "lexidex_model.json").unlink()
    without = load_encoder(plain, preset=preset, max_length=60)
    found = encoder.encode_documents(TEXTS[:1]).toarray()
    assert not np.allclose(found, without.encode_documents(TEXTS[:1]).toarray(), atol=0.1)

    encoder.save(tmp_path / "saved")
    assert load_encoder(tmp_path / "saved").fingerprint == encoder.fingerprint


def test_a_residual_head_is_the_same_by_its_file_and_by_preset(residual):
    by_file, by_name = load_encoder(residual), load_encoder(residual, preset="splade-max")
    assert by_name.fingerprint == by_file.fingerprint
    found = [one.encode_queries(TEXTS).toarray() for one in (by_file, by_name)]
    np.testing.assert_array_equal(*found)
