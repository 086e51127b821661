"""Code that a model's repository brings: run where it is trusted, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from lexidex.encoders import load_encoder
from lexidex.encoders.loading import load_dense_encoder
from lexidex.encoders.saved import write_description
from lexidex.errors import ParameterError

from .checkpoints import TEXTS, write_plain, write_remote


@pytest.fixture
def remote(tmp_path):
    """A model whose code lies beside it, and leaves a file `sprung` when it runs."""
    return write_remote(tmp_path / "remote", tmp_path / "sprung")


@pytest.fixture
def sprung(tmp_path):
    """Whether the model's code has run."""
    return (tmp_path / "sprung").exists


def test_it_is_not_run_unasked(remote, sprung):
    with pytest.raises(ParameterError, match="load it with trust_remote_code=True"):
        load_encoder(remote).encode_documents(["a"])
    assert not sprung()


def test_it_runs_when_it_is_trusted(remote, sprung, tmp_path):
    expected = load_encoder(write_plain(tmp_path / "plain")).encode_documents(TEXTS).toarray()
    found = load_encoder(remote, trust_remote_code=True).encode_documents(TEXTS).toarray()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert sprung()


@pytest.mark.parametrize("load", [load_encoder, load_dense_encoder])
@pytest.mark.parametrize("given", ["False", "no", "off", "true", 1, None])
def test_only_a_boolean_is_trust(remote, sprung, load, given):
    with pytest.raises(ParameterError, match=r"^trust_remote_code: .*expected True or False"):
        load(remote, trust_remote_code=given).encode_documents(["a"])
    assert not sprung()


def test_a_stored_encoder_cannot_ask_for_it(remote, tmp_path):
    assert "trust_remote_code" not in load_encoder(remote, trust_remote_code=True).options
    stored = {"path": str(remote), "trust_remote_code": True}
    with pytest.raises(ParameterError, match="a stored encoder cannot ask for it"):
        load_encoder("learned", **stored)
    write_description(tmp_path / "stored", "learned", stored, {})
    with pytest.raises(ParameterError, match="a stored encoder cannot ask for it"):
        load_encoder(tmp_path / "stored")
