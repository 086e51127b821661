"""Encoders on masked language models, against sentence-transformers on the same folders."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lexidex.encoders import load_encoder
from lexidex.encoders.networks.masked_lm import MaskedLMNetwork
from lexidex.errors import CorruptFile, EncoderNotFound, ParameterError

from .checkpoints import (
    POSITIONS,
    TEXTS,
    copy_of,
    only_word_list,
    random_model,
    write_asym,
    write_json,
    write_model_config,
    write_modules,
    write_plain,
    write_pooling,
    write_router,
    write_sentence_transformers,
)
from .reference import reference_vectors

pytestmark = pytest.mark.filterwarnings(
    "ignore:Importing from 'sentence_transformers:DeprecationWarning"
)

PROMPTS = {"query": "query: ", "document": "the weather ", "passage": "never used"}

LAYOUTS = {
    "plain bert": lambda to: write_plain(to, "bert"),
    "plain bert .bin": lambda to: write_plain(to, "bert", weights="bin"),
    "plain distilbert": lambda to: write_plain(to, "distilbert"),
    "plain roberta": lambda to: write_plain(to, "roberta"),
    "plain electra": lambda to: write_plain(to, "electra"),
    "plain modernbert": lambda to: write_plain(to, "modernbert"),
    "new names": write_sentence_transformers,
    "old names, no activation": lambda to: write_sentence_transformers(
        to, "distilbert", names="old", activation=None
    ),
    "sum, prompts": lambda to: write_sentence_transformers(to, pooling="sum", prompts=PROMPTS),
    "log1p_relu, short, roberta": lambda to: write_sentence_transformers(
        to, "roberta", activation="log1p_relu", max_seq_length=20
    ),
    "sum, log1p_relu, cased": lambda to: write_sentence_transformers(
        to, pooling="sum", activation="log1p_relu", names="old", do_lower_case=True
    ),
    "lengths of their own": lambda to: write_sentence_transformers(
        to, query_length=8, document_length=30
    ),
    "router": write_router,
    "router, old names": lambda to: write_router(to, names="old", activation="relu"),
    "router, former name": lambda to: write_router(to, router="Asym"),
    "router, former name and file": write_asym,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders by the name of their layout; made when asked for, not to be changed."""
    made = {}

    def folder(layout: str) -> Path:
        if layout not in made:
            made[layout] = LAYOUTS[layout](tmp_path_factory.mktemp("checkpoint"))
        return made[layout]

    return folder


@pytest.fixture
def bert(folders, tmp_path):
    """A plain checkpoint that a test may change."""
    return copy_of(folders("plain bert"), tmp_path / "bert")


def dense(vectors):
    assert vectors.dtype == np.float32
    assert vectors.has_canonical_format
    assert (vectors.data > 0).all()
    return vectors.toarray()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_vectors_equal_those_of_sentence_transformers(folders, layout):
    encoder = load_encoder(folders(layout))

    documents, queries = reference_vectors(folders(layout), TEXTS)
    assert encoder.dim == documents.shape[1]
    np.testing.assert_allclose(dense(encoder.encode_documents(TEXTS)), documents, atol=1e-4)
    np.testing.assert_allclose(dense(encoder.encode_queries(TEXTS)), queries, atol=1e-4)


def test_a_word_list_makes_the_same_tokenizer(folders, bert):
    only_word_list(bert)

    expected = load_encoder(folders("plain bert")).encode_documents(TEXTS)
    found = load_encoder(bert).encode_documents(TEXTS)
    np.testing.assert_allclose(found.toarray(), expected.toarray(), atol=1e-6)


def test_a_query_model_beside_the_document_model_encodes_queries(folders, bert, tmp_path):
    write_plain(bert / "query", "bert", seed=5)
    encoder = load_encoder(bert)

    alone = load_encoder(bert / "query").encode_queries(TEXTS)
    np.testing.assert_allclose(encoder.encode_queries(TEXTS).toarray(), alone.toarray(), atol=1e-6)
    documents = load_encoder(folders("plain bert")).encode_documents(TEXTS).toarray()
    np.testing.assert_allclose(encoder.encode_documents(TEXTS).toarray(), documents, atol=1e-6)
    encoder.save(tmp_path / "saved")
    saved = reference_vectors(tmp_path / "saved", TEXTS)
    np.testing.assert_allclose(saved, [documents, alone.toarray()], atol=1e-4)


def test_weights_divided_among_files_are_read_together(folders, bert, tmp_path):
    (bert / "model.safetensors").unlink()
    random_model("bert", 191).save_pretrained(bert, max_shard_size="20KB")
    encoder = load_encoder(bert)
    encoder.save(tmp_path / "saved")

    assert load_encoder(tmp_path / "saved").fingerprint == encoder.fingerprint
    expected = load_encoder(folders("plain bert")).encode_documents(TEXTS)
    found = encoder.encode_documents(TEXTS)
    np.testing.assert_allclose(found.toarray(), expected.toarray(), atol=1e-6)
    parts = sorted(bert.glob("model-*.safetensors"))
    assert len(parts) > 1
    parts[0].unlink()
    with pytest.raises(CorruptFile, match=f"names {parts[0].name}, which is not there"):
        load_encoder(bert)


@pytest.mark.parametrize("batch_tokens", [1, 70, 100_000])
def test_batches_do_not_change_vectors(folders, batch_tokens):
    whole = load_encoder(folders("plain bert")).encode_documents(TEXTS)
    found = load_encoder(folders("plain bert"), batch_tokens=batch_tokens).encode_documents(TEXTS)

    np.testing.assert_allclose(found.toarray(), whole.toarray(), atol=1e-4)


def test_the_order_of_texts_does_not_change_vectors(folders):
    encoder = load_encoder(folders("plain bert"))
    order = np.random.default_rng(0).permutation(len(TEXTS))

    shuffled = encoder.encode_documents([TEXTS[i] for i in order]).toarray()
    in_order = encoder.encode_documents(TEXTS).toarray()
    np.testing.assert_allclose(shuffled, in_order[order], atol=1e-4)


def test_texts_are_cut_off_at_the_length_asked_for(folders):
    encoder = load_encoder(folders("plain bert"), max_length=12, query_max_length=6)
    text = "the weather in new york is rainy today the weather in new york"

    cut, first = encoder.encode_documents([text, " ".join(text.split()[:10])]).toarray()
    np.testing.assert_allclose(cut, first, atol=1e-4)
    query, first = encoder.encode_queries([text, " ".join(text.split()[:4])]).toarray()
    np.testing.assert_allclose(query, first, atol=1e-4)
    whole = load_encoder(folders("plain bert")).encode_documents([text]).toarray()
    assert np.abs(whole - cut).max() > 1e-3


def test_no_texts_give_no_vectors(folders):
    encoder = load_encoder(folders("plain bert"))

    assert encoder.encode_documents([]).shape == (0, encoder.dim)


def test_a_text_that_is_not_valid_unicode_is_encoded_all_the_same(folders):
    assert load_encoder(folders("plain bert")).encode_documents(["weather \ud800"]).nnz > 0


def test_terms_and_components_are_one_to_one(folders):
    encoder = load_encoder(folders("plain bert"))

    for component in range(encoder.dim):
        assert encoder.component(encoder.term(component)) == component
    assert encoder.component("no such term") is None


def test_rows_beyond_the_tokenizer_are_terms_without_a_word(bert):
    config = json.loads((bert / "config.json").read_text())
    rounded = config["vocab_size"] + 9
    random_model("bert", rounded).save_pretrained(bert)

    encoder = load_encoder(bert)
    assert encoder.dim == rounded
    assert encoder.term(rounded - 1) == f"<{rounded - 1}>"
    documents, _ = reference_vectors(bert, TEXTS)
    np.testing.assert_allclose(encoder.encode_documents(TEXTS).toarray(), documents, atol=1e-4)


@pytest.mark.parametrize(
    ("layout", "options"),
    [
        ("plain roberta", {}),
        ("plain bert .bin", {"activation": "log1p_relu", "pooling": "sum", "max_length": 9}),
        ("sum, prompts", {"pooling": "max", "query_max_length": 7}),
        ("lengths of their own", {"max_length": 12}),
        ("router", {"query_max_length": 5, "activation": "relu"}),
    ],
)
def test_a_saved_encoder_loads_here_and_in_sentence_transformers(
    folders, tmp_path, layout, options
):
    encoder = load_encoder(folders(layout), **options)
    encoder.save(tmp_path / "saved")

    again = load_encoder(tmp_path / "saved")
    assert again.fingerprint == encoder.fingerprint
    vectors = [encoder.encode_documents(TEXTS).toarray(), encoder.encode_queries(TEXTS).toarray()]
    np.testing.assert_allclose(again.encode_documents(TEXTS).toarray(), vectors[0], atol=1e-6)
    np.testing.assert_allclose(reference_vectors(tmp_path / "saved", TEXTS), vectors, atol=1e-4)


def test_saving_leaves_other_files_behind(bert, tmp_path):
    write_plain(bert / "checkpoint-100", "bert", seed=1)
    (bert / "training_args.bin").write_bytes(b"pickle")
    (bert / "README.md").write_text("---\nlicense: mit\n---\n")

    load_encoder(bert).save(tmp_path / "saved")

    assert {file.name for file in (tmp_path / "saved").iterdir()} == {
        "1_SpladePooling",
        "README.md",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_saving_over_its_own_folder_brings_the_settings_up_to_date(bert):
    encoder = load_encoder(bert, activation="log1p_relu")
    encoder.save(bert)

    assert load_encoder(bert).fingerprint == encoder.fingerprint


@pytest.mark.parametrize("layout", ["plain bert", "sum, prompts", "router"])
def test_options_make_the_same_encoder_again(folders, layout, monkeypatch):
    folder = folders(layout)
    monkeypatch.chdir(folder.parent)
    encoder = load_encoder(folder.name, activation="log1p_relu", max_length=20, batch_tokens=99)

    again = load_encoder(encoder.kind, **json.loads(json.dumps(encoder.options)))

    assert encoder.options["path"] == str(folder)
    assert again.options == encoder.options
    assert again.fingerprint == encoder.fingerprint


def test_fingerprint_follows_what_changes_vectors_and_nothing_else(folders, bert):
    fingerprint = load_encoder(folders("plain bert")).fingerprint

    assert load_encoder(bert).fingerprint == fingerprint
    assert load_encoder(bert, batch_tokens=3).fingerprint == fingerprint
    for option in ({"activation": "log1p_relu"}, {"pooling": "sum"}, {"max_length": 9}):
        assert load_encoder(bert, **option).fingerprint != fingerprint


def test_fingerprint_changes_with_one_weight(folders, bert):
    fingerprint = load_encoder(bert).fingerprint
    content = bytearray((bert / "model.safetensors").read_bytes())
    content[-3] ^= 1
    (bert / "model.safetensors").write_bytes(content)

    assert load_encoder(bert).fingerprint != fingerprint


def test_weights_load_once_and_only_when_needed(folders, monkeypatch):
    loads = []
    load = MaskedLMNetwork.load
    monkeypatch.setattr(
        MaskedLMNetwork, "load", lambda source: loads.append(source) or load(source)
    )
    encoder = load_encoder(folders("plain bert"))
    assert encoder.fingerprint
    assert not loads

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(encoder.encode_documents, [TEXTS] * 4))
    encoder.encode_queries(TEXTS)

    assert len(loads) == 1
    assert all((vectors != found[0]).nnz == 0 for vectors in found)


def test_the_licence_is_known_and_logged_once_when_the_model_loads(bert, caplog):
    card = "---\nlanguage: en\nlicense: other\nlicense_name: 'my-terms'\n---\n# license: no\n"
    (bert / "README.md").write_text(card)
    encoder = load_encoder(bert)
    assert encoder.licence == "my-terms"

    with caplog.at_level(logging.INFO, "lexidex"):
        assert not caplog.records
        encoder.encode_documents(["a"])
        encoder.encode_documents(["a"])
    assert [record.getMessage() for record in caplog.records] == [f"{bert}: licence: my-terms"]


def test_nothing_is_printed(folders, capfd):
    load_encoder(folders("plain bert")).encode_documents(TEXTS)

    assert capfd.readouterr() == ("", "")


def test_loading_an_encoder_imports_neither_torch_nor_transformers(folders):
    program = (
        "import sys; from lexidex.encoders import load_encoder;"
        f"e = load_encoder({str(folders('plain bert'))!r}); e.fingerprint, e.dim, e.term(3);"
        "sys.exit(bool({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# What cannot be loaded says why.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"activation": "gelu"},
            "activation: 'gelu'; known are relu, log1p_relu, linear, softplus",
        ),
        ({"pooling": "mean"}, "pooling: 'mean'; known are max, sum, cls"),
        ({"max_length": 0}, "max_length: 0; expected a whole number above 0"),
        ({"max_length": 2}, "max_length: 2; expected more than the 2 special tokens"),
        ({"max_length": 65}, f"max_length: 65; the model in .* takes {POSITIONS} tokens"),
        ({"query_max_length": True}, "query_max_length: True; expected a whole number above 0"),
        ({"batch_tokens": 0}, "batch_tokens: 0; expected a whole number above 0"),
        ({"revision": "main"}, "revision: 'main'; .* is a folder and has none"),
        ({"k1": 1}, "encoder learned: unknown option 'k1'"),
    ],
)
def test_an_option_out_of_its_range_is_refused(folders, options, message):
    with pytest.raises(ParameterError, match=message):
        load_encoder(folders("plain bert"), **options)


@pytest.mark.parametrize("texts", ["one string", [None], [b"bytes"], 3])
def test_texts_that_are_no_strings_are_refused(folders, texts):
    with pytest.raises(ParameterError, match="texts"):
        load_encoder(folders("plain bert")).encode_documents(texts)


def test_a_path_has_to_be_given():
    with pytest.raises(ParameterError, match="learned: the option 'path' has to be given"):
        load_encoder("learned")


def test_a_folder_that_has_gone_is_not_found(folders, tmp_path):
    gone = str(tmp_path / "gone")
    for load in (lambda: load_encoder(gone), lambda: load_encoder("learned", path=gone)):
        with pytest.raises(EncoderNotFound, match="gone"):
            load()
    with pytest.raises(EncoderNotFound, match=r"modules\.json or config\.json"):
        load_encoder(tmp_path)


def test_a_folder_without_a_tokenizer_is_refused(bert):
    (bert / "tokenizer.json").unlink()
    with pytest.raises(CorruptFile, match=r"no tokenizer: neither tokenizer\.json nor vocab\.txt"):
        load_encoder(bert)


def test_a_folder_without_weights_is_refused(bert):
    (bert / "model.safetensors").unlink()
    with pytest.raises(CorruptFile, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        load_encoder(bert)


@pytest.mark.parametrize("weights", ["safetensors", "bin"])
@pytest.mark.parametrize("architectures", [["BertModel"], ["BertForMaskedLM"]])
def test_a_model_without_a_trained_head_is_refused(bert, weights, architectures):
    import torch

    model = random_model("bert", 191).bert
    model.save_pretrained(bert)
    if weights == "bin":
        (bert / "model.safetensors").unlink()
        torch.save(model.state_dict(), bert / "pytorch_model.bin")
    config = json.loads((bert / "config.json").read_text())
    write_json(bert / "config.json", config | {"architectures": architectures})

    with pytest.raises(ParameterError, match=r"weights are missing: cls\.predictions"):
        load_encoder(bert).encode_documents(["a"])


def test_a_truncated_safetensors_file_is_refused_at_once(bert):
    content = (bert / "model.safetensors").read_bytes()
    (bert / "model.safetensors").write_bytes(content[:-100])
    with pytest.raises(CorruptFile, match=r"model\.safetensors: truncated"):
        load_encoder(bert)


def test_a_truncated_bin_file_is_refused(folders, tmp_path):
    folder = copy_of(folders("plain bert .bin"), tmp_path / "bin")
    content = (folder / "pytorch_model.bin").read_bytes()
    (folder / "pytorch_model.bin").write_bytes(content[:-100])
    with pytest.raises(CorruptFile, match="the model cannot be loaded"):
        load_encoder(folder).encode_documents(["a"])


def test_a_pickle_in_the_place_of_weights_is_not_run(folders, tmp_path):
    import torch

    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    folder = copy_of(folders("plain bert .bin"), tmp_path / "bin")
    torch.save({"trap": Trap()}, folder / "pytorch_model.bin")
    with pytest.raises(CorruptFile, match="the model cannot be loaded"):
        load_encoder(folder).encode_documents(["a"])
    assert not (tmp_path / "sprung").exists()


def test_scores_that_are_no_numbers_are_refused(bert):
    import torch

    model = random_model("bert", 191)
    with torch.no_grad():
        model.cls.predictions.bias.fill_(float("nan"))
    model.save_pretrained(bert)
    with pytest.raises(CorruptFile, match="a score of nan"):
        load_encoder(bert).encode_documents(["a"])


@pytest.mark.parametrize("vocabulary", [150, 3000])
def test_a_tokenizer_of_another_vocabulary_is_refused(bert, vocabulary):
    random_model("bert", vocabulary).save_pretrained(bert)
    with pytest.raises(CorruptFile, match=f"{vocabulary} terms.*191; they do not belong together"):
        load_encoder(bert)


def test_files_that_are_not_json_are_named(bert):
    (bert / "config.json").write_text("{")
    with pytest.raises(CorruptFile, match=r"config\.json: not JSON"):
        load_encoder(bert)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([("0", "", "x.Transformer")], "modules Transformer are not supported"),
        ([("0", "", "x.Transformer"), ("1", "", "x.Pooling")], r"Transformer \+ Pooling are not"),
        ([("0", "../other", "x.Transformer"), ("1", "", "x.SpladePooling")], "leads out of"),
        ([("0", "", "x.Router")], r"router_config\.json: not there"),
        ([], "modules none are not supported"),
    ],
)
def test_modules_of_another_kind_are_refused(bert, modules, message):
    write_modules(bert, modules)
    with pytest.raises((CorruptFile, ParameterError), match=message):
        load_encoder(bert)


def test_settings_of_another_kind_are_refused(bert):
    write_modules(bert, [("0", "", "x.Transformer"), ("1", "pooling", "x.SpladePooling")])
    write_model_config(bert)
    write_pooling(bert / "pooling", "max", "gelu")
    with pytest.raises(ParameterError, match=r"config\.json: activation_function: 'gelu'; known"):
        load_encoder(bert)
    write_pooling(bert / "pooling", "max", "relu")
    write_json(bert / "sentence_bert_config.json", {"transformer_task": "feature-extraction"})
    with pytest.raises(ParameterError, match="transformer_task 'feature-extraction'"):
        load_encoder(bert)


# Devices and tokens.


def test_it_computes_where_it_can(folders, bert, monkeypatch):
    import torch

    encoder = load_encoder(bert)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert encoder.devices() == ["cpu"]
    encoder.use_device("cpu")
    for device in ("cuda", "cuda:0", "tpu"):
        with pytest.raises(ParameterError, match=f"device: '{device}'; this machine has cpu"):
            encoder.use_device(device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert encoder.devices() == ["cuda:0", "cuda:1"]
    with pytest.raises(ParameterError, match="this machine has cpu, cuda:0, cuda:1"):
        encoder.use_device("cuda:2")


@pytest.mark.parametrize(
    "layout", ["plain bert", "plain roberta", "sum, prompts", "lengths of their own"]
)
def test_tokens_stand_in_the_text_however_many(folders, layout):
    encoder = load_encoder(folders(layout))
    text = "The weather in \N{SNOWMAN}\N{PARTY POPPER} Na\u00efve Z\u00fcrich, 3.5 degrees. " * 40
    spans = encoder.token_spans(text)
    assert len(spans) > encoder.max_tokens
    assert (spans[:, 0] <= spans[:, 1]).all()
    assert (np.diff(spans[:, 0]) >= 0).all()
    assert text[spans[0, 0] : spans[0, 1]].lower() in "the"
    read = encoder.token_spans(text)[encoder.max_tokens - 1, 1]
    vectors = dense(encoder.encode_documents([text, text[:read]]))
    np.testing.assert_allclose(vectors[0], vectors[1], rtol=1e-3, atol=1e-5)
    assert encoder.token_spans("").shape == (0, 2)
    assert len(encoder.token_spans("half \ud800 a pair")) > 2


def test_a_prompt_takes_room(folders):
    plain, prompted = load_encoder(folders("new names")), load_encoder(folders("sum, prompts"))
    assert plain.max_tokens == POSITIONS - 2
    assert prompted.max_tokens == POSITIONS - 2 - len(plain.token_spans(PROMPTS["document"]))
