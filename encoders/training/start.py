"""The start of a training: a fresh model of a family, with heads that can learn from their start.

A backbone without a trained head (MiniLM and other sentence encoders) scores terms at random: all
of them are active, or none, and both are hard to leave. So a fresh head of the vocabulary begins as
the identity with the backbone's own embeddings as its output map, and is shifted and scaled such
that a given share of terms is active; a fresh scalar head begins by giving every token about the
weight 1.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lexidex.errors import ParameterError

from ..backbones import Source, read_config
from ..creation import create
from ..json_file import read_json
from ..layouts import own
from ..layouts.settings import MODULES
from ..learned import LearnedEncoder
from ..networks.base import VocabularyNetwork
from ..networks.epic import EpicNetwork
from ..networks.masked_lm import MaskedLMNetwork
from ..networks.residual import residual_network, write_residual
from ..networks.scalar import ScalarNetwork
from ..projection import TiledHead
from ..screened import whole_of
from ..transformer_layers import layers_of

CALIBRATED_ON = 64
"""Texts that a head is calibrated on."""

_STRONGEST = 0.9995
"""The share of scores below the one that becomes 1 above the threshold."""

_LAYERS = {"distilbert": "n_layers"}
"""`model_type` -> what its settings call the number of layers."""


def make_start(
    preset: str,
    backbone: Path,
    folder: Path,
    texts: Sequence[str],
    *,
    layers: int | None = None,
    residual: int = 0,
    max_length: int | None = None,
) -> LearnedEncoder:
    """An untrained encoder of a family, written into `folder`; see `lexidex.encoders.creation`.

    Args:
        preset: which family.
        backbone: whose weights it starts from.
        folder: written; made if it is not there.
        texts: for a table of inverse document frequencies, where the family has one.
        layers: keep only so many, the lowest.
        residual: width of a residual network in a masked language model's head; 0 for none.
        max_length: most tokens of a text.

    Raises:
        ParameterError: the backbone has fewer layers, or the family cannot use it.
    """
    source = backbone if layers is None else _shortened(backbone, folder / "backbone", layers)
    create(preset, source, folder, texts=texts, max_length=max_length)
    shutil.rmtree(folder / "backbone", ignore_errors=True)
    encoder = LearnedEncoder(folder)
    return _with_residual(encoder, folder, residual) if residual else encoder


def calibrate(
    encoder: LearnedEncoder, texts: Sequence[str], active: float, identity_layers: int = 0
) -> None:
    """Begin fresh heads anew, such that documents start with a share of the vocabulary.

    Args:
        encoder: whose heads are changed in memory.
        texts: documents to calibrate on; the first CALIBRATED_ON are read.
        active: share of the terms that a document has, for heads that score the vocabulary.
        identity_layers: highest layers of the backbone that begin by handing states through,
            because what stands in them leads away from the words of a text.

    Raises:
        ParameterError: layers that are not known.
    """
    networks = {id(m.network): m.network for m in _modules(encoder) if hasattr(m, "network")}
    for network in networks.values():
        if identity_layers:
            _hand_through(network, identity_layers, encoder, texts[:CALIBRATED_ON])
        if isinstance(network, MaskedLMNetwork | EpicNetwork):
            _begin_as_identity(network)
            _shift(network, encoder, texts[:CALIBRATED_ON], active)
        if isinstance(network, ScalarNetwork):
            linear = [layer for layer in network.layers if isinstance(layer, nn.Linear)]
            for layer in linear:
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
            nn.init.ones_(linear[-1].bias)


def freeze(encoder: LearnedEncoder, n_layers: int) -> None:
    """Stop training the embeddings and the lowest layers; 0 stops nothing.

    An output map that is tied to the embeddings stops with them.

    Raises:
        ParameterError: the backbone has fewer layers.
    """
    if n_layers == 0:
        return
    for module in _modules(encoder):
        network = getattr(module, "network", None)
        if network is None:
            continue
        layers = layers_of(network.model.base_model)
        if n_layers > len(layers):
            raise ParameterError(
                f"frozen_layers: {n_layers}; the backbone has {len(layers)} layers"
            )
        for part in (network.model.base_model.embeddings, *layers[:n_layers]):
            part.requires_grad_(False)


def _modules(encoder: LearnedEncoder) -> list[Any]:
    return [side.module() for side in (encoder.documents, encoder.queries)]


def _shortened(backbone: Path, folder: Path, layers: int) -> Path:
    """The backbone with fewer layers in its settings; its other weights are not read."""
    settings = read_json(backbone / "config.json")
    name = _LAYERS.get(settings.get("model_type", ""), "num_hidden_layers")
    if not isinstance(settings.get(name), int) or settings[name] < layers:
        raise ParameterError(f"layers: {layers}; {backbone} has {settings.get(name)}")
    folder.mkdir(parents=True, exist_ok=True)
    for file in backbone.iterdir():
        if file.is_file() and file.name != "config.json":
            (folder / file.name).symlink_to(file.resolve())
    text = json.dumps(settings | {name: layers})
    (folder / "config.json").write_text(text, encoding="utf-8")
    return folder


def _with_residual(encoder: LearnedEncoder, folder: Path, inner: int) -> LearnedEncoder:
    """The encoder in `folder` with a residual network in its head, on the sides that have one.

    Raises:
        ParameterError: neither side has a masked language model's head.
    """
    checkpoint = encoder.checkpoint
    sides = [checkpoint.documents, checkpoint.queries]
    if all(side.recipe.head != "mlm" for side in sides):
        raise ParameterError("residual: only a masked language model's head takes one")
    changed = [
        side.with_recipe(head="residual") if side.recipe.head == "mlm" else side for side in sides
    ]
    width = read_config(Source(folder)).hidden_size
    for place in {side.folder for side in changed if side.recipe.head == "residual"}:
        write_residual(place, residual_network(width, inner))
    (folder / MODULES).unlink(missing_ok=True)
    own.write_description(folder, changed[0], changed[1])
    return LearnedEncoder(folder)


def _begin_as_identity(network: VocabularyNetwork) -> None:
    """Let the head's dense map hand states through, and its norm change nothing."""
    dense, norm = transform_of(network.model)
    with torch.no_grad():
        dense.weight.copy_(torch.eye(dense.weight.shape[0]))
        for tensor in (dense.bias, norm.bias):
            tensor.zero_()
        norm.weight.fill_(1)
        _linear(network).bias.zero_()


def _hand_through(
    network: Any, n_layers: int, encoder: LearnedEncoder, texts: Sequence[str]
) -> None:
    """Let the highest layers begin near the identity.

    What attention and the feed-forward part add begins as 0. The two norms would still change
    states, which the norm below has left with nearly the same mean and deviation at every position:
    these become their shift and scale.

    Raises:
        ParameterError: layers that are not of BERT's kind.
    """
    layers: Any = layers_of(network.model.base_model)[-n_layers:]
    if not all(_is_like_bert(layer) for layer in layers):
        kind = type(network.model).__name__
        raise ParameterError(
            f"model.identity_layers: {n_layers}; {kind} has no layers that can begin as the "
            "identity, those of BERT and RoBERTa can"
        )
    caught: list[torch.Tensor] = []
    hook = layers[0].register_forward_pre_hook(lambda layer, given: caught.append(given[0]))
    ids, mask = _padded_texts(encoder, texts)
    with torch.no_grad(), hook:
        network.states(ids, mask)
        states = caught[0][mask]
        for layer in layers:
            for part in (layer.attention.output, layer.output):
                nn.init.zeros_(part.dense.weight)
                nn.init.zeros_(part.dense.bias)
                part.LayerNorm.weight.fill_(float(states.std(1, unbiased=False).mean()))
                part.LayerNorm.bias.fill_(float(states.mean()))


def _is_like_bert(layer: Any) -> bool:
    """Whether a layer ends its two parts as BERT's do."""
    attention = getattr(layer, "attention", None)
    return all(hasattr(getattr(part, "output", None), "LayerNorm") for part in (attention, layer))


def _padded_texts(
    encoder: LearnedEncoder, texts: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of documents."""
    from ..language_model import padded

    return padded([text.ids for text in encoder.documents.tokens(texts)], 0)


def _linear(network: VocabularyNetwork) -> TiledHead:
    head = whole_of(network.head)
    assert head is not None
    return head


def transform_of(model: Any) -> tuple[nn.Linear, nn.LayerNorm]:
    """Dense map and norm of a masked language model's head.

    Raises:
        ParameterError: an architecture whose head is not known.
    """
    if hasattr(model, "cls") and hasattr(model.cls, "predictions"):
        transform = model.cls.predictions.transform
        return transform.dense, transform.LayerNorm
    if hasattr(model, "vocab_transform"):
        return model.vocab_transform, model.vocab_layer_norm
    if hasattr(model, "lm_head") and hasattr(model.lm_head, "dense"):
        return model.lm_head.dense, model.lm_head.layer_norm
    raise ParameterError(f"{type(model).__name__}: a head that cannot be calibrated")


def _shift(
    network: VocabularyNetwork, encoder: LearnedEncoder, texts: Sequence[str], active: float
) -> None:
    """Scale and shift scores such that the share `active` of them lies above 0, most below 1."""
    ids, mask = _padded_texts(encoder, texts)
    head = _linear(network)
    with torch.no_grad():
        states = head.transform(network.states(ids, mask))
        highest = [
            (states[row][mask[row]] @ head.weight.t()).amax(0).numpy() for row in range(len(ids))
        ]
        threshold, strongest = np.quantile(np.stack(highest), [1 - active, _STRONGEST])
        scale = 1 / max(float(strongest - threshold), 1e-6)
        _, norm = transform_of(network.model)
        norm.weight.mul_(scale)
        head.bias.fill_(-float(threshold) * scale)
