"""Where a masked language model keeps its head, and how to call that head alone.

BERT, DistilBERT and the RoBERTa family end in dense, activation, layer norm and a linear map onto
the vocabulary; their parts are used one by one, so that the map can be tiled. Of any other
architecture the whole head is called: the model, with its backbone replaced by a module that hands
through the states it is given.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lexidex.errors import ParameterError

from .projection import Head, TiledHead, WholeHead

if TYPE_CHECKING:
    import torch

_BERT = ("BertForMaskedLM",)
_ROBERTA = ("RobertaForMaskedLM", "XLMRobertaForMaskedLM", "CamembertForMaskedLM")
_DISTILBERT = ("DistilBertForMaskedLM",)

HEAD_WEIGHTS = {
    "bert": "cls.predictions.transform.dense.weight",
    "distilbert": "vocab_transform.weight",
    "roberta": "lm_head.dense.weight",
    "xlm-roberta": "lm_head.dense.weight",
    "camembert": "lm_head.dense.weight",
}
"""`model_type` -> a weight that only a checkpoint with a trained head has."""


def head_of(model: Any) -> Head:
    """The head of a transformers model for masked language modelling, float32, on the CPU.

    Args:
        model: what `AutoModelForMaskedLM` returns.
    """
    architecture = type(model).__name__
    if architecture in _BERT:
        predictions = model.cls.predictions
        return _tiled(predictions.transform, predictions.decoder)
    if architecture in _ROBERTA:
        return _tiled(_roberta_transform(model.lm_head), model.lm_head.decoder)
    if architecture in _DISTILBERT:
        return _tiled(_distilbert_transform(model), model.vocab_projector)
    return whole_head(model)


def whole_head(model: Any) -> WholeHead:
    """The head of any model for masked language modelling, as it is.

    Raises:
        ParameterError: the model has no backbone that can be told from its head.
    """
    if model.base_model is model:
        raise ParameterError(f"{type(model).__name__}: no backbone {model.base_model_prefix!r}")
    head = copy.copy(model)
    # A copy of a module shares the table of its parts, and the model itself has to stay whole.
    head._modules = dict(model._modules)
    head._modules[model.base_model_prefix] = _pass_through(model.base_model)

    def score(states: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = head(inputs_embeds=states[None]).logits[0]
        return scores

    return WholeHead(score, int(model.config.vocab_size))


def headless(folder: Path, missing: list[str]) -> ParameterError:
    """The error for a checkpoint without a trained head."""
    shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    return ParameterError(
        f"{folder}: weights are missing: {shown}; without them vectors would be random. A "
        "checkpoint with that head, trained, is needed"
    )


def _tiled(transform: Any, decoder: Any) -> TiledHead:
    return TiledHead(transform, decoder.weight, decoder.bias)


def _roberta_transform(head: Any) -> Any:
    from torch.nn.functional import gelu

    return lambda states: head.layer_norm(gelu(head.dense(states)))


def _distilbert_transform(model: Any) -> Any:
    return lambda states: model.vocab_layer_norm(model.activation(model.vocab_transform(states)))


def _pass_through(backbone: Any) -> Any:
    """A stand-in for a backbone that returns `inputs_embeds` as its hidden states."""
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    class PassThrough(torch.nn.Module):
        def forward(self, *_: Any, inputs_embeds: torch.Tensor, **__: Any) -> BaseModelOutput:
            return BaseModelOutput(last_hidden_state=inputs_embeds)

        def __getattr__(self, name: str) -> Any:
            # Some heads reach into the backbone, for the word embeddings above all.
            return getattr(backbone, name)

    return PassThrough()
