"""Layouts of published checkpoints beside sentence-transformers' and transformers' own."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from lexidex.encoders import load_encoder
from lexidex.encoders.checkpoint import read_checkpoint
from lexidex.errors import CorruptFile, EncoderNotFound, ParameterError, UnsupportedVersion

from .checkpoints import (
    POSITIONS,
    TEXTS,
    copy_of,
    random_model,
    write_json,
    write_modules,
    write_plain,
    write_sentence_transformers,
    write_table,
)
from .published import (
    vocabulary_of,
    write_adapter,
    write_bge_m3,
    write_opensearch,
    write_scalar,
    write_wide,
)
from .reference import reference_vectors

UNICOIL = {"tok_proj": 1}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A plain BERT; not to be changed."""
    return write_plain(tmp_path_factory.mktemp("plain"), "bert")


def by_position(folder, heads, text, names=("tok_proj",)):
    """Ids and weights of a text's positions: transformers and the formula."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    tokenizer = AutoTokenizer.from_pretrained(folder)
    given = tokenizer(text, truncation=True, max_length=POSITIONS, return_tensors="pt")
    model = BertModel(BertConfig.from_pretrained(folder)).eval()
    model.load_state_dict(
        random_model("bert", vocabulary_of(folder)).bert.state_dict(), strict=False
    )
    with torch.no_grad():
        states = model(**given).last_hidden_state[0]
        for number, name in enumerate(names):
            states = states.relu() if number else states
            states = states @ heads[f"{name}.weight"].T + heads[f"{name}.bias"]
    return given["input_ids"][0].tolist(), states[:, 0].relu().tolist()


# OpenSearch's raw layout.


@pytest.mark.parametrize("table", ["idf.json", "query_token_weights.txt"])
def test_opensearch_queries_are_the_table_s_weights(tmp_path, table):
    weights = write_opensearch(tmp_path / "raw", table)
    encoder = load_encoder(tmp_path / "raw", activation="relu")

    query = encoder.encode_queries(["The weather, the [MASK] weather"]).toarray()[0]
    found = {encoder.term(c): query[c] for c in np.flatnonzero(query)}
    assert found == pytest.approx({word: weights[word] for word in ("the", "weather", ",")})
    plain = write_plain(tmp_path / "plain", "distilbert")
    np.testing.assert_allclose(
        encoder.encode_documents(TEXTS).toarray(),
        load_encoder(plain).encode_documents(TEXTS).toarray(),
        atol=1e-6,
    )


def test_what_opensearch_s_files_do_not_tell_has_to_be_given(tmp_path):
    write_opensearch(tmp_path / "raw")
    with pytest.raises(ParameterError) as raised:
        load_encoder(tmp_path / "raw")
    assert str(raised.value) == (
        f"{tmp_path / 'raw'}: these files do not tell whether weights have one logarithm or two: "
        'give activation="relu" (OpenSearch\'s doc-v1 and doc-v2) or "log1p_relu" (doc-v3)'
    )
    by_name = load_encoder(tmp_path / "raw", preset="inference-free-v3")
    by_activation = load_encoder(tmp_path / "raw", activation="log1p_relu")
    assert by_name.checkpoint.documents.recipe == by_activation.checkpoint.documents.recipe


@pytest.mark.filterwarnings("ignore:Importing from 'sentence_transformers:DeprecationWarning")
def test_opensearch_s_raw_layout_is_saved_as_sentence_transformers_has_it(tmp_path):
    write_opensearch(tmp_path / "raw")
    encoder = load_encoder(tmp_path / "raw", activation="log1p_relu")
    encoder.save(tmp_path / "saved")

    assert load_encoder(tmp_path / "saved").fingerprint == encoder.fingerprint
    found = [encoder.encode_documents(TEXTS).toarray(), encoder.encode_queries(TEXTS).toarray()]
    documents, queries = reference_vectors(tmp_path / "saved", TEXTS)
    np.testing.assert_allclose(found[0], documents, atol=1e-4)
    np.testing.assert_allclose(found[1], queries, rtol=1e-6)


# Scalar heads.


@pytest.mark.parametrize("weights", ["bin", "safetensors"])
@pytest.mark.parametrize("prefix", ["coil_encoder.bert.", "bert."])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_unicoil_s_weights_are_found_under_its_names(tmp_path, weights, prefix, dtype):
    heads = write_scalar(tmp_path, UNICOIL, prefix=prefix, weights=weights, dtype=dtype)
    text = "the weather in New York, the rainy weather"
    encoder = load_encoder(tmp_path)

    ids, expected = by_position(tmp_path, heads, text)
    tolerance = 1e-5 if dtype == torch.float32 else 0.1
    document, query = (
        encode([text]).toarray()[0] for encode in (encoder.encode_documents, encoder.encode_queries)
    )
    for number in set(ids) - {2}:
        own = [w for i, w in zip(ids, expected, strict=True) if i == number]
        assert document[number] == pytest.approx(max(own), abs=tolerance)
        assert query[number] == pytest.approx(sum(own), abs=tolerance)
    assert document[2] == query[2] == 0  # [CLS]; [SEP] counts, as in Pyserini


def test_expansion_follows_the_text_once_and_without_what_it_has(tmp_path):
    heads = write_scalar(tmp_path, UNICOIL, prefix="coil_encoder.bert.", weights="bin")
    encoder = load_encoder(tmp_path, expansion_delimiter="\n---\n")

    given = "rainy today\n---\nweather today weather york"
    found = encoder.documents.tokens([given])[0]
    words = encoder.documents.tokenizer
    assert [words.token(i) for i in found.ids] == [
        *("[CLS]", "rainy", "today", "[SEP]", "weather", "york", "[SEP]")
    ]
    plain = load_encoder(tmp_path)
    assert encoder.fingerprint != plain.fingerprint
    assert (encoder.encode_documents(TEXTS) != plain.encode_documents(TEXTS)).nnz == 0
    long = encoder.documents.tokens(["the weather " * 90 + "\n---\n" + "query document " * 90])[0]
    assert len(long.ids) <= POSITIONS
    assert words.id("document") in long.ids
    assert heads


def test_deep_impact_has_two_maps_and_deeper_impact_one(tmp_path):
    text = "the weather is unknowable"
    for names in (["impact_score_encoder.0"], ["impact_score_encoder.0", "impact_score_encoder.3"]):
        folder = tmp_path / str(len(names))
        layers = dict(zip(names, [32, 1][-len(names) :], strict=True))
        heads = write_scalar(folder, layers, prefix="bert.")
        encoder = load_encoder(folder)
        row = encoder.encode_documents([text]).toarray()[0]

        _, weights = by_position(folder, heads, text, names)
        found = {encoder.term(c): row[c] for c in np.flatnonzero(row)}
        expected = dict(zip(text.split(), weights[1:], strict=False))
        assert found == pytest.approx({w: v for w, v in expected.items() if v > 0}, abs=1e-5)
        encoder.save(tmp_path / "saved")
        assert load_encoder(tmp_path / "saved").fingerprint == encoder.fingerprint


def test_expansion_adds_words(tmp_path):
    write_scalar(tmp_path, {"impact_score_encoder.0": 1}, prefix="bert.")
    encoder = load_encoder(tmp_path, expansion_delimiter="||")
    tokens = encoder.documents.tokens(["the weather || the rainy weather, york"])[0]
    assert encoder.vocabulary.terms == ["the", "weather", "rainy", "york"]
    assert sorted(tokens.terms[tokens.terms >= 0]) == [0, 1, 2, 3]


def test_bge_m3_s_sparse_head_goes_before_its_dense_modules(tmp_path):
    from transformers import AutoModel, AutoTokenizer

    head = write_bge_m3(tmp_path)
    encoder = load_encoder(tmp_path)
    text = "What's the weather in York? the weather!"

    given = AutoTokenizer.from_pretrained(tmp_path)(text, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(tmp_path).eval()(**given).last_hidden_state[0]
    expected = np.zeros(encoder.dim)
    weights = (states @ head["weight"][0] + head["bias"]).relu().tolist()
    for number, weight in zip(given["input_ids"][0].tolist(), weights, strict=True):
        if number > 3:  # <s>, <pad>, </s>, <unk>
            expected[number] = max(expected[number], weight)
    np.testing.assert_allclose(encoder.encode_documents([text]).toarray()[0], expected, atol=1e-4)
    np.testing.assert_allclose(encoder.encode_queries([text]).toarray()[0], expected, atol=1e-4)
    encoder.save(tmp_path / "saved")
    assert load_encoder(tmp_path / "saved").fingerprint == encoder.fingerprint


def test_a_scalar_head_without_its_bias_or_of_another_shape_is_refused(tmp_path):
    write_scalar(tmp_path / "wide", {"tok_proj": 3}, prefix="bert.", weights="bin")
    with pytest.raises(CorruptFile, match=r"a head of shape \(3, 32\); expected \(1, width\)"):
        load_encoder(tmp_path / "wide").encode_documents(["a"])
    write_bge_m3(tmp_path / "bge")
    torch.save({"weight": torch.zeros(1, 32)}, tmp_path / "bge" / "sparse_linear.pt")
    with pytest.raises(CorruptFile, match="a head without 'bias'"):
        load_encoder(tmp_path / "bge").encode_documents(["a"])


# LoRA.


@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}])
def test_an_adapter_is_merged_when_weights_load(plain, tmp_path, settings):
    changes = write_adapter(tmp_path / "adapter", plain, **settings)
    merged = copy_of(plain, tmp_path / "merged")
    model = random_model("bert", vocabulary_of(plain))
    with torch.no_grad():
        for name, change in changes.items():
            model.get_parameter(name).add_(change)
    model.save_pretrained(merged)
    encoder = load_encoder(tmp_path / "adapter")

    found = encoder.encode_documents(TEXTS).toarray()
    np.testing.assert_allclose(
        found, load_encoder(merged).encode_documents(TEXTS).toarray(), atol=1e-4
    )
    assert encoder.fingerprint != load_encoder(plain).fingerprint
    assert load_encoder("learned", **encoder.options).fingerprint == encoder.fingerprint
    encoder.save(tmp_path / "saved")
    again = load_encoder(tmp_path / "saved").encode_documents(TEXTS).toarray()
    np.testing.assert_allclose(again, found, atol=1e-6)


def test_the_model_under_an_adapter_may_lie_beside_it(plain, tmp_path):
    write_adapter(tmp_path / "adapter", plain)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    shutil.copytree(plain, tmp_path / "adapter" / "base")
    write_json(
        tmp_path / "adapter" / "adapter_config.json", config | {"base_model_name_or_path": "base"}
    )
    assert load_encoder(tmp_path / "adapter").encode_documents(["a"]).nnz


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"peft_type": "IA3"}, ParameterError, "IA3; only plain LoRA can be merged"),
        ({"use_dora": True}, ParameterError, "use_dora; only plain LoRA can be merged"),
        ({"base_model_name_or_path": None}, CorruptFile, "base_model_name_or_path: None"),
        ({"base_model_name_or_path": "./gone"}, EncoderNotFound, "gone"),
    ],
)
def test_adapters_of_other_kinds_are_refused(plain, tmp_path, settings, error, message):
    write_adapter(tmp_path / "adapter", plain, **settings)
    with pytest.raises(error, match=message):
        load_encoder(tmp_path / "adapter").encode_documents(["a"])


def test_an_adapter_of_another_model_is_refused(plain, tmp_path):
    write_adapter(tmp_path / "adapter", write_plain(tmp_path / "other", "distilbert"))
    with pytest.raises(
        CorruptFile, match=r"adapts 'bert\.encoder.*query', which the model does not"
    ):
        load_encoder(tmp_path / "adapter").encode_documents(["a"])


# Two checkpoints, one encoder.


@pytest.mark.filterwarnings("ignore:Importing from 'sentence_transformers:DeprecationWarning")
def test_a_query_model_of_another_folder_encodes_queries(plain, tmp_path):
    queries = write_plain(tmp_path / "queries", "distilbert", seed=7)
    encoder = load_encoder(plain, query_path=queries, max_length=40, query_max_length=9)
    expected = [
        load_encoder(plain, max_length=40).encode_documents(TEXTS).toarray(),
        load_encoder(queries, max_length=9).encode_queries(TEXTS).toarray(),
    ]

    found = [encoder.encode_documents(TEXTS).toarray(), encoder.encode_queries(TEXTS).toarray()]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert load_encoder("learned", **encoder.options).fingerprint == encoder.fingerprint
    encoder.save(tmp_path / "saved")
    assert load_encoder(tmp_path / "saved").fingerprint == encoder.fingerprint
    np.testing.assert_allclose(reference_vectors(tmp_path / "saved", TEXTS), found, atol=1e-4)


def test_checkpoints_of_different_vocabularies_are_not_joined(plain, tmp_path):
    other = write_plain(tmp_path / "other", "roberta")
    with pytest.raises(CorruptFile, match=r"documents have 191 terms, queries .* do not belong"):
        load_encoder(plain, query_path=other)


# What sentence-transformers' layout can say beside.


@pytest.mark.filterwarnings("ignore:Importing from 'sentence_transformers:DeprecationWarning")
def test_max_active_dims_are_applied_and_written(tmp_path):
    folder = write_sentence_transformers(tmp_path / "given")
    file = folder / "config_sentence_transformers.json"
    write_json(file, json.loads(file.read_text()) | {"max_active_dims": 11})
    encoder = load_encoder(folder)

    found = [encoder.encode_documents(TEXTS).toarray(), encoder.encode_queries(TEXTS).toarray()]
    assert (np.count_nonzero(found[0], axis=1) <= 11).all()
    np.testing.assert_allclose(found, reference_vectors(folder, TEXTS), atol=1e-4)
    load_encoder(folder, document_pruning="top_k=5", query_pruning="top_k=5").save(
        tmp_path / "saved"
    )
    assert not (tmp_path / "saved" / "lexidex_model.json").exists()
    documents, _ = reference_vectors(tmp_path / "saved", TEXTS)
    assert (np.count_nonzero(documents, axis=1) <= 5).all()


@pytest.mark.filterwarnings("ignore:Importing from 'sentence_transformers:DeprecationWarning")
def test_a_table_behind_a_model_leaves_the_text_s_own_tokens(tmp_path):
    folder = write_sentence_transformers(tmp_path)
    write_table(folder / "2_SparseStaticEmbedding")
    modules = [("", "Transformer"), ("1_SpladePooling", "SpladePooling")]
    modules.append(("2_SparseStaticEmbedding", "SparseStaticEmbedding"))
    dotted = {
        "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
        "SpladePooling": "sentence_transformers.sparse_encoder.modules.SpladePooling",
        "SparseStaticEmbedding": "sentence_transformers.sparse_encoder.modules."
        "SparseStaticEmbedding",
    }
    write_modules(folder, [(str(n), p, dotted[t]) for n, (p, t) in enumerate(modules)])
    encoder = load_encoder(folder)

    found = [encoder.encode_documents(TEXTS).toarray(), encoder.encode_queries(TEXTS).toarray()]
    np.testing.assert_allclose(found, reference_vectors(folder, TEXTS), atol=1e-4)
    encoder.save(tmp_path / "saved")
    assert load_encoder(tmp_path / "saved").fingerprint == encoder.fingerprint


# Presets over plain files, types of weights, wide vocabularies.


def test_a_preset_tells_how_plain_files_are_taken(plain):
    documents = load_encoder(plain).encode_documents(TEXTS)
    doc = load_encoder(plain, preset="splade-doc")
    assert (doc.encode_documents(TEXTS) != documents).nnz == 0
    assert set(doc.encode_queries(TEXTS).data) == {1}
    assert doc.fingerprint != load_encoder(plain).fingerprint
    lexical = load_encoder(plain, preset="splade-lexical").encode_queries(TEXTS)
    own = doc.encode_queries(["the weather in new york is rainy today, " * 40]).toarray()[0]
    np.testing.assert_allclose(lexical.toarray()[3], documents.toarray()[3] * own, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("weights", ["safetensors", "bin"])
def test_half_precision_weights_become_float32(plain, tmp_path, dtype, weights):
    folder = copy_of(plain, tmp_path / "half")
    model = random_model("bert", vocabulary_of(folder)).to(dtype)
    model.save_pretrained(folder)
    if weights == "bin":
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    rounded = copy_of(plain, tmp_path / "rounded")
    model.float().save_pretrained(rounded)

    found = load_encoder(folder).encode_documents(TEXTS)
    expected = load_encoder(rounded).encode_documents(TEXTS)
    np.testing.assert_allclose(found.toarray(), expected.toarray(), atol=1e-6)


def test_tables_of_bfloat16_are_read_without_torch(tmp_path):
    from safetensors.torch import save_file

    from lexidex.encoders.weights import read_tensor

    weights = torch.tensor([[1.5, -2.25, 0.007], [3e30, 0.0, 1.0]], dtype=torch.bfloat16)
    save_file({"other": torch.ones(3), "weight": weights}, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(read_tensor(tmp_path, "weight"), weights.float().numpy())


def test_a_multilingual_vocabulary(tmp_path):
    from transformers import AutoModelForMaskedLM

    encoder = load_encoder(write_wide(tmp_path))
    texts = ["w5 w250000 w77", "", "w4 " * 200]
    vectors = encoder.encode_documents(texts)

    model = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    for text, row in zip(texts, vectors, strict=False):
        ids = torch.tensor(encoder.documents.tokenizer.encode([text]))
        with torch.no_grad():
            weights = model(input_ids=ids).logits[0].relu().log1p().amax(0).numpy()
        np.testing.assert_allclose(row.toarray(), weights, atol=1e-4)
    assert encoder.dim == 250_002
    assert encoder.term(250_001) == "w250001"
    assert encoder.encode_documents(texts[:1]).nnz > 1000


# Our own layout.


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"version": 9}, UnsupportedVersion, "version 9; this Lexidex reads 0"),
        ({"documents": None}, CorruptFile, "a side is not described"),
        ({"queries": {"folder": "."}}, CorruptFile, "a side is not described: KeyError"),
        ({"documents": {"recipe": {"head": "gpt"}}}, CorruptFile, "head: 'gpt'; known are mlm"),
        (
            {"documents": {"recipe": {"neck": 1}}},
            CorruptFile,
            "neck: no part; known are activation",
        ),
        (
            {"documents": {"folder": "..", "recipe": {}, "table": None}},
            CorruptFile,
            "leads out of the folder",
        ),
        (
            {"documents": {"recipe": {"head": "mlm", "terms": "words"}}},
            CorruptFile,
            "terms: 'words'; head 'mlm' weighs tokens",
        ),
        (
            {"documents": {"recipe": {"head": "scalar", "pooling": "cls"}}},
            CorruptFile,
            "pooling: 'cls'; known are max, sum",
        ),
    ],
)
def test_a_description_that_is_unusable_says_why(plain, tmp_path, changes, error, message):
    load_encoder(plain, document_pruning="top_k=3").save(tmp_path / "saved")
    file = tmp_path / "saved" / "lexidex_model.json"
    write_json(file, json.loads(file.read_text()) | changes)
    with pytest.raises(error, match=message):
        read_checkpoint(tmp_path / "saved")


def test_sides_with_different_terms_do_not_belong_together(plain, tmp_path):
    load_encoder(plain, document_pruning="top_k=3").save(tmp_path / "saved")
    file = tmp_path / "saved" / "lexidex_model.json"
    described = json.loads(file.read_text())
    described["queries"]["recipe"] = {"head": "binary", "terms": "words"}
    write_json(file, described)
    with pytest.raises(ParameterError, match="documents have tokens for terms, queries words"):
        load_encoder(tmp_path / "saved")


def test_expansion_is_for_models_that_make_none(plain):
    with pytest.raises(ParameterError, match="expansion_delimiter: '##'; only models that weigh"):
        load_encoder(plain, expansion_delimiter="##")
