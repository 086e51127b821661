"""Every published family: made from a backbone, encoded, trained, saved."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lexidex.encoders import load_encoder
from lexidex.encoders.creation import create
from lexidex.encoders.networks.side import collate
from lexidex.encoders.presets import PRESETS

from .checkpoints import TEXTS, write_plain


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A small masked language model; not to be changed."""
    return write_plain(tmp_path_factory.mktemp("backbone"), "bert")


@pytest.fixture(scope="module")
def made(backbone, tmp_path_factory):
    """Encoders of a family by its name, made when asked for; not to be changed."""
    folders = {}

    def encoder(preset):
        if preset not in folders:
            torch.manual_seed(0)
            folders[preset] = tmp_path_factory.mktemp(preset)
            create(preset, backbone, folders[preset], texts=TEXTS)
        return load_encoder(folders[preset])

    return encoder


@pytest.mark.parametrize("preset", PRESETS)
def test_training_and_encoding_are_one_computation(made, preset):
    encoder = made(preset)
    texts = [text for text in TEXTS if text]
    for side in (encoder.documents, encoder.queries):
        encoded = side.encode(texts)
        weights = side.module()(*collate(side.tokens(texts)), side.dim)
        np.testing.assert_allclose(encoded.toarray(), weights.detach(), atol=2e-5)
        assert encoded.nnz
