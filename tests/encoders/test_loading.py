"""`load_encoder`: names, saved folders, options; and every way in which these can be wrong."""

import json
import subprocess
import sys

import pytest

from lexidex.encoders import DEFAULT_ENCODER, Encoder, load_encoder
from lexidex.encoders.bm25 import BM25Encoder
from lexidex.encoders.loading import KINDS
from lexidex.encoders.ready_made import ReadyMadeEncoder
from lexidex.encoders.saved import DESCRIPTION, VERSION
from lexidex.encoders.shipped import SHIPPED
from lexidex.encoders.vocabulary import Vocabulary
from lexidex.errors import CorruptFile, EncoderNotFound, ParameterError, UnsupportedVersion
from lexidex.index.vectors import DIM_LIMIT


def describe(folder, **changes):
    """A saved bm25 encoder's folder, its description altered; None removes a part."""
    BM25Encoder(k1=1.5).fit(["fox", "dog fox"]).save(folder)
    file = folder / DESCRIPTION
    described = json.loads(file.read_text(encoding="utf-8")) | changes
    described = {name: value for name, value in described.items() if value is not None}
    file.write_text(json.dumps(described), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("name", "family"), [("bm25", BM25Encoder), ("vectors", ReadyMadeEncoder)])
def test_encoders_by_name(name, family):
    encoder = load_encoder(name)
    assert type(encoder) is family
    assert encoder.kind == name
    assert load_encoder(encoder.kind, **encoder.options).fingerprint == encoder.fingerprint


def test_every_kind_is_a_family_of_that_kind():
    assert DEFAULT_ENCODER in (*KINDS, *SHIPPED)
    for kind, (module, class_name) in KINDS.items():
        family = getattr(__import__(module, fromlist=[class_name]), class_name)
        assert issubclass(family, Encoder)
        assert family.kind == kind


def test_options_reach_the_encoder():
    encoder = load_encoder("bm25", k1=1.2, b=0.75, language="german", stop_words=["die"])
    assert encoder.options == {"k1": 1.2, "b": 0.75, "language": "german", "stop_words": ["die"]}


@pytest.mark.smoke
@pytest.mark.parametrize("as_path", [str, lambda path: path])
def test_a_saved_encoder_by_its_folder(tmp_path, as_path):
    encoder = load_encoder(as_path(describe(tmp_path / "saved")))
    assert type(encoder) is BM25Encoder
    assert encoder.k1 == 1.5
    assert encoder.average_length == 1.5
    assert encoder.vocabulary.terms == ["fox", "dog"]


def test_options_replace_those_of_a_saved_encoder(tmp_path):
    encoder = load_encoder(describe(tmp_path), k1=3)
    assert encoder.k1 == 3.0
    assert encoder.vocabulary.terms == ["fox", "dog"]


def test_a_folder_named_like_a_kind_does_not_shadow_it(tmp_path, monkeypatch):
    describe(tmp_path / "bm25")
    monkeypatch.chdir(tmp_path)
    assert load_encoder("bm25").k1 == 0.9
    assert load_encoder("./bm25").k1 == 1.5


def test_ready_made_vectors_saved_and_loaded(tmp_path):
    encoder = ReadyMadeEncoder()
    encoder.use_vocabulary(Vocabulary(["é", "fox"]))
    encoder.save(tmp_path)
    loaded = load_encoder(tmp_path)
    assert type(loaded) is ReadyMadeEncoder
    assert loaded.vocabulary.terms == ["é", "fox"]
    assert loaded.fingerprint == encoder.fingerprint == load_encoder("vectors").fingerprint


def test_ready_made_vectors_name_components_by_words_or_numbers():
    encoder = load_encoder("vectors")
    assert (encoder.dim, encoder.term(7), encoder.component("7")) == (DIM_LIMIT, "7", None)
    encoder.use_vocabulary(Vocabulary(["fox", "dog"]))
    assert (encoder.dim, encoder.term(1), encoder.component("dog")) == (2, "dog", 1)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("encode_documents", 'no text encoder: give each document its own "vector", or create '),
        ("encode_queries", "no text encoder: query it with a sparse vector, or create the "),
    ],
)
def test_ready_made_vectors_encode_nothing(method, message):
    with pytest.raises(ParameterError, match=f"^this collection has {message}"):
        getattr(load_encoder("vectors"), method)(["fox"])


@pytest.mark.parametrize("name", ["nothing", "", "a/b/c", "no such folder/model", "."])
def test_a_name_that_is_nothing(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EncoderNotFound) as caught:
        load_encoder(name)
    assert str(caught.value).startswith(f"encoder {name!r}: not one of bm25, ")
    assert f"no folder with a {DESCRIPTION}" in str(caught.value)


def test_an_existing_folder_without_an_encoder(tmp_path):
    with pytest.raises(EncoderNotFound, match=f"no folder with a {DESCRIPTION}"):
        load_encoder(tmp_path)


def test_unknown_options_are_named_with_the_known():
    with pytest.raises(ParameterError) as caught:
        load_encoder("bm25", k2=1)
    assert str(caught.value) == (
        "encoder bm25: unknown option 'k2'; it has k1, b, language, stop_words"
    )
    with pytest.raises(
        ParameterError, match=r"^encoder vectors: unknown option 'k1'; it has none$"
    ):
        load_encoder("vectors", k1=1)


def test_unknown_options_of_a_saved_encoder(tmp_path):
    with pytest.raises(ParameterError, match=r"^encoder bm25: unknown option 'k9'; it has k1, b, "):
        load_encoder(describe(tmp_path, options={"k9": 1}))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"version": VERSION + 1}, UnsupportedVersion, "version 1; this Lexidex reads 0"),
        ({"version": "0"}, UnsupportedVersion, "version 0; this Lexidex reads 0"),
        ({"version": None}, CorruptFile, "not an encoder's description: 'version'"),
        ({"kind": None}, CorruptFile, "not an encoder's description: kind is missing"),
        ({"kind": ["bm25"]}, CorruptFile, "not an encoder's description: kind is missing"),
        ({"options": None}, CorruptFile, "not an encoder's description: options is missing"),
        ({"options": [1]}, CorruptFile, "not an encoder's description: options is missing"),
        ({"state": None}, CorruptFile, "not an encoder's description: state is missing"),
        ({"state": {}}, CorruptFile, "its state is unusable: KeyError('terms')"),
        ({"state": {"terms": 1}}, CorruptFile, "its state is unusable: TypeError("),
        (
            {"state": {"terms": [], "average_length": "x", "frequencies": [], "n_documents": 1}},
            CorruptFile,
            "its state is unusable: ValueError(",
        ),
        (
            {"state": {"terms": [], "average_length": 1, "frequencies": ["x"], "n_documents": 1}},
            CorruptFile,
            "its state is unusable: ValueError(",
        ),
    ],
)
def test_a_description_that_is_unusable(tmp_path, changes, error, message):
    with pytest.raises(error) as caught:
        load_encoder(describe(tmp_path, **changes))
    assert str(caught.value).startswith(f"{tmp_path / DESCRIPTION}: {message}")


def test_a_description_of_an_unknown_kind(tmp_path):
    with pytest.raises(EncoderNotFound, match=r"^encoder kind 'magic': known are bm25, "):
        load_encoder(describe(tmp_path, kind="magic"))


def test_a_stored_encoder_cannot_have_code_run(tmp_path):
    with pytest.raises(ParameterError, match=r"^trust_remote_code: "):
        load_encoder(describe(tmp_path, options={"trust_remote_code": True}))


@pytest.mark.parametrize("text", ["[]", "1", "null", '"x"', "{", "", "\xff"])
def test_a_description_that_is_no_json_object(tmp_path, text):
    (tmp_path / DESCRIPTION).write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptFile) as caught:
        load_encoder(tmp_path)
    expected = f"{tmp_path / DESCRIPTION}: not an encoder's description: "
    assert str(caught.value).startswith(expected)


def test_a_truncated_description_is_never_taken(tmp_path):
    file = describe(tmp_path) / DESCRIPTION
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(CorruptFile):
            load_encoder(tmp_path)


def test_terms_and_ready_made_vectors_need_neither_torch_nor_transformers():
    program = (
        "import sys; from lexidex.encoders import load_encoder; "
        "e = load_encoder('bm25').fit(['fox']); e.encode_queries(['fox']); "
        "load_encoder('vectors'); "
        "print(sorted({'torch', 'transformers', 'tokenizers'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
