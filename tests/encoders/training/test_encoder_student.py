"""Encoders as students: in training every family computes what it encodes."""

import numpy as np
import pytest
import torch

from lexidex.encoders import load_encoder
from lexidex.encoders.training.encoder_student import EncoderStudent
from lexidex.encoders.training.frozen_states import StateCache, cache_states
from lexidex.encoders.training.start import calibrate, freeze, make_start
from lexidex.encoders.transformer_layers import layers_of
from lexidex.errors import ParameterError

from .tiny import tiny_pairs, write_backbone

FAMILIES = ["splade", "splade-max", "splade-doc", "splade-lexical", "cls-mlm", "inference-free-v3"]
FAMILIES += ["unicoil", "tilde-v2", "deep-impact", "epic", "sparta", "efficient-splade"]
PAIRS = tiny_pairs(10)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture
def start(backbone, tmp_path):
    def make(preset, **options):
        torch.manual_seed(0)
        return make_start(preset, backbone, tmp_path / preset, PAIRS.documents, **options)

    return make


def dense(student, side, texts):
    with torch.no_grad():
        return getattr(student, side)(student.prepare(side, texts)).numpy()


@pytest.mark.parametrize("preset", FAMILIES)
def test_students_compute_what_encoders_encode(start, preset):
    encoder = start(preset)
    calibrate(encoder, PAIRS.documents, 0.3)
    student = EncoderStudent(encoder, dropout=False)
    student.read_words(PAIRS.documents)
    pruning = student.encoder.checkpoint.documents.recipe.pruning.top_k
    assert pruning is None or pruning > student.dim
    for side in ("queries", "documents"):
        texts = getattr(PAIRS, side)
        found, wanted = dense(student, side, texts), student.encode(side, texts).toarray()
        # Words of queries that no document says have no component.
        assert wanted.any() or (side == "queries" and student.encoder.vocabulary is not None)
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        assert student.training


@pytest.mark.parametrize("preset", FAMILIES)
def test_columns_are_those_of_the_whole(start, preset):
    student = EncoderStudent(start(preset), dropout=False)
    student.read_words(PAIRS.documents)
    columns = torch.randperm(student.dim)[:20]
    whole = dense(student, "documents", PAIRS.documents)
    with torch.no_grad():
        part = student.documents(student.prepare("documents", PAIRS.documents), columns)
    np.testing.assert_allclose(part, whole[:, columns], atol=1e-4)


@pytest.mark.parametrize("preset", FAMILIES)
def test_what_was_trained_is_saved(start, preset, tmp_path):
    encoder = start(preset)
    calibrate(encoder, PAIRS.documents, 0.3)
    student = EncoderStudent(encoder)
    student.read_words(PAIRS.documents)
    started = student.encode("documents", PAIRS.documents).toarray()
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-4)
    for _ in range(3):
        queries = student.queries(student.prepare("queries", PAIRS.queries))
        documents = student.documents(student.prepare("documents", PAIRS.documents))
        loss = (queries.sum(1) - 2).square().mean() + (documents.sum(1) - 3).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    student.save(tmp_path / "saved")
    loaded = load_encoder(tmp_path / "saved")
    for side in ("queries", "documents"):
        texts = getattr(PAIRS, side)
        found = getattr(loaded, f"encode_{side}")(texts).toarray()
        if side == "documents":
            assert not np.array_equal(found, started)
        np.testing.assert_allclose(found, student.encode(side, texts).toarray(), atol=1e-4)


@pytest.mark.parametrize("active", [0.02, 0.2])
def test_a_fresh_head_starts_with_a_share_of_all_terms(start, active):
    encoder = start("inference-free-v2")
    calibrate(encoder, PAIRS.documents, active)
    found = encoder.encode_documents(PAIRS.documents)
    assert found.nnz / found.shape[0] == pytest.approx(active * encoder.dim, rel=0.1, abs=1)
    assert found.max() < 5


@pytest.mark.parametrize("preset", ["unicoil", "deep-impact"])
def test_a_fresh_scalar_head_starts_with_all_terms_alike(start, preset):
    encoder = start(preset)
    calibrate(encoder, PAIRS.documents, 0.1)
    found = encoder.encode_documents(PAIRS.documents)
    assert (np.diff(found.indptr) >= 7).all()
    np.testing.assert_allclose(found.data, 1, atol=0.5)


def test_a_residual_head_begins_as_the_plain_one_and_is_saved(start, tmp_path):
    plain = start("inference-free-v2").encode_documents(PAIRS.documents).toarray()
    encoder = start("inference-free-v2", residual=24)
    np.testing.assert_array_equal(encoder.encode_documents(PAIRS.documents).toarray(), plain)
    student = EncoderStudent(encoder, dropout=False)
    residual = encoder.documents.module().network.residual
    torch.nn.init.normal_(residual[2].weight)
    changed = student.encode("documents", PAIRS.documents).toarray()
    assert not np.allclose(changed, plain, atol=0.1)
    np.testing.assert_allclose(dense(student, "documents", PAIRS.documents), changed, atol=1e-4)
    student.save(tmp_path / "saved")
    found = load_encoder(tmp_path / "saved").encode_documents(PAIRS.documents).toarray()
    np.testing.assert_allclose(found, changed, atol=1e-4)
    with pytest.raises(ParameterError, match="residual: only a masked language model's head"):
        start("unicoil", residual=24)


def test_layers_can_be_left_out_and_frozen(start):
    encoder = start("splade-max", layers=1)
    network = encoder.documents.module().network
    assert network.model.config.num_hidden_layers == 1
    freeze(encoder, 1)
    trained = [name for name, p in network.named_parameters() if p.requires_grad]
    assert trained
    assert all("predictions" in name for name in trained)
    with pytest.raises(ParameterError, match=r"frozen_layers: 2; the backbone has 1 layers"):
        freeze(encoder, 2)
    with pytest.raises(ParameterError, match=r"layers: 3; .* has 2"):
        start("unicoil", layers=3)


def test_frozen_states_are_computed_once(start):
    encoder = start("unicoil")
    with pytest.raises(ParameterError, match="the lowest 2 layers are still trained"):
        cache_states(encoder, 2)
    wanted = encoder.encode_documents(PAIRS.documents).toarray()
    freeze(encoder, 2)
    cache_states(encoder, 2)
    network = encoder.documents.module().network
    assert isinstance(network.states, StateCache)
    passed = []
    compute = network.states._compute
    network.states._compute = lambda ids, mask: passed.append(len(ids)) or compute(ids, mask)
    for texts in (PAIRS.documents, PAIRS.documents[::-1]):
        found = encoder.encode_documents(texts).toarray()
    np.testing.assert_allclose(found[::-1], wanted, atol=2e-3)
    # One by one: what a text's states are depends on no other.
    assert passed == [1] * len(PAIRS.documents)


def test_layers_above_kept_states_are_trained(start):
    encoder = start("splade-max")
    freeze(encoder, 1)
    student = EncoderStudent(encoder, dropout=False)
    batch = student.prepare("documents", PAIRS.documents)
    module = encoder.documents.module()

    def gradient():
        module.zero_grad()
        student.documents(batch).sum().backward()
        return layer.attention.self.query.weight.grad.clone()

    layer = layers_of(module.network.model.base_model)[1]
    wanted = gradient()
    cache_states(encoder, 1)
    for _ in range(2):  # computed, then kept
        np.testing.assert_allclose(gradient(), wanted, atol=3e-2 * float(wanted.abs().max()))
    assert encoder.documents.module().network.states._kept._bytes


def test_identity_layers_begin_by_handing_states_through(start):
    plain, encoder = start("splade-max", layers=1), start("splade-max")
    module = encoder.documents.module()
    calibrate(encoder, PAIRS.documents, 0.1, identity_layers=1)
    batch = EncoderStudent(encoder).prepare("documents", PAIRS.documents)
    network = module.network.eval()
    with torch.no_grad():
        found = network.states(batch["ids"], batch["mask"])[batch["mask"]]
        below = plain.documents.module().network.eval()
        wanted = below.states(batch["ids"], batch["mask"])[batch["mask"]]
    assert torch.nn.functional.cosine_similarity(found, wanted).min() > 0.999
    np.testing.assert_allclose(found.norm(dim=1) / wanted.norm(dim=1), 1, atol=0.1)


def test_a_frozen_table_stays(start):
    student = EncoderStudent(start("inference-free-v2"))
    student.freeze_table()
    queries = student.queries(student.prepare("queries", PAIRS.queries))
    assert not queries.requires_grad
    idf = student.idf(PAIRS.documents)
    counts = sum(("d3" in text.split()) for text in PAIRS.documents)
    place = student.encoder.component("d3")
    assert float(idf[place]) == pytest.approx(np.log1p((10 - counts + 0.5) / (counts + 0.5)))
