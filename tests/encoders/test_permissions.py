"""Weights that are written may be read by those who may read other new files."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import numpy as np
import pytest

import lexidex
from lexidex.encoders import load_encoder
from lexidex.encoders.attention import Attention
from lexidex.encoders.packing import pack
from lexidex.encoders.training.start import make_start

from .training.tiny import tiny_pairs, write_backbone

PAIRS = tiny_pairs(20)


@pytest.fixture(params=[0o022, 0o027, 0o077], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def check(folder, umask):
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".safetensors" for path in files)
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in files}
    assert modes == dict.fromkeys(modes, oct(0o666 & ~umask))


@pytest.mark.parametrize(
    ("preset", "settings"),
    [
        ("inference-free-v2", {}),
        ("splade-max", {"residual": 24}),
        ("epic", {}),
    ],
)
def test_models(tmp_path, umask, preset, settings):
    backbone = write_backbone(tmp_path / "backbone")
    for file in backbone.iterdir():
        file.chmod(0o666 & ~umask)
    make_start(preset, backbone, tmp_path / "start", PAIRS.documents, **settings)
    check(tmp_path / "start", umask)
    encoder = load_encoder(tmp_path / "start")
    encoder.documents.module()  # so that weights are written from memory
    encoder.save(tmp_path / "saved")
    check(tmp_path / "saved", umask)
    pack(tmp_path / "saved", tmp_path / "packed")
    check(tmp_path / "packed", umask)
    load_encoder(tmp_path / "packed").save(tmp_path / "again")
    check(tmp_path / "again", umask)


def test_attention(tmp_path, umask):
    eye = np.eye(4, dtype=np.float32)
    Attention(1.0, eye, eye).save(tmp_path / "attention")
    check(tmp_path / "attention", umask)


def test_nothing_writes_them_another_way():
    root = Path(lexidex.__file__).parent
    files = [
        path
        for part in ("encoders", "eval", "index", "server", "commands")
        for path in (root / part).resolve().rglob("*.py")
    ]
    using = [path.name for path in files if re.search(r"\bsave_file\b", path.read_text("utf-8"))]
    assert using == ["weights.py"]
    using = [path.name for path in files if "save_pretrained(" in path.read_text("utf-8")]
    assert using == ["base.py"]
