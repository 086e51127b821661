"""Packed models: small, and nearly the same vectors."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from lexidex.cli import app
from lexidex.encoders import load_encoder
from lexidex.encoders.packing import pack, packed, rows_of_bytes
from lexidex.encoders.training.start import calibrate, make_start
from lexidex.errors import CorruptFile, ParameterError

from .training.tiny import tiny_pairs, write_backbone

PAIRS = tiny_pairs(20)


def saved(tmp_path, preset="inference-free-v2", **settings):
    backbone = write_backbone(tmp_path / "backbone")
    encoder = make_start(preset, backbone, tmp_path / "start", PAIRS.documents, **settings)
    calibrate(encoder, PAIRS.documents, 0.05)
    encoder.save(tmp_path / "model")
    return tmp_path / "model"


def test_rows_of_bytes_are_near_the_rows():
    rows = np.random.default_rng(0).normal(0, 0.05, (50, 16)).astype(np.float32)
    rows[3] = 0
    found, scales = rows_of_bytes(rows)
    assert (found.dtype, scales.dtype) == (np.int8, np.float16)
    error = np.abs(found * scales[:, None].astype(np.float32) - rows).max(axis=1)
    assert (error <= np.abs(rows).max(axis=1) / 127).all()
    assert not found[3].any()


def test_weights_beyond_half_floats_stay():
    tensors = {"small": np.ones(2, np.float32), "large": np.full(2, 1e6, np.float32)}
    found = packed(tensors)
    assert (found["small"].dtype, found["large"].dtype) == (np.float16, np.float32)


@pytest.mark.parametrize(
    ("preset", "settings"),
    [("inference-free-v2", {}), ("splade-max", {"residual": 24}), ("unicoil", {}), ("epic", {})],
)
def test_a_packed_model_gives_nearly_the_same_vectors(tmp_path, preset, settings):
    model = saved(tmp_path, preset, **settings)
    pack(model, tmp_path / "packed")
    sizes = [
        sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
        for folder in (model, tmp_path / "packed")
    ]
    assert sizes[1] < 0.6 * sizes[0]
    plain, small = load_encoder(model), load_encoder(tmp_path / "packed")
    assert plain.fingerprint != small.fingerprint
    for side in ("encode_documents", "encode_queries"):
        wanted = getattr(plain, side)(PAIRS.documents).toarray()
        found = getattr(small, side)(PAIRS.documents).toarray()
        np.testing.assert_allclose(found, wanted, atol=0.05 * wanted.max())
        assert wanted.any()


def test_what_is_saved_of_a_packed_model_others_can_read(tmp_path):
    from transformers import AutoModelForMaskedLM

    pack(saved(tmp_path), tmp_path / "packed")
    encoder = load_encoder(tmp_path / "packed")
    encoder.save(tmp_path / "again")
    network = encoder.documents.module().network
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "again")
    for name, wanted in network.model.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name].numpy(), wanted.numpy())
    again = load_encoder(tmp_path / "again").encode_documents(PAIRS.documents)
    wanted = encoder.encode_documents(PAIRS.documents)
    np.testing.assert_allclose(again.toarray(), wanted.toarray(), atol=1e-6)


def test_the_command_tells_sizes_and_mistakes(tmp_path):
    model = saved(tmp_path)
    packed_to = ["models", "pack", str(model), "--to", str(tmp_path / "packed")]
    done = CliRunner().invoke(app, packed_to)
    assert done.exit_code == 0
    assert " MB before" in done.stdout
    assert load_encoder(tmp_path / "packed").dim == load_encoder(model).dim
    with pytest.raises(ParameterError, match="exists already"):
        pack(model, tmp_path / "packed")
    (model / "model.safetensors").write_bytes(b"no")
    with pytest.raises(CorruptFile, match="truncated or no safetensors file"):
        pack(model, tmp_path / "half")
    assert not [path for path in tmp_path.iterdir() if "half" in path.name]
    with pytest.raises(ParameterError, match="no model there"):
        pack(tmp_path / "none", tmp_path / "other")


def test_the_model_that_the_package_brings_can_be_named(tmp_path):
    done = CliRunner().invoke(
        app, ["models", "pack", "lexidex-mini", "--to", str(tmp_path / "packed"), "--json"]
    )
    assert done.exit_code == 0
    assert json.loads(done.stdout)["bytes"] > 0
    assert (tmp_path / "packed" / "config.json").exists()
