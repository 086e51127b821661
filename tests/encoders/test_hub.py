"""Models on a hub: which files are fetched, and when the hub is asked."""

from __future__ import annotations

import shutil
from fnmatch import fnmatch

import pytest
import torch
from safetensors.torch import load_file

import lexidex.encoders.hub as hub
from lexidex.encoders import load_encoder
from lexidex.encoders.loading import load_dense_encoder
from lexidex.errors import EncoderNotFound

from .checkpoints import TEXTS, write_asym, write_dense, write_json, write_plain, write_router
from .published import write_bge_m3

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TABLE = "query_0_SparseStaticEmbedding"


class Hub:
    """One model on a hub, and what has been fetched of it."""

    def __init__(self, folder):
        self.source, self.cache = folder / "source", folder / COMMIT
        self.asked = []
        self.reachable = True

    def download(self, name, *, revision, allow_patterns, ignore_patterns, local_files_only, **_):
        """As huggingface_hub.snapshot_download does it."""
        if local_files_only:
            if not self.cache.exists():
                raise FileNotFoundError(name)
            return str(self.cache)
        if not self.reachable:
            raise ConnectionError("no route")
        self.asked.append(allow_patterns)
        for file in self.source.rglob("*"):
            path = file.relative_to(self.source).as_posix()
            wanted = any(fnmatch(path, pattern) for pattern in allow_patterns)
            if file.is_file() and wanted and not any(fnmatch(path, one) for one in ignore_patterns):
                (self.cache / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, self.cache / path)
        return str(self.cache)

    def fetched(self):
        """Paths of what is here."""
        files = (file for file in self.cache.rglob("*") if file.is_file())
        return {file.relative_to(self.cache).as_posix() for file in files}


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A hub whose model is yet to be written."""
    found = Hub(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", found.download)
    return found


def as_bin(folder):
    """Weights of a folder as .bin."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_bin_files_are_fetched_where_there_are_no_safetensors(remote):
    write_plain(remote.source, weights="bin")
    encoder = load_encoder("org/model")
    assert encoder.encode_documents(TEXTS).nnz
    assert "pytorch_model.bin" in remote.fetched()


def test_bin_files_are_left_where_there_are_safetensors(remote):
    write_plain(remote.source)
    torch.save({}, remote.source / "pytorch_model.bin")
    write_json(remote.source / "2_Normalize" / "config.json", {})
    load_encoder("org/model")
    assert "pytorch_model.bin" not in remote.fetched()
    assert len(remote.asked) == 1


@pytest.mark.parametrize("bins", [["."], [TABLE], [".", TABLE]])
def test_each_folder_gets_the_weights_that_it_has(remote, bins):
    write_router(remote.source)
    for folder in bins:
        as_bin(remote.source / folder)
    unused = remote.source / TABLE / "pytorch_model.bin"
    if not unused.exists():
        torch.save({}, unused)
    encoder = load_encoder("org/model")

    expected = load_encoder(remote.source)
    assert encoder.fingerprint == expected.fingerprint
    assert (encoder.encode_documents(TEXTS) != expected.encode_documents(TEXTS)).nnz == 0
    assert (f"{TABLE}/pytorch_model.bin" in remote.fetched()) == (TABLE in bins)


def test_settings_of_a_router_have_no_weights_beside_them(remote):
    write_asym(remote.source)
    load_encoder("org/model")
    assert len(remote.asked) == 1


def test_a_dense_model_s_layers_are_fetched_too(remote):
    write_dense(remote.source, {"pooling_mode_mean_tokens": True}, layers=True)
    as_bin(remote.source / "2_Dense")
    encoder = load_dense_encoder("org/model")
    assert encoder.encode_documents(["a"]).shape == (1, 10)
    assert len(remote.asked) == 2


def test_a_commit_that_is_complete_is_used_without_asking(remote):
    write_bge_m3(remote.source)
    first = load_encoder("org/model")
    n_asked = len(remote.asked)
    remote.reachable = False
    again = load_encoder(first.kind, **first.options)
    assert again.fingerprint == first.fingerprint
    assert len(remote.asked) == n_asked


def test_a_commit_whose_weights_are_missing_is_completed(remote):
    write_plain(remote.source, weights="bin")
    first = load_encoder("org/model")
    (remote.cache / "pytorch_model.bin").unlink()
    assert load_encoder(first.kind, **first.options).fingerprint == first.fingerprint


def test_what_is_there_will_do_where_the_hub_cannot_be_reached(remote):
    write_plain(remote.source)
    first = load_encoder("org/model")
    (remote.cache / "more").mkdir()
    shutil.copyfile(remote.cache / "config.json", remote.cache / "more" / "config.json")
    remote.reachable = False
    assert load_encoder(first.kind, **first.options).fingerprint == first.fingerprint


def test_code_is_fetched_for_those_who_trust_it_after_others_did_not(remote):
    write_plain(remote.source)
    (remote.source / "code.py").touch()
    hub.fetch("org/model", COMMIT)
    assert "code.py" not in remote.fetched()
    hub.fetch("org/model", COMMIT, code=True)
    assert "code.py" in remote.fetched()


def test_a_model_on_the_hub_is_fetched_and_pinned_to_its_commit(tmp_path, monkeypatch):
    asked = []
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = write_plain(tmp_path / commit)

    def snapshot_download(name, **options):
        asked.append((name, options["revision"], options["local_files_only"]))
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    encoder = load_encoder("org/model")
    again = load_encoder(encoder.kind, **encoder.options)

    assert encoder.options["path"] == "org/model"
    assert encoder.options["revision"] == commit
    assert again.fingerprint == encoder.fingerprint == load_encoder(snapshot).fingerprint
    assert asked == [("org/model", None, False), ("org/model", commit, True)]


def test_a_hub_that_cannot_be_reached_gives_one_clear_line(monkeypatch):
    def snapshot_download(name, **options):
        raise ConnectionError("no route\nand more lines")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(EncoderNotFound) as raised:
        load_encoder("org/model")
    assert str(raised.value) == (
        "encoder 'org/model': no such folder, and the model hub has no such model or cannot be "
        "reached (ConnectionError: no route)"
    )


@pytest.mark.parametrize(
    ("name", "is_id"),
    [
        ("naver/splade-v3", True),
        ("org/model.v2_x", True),
        ("./folder", False),
        ("/abs/folder", False),
        ("a/b/c", False),
        ("bm25", False),
        ("../up", False),
    ],
)
def test_what_looks_like_an_id_of_the_hub(name, is_id):
    assert hub.looks_like_hub_id(name) == is_id
