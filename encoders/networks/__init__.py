"""Networks: backbone and head of a side as one torch module, for encoding and for training.

A network has two forms of one computation, held equal by tests: one with gradients, for training,
and one that makes no large array, for encoding. Its modules import torch, and so are only imported
once a model is needed: by `network_class`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .base import Network

NETWORKS = {
    "mlm": ("masked_lm", "MaskedLMNetwork"),
    "embeddings": ("sparta", "EmbeddingNetwork"),
    "epic": ("epic", "EpicNetwork"),
    "residual": ("residual", "ResidualNetwork"),
    "scalar": ("scalar", "ScalarNetwork"),
}
"""Head of a recipe -> module and class; a new kind of model is one more line."""


def network_class(head: str) -> type[Network]:
    """The class of networks with that head; imports torch."""
    module, name = NETWORKS[head]
    found: type[Network] = getattr(import_module(f"{__name__}.{module}"), name)
    return found
