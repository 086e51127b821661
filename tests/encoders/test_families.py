"""Every published family: against its formula, in training, saved, and in a collection."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from lexidex import Collection
from lexidex.encoders import load_encoder
from lexidex.encoders.creation import create, idf_table
from lexidex.encoders.networks.side import collate
from lexidex.encoders.presets import PRESETS
from lexidex.errors import ParameterError

from .checkpoints import TEXTS, write_plain
from .formulas import ByHand, largest
from .reference import reference_vectors

WORDS = ("deep-impact", "deeper-impact", "deepct")

DISTINCT = list(
    {(p.documents, p.queries, p.separate): name for name, p in PRESETS.items()}.values()
)
"""One name for each pair of recipes."""


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A small masked language model; not to be changed."""
    return write_plain(tmp_path_factory.mktemp("backbone"), "bert")


@pytest.fixture(scope="module")
def folders(backbone, tmp_path_factory):
    """Folders with a model of a family by its name, made when asked for; not to be changed."""
    made = {}

    def folder(preset):
        if preset not in made:
            torch.manual_seed(1)
            made[preset] = tmp_path_factory.mktemp(preset)
            create(preset, backbone, made[preset], texts=TEXTS)
            unsettle(made[preset])
        return made[preset]

    return folder


def unsettle(folder):
    """Give linear maps a bias that makes about half of the positions count."""
    from safetensors.torch import load_file, save_file

    file = folder / "scalar_head.safetensors"
    if file.is_file():
        tensors = load_file(file)
        save_file({name: tensor * 3 for name, tensor in tensors.items()}, file)


@pytest.mark.parametrize("preset", [name for name in PRESETS if name not in WORDS])
def test_vectors_follow_the_formula(folders, preset):
    encoder, by_hand = load_encoder(folders(preset)), ByHand(folders(preset))
    formula = getattr(by_hand, preset.replace("-", "_"))
    documents, queries = zip(*map(formula, TEXTS), strict=True)

    found = encoder.encode_documents(TEXTS)
    np.testing.assert_allclose(found.toarray(), np.array(documents), atol=1e-4)
    assert found.has_canonical_format
    if queries[0] is not None:
        found = encoder.encode_queries(TEXTS)
        np.testing.assert_allclose(found.toarray(), np.array(queries), atol=1e-4)
    assert found.nnz


def test_tables_hold_inverse_document_frequencies(folders):
    encoder = load_encoder(folders("inference-free-v2"))
    tokens = [set(encoder.queries.tokenizer.pieces([text])[0]) for text in TEXTS]

    for text, query in zip(TEXTS, encoder.encode_queries(TEXTS).toarray(), strict=True):
        expected = np.zeros(encoder.dim)
        for token in set(encoder.queries.tokenizer.encode([text])[0]) - {1, 4}:
            df = sum(token in one for one in tokens)
            expected[token] = np.log1p((len(TEXTS) - df + 0.5) / (df + 0.5))
        np.testing.assert_allclose(query, expected, rtol=1e-5)


def test_tables_of_no_texts_weigh_every_word_alike(folders):
    words = load_encoder(folders("li-lsr")).queries.tokenizer
    table = idf_table([], words)
    assert set(table.tolist()) == {0, 1}
    assert np.flatnonzero(table == 0).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("preset", WORDS)
def test_words_are_weighed_by_their_first_piece(folders, preset):
    encoder, by_hand = load_encoder(folders(preset)), ByHand(folders(preset))
    formula = getattr(by_hand, preset.replace("-", "_"))
    texts = [text for text in TEXTS if text.isascii() and "[" not in text]

    for text, row in zip(texts, encoder.encode_documents(texts).toarray(), strict=True):
        found = {encoder.term(c): row[c] for c in np.flatnonzero(row)}
        expected = {word: weight for word, weight in formula(text).items() if weight > 0}
        assert found.keys() == expected.keys()
        np.testing.assert_allclose(
            [found[word] for word in expected], list(expected.values()), atol=1e-4
        )
    query = encoder.encode_queries(["The WEATHER, the unheard-of weather!"]).toarray()[0]
    assert {encoder.term(c): query[c] for c in np.flatnonzero(query)} == {"the": 1, "weather": 1}
    assert encoder.ignored_terms("The unheard-of weather") == ["unheard", "of"]


@pytest.mark.parametrize("preset", DISTINCT)
def test_training_and_encoding_are_one_computation(folders, preset):
    encoder = load_encoder(folders(preset))
    texts = [text for text in TEXTS if text]
    products = 1.0
    for side in (encoder.documents, encoder.queries):
        encoded = side.encode(texts)
        weights = side.module()(*collate(side.tokens(texts)), side.dim)
        np.testing.assert_allclose(encoded.toarray(), weights.detach(), atol=1e-4)
        products = products * weights
    products.sum().backward()
    for side in (encoder.documents, encoder.queries):
        gradients = [parameter.grad for parameter in side.module().parameters()]
        reached = [gradient for gradient in gradients if gradient is not None]
        assert bool(reached) == bool(gradients)
        assert all(torch.isfinite(gradient).all() for gradient in reached)


@pytest.mark.parametrize("preset", ["splade-max", "unicoil", "epic", "inference-free-v2", "sparta"])
def test_what_was_trained_is_what_is_saved(folders, tmp_path, preset):
    encoder = load_encoder(folders(preset))
    before = [encoder.encode_documents(TEXTS), encoder.encode_queries(TEXTS)]
    with torch.no_grad():
        for side in (encoder.documents, encoder.queries):
            for parameter in side.module().parameters():
                parameter.mul_(1.01)
    after = [encoder.encode_documents(TEXTS), encoder.encode_queries(TEXTS)]
    assert abs(after[0] - before[0]).max() > 1e-3

    encoder.save(tmp_path / "trained")

    again = load_encoder(tmp_path / "trained")
    assert again.fingerprint != load_encoder(folders(preset)).fingerprint
    for found, expected in zip(
        [again.encode_documents(TEXTS), again.encode_queries(TEXTS)], after, strict=True
    ):
        np.testing.assert_allclose(found.toarray(), expected.toarray(), atol=1e-4)


@pytest.mark.parametrize("preset", DISTINCT)
def test_a_family_is_saved_and_is_the_same_again(folders, tmp_path, preset):
    encoder = load_encoder(folders(preset))
    documents, queries = encoder.encode_documents(TEXTS), encoder.encode_queries(TEXTS)
    encoder.save(tmp_path / "saved")

    again = load_encoder(tmp_path / "saved")
    assert again.fingerprint == encoder.fingerprint
    assert (again.encode_documents(TEXTS) != documents).nnz == 0
    assert (again.encode_queries(TEXTS) != queries).nnz == 0


@pytest.mark.parametrize(
    "preset", ["splade", "splade-doc", "splade-lexical", "efficient-splade", "inference-free-v3"]
)
@pytest.mark.filterwarnings("ignore:Importing from 'sentence_transformers:DeprecationWarning")
def test_sentence_transformers_loads_what_it_has_modules_for(folders, preset):
    encoder = load_encoder(folders(preset))
    found = [encoder.encode_documents(TEXTS).toarray(), encoder.encode_queries(TEXTS).toarray()]
    np.testing.assert_allclose(found, reference_vectors(folders(preset), TEXTS), atol=1e-4)


@pytest.mark.parametrize("preset", DISTINCT)
def test_a_family_indexes_searches_and_explains(folders, tmp_path, preset):
    texts = {str(n): text for n, text in enumerate(TEXTS)}
    collection = Collection.create(tmp_path, encoder=str(folders(preset)), passages="truncate")
    collection.upsert({"id": name, "text": text} for name, text in texts.items())
    collection = Collection.open(tmp_path)
    encoder = collection.encoder

    query = "the weather in York"
    weights = encoder.encode_queries([query])
    scores = (encoder.encode_documents(list(texts.values())) @ weights.T).toarray()[:, 0]
    found = {hit.doc_id: hit.score for hit in collection.search(query).hits}
    expected = {name: s for name, s in zip(texts, scores, strict=True) if s > 0}
    assert found == pytest.approx(expected, rel=1e-4)
    for name in list(found)[:2]:
        explanation = collection.explain(query, name)
        assert explanation.score == pytest.approx(found[name], rel=1e-4)
        assert sum(term.product for term in explanation.terms) == pytest.approx(
            found[name], rel=1e-4
        )


def test_unknown_presets_are_refused(backbone, tmp_path):
    with pytest.raises(ParameterError, match="preset: 'colbert'; known are splade, splade-max"):
        create("colbert", backbone, tmp_path / "new")
    with pytest.raises(ParameterError, match="is the backbone's own folder"):
        create("splade", backbone, backbone)
    with pytest.raises(ParameterError, match="preset: 'colbert'; known are"):
        load_encoder(backbone, preset="colbert")
    with pytest.raises(ParameterError, match="has no table of query weights"):
        load_encoder(backbone, preset="li-lsr")


def test_pruning_is_an_option_of_either_side(backbone):
    whole = load_encoder(backbone)
    pruned = load_encoder(backbone, document_pruning={"top_k": 9}, query_pruning="max_ratio=0.5")

    for found, expected in ((pruned.encode_documents(TEXTS), whole.encode_documents(TEXTS)),):
        for row, before in zip(found.toarray(), expected.toarray(), strict=True):
            np.testing.assert_allclose(row, largest(before, 9), atol=1e-6)
    query, before = pruned.encode_queries(TEXTS[3:4]), whole.encode_queries(TEXTS[3:4])
    assert query.data.min() >= 0.5 * query.data.max()
    assert query.nnz == (before.data >= 0.5 * before.data.max()).sum()
    assert pruned.options["query_pruning"] == {"max_ratio": 0.5}
    assert pruned.fingerprint != whole.fingerprint
    assert load_encoder("learned", **pruned.options).fingerprint == pruned.fingerprint


@pytest.mark.parametrize("architecture", ["distilbert", "roberta", "modernbert"])
@pytest.mark.parametrize("preset", ["splade-max", "unicoil", "sparta", "deep-impact"])
def test_families_stand_on_any_backbone(tmp_path, architecture, preset):
    create(preset, write_plain(tmp_path / "backbone", architecture), tmp_path / "made")
    encoder = load_encoder(tmp_path / "made")
    for side in (encoder.documents, encoder.queries):
        encoded = side.encode(TEXTS[:1])
        weights = side.module()(*collate(side.tokens(TEXTS[:1]), 1), side.dim)
        np.testing.assert_allclose(encoded.toarray(), weights.detach(), atol=1e-4)


def test_a_backbone_without_a_head_gets_a_new_one(backbone, tmp_path):
    from transformers import AutoModel

    shutil.copytree(backbone, tmp_path / "bare")
    AutoModel.from_pretrained(backbone).save_pretrained(tmp_path / "bare")
    with pytest.raises(ParameterError, match=r"weights are missing: cls\.predictions"):
        load_encoder(tmp_path / "bare")
    create("epic", tmp_path / "bare", tmp_path / "made", max_length=20)
    encoder = load_encoder(tmp_path / "made")
    assert encoder.encode_documents(TEXTS).nnz
    assert encoder.max_tokens == 18


def test_encoding_in_the_midst_of_training_drops_nothing_out(folders):
    encoder = load_encoder(folders("epic"))
    before = [encoder.encode_documents(TEXTS), encoder.encode_queries(TEXTS)]
    module = encoder.documents.module().train()
    after = [encoder.encode_documents(TEXTS), encoder.encode_queries(TEXTS)]
    assert all((a != b).nnz == 0 for a, b in zip(after, before, strict=True))
    assert module.network.model.training
