"""Options and files that hold something else than they should: one line, which names it."""

from __future__ import annotations

import json

import pytest

from lexidex.encoders import load_encoder
from lexidex.encoders.loading import load_dense_encoder
from lexidex.errors import CorruptFile, ParameterError

from .checkpoints import (
    POSITIONS,
    copy_of,
    only_word_list,
    write_dense,
    write_json,
    write_plain,
    write_sentence_transformers,
)
from .published import write_scalar

LENGTHS = "sentence_bert_config.json"
MODEL = "config_sentence_transformers.json"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model in sentence-transformers' layout; not to be changed."""
    return write_sentence_transformers(tmp_path_factory.mktemp("model") / "model")


def edited(folder, name, **settings):
    """Settings in a file of a folder that may be changed."""
    file = folder / name
    known = json.loads(file.read_text()) if file.exists() else {}
    write_json(file, known | settings)
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query_path": 5}, "query_path: 5; expected a folder, or organisation/model"),
        ({"query_path": b"a"}, "query_path: b'a'; expected a folder, or organisation/model"),
        ({"revision": 5}, "revision: 5; expected a branch, tag or commit"),
        ({"query_path": "a/b", "query_revision": 5}, "query_revision: 5; expected a branch, tag"),
        ({"expansion_delimiter": 5}, "expansion_delimiter: 5; expected a text"),
        ({"max_length": 100}, f"max_length: 100; the model in .* takes {POSITIONS} tokens"),
        ({"query_max_length": 100}, f"query_max_length: 100; the model in .* takes {POSITIONS} "),
        ({"max_length": 2}, "max_length: 2; expected more than the 2 special tokens that each"),
        ({"query_max_length": 2}, "query_max_length: 2; expected more than the 2 special tokens"),
        ({"query_max_length": "9"}, "query_max_length: '9'; expected a whole number above 0"),
    ],
)
def test_options(model, options, message):
    with pytest.raises(ParameterError, match=f"^{message}"):
        load_encoder(model, **options)


def test_a_query_s_folder_with_a_revision(model):
    with pytest.raises(ParameterError, match=r"^query_revision: 'main'; .* is a folder and has no"):
        load_encoder(model, query_path=model, query_revision="main")


def test_a_delimiter_of_a_family_that_takes_one(tmp_path):
    write_scalar(tmp_path, {"tok_proj": 1})
    with pytest.raises(ParameterError, match=r"^expansion_delimiter: 5; expected a text"):
        load_encoder(tmp_path, expansion_delimiter=5)


@pytest.mark.parametrize(
    ("file", "settings", "told"),
    [
        (LENGTHS, {"max_seq_length": "abc"}, "max_seq_length: 'abc'; expected a whole number"),
        (LENGTHS, {"max_seq_length": 0}, "max_seq_length: 0; expected a whole number above 0"),
        (LENGTHS, {"max_seq_length": -1}, "max_seq_length: -1; expected a whole number above 0"),
        (LENGTHS, {"query_length": [9]}, r"query_length: \[9\]; expected a whole number above 0"),
        (LENGTHS, {"document_length": True}, "document_length: True; expected a whole number"),
        (MODEL, {"prompts": ["a"]}, r"prompts: \['a'\]; expected texts by name"),
        (MODEL, {"prompts": {"query": 5}}, "prompts: query: 5; expected a text"),
        (MODEL, {"max_active_dims": 0}, "max_active_dims: 0; expected a whole number above 0"),
        (MODEL, {"max_active_dims": "8"}, "max_active_dims: '8'; expected a whole number above 0"),
    ],
)
def test_files(model, tmp_path, file, settings, told):
    folder = edited(copy_of(model, tmp_path / "copy"), file, **settings)
    with pytest.raises(CorruptFile, match=f"^{folder / file}: {told}"):
        load_encoder(folder)


@pytest.mark.parametrize("prompts", [["a"], {"query": 5}])
def test_prompts_of_dense_models(tmp_path, prompts):
    folder = write_dense(tmp_path / "dense", {"pooling_mode_mean_tokens": True})
    edited(folder, MODEL, prompts=prompts, default_prompt_name=["query"])
    with pytest.raises(CorruptFile, match=f"^{folder / MODEL}: prompts: "):
        load_dense_encoder(folder)


def test_settings_that_are_null_are_as_if_they_were_not_there(model, tmp_path):
    folder = copy_of(model, tmp_path / "copy")
    edited(folder, LENGTHS, max_seq_length=None)
    edited(folder, MODEL, prompts={"query": None}, max_active_dims=None)
    assert load_encoder(folder).fingerprint == load_encoder(model).fingerprint
    roberta = edited(write_plain(tmp_path / "roberta", "roberta"), "config.json", pad_token_id=None)
    assert load_encoder(roberta).checkpoint.documents.positions == POSITIONS


def test_a_word_list_that_is_no_text(tmp_path):
    folder = write_plain(tmp_path / "model")
    only_word_list(folder)
    (folder / "vocab.txt").write_bytes(b"[PAD]\n\xff\xfe\n")
    with pytest.raises(CorruptFile, match=r"vocab\.txt: not a WordPiece vocabulary: "):
        load_encoder(folder)
