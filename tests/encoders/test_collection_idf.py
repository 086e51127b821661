"""Query weights that depend on the collection, against the formula."""

from __future__ import annotations

import numpy as np
import pytest

from lexidex import Collection
from lexidex.commands.target import check_same
from lexidex.encoders import load_encoder
from lexidex.encoders.collection_idf import IDF_FILE, write_trained_idf
from lexidex.encoders.creation import create
from lexidex.encoders.training.start import calibrate
from lexidex.encoding import encode_files
from lexidex.errors import CorruptFile, EncoderMismatch, ParameterError

from .training.tiny import tiny_pairs, write_backbone

PAIRS = tiny_pairs(30)


@pytest.fixture
def model(tmp_path):
    """A small inference-free model that knows the frequencies of its training documents."""
    backbone = write_backbone(tmp_path / "backbone")
    create("inference-free-v2", backbone, tmp_path / "start", texts=PAIRS.documents)
    encoder = load_encoder(tmp_path / "start")
    calibrate(encoder, PAIRS.documents, 0.05)
    encoder.save(tmp_path / "model")
    saved = load_encoder(tmp_path / "model")
    trained = np.random.default_rng(0).uniform(0, 8, saved.dim).astype(np.float32)
    write_trained_idf(saved.checkpoint.queries.table, trained)
    return tmp_path / "model", trained


def test_weights_follow_the_collection_searched(model, tmp_path):
    folder, trained = model
    encoder = load_encoder(folder, collection_idf=0.5)
    documents = [{"id": str(n), "text": text} for n, text in enumerate(PAIRS.documents)]
    collection = Collection.create(tmp_path / "collection", encoder=encoder)
    collection.upsert(documents[:20])
    collection.upsert(documents[20:])
    query = PAIRS.documents[0]
    vectors = encoder.encode_documents(PAIRS.documents)
    df = np.bincount(vectors.indices, minlength=encoder.dim)
    idf = np.log(1 + (30 - df + 0.5) / (df + 0.5))
    plain = load_encoder(folder).encode_queries([query])
    factors = np.sqrt(np.maximum(idf, 0.05) / np.maximum(trained, 0.3))
    wanted = (vectors @ (plain.toarray()[0] * factors)).astype(np.float32)
    result = collection.search(query, k=30, exact=True)
    found = {hit.doc_id: hit.score for hit in result.hits}
    assert found
    for doc_id, score in found.items():
        assert score == pytest.approx(wanted[int(doc_id)], rel=1e-4)
    best = result.hits[0]
    explained = collection.explain(query, best.doc_id)
    assert sum(term.product for term in explained.terms) == pytest.approx(best.score, rel=1e-4)
    # Without documents that bind it, an encoder weighs as its table says.
    np.testing.assert_array_equal(encoder.encode_queries([query]).toarray(), plain.toarray())


def test_saving_keeps_how_weights_follow(model, tmp_path):
    folder, trained = model
    load_encoder(folder, collection_idf=0.25).save(tmp_path / "saved")
    again = load_encoder(tmp_path / "saved")
    assert again.checkpoint.queries.recipe.collection_idf == 0.25
    np.testing.assert_array_equal(again.queries.collection_idf.trained, trained)
    assert load_encoder(tmp_path / "saved", collection_idf=0).queries.collection_idf is None


def test_how_far_weights_follow_is_the_collection_s_for_good(model, tmp_path):
    folder, _ = model
    half = load_encoder(folder, collection_idf=0.5)
    collection = Collection.create(tmp_path / "collection", encoder=half)
    with pytest.raises(ParameterError, match=r"collection_idf 1; this collection has 0\.5"):
        collection.reencode(load_encoder(folder, collection_idf=1))
    source = tmp_path / "queries.jsonl"
    source.write_text('{"_id": "1", "text": "d1 d2"}')
    with pytest.raises(ParameterError, match="weights of queries depend on the collection"):
        encode_files([source], tmp_path / "q.parquet", half, side="queries")


def test_what_cannot_follow_is_named(model, tmp_path):
    folder, _ = model
    with pytest.raises(ParameterError, match=r"collection_idf: 2; expected a number from 0 to 1"):
        load_encoder(folder, collection_idf=2)
    (folder / "query_0_SparseStaticEmbedding" / IDF_FILE).write_bytes(b"no")
    with pytest.raises(CorruptFile, match=IDF_FILE):
        load_encoder(folder, collection_idf=0.5)
    (folder / "query_0_SparseStaticEmbedding" / IDF_FILE).unlink()
    with pytest.raises(ParameterError, match=f"lacks {IDF_FILE}"):
        load_encoder(folder, collection_idf=0.5)
    backbone = write_backbone(tmp_path / "other")
    create("splade-max", backbone, tmp_path / "both")
    with pytest.raises(ParameterError, match="only weights from a table are drawn"):
        load_encoder(tmp_path / "both", collection_idf=0.5)


def test_documents_are_not_added_as_if_queries_were_weighed_otherwise(model, tmp_path):
    folder, _ = model
    collection = Collection.create(tmp_path / "collection", load_encoder(folder, collection_idf=1))
    check_same(tmp_path, collection, load_encoder(folder, collection_idf=1.0))
    for options, told in (({"collection_idf": 0.5}, "0.5"), ({}, "its default")):
        with pytest.raises(EncoderMismatch, match=rf"with collection_idf 1, not {told}; leave"):
            check_same(tmp_path, collection, load_encoder(folder, **options))
