"""Collections by models that bring code: whoever opens one says whether that code may run."""

from __future__ import annotations

import json
import sys

import pytest

from lexidex import Collection
from lexidex.cli import main
from lexidex.dense_side import DenseSide
from lexidex.encoders import load_encoder
from lexidex.encoders.loading import load_dense_encoder
from lexidex.encoding import Workforce, encode_files
from lexidex.errors import ParameterError
from lexidex.server.catalog import Catalog
from lexidex.server.writes import Writes

from .encoders.checkpoints import TEXTS, write_plain, write_remote

DOCUMENTS = [{"id": str(number), "text": text} for number, text in enumerate(TEXTS) if text]
REFUSED = "needs code from its repository"


@pytest.fixture
def remote(tmp_path):
    """A model whose code lies beside it."""
    return write_remote(tmp_path / "remote", tmp_path / "sprung")


@pytest.fixture
def made(remote, tmp_path):
    """The folder of a collection by that model."""
    encoder = load_encoder(remote, trust_remote_code=True)
    with Collection.create(tmp_path / "served" / "made", encoder, merge="off") as collection:
        collection.upsert(DOCUMENTS[:3])
        assert collection.search("the weather").hits
    (tmp_path / "sprung").unlink()
    return tmp_path / "served" / "made"


def test_no_code_runs_in_a_collection_that_is_opened_without_trust(made, tmp_path):
    with Collection.open(made, merge="off") as collection:
        with pytest.raises(ParameterError, match=REFUSED):
            collection.search("the weather")
        with pytest.raises(ParameterError, match=REFUSED):
            collection.upsert(DOCUMENTS)
    assert not (tmp_path / "sprung").exists()
    stored = b"".join(file.read_bytes() for file in made.rglob("*") if file.is_file())
    assert b"trust" not in stored


def test_a_collection_that_is_opened_with_trust_is_searched_extended_and_replaced(made):
    with Collection.open(made, merge="off", trust_remote_code=True) as collection:
        assert collection.search("the weather").hits
        collection.upsert(DOCUMENTS)
        assert len(collection) == len(DOCUMENTS)
        collection.replace(DOCUMENTS[:2])
        assert collection.search("sparse vectors").hits


@pytest.mark.parametrize("given", ["False", "no", 1, None])
def test_only_a_boolean_is_trust(made, given):
    with pytest.raises(ParameterError, match=r"^trust_remote_code: .*expected True or False"):
        Collection.open(made, trust_remote_code=given)


def test_trust_in_one_model_is_none_in_the_other(remote, tmp_path):
    """Of a sparse encoder and a dense one."""
    trusted = load_encoder(remote, trust_remote_code=True)
    dense = DenseSide.of(load_dense_encoder(remote, pooling="mean"))
    with Collection.create(tmp_path / "both", trusted, merge="off", dense=dense) as collection:
        assert not collection.dense_side.trusts_remote_code
    with Collection.open(tmp_path / "both", merge="off", trust_remote_code=True) as collection:
        assert collection.dense_side.trusts_remote_code


def test_processes_that_encode_are_told_of_it(remote, tmp_path):
    source = tmp_path / "corpus.jsonl"
    source.write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    encoder = load_encoder(remote, trust_remote_code=True)
    report = encode_files([source], tmp_path / "v.parquet", encoder, workforce=Workforce(2, 1))
    assert report.state.n_encoded == len(DOCUMENTS)


def test_the_command_line_has_a_flag_for_it(made, remote, tmp_path, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lexidex", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr()

    asked = "search", made, "the weather", "--json"
    code, told = run(*asked)
    assert code == 2
    assert REFUSED in told.err.replace("\n", " ")
    assert "--trust-remote-code" in told.err.replace("\n", " ")
    code, told = run(*asked, "--trust-remote-code")
    assert code == 0
    assert json.loads(told.out)["hits"]
    explained, _ = run("explain", made, "the weather", "0", "--trust-remote-code")
    source = tmp_path / "more.jsonl"
    source.write_text(json.dumps(DOCUMENTS[-1]) + "\n")
    indexed, _ = run("index", source, "--to", made, "--trust-remote-code", "--quiet")
    new = "--to", tmp_path / "new", "--encoder", remote, "--quiet"
    refused, _ = run("index", source, *new)
    created, _ = run("index", source, *new, "--trust-remote-code")
    assert (explained, indexed, refused, created) == (0, 0, 2, 0)


def test_a_server_that_trusts_lets_clients_name_no_models(made, tmp_path):
    other = str(write_plain(tmp_path / "other"))
    catalog = Catalog.open(made.parent, trust_remote_code=True)
    try:
        assert catalog.get("made").search("the weather").hits
        for encoder, options in [
            (other, {}),
            ("learned", {"path": other}),
            ("lexidex-mini", {"path": other}),
            ("lexidex-mini", {"query_path": other}),
        ]:
            with pytest.raises(ParameterError, match=r"clients may name bm25, vectors"):
                catalog.create("new", encoder, options)
            with pytest.raises(ParameterError, match=r"clients may name bm25, vectors"):
                Writes(catalog, None).reencode("made", encoder, options)
        for dense in (other, {"model": "lexidex-mini", "options": {"path": other}}):
            with pytest.raises(ParameterError, match=r"^dense: .* clients may name"):
                catalog.create("new", "bm25", {}, dense=dense)
        catalog.create("new", "bm25", {})
    finally:
        catalog.close()
