"""Block-sparse models: how much is pruned, what fitting gives, and running them by our kernels."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from lexidex.cli import app
from lexidex.encoders import load_encoder
from lexidex.encoders.engines import integer_layers, pruning
from lexidex.encoders.engines.maps import BlockSparseMap, DenseMap, block_density
from lexidex.encoders.learned import LearnedEncoder
from lexidex.errors import ParameterError

from ..checkpoints import TEXTS, write_sentence_transformers


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_sentence_transformers(tmp_path_factory.mktemp("pruning") / "model")


def feed_forward(folder):
    model = LearnedEncoder(folder, backend="torch").documents.model.network().model
    return [
        part.weight.detach().numpy() for part in pruning._feed_forward(model.base_model).values()
    ]


def cosines(found, expected):
    found, expected = found.toarray(), expected.toarray()
    used = expected.any(axis=1)
    products = (found * expected).sum(axis=1)[used]
    return products / np.linalg.norm(found, axis=1)[used] / np.linalg.norm(expected, axis=1)[used]


def test_pruning_leaves_the_share_of_blocks_that_is_told(checkpoint, tmp_path):
    maps = pruning.prune(checkpoint, tmp_path / "pruned", TEXTS, 0.75)

    weights = feed_forward(tmp_path / "pruned")
    assert maps == len(weights) == 4
    for weight in weights:
        assert block_density(weight) == pytest.approx(0.25, abs=0.01)
    pruned, whole = load_encoder(tmp_path / "pruned"), load_encoder(checkpoint)
    assert pruned.fingerprint != whole.fingerprint
    assert np.all(cosines(pruned.encode_documents(TEXTS), whole.encode_documents(TEXTS)) > 0.5)


def test_fitting_makes_up_for_what_is_cut():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, 16, generator=generator)  # inputs depend on each other
    inputs = torch.randn(400, 6, generator=generator) @ mixing
    weight = torch.randn(8, 16, generator=generator)
    wanted = inputs @ weight.T + 3

    kept = pruning._kept_blocks(weight, inputs, 0.5)
    fitted, bias = pruning._fitted(inputs, wanted, kept)

    mask = kept.repeat_interleave(4, dim=0)
    assert not fitted[~mask].any()
    cut = ((inputs @ (weight * mask).T + 3 - wanted) ** 2).mean()
    assert ((inputs @ fitted.T + bias - wanted) ** 2).mean() < 0.5 * cut


@pytest.mark.parametrize("sparsity", [0, 1, -0.5, 2.0])
def test_a_share_that_is_none_is_refused_and_nothing_written(checkpoint, tmp_path, sparsity):
    with pytest.raises(ParameterError, match=rf"^sparsity: {sparsity}; expected a number between"):
        pruning.prune(checkpoint, tmp_path / "pruned", TEXTS, sparsity)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_pruned_is_told(checkpoint, tmp_path):
    with pytest.raises(ParameterError, match=r"model: exists already"):
        pruning.prune(checkpoint, checkpoint, TEXTS, 0.5)
    encoder = LearnedEncoder(checkpoint, backend="torch")
    with pytest.raises(ParameterError, match="all of them are empty"):
        pruning.prune_model(encoder.documents.model, [[]], 0.5)


def test_our_kernels_run_a_model(checkpoint):
    exact = load_encoder(checkpoint, backend="torch")
    integers = load_encoder(checkpoint, backend="kernels")
    found, expected = integers.encode_documents(TEXTS), exact.encode_documents(TEXTS)
    assert np.all(cosines(found, expected) > 0.95)
    assert not np.array_equal(found.toarray(), expected.toarray())
    assert integers.fingerprint == exact.fingerprint
    queries = integers.encode_queries(TEXTS).toarray()
    np.testing.assert_allclose(queries, found.toarray(), rtol=1e-5)


def test_sparse_maps_are_run_sparse(checkpoint, tmp_path):
    pruning.prune(checkpoint, tmp_path / "pruned", TEXTS, 0.8)
    encoder = LearnedEncoder(tmp_path / "pruned", backend="kernels")
    encoder.encode_documents(["a"])
    modules = encoder.documents.model.network().model.base_model.modules()
    kinds = [type(m._map) for m in modules if isinstance(m, integer_layers.IntegerLinear)]
    assert kinds.count(BlockSparseMap) == 4
    assert kinds.count(DenseMap) == 8
    exact = load_encoder(tmp_path / "pruned", backend="torch")
    assert np.all(cosines(encoder.encode_documents(TEXTS), exact.encode_documents(TEXTS)) > 0.95)


def test_models_are_pruned_exported_and_shown_on_the_command_line(checkpoint, tmp_path):
    texts = tmp_path / "texts.jsonl"
    documents = [{"id": str(i), "text": text} for i, text in enumerate(TEXTS) if text.strip()]
    texts.write_text("\n".join(map(json.dumps, documents)))

    def run(*arguments):
        return CliRunner().invoke(app, ["models", *arguments]).stdout

    given = ["--texts", str(texts), "--json"]

    pruned = run("prune", str(checkpoint), "--to", str(tmp_path / "p"), *given)
    assert json.loads(pruned) == {"model": str(tmp_path / "p"), "sparsity": 0.8, "maps": 4}
    pytest.importorskip("onnxruntime", reason="exports need the extra lexidex[onnx]")
    options = ["--to", str(tmp_path / "e"), "--tolerance", "0.5"]
    exported = json.loads(run("export", str(tmp_path / "p"), *options, *given))
    assert exported["precision"] == "int8"
    assert exported["agreement"]["texts"] == len(documents)
    shown = json.loads(run("show", str(tmp_path / "e"), "--json"))
    assert shown["exports"] == [exported]
    assert shown["fingerprint"] == load_encoder(tmp_path / "p").fingerprint
    told = run("show", str(tmp_path / "e"))
    assert "licence: not stated" in told
    assert "times torch's speed here" in told
