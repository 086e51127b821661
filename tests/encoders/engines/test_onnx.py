"""Exports for onnxruntime against torch."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from lexidex.encoders import load_encoder
from lexidex.encoders.engines import engine, export, exported, onnx_graph
from lexidex.encoders.engines.bert import bert_weights
from lexidex.encoders.engines.onnx_engine import OnnxEngine
from lexidex.encoders.projection import Pooling
from lexidex.errors import CorruptFile, MissingDependency, ParameterError, UnsupportedVersion

from ..checkpoints import (
    TEXTS,
    copy_of,
    random_model,
    write_plain,
    write_router,
    write_sentence_transformers,
)

onnx = pytest.importorskip("onnx", reason="exports need the extra lexidex[onnx]")
pytest.importorskip("onnxruntime", reason="exports need the extra lexidex[onnx]")

VOCABULARY = 70
TOKENS = [[2, 17, 33, 60, 3], [2, 3], [2, *range(5, 45), 3]]
LOOSE = 0.5  # a random model's scores lie close together, so integers move its vectors more


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_sentence_transformers(tmp_path_factory.mktemp("onnx") / "model")


@pytest.fixture(scope="module")
def fast(checkpoint, tmp_path_factory):
    """A checkpoint with an export that is always worth it."""
    folder = tmp_path_factory.mktemp("onnx") / "fast"
    [made] = export.export(checkpoint, folder, TEXTS, tolerance=LOOSE)
    described = exported.find_exported(folder)
    assert made == described
    assert made.graph.is_file()
    return with_speedup(folder, 2.0)


def with_speedup(folder, speedup):
    file = folder / exported.FOLDER / "export.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"speedup": speedup}))
    return folder


def by_torch(model, pooling, counted):
    """Pooled scores by the book."""
    rows = []
    with torch.inference_mode():
        for ids, places in zip(TOKENS, counted, strict=True):
            scores = model(input_ids=torch.tensor([ids])).logits[0][places]
            if pooling.sums:
                weights = torch.log1p(torch.relu(scores))
                twice = "log1p" in pooling.activation
                rows.append((torch.log1p(weights) if twice else weights).sum(0))
            else:
                rows.append(scores.amax(0))
    return torch.stack(rows).numpy()


def engine_of(model, pooling, tmp_path, **options):
    onnx.save(onnx_graph.bert_graph(bert_weights(model), pooling, **options), tmp_path / "graph")
    return OnnxEngine(tmp_path / "graph", options.pop("n_threads", 2))


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta"])
@pytest.mark.parametrize("pooling", [Pooling(), Pooling("sum"), Pooling("sum", "log1p_relu")])
def test_the_graph_computes_the_model(architecture, pooling, tmp_path):
    model = random_model(architecture, VOCABULARY).eval()
    counted = [np.arange(len(ids)) for ids in TOKENS]
    counted[2] = counted[2][3:9]  # some positions may be left out
    expected = by_torch(model, pooling, counted)

    exact = engine_of(model, pooling, tmp_path, int8=False, tile=32).pool(TOKENS, counted)
    integers = engine_of(model, pooling, tmp_path, int8=True, tile=32).pool(TOKENS, counted)

    np.testing.assert_allclose(exact, expected, rtol=1e-4, atol=1e-4)
    assert integers.dtype == np.float32
    correlation = np.corrcoef(integers.ravel(), expected.ravel())[0, 1]
    assert 0.98 < correlation < 1


def test_an_export_is_picked_by_itself_and_keeps_the_fingerprint(fast, checkpoint):
    exact, integers = load_encoder(fast, backend="torch"), load_encoder(fast)

    found = integers.encode_documents(TEXTS).toarray()
    expected = exact.encode_documents(TEXTS).toarray()

    assert not np.array_equal(found, expected)
    cosines = (found * expected).sum(1) / np.linalg.norm(found, axis=1).clip(1e-9)
    assert np.all(cosines[found.any(1)] > 0.5)
    assert integers.fingerprint == exact.fingerprint == load_encoder(checkpoint).fingerprint
    assert integers.options["backend"] == "auto"


def test_an_export_s_vectors_do_not_depend_on_the_company_of_a_text(fast):
    encoder = load_encoder(fast, backend="onnx")
    together = encoder.encode_documents(TEXTS).toarray()
    alone = [encoder.encode_documents([text]).toarray()[0] for text in TEXTS]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("reason", ["slower", "no onnxruntime", "no integer products"])
def test_torch_runs_the_model_where_the_export_is_not_worth_it(fast, tmp_path, reason, monkeypatch):
    folder = copy_of(fast, tmp_path / "copy")
    if reason == "slower":
        with_speedup(folder, 0.9)
    elif reason == "no onnxruntime":
        monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)
    else:
        monkeypatch.setattr(engine, "has_integer_products", lambda: False)

    found = load_encoder(folder).encode_documents(TEXTS)
    expected = load_encoder(fast, backend="torch").encode_documents(TEXTS)
    np.testing.assert_array_equal(found.toarray(), expected.toarray())


def test_an_export_of_other_weights_or_pooling_is_told_and_not_used(fast, tmp_path, caplog):
    folder = copy_of(fast, tmp_path / "copy")
    with caplog.at_level("WARNING", "lexidex"):
        load_encoder(folder, pooling="sum").encode_documents(["a"])
    assert "an export for max pooling" in caplog.text
    write_plain(folder, seed=1)

    load_encoder(folder).encode_documents(["a"])
    assert "an export of other weights" in caplog.text
    with pytest.raises(ParameterError, match=r"^backend: 'onnx'; .* export of other weights"):
        load_encoder(folder, backend="onnx").encode_documents(["a"])


def test_what_cannot_be_run_is_told(checkpoint, fast, tmp_path, monkeypatch):
    with pytest.raises(ParameterError, match=r"^backend: 'onnx'; .*there is no export"):
        load_encoder(checkpoint, backend="onnx").encode_documents(["a"])
    with pytest.raises(ParameterError, match=r"^backend: 'cuda'; known are auto, torch, onnx"):
        load_encoder(checkpoint, backend="cuda")
    folder = copy_of(fast, tmp_path / "copy")
    (folder / exported.FOLDER / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(CorruptFile, match=r"model\.onnx: cannot be loaded"):
        load_encoder(folder, backend="onnx").encode_documents(["a"])
    (folder / exported.FOLDER / "model.onnx").unlink()
    with pytest.raises(CorruptFile, match="missing; make it again"):
        load_encoder(folder).encode_documents(["a"])
    description = folder / exported.FOLDER / "export.json"
    described = json.loads(description.read_text())
    description.write_text(json.dumps(described | {"version": 9}))
    with pytest.raises(UnsupportedVersion, match="version 9"):
        load_encoder(folder).encode_documents(["a"])
    description.write_text("[]")
    with pytest.raises(CorruptFile, match="not an export's description"):
        load_encoder(folder).encode_documents(["a"])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match=r"pip install 'lexidex\[onnx\]'"):
        load_encoder(fast, backend="onnx").encode_documents(["a"])
    with pytest.raises(MissingDependency, match="exporting needs onnxruntime"):
        export.export(checkpoint, tmp_path / "new", TEXTS)


def test_nothing_is_written_where_vectors_differ_too_much(checkpoint, tmp_path):
    with pytest.raises(ParameterError, match=r"^tolerance: 1e-09; .*nothing was written"):
        export.export(checkpoint, tmp_path / "new", TEXTS, tolerance=1e-9)
    assert list(tmp_path.iterdir()) == []


def test_an_export_replaces_nothing_but_an_export(checkpoint, tmp_path):
    folder = copy_of(checkpoint, tmp_path / "model")
    before = sorted(path.name for path in folder.iterdir())
    [made] = export.export(folder, folder, TEXTS, int8=False)
    again = export.export(folder, folder, TEXTS, int8=False)[0]

    assert made.agreement == again.agreement
    assert made.agreement.least_cosine == pytest.approx(1)
    assert made.agreement.nnz == made.agreement.torch_nnz
    assert sorted(path.name for path in folder.iterdir()) == sorted([*before, exported.FOLDER])
    with pytest.raises(ParameterError, match="exists already"):
        export.export(checkpoint, folder, TEXTS)


def test_queries_by_a_table_stay_as_they_are(tmp_path):
    folder = write_router(tmp_path / "router")
    export.export(folder, tmp_path / "out", TEXTS, tolerance=LOOSE)
    encoder = load_encoder(with_speedup(tmp_path / "out", 2.0))

    expected = load_encoder(folder).encode_queries(TEXTS)
    np.testing.assert_array_equal(encoder.encode_queries(TEXTS).toarray(), expected.toarray())


def test_architectures_that_are_not_known_are_refused(tmp_path):
    folder = write_plain(tmp_path / "model", "electra")
    with pytest.raises(ParameterError, match="ElectraForMaskedLM: only torch can run this model"):
        export.export(folder, tmp_path / "out", TEXTS)
    assert not (tmp_path / "out").exists()
