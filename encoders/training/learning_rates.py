"""Which learning rate a parameter has: by what it is part of, never by its name.

Architectures call their parts what they like; what every transformers model knows is its backbone
and the map onto the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import nn

from ..networks.side import StaticModule
from .encoder_student import EncoderStudent
from .sections import TrainingSection


def rates_of(
    training: TrainingSection, student: EncoderStudent
) -> Callable[[nn.Parameter], float | None]:
    """The learning rate of a parameter; None for the usual one.

    The backbone has the usual one, tables of query weights `table_learning_rate`, the bias of a
    head that scores the vocabulary `bias_learning_rate`, and all else, heads and the factor of
    scores, `head_learning_rate`.
    """
    models = _models(student)
    backbones = _ids(each for model in models for each in model.base_model.parameters())
    biases = _ids(_biases(models))
    tables = _ids(
        each
        for module in student.modules()
        if isinstance(module, StaticModule)
        for each in module.parameters()
    )

    def rate(parameter: nn.Parameter) -> float | None:
        if id(parameter) in backbones:
            return None
        if id(parameter) in tables:
            return training.table_learning_rate
        if id(parameter) in biases and training.bias_learning_rate is not None:
            return training.bias_learning_rate
        return training.head_learning_rate

    return rate


def _models(student: EncoderStudent) -> list[Any]:
    """The transformers models of both sides."""
    sides = (student.encoder.documents, student.encoder.queries)
    networks: list[Any] = [getattr(side.module(), "network", None) for side in sides]
    return [network.model for network in networks if network is not None]


def _biases(models: Iterable[Any]) -> Iterator[nn.Parameter]:
    """The biases of maps onto the vocabulary."""
    for model in models:
        found = getattr(model.get_output_embeddings(), "bias", None)
        if isinstance(found, nn.Parameter):
            yield found


def _ids(parameters: Iterable[nn.Parameter]) -> set[int]:
    return {id(parameter) for parameter in parameters}
