"""Sparse and dense vectors in one pass, against each of the two models alone."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

from lexidex import Collection
from lexidex.dense_side import DenseSide
from lexidex.encoders import load_encoder
from lexidex.encoders.dense_model import DenseModelEncoder
from lexidex.encoders.joint import write_joint
from lexidex.encoders.layouts import own
from lexidex.encoders.training.start import calibrate, make_start
from lexidex.encoders.transformer_layers import layers_of
from lexidex.errors import CorruptFile, EncoderMismatch, ParameterError
from lexidex.importing import Export

from .training.tiny import tiny_pairs, write_backbone

PAIRS = tiny_pairs(30)
TEXTS = [*PAIRS.documents, ""]


@pytest.fixture
def joint(tmp_path):
    """A joint model's folder, and the dense model that it is made of."""
    dense = write_backbone(tmp_path / "sentence-encoder", layers=4)
    start = make_start("inference-free-v2", dense, tmp_path / "start", PAIRS.documents, layers=2)
    calibrate(start, PAIRS.documents, 0.05, identity_layers=1)
    start.save(tmp_path / "joint")
    encoder = load_encoder(tmp_path / "joint")
    spec = write_joint(tmp_path / "joint", dense, 1)
    sides = encoder.checkpoint.documents, encoder.checkpoint.queries
    own.write_description(tmp_path / "joint", *sides, spec)
    return tmp_path / "joint", DenseModelEncoder(dense, pooling="mean")


def unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def test_both_vectors_are_those_of_the_models_alone(joint):
    folder, dense = joint
    encoder = load_encoder(folder)
    vectors, found = encoder.encode_joint(TEXTS)
    wanted = load_encoder(folder).encode_documents(TEXTS)
    np.testing.assert_allclose(vectors.toarray(), wanted.toarray(), atol=1e-4)
    np.testing.assert_allclose(found, unit(dense.encode_documents(TEXTS)), atol=1e-4)
    side = encoder.dense_side()
    np.testing.assert_allclose(side.encode_queries(TEXTS), found, atol=1e-4)
    np.testing.assert_allclose(side.encode_documents(TEXTS), found, atol=1e-4)
    assert (side.dim, side.metric) == (found.shape[1], "cosine")


def test_saving_takes_the_dense_model_along(joint, tmp_path):
    folder, _ = joint
    encoder = load_encoder(folder)
    encoder.save(tmp_path / "saved")
    again = load_encoder(tmp_path / "saved")
    assert again.dense_side().fingerprint == encoder.dense_side().fingerprint
    np.testing.assert_array_equal(again.encode_joint(TEXTS)[1], encoder.encode_joint(TEXTS)[1])


def test_a_collection_encodes_each_text_once(joint, tmp_path):
    folder, dense = joint
    collection = Collection.create(tmp_path / "collection", encoder=str(folder), dense="joint")
    encoder = collection.encoder
    network = encoder.documents.module().network
    passed = []
    network.model.base_model.register_forward_hook(lambda *_: passed.append(1))
    documents = [{"id": str(n), "text": text} for n, text in enumerate(PAIRS.documents)]
    collection.upsert(documents)
    first = len(passed)
    encoder.encode_documents(PAIRS.documents)
    assert len(passed) == 2 * first  # as many passes as sparse vectors alone take
    wanted = unit(dense.encode_documents(PAIRS.documents))
    query = PAIRS.documents[3]
    found = Collection.open(tmp_path / "collection").search(query, k=30, mode="dense")
    assert found.hits[0].doc_id == "3"
    for hit in found.hits:
        assert hit.score == pytest.approx(wanted[3] @ wanted[int(hit.doc_id)], abs=1e-4)
    assert collection.search(query, mode="hybrid").hits[0].doc_id == "3"


def test_another_encoder_cannot_take_the_dense_side_over(joint, tmp_path):
    folder, _ = joint
    documents = [{"id": str(n), "text": text} for n, text in enumerate(PAIRS.documents)]
    collection = Collection.create(tmp_path / "collection", encoder=str(folder), dense="joint")
    collection.upsert(documents)
    for change in (
        lambda: collection.reencode("bm25"),
        lambda: collection.reencode(str(tmp_path / "start")),
        lambda: collection.replace(documents, "bm25"),
    ):
        with pytest.raises(ParameterError, match="are its present encoder's own"):
            change()
    assert len(Collection.open(tmp_path / "collection")) == len(documents)
    collection.export(tmp_path / "exported.parquet")
    again = Collection.from_export(tmp_path / "exported.parquet", tmp_path / "again")
    wanted = collection.search(PAIRS.documents[3], mode="dense")
    found = again.search(PAIRS.documents[3], mode="dense")
    assert [(hit.doc_id, hit.score) for hit in found] == [(h.doc_id, h.score) for h in wanted]
    export = Export(tmp_path / "exported.parquet")
    assert export.dense_side(load_encoder(folder)).kind == "joint"
    side = export.dense_side(load_encoder("bm25"))
    beside = Collection.create(tmp_path / "beside", "bm25", dense=side)
    beside.upsert(export.documents())
    found = beside.search(PAIRS.documents[3], mode="dense")
    assert {hit.doc_id: hit.score for hit in found} == pytest.approx(
        {hit.doc_id: hit.score for hit in wanted}, abs=1e-5
    )
    collection.replace(documents[:5])
    assert collection.search(PAIRS.documents[3], mode="dense").hits[0].doc_id == "3"


def test_the_dense_side_alone_stands_beside_another_encoder(joint, tmp_path):
    folder, dense = joint
    collection = Collection.create(tmp_path / "collection", "bm25", dense=str(folder))
    collection.upsert([{"id": str(n), "text": text} for n, text in enumerate(PAIRS.documents)])
    wanted = unit(dense.encode_documents(PAIRS.documents))
    again = Collection.open(tmp_path / "collection")
    for hit in again.search(PAIRS.documents[3], k=30, mode="dense"):
        assert hit.score == pytest.approx(wanted[3] @ wanted[int(hit.doc_id)], abs=1e-4)
    assert again.search(PAIRS.documents[3], mode="hybrid").hits[0].legs.keys() == {
        "sparse",
        "dense",
    }
    collection.reencode(str(tmp_path / "start"))
    assert collection.search(PAIRS.documents[3], mode="dense").hits[0].doc_id == "3"


def test_a_joint_model_named_twice_is_one(joint):
    folder, _ = joint
    named = DenseSide.of(str(folder), load_encoder(folder))
    assert named.describe() == DenseSide.of("joint", load_encoder(folder)).describe()
    assert DenseSide.of(str(folder), load_encoder("bm25")).describe() != named.describe()


def test_a_changed_dense_model_is_another_one(joint, tmp_path):
    folder, _ = joint
    collection = Collection.create(tmp_path / "collection", encoder=str(folder), dense="joint")
    collection.upsert([{"id": "a", "text": PAIRS.documents[0]}])
    write_joint(folder, write_backbone(tmp_path / "other", layers=4, seed=1), 1)
    with pytest.raises(EncoderMismatch, match="made with a dense encoder of fingerprint"):
        Collection.open(tmp_path / "collection")


def test_what_cannot_be_joined_is_named(joint, tmp_path):
    folder, _ = joint
    plain = load_encoder(tmp_path / "start")
    with pytest.raises(ParameterError, match="has no dense side of its own"):
        plain.encode_joint(TEXTS)
    with pytest.raises(ParameterError, match="has no dense side of its own"):
        Collection.create(tmp_path / "a", encoder=plain, dense="joint")
    with pytest.raises(ParameterError, match="encoder bm25 has no dense side of its own"):
        Collection.create(tmp_path / "b", encoder="bm25", dense="joint")
    with pytest.raises(ParameterError, match=r"shared_layers: 4; .* has 4 layers"):
        write_joint(tmp_path / "start", tmp_path / "sentence-encoder", 4)
    described = json.loads((folder / "lexidex_model.json").read_text())
    for wrong in (0, "1", None):
        described["joint"]["shared_layers"] = wrong
        (folder / "lexidex_model.json").write_text(json.dumps(described))
        with pytest.raises(CorruptFile, match="shared_layers"):
            load_encoder(folder)
    described["joint"]["shared_layers"] = 3
    (folder / "lexidex_model.json").write_text(json.dumps(described))
    with pytest.raises(CorruptFile, match="shares 3 layers of a model that has 2"):
        load_encoder(folder).encode_joint(TEXTS)


def test_models_can_be_copied_after_a_pass_and_follow_it(joint):
    folder, _ = joint
    encoder = load_encoder(folder)
    wanted = encoder.encode_joint(TEXTS)[1]
    network = encoder.documents.module().network
    pickle.loads(pickle.dumps(copy.deepcopy(network.model)))
    np.testing.assert_array_equal(encoder.encode_joint(TEXTS)[1], wanted)


def test_a_dense_vector_alone_takes_the_shared_layers_and_no_more(joint):
    encoder = load_encoder(joint[0])
    side = encoder.dense_side()
    wanted = side.encode_documents(TEXTS)
    own = layers_of(encoder.documents.module().network.model.base_model)[1]
    passed = []
    own.register_forward_hook(lambda *_: passed.append(1))
    np.testing.assert_array_equal(side.encode_queries(TEXTS), wanted)
    assert not passed
    with side.keeping():
        encoder.draft_documents(TEXTS[:3])
        assert passed
        passed.clear()
        found = side.encode_documents([TEXTS[2], TEXTS[0], TEXTS[2], TEXTS[5]])
    np.testing.assert_allclose(found, wanted[[2, 0, 2, 5]], atol=1e-6)
    assert not side.is_kept
