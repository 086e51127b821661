"""Activations: from the score that a model gives a term to the weight of the term.

    relu        w = log(1 + max(z, 0))              SPLADE (arXiv 2107.05720)
    log1p_relu  w = log(1 + log(1 + max(z, 0)))     OpenSearch v3, L0 (arXiv 2504.14839)

The names are sentence-transformers': they name what stands inside the outer log(1 + ...). Both
are monotone, so the largest weight over positions is the weight of the largest score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lexidex.errors import ParameterError
from lexidex.index.vectors import Float32s

if TYPE_CHECKING:
    import torch

LOGARITHMS = {"relu": 1, "log1p_relu": 2}
"""Activation -> how often log(1 + x) is applied to the rectified score."""


def check_activation(name: object, where: str = "activation") -> str:
    """`name` if it is an activation; ParameterError otherwise."""
    if isinstance(name, str) and name in LOGARITHMS:
        return name
    raise ParameterError(f"{where}: {name!r}; known are {', '.join(LOGARITHMS)}")


def activate(scores: Float32s, activation: str) -> Float32s:
    """Weights of scores, float32 of the same shape; scores of 0 and below become 0."""
    weights: Float32s = np.maximum(scores, np.float32(0))
    for _ in range(LOGARITHMS[activation]):
        weights = np.log1p(weights)
    return weights


def activate_in_place(scores: torch.Tensor, activation: str) -> torch.Tensor:
    """`activate` for a tensor, which is overwritten."""
    scores.relu_()
    for _ in range(LOGARITHMS[activation]):
        scores.log1p_()
    return scores
