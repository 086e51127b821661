"""Inference-free queries: a table of token weights, without torch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from lexidex.encoders import load_encoder
from lexidex.errors import CorruptFile, ParameterError

from .checkpoints import TEXTS, copy_of, write_json, write_modules, write_router, write_table
from .reference import reference_vectors


@pytest.fixture(scope="module")
def router(tmp_path_factory):
    """A checkpoint with a table of weights; not to be changed."""
    return write_router(tmp_path_factory.mktemp("router"))


@pytest.fixture(scope="module")
def expected(router):
    """Query vectors of sentence-transformers."""
    return reference_vectors(router, TEXTS)[1]


@pytest.fixture
def table(router, tmp_path):
    """The table's folder in a checkpoint that a test may change."""
    return copy_of(router, tmp_path / "router") / "query_0_SparseStaticEmbedding"


@pytest.mark.parametrize(
    ("form", "names"),
    [("tensor", "new"), ("tensor", "old"), ("tensor", "idf"), ("json", "new"), ("bin", "idf")],
)
def test_queries_equal_those_of_sentence_transformers(tmp_path, expected, form, names):
    encoder = load_encoder(write_router(tmp_path, table=form, names=names))

    np.testing.assert_array_equal(encoder.encode_queries(TEXTS).toarray(), expected)


def test_a_table_alone_weighs_documents_too(tmp_path, expected):
    write_table(tmp_path / "0_SparseStaticEmbedding")
    write_modules(tmp_path, [("0", "0_SparseStaticEmbedding", "x.SparseStaticEmbedding")])
    encoder = load_encoder(tmp_path)

    np.testing.assert_array_equal(encoder.encode_documents(TEXTS).toarray(), expected)
    encoder.save(tmp_path / "saved")
    assert load_encoder(tmp_path / "saved").fingerprint == encoder.fingerprint


def test_a_word_counts_once_and_special_tokens_not_at_all(router):
    encoder = load_encoder(router)
    once, thrice, empty = encoder.encode_queries(["weather", "weather WEATHER weather", ""])

    assert once.nnz == 1
    assert (once != thrice).nnz == 0
    assert empty.nnz == 0


def test_queries_are_cut_off_at_the_length_asked_for(router):
    encoder = load_encoder(router, query_max_length=3)

    long, short = encoder.encode_queries(["is rainy today in new york", "is rainy today"])
    assert (long != short).nnz == 0


@pytest.mark.parametrize("form", ["tensor", "json"])
def test_queries_need_neither_torch_nor_transformers(tmp_path, form):
    folder = write_router(tmp_path, table=form)
    program = (
        "import sys; from lexidex.encoders import load_encoder;"
        f"e = load_encoder({str(folder)!r});"
        "assert e.encode_queries(['weather in New York']).nnz; e.fingerprint;"
        "sys.exit(bool({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_fingerprint_changes_with_one_weight_of_the_table(tmp_path):
    folder = write_router(tmp_path, table="json")
    fingerprint = load_encoder(folder).fingerprint
    file = folder / "query_0_SparseStaticEmbedding" / "idf.json"
    weights = json.loads(file.read_text())
    write_json(file, weights | {"weather": 1.5})

    assert load_encoder(folder).fingerprint != fingerprint


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (-1.0, ParameterError, "weight -1.0 of token 'weather'; .* finite and not negative"),
        (float("nan"), ParameterError, "weight nan of token 'weather'"),
        ("heavy", CorruptFile, "weight 'heavy' of token 'weather'"),
    ],
)
def test_weights_that_no_query_can_have_are_refused(table, weight, error, message):
    write_json(table / "config.json", {"path": "idf.json"})
    write_json(table / "idf.json", {"weather": weight})
    with pytest.raises(error, match=message):
        load_encoder(table.parent)


def test_a_table_that_is_missing_is_named(table):
    write_json(table / "config.json", {"path": "/elsewhere/idf.json"})
    with pytest.raises(CorruptFile, match=r"query_0_SparseStaticEmbedding/idf\.json: not there"):
        load_encoder(table.parent)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"other": 191}, "no tensor 'weight'"),
        ({"weight": 190}, r"shape \(190,\) for a vocabulary of 191"),
        ({"weight": 192}, "192 query terms, but documents have only 191"),
    ],
)
def test_a_table_of_another_shape_is_refused(table, tensors, message):
    from safetensors.numpy import save_file

    weights = {name: np.ones(size, dtype=np.float32) for name, size in tensors.items()}
    save_file(weights, table / "model.safetensors")
    with pytest.raises(CorruptFile, match=message):
        load_encoder(table.parent)
