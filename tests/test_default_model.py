"""The model that the package brings: there, small, licensed, and what collections are made with."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest

from lexidex import Collection
from lexidex.dense_side import DenseSide
from lexidex.encoders import load_encoder
from lexidex.encoders.base import DEFAULT_ENCODER
from lexidex.encoders.engines.export import export
from lexidex.encoders.packing import pack
from lexidex.eval.benchmarks.effectiveness import run_effectiveness
from lexidex.eval.benchmarks.record import Record

NAME = "lexidex-mini"
FOLDER = files("lexidex.encoders") / "models" / NAME
TEXTS = ["The engine of the car does not start.", "Whales sing in the deep sea.", ""]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder(NAME)


def test_it_is_the_default_and_small():
    assert DEFAULT_ENCODER == NAME
    names = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in names) <= 50e6
    assert "license: apache-2.0" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_it_tells_its_name_and_licence(encoder):
    assert encoder.name == NAME
    assert encoder.options["path"] == NAME
    assert encoder.licence == "apache-2.0"


def test_it_expands_documents_and_weighs_queries(encoder):
    vectors = encoder.encode_documents(TEXTS)
    terms = {encoder.term(component) for component in vectors[[0]].indices}
    assert {"engine", "car"} <= terms
    assert terms & {"vehicle", "automobile", "motor", "vehicles"}
    assert vectors[[2]].nnz < 20
    queries = encoder.encode_queries(["why does my automobile fail"])
    assert 0 < queries.nnz <= 5


def test_one_pass_gives_both_vectors(encoder):
    vectors, dense = encoder.encode_joint(TEXTS)
    wanted = encoder.encode_documents(TEXTS)
    np.testing.assert_allclose(vectors.toarray(), wanted.toarray(), atol=1e-3)
    assert dense.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(dense, axis=1), 1, atol=1e-3)
    car = encoder.dense_side().encode_queries(["a broken vehicle"])[0]
    assert car @ dense[0] > car @ dense[1] + 0.15


def test_others_can_read_what_is_saved_of_it(encoder, tmp_path):
    from sentence_transformers import SparseEncoder

    encoder.save(tmp_path / "saved")
    other = SparseEncoder(str(tmp_path / "saved"))
    wanted = encoder.encode_documents(TEXTS[:2]).toarray()
    found = other.encode_document(TEXTS[:2], convert_to_sparse_tensor=False).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_packed_or_packed_again_it_is_the_same_encoder(encoder, tmp_path):
    encoder.save(tmp_path / "kept", packed=True)
    kept = load_encoder(tmp_path / "kept")
    assert kept.fingerprint == encoder.fingerprint
    assert kept.dense_side().fingerprint == encoder.dense_side().fingerprint
    encoder.save(tmp_path / "saved")
    assert load_encoder(tmp_path / "saved").fingerprint != encoder.fingerprint
    pack(tmp_path / "saved", tmp_path / "packed")
    assert load_encoder(tmp_path / "packed").fingerprint == encoder.fingerprint


def test_an_export_of_it_is_the_same_encoder(encoder, tmp_path):
    pytest.importorskip("onnx", reason="exports need the extra lexidex[onnx]")
    pytest.importorskip("onnxruntime", reason="exports need the extra lexidex[onnx]")
    with Collection.create(tmp_path / "made", NAME) as collection:
        collection.upsert([{"id": "0", "text": TEXTS[0]}])
    (made,) = export(NAME, tmp_path / "fast", TEXTS[:2])
    fast = load_encoder(tmp_path / "fast", backend="onnx")
    assert fast.fingerprint == encoder.fingerprint
    assert made.weights == fast.documents.model.digest
    assert fast.dense_side().fingerprint == encoder.dense_side().fingerprint
    arguments = ["index", "docs.jsonl", "--to", "made", "--encoder", "fast"]
    (tmp_path / "docs.jsonl").write_text(json.dumps({"id": "1", "text": TEXTS[1]}))
    command = [sys.executable, "-m", "lexidex", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(Collection.open(tmp_path / "made")) == 2


@pytest.mark.smoke
def test_a_collection_finds_by_meaning_and_searching_loads_no_model(tmp_path):
    write = (
        "from lexidex import Collection\n"
        f"collection = Collection.create({str(tmp_path / 'c')!r}, merge='off')\n"
        f"collection.upsert([{{'id': str(n), 'text': t}} for n, t in enumerate({TEXTS[:2]!r})])"
    )
    search = (
        "import json, sys\n"
        "from lexidex import Collection\n"
        f"hits = Collection.open({str(tmp_path / 'c')!r}).search('automobile').hits\n"
        "loaded = sorted({'torch', 'transformers'} & set(sys.modules))\n"
        "print(json.dumps([[hit.doc_id for hit in hits], loaded]))"
    )
    subprocess.run([sys.executable, "-c", write], check=True, timeout=300)
    done = subprocess.run(
        [sys.executable, "-c", search], check=True, timeout=300, capture_output=True, text=True
    )
    assert json.loads(done.stdout) == [["0"], []]


@pytest.mark.slow
def test_it_is_better_than_bm25_on_a_real_collection(data_folder, encoder, tmp_path):
    side = DenseSide.of("joint", encoder)
    folders = [data_folder / "collections" / "cranfield"]
    figures = run_effectiveness(
        folders, encoder, side, tmp_path / "made", record=Record({}, None), say=lambda _: None
    )
    found = {figure.system: figure.ndcg for figure in figures}
    assert found["sparse"] > found["bm25"] + 0.01
    assert found["hybrid"] > max(found["sparse"], found["dense"])
