"""The weights of a BERT-shaped masked language model, by the part that they play.

BERT, DistilBERT and the RoBERTa family differ in names and in where positions begin, and compute
the same: sums of embeddings, layers of attention and of a widening and narrowing map, and a head
of a dense map, activation, layer norm and a linear map onto the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lexidex.errors import ParameterError
from lexidex.index.vectors import Float32s

ACTIVATIONS = ("gelu", "relu")
"""Activations inside the model that engines compute; gelu is the exact one."""


@dataclass(frozen=True)
class Linear:
    """A linear map: `x @ weight + bias`.

    Attributes:
        weight: float32 (inputs, outputs), C-contiguous.
        bias: float32 (outputs,).
    """

    weight: Float32s
    bias: Float32s


@dataclass(frozen=True)
class Norm:
    """A layer norm: scale and shift float32 (width,)."""

    scale: Float32s
    shift: Float32s
    epsilon: float


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        attention: onto queries, keys and values, beside each other: (width, 3 * width). Queries
            are divided by the root of a head's width already.
        mixed: what follows attention, and its norm.
        widened: the first map of the feed-forward part.
        narrowed: the second, and its norm.
    """

    attention: Linear
    mixed: Linear
    mixed_norm: Norm
    widened: Linear
    narrowed: Linear
    narrowed_norm: Norm


@dataclass(frozen=True)
class BertWeights:
    """A model and its head.

    Attributes:
        words: float32 (vocabulary, width).
        positions: float32 (most positions, width), with what is added to every word.
        norm: of the embeddings.
        layers: from the first to the last.
        heads: attention heads of each layer.
        activation: of the layers, one of `ACTIVATIONS`.
        transform: what comes before the map onto the vocabulary.
        transform_activation: one of `ACTIVATIONS`.
        transform_norm: follows it.
        terms: float32 (vocabulary, width), the map onto the vocabulary.
        bias: float32 (vocabulary,).
    """

    words: Float32s
    positions: Float32s
    norm: Norm
    layers: tuple[Layer, ...]
    heads: int
    activation: str
    transform: Linear
    transform_activation: str
    transform_norm: Norm
    terms: Float32s
    bias: Float32s

    @property
    def width(self) -> int:
        """Numbers of a hidden state."""
        return int(self.words.shape[1])


def bert_weights(model: Any) -> BertWeights:
    """The weights of a transformers model for masked language modelling, shared with it if it can.

    Raises:
        ParameterError: another architecture, or an activation that engines do not compute.
    """
    architecture = type(model).__name__
    if architecture not in _READERS:
        raise ParameterError(
            f"{architecture}: only torch can run this model; other engines know "
            f"{', '.join(sorted(_READERS))}"
        )
    return _READERS[architecture](model)


def _bert(model: Any) -> BertWeights:
    config, head = model.config, model.cls.predictions
    return BertWeights(
        **_backbone(model.bert, config, first_position=0),
        transform=_linear(head.transform.dense),
        transform_activation=_known(config.hidden_act),
        transform_norm=_norm(head.transform.LayerNorm),
        terms=_array(head.decoder.weight),
        bias=_array(head.decoder.bias),
    )


def _roberta(model: Any) -> BertWeights:
    config, head = model.config, model.lm_head
    return BertWeights(
        **_backbone(model.base_model, config, first_position=config.pad_token_id + 1),
        transform=_linear(head.dense),
        transform_activation="gelu",
        transform_norm=_norm(head.layer_norm),
        terms=_array(head.decoder.weight),
        bias=_array(head.decoder.bias),
    )


def _backbone(backbone: Any, config: Any, first_position: int) -> dict[str, Any]:
    embeddings = backbone.embeddings
    positions = _array(embeddings.position_embeddings.weight)[first_position:]
    return {
        "words": _array(embeddings.word_embeddings.weight),
        "positions": positions + _array(embeddings.token_type_embeddings.weight)[0],
        "norm": _norm(embeddings.LayerNorm),
        "layers": tuple(
            _layer(
                [layer.attention.self.query, layer.attention.self.key, layer.attention.self.value],
                config.num_attention_heads,
                mixed=layer.attention.output.dense,
                mixed_norm=layer.attention.output.LayerNorm,
                widened=layer.intermediate.dense,
                narrowed=layer.output.dense,
                narrowed_norm=layer.output.LayerNorm,
            )
            for layer in backbone.encoder.layer
        ),
        "heads": config.num_attention_heads,
        "activation": _known(config.hidden_act),
    }


def _distilbert(model: Any) -> BertWeights:
    config, backbone = model.config, model.distilbert
    return BertWeights(
        words=_array(backbone.embeddings.word_embeddings.weight),
        positions=_array(backbone.embeddings.position_embeddings.weight),
        norm=_norm(backbone.embeddings.LayerNorm),
        layers=tuple(
            _layer(
                [layer.attention.q_lin, layer.attention.k_lin, layer.attention.v_lin],
                config.n_heads,
                mixed=layer.attention.out_lin,
                mixed_norm=layer.sa_layer_norm,
                widened=layer.ffn.lin1,
                narrowed=layer.ffn.lin2,
                narrowed_norm=layer.output_layer_norm,
            )
            for layer in backbone.transformer.layer
        ),
        heads=config.n_heads,
        activation=_known(config.activation),
        transform=_linear(model.vocab_transform),
        transform_activation=_known(config.activation),
        transform_norm=_norm(model.vocab_layer_norm),
        terms=_array(model.vocab_projector.weight),
        bias=_array(model.vocab_projector.bias),
    )


_READERS: dict[str, Callable[[Any], BertWeights]] = {
    "BertForMaskedLM": _bert,
    "DistilBertForMaskedLM": _distilbert,
    "RobertaForMaskedLM": _roberta,
    "XLMRobertaForMaskedLM": _roberta,
    "CamembertForMaskedLM": _roberta,
}


def _layer(attention: list[Any], heads: int, **parts: Any) -> Layer:
    maps = [_linear(part) for part in attention]
    scale = np.float32((maps[0].weight.shape[1] / heads) ** -0.5)
    maps[0] = Linear(maps[0].weight * scale, maps[0].bias * scale)
    joined = Linear(
        np.concatenate([part.weight for part in maps], axis=1),
        np.concatenate([part.bias for part in maps]),
    )
    read: dict[str, Any] = {
        name: _norm(part) if name.endswith("_norm") else _linear(part)
        for name, part in parts.items()
    }
    return Layer(attention=joined, **read)


def _known(activation: str) -> str:
    if activation in ACTIVATIONS:
        return activation
    raise ParameterError(
        f"activation {activation!r}: only torch can run this model; other engines know "
        f"{', '.join(ACTIVATIONS)}"
    )


def _linear(module: Any) -> Linear:
    return Linear(np.ascontiguousarray(_array(module.weight).T), _array(module.bias))


def _norm(module: Any) -> Norm:
    return Norm(_array(module.weight), _array(module.bias), float(module.eps))


def _array(parameter: Any) -> Float32s:
    array: Float32s = parameter.detach().float().numpy()
    return array
