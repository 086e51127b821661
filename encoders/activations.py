"""Activations: from the score that a model gives a term to the weight of the term.

    relu        w = log(1 + max(z, 0))              SPLADE (arXiv 2107.05720)
    log1p_relu  w = log(1 + log(1 + max(z, 0)))     OpenSearch v3, L0 (arXiv 2504.14839)
    linear      w = max(z, 0)                       uniCOIL, DeepImpact, BGE-M3
    softplus    w = log(1 + log(1 + exp(z)))        EPIC (arXiv 2004.14245)

The first two names are sentence-transformers': they name what stands inside the outer
log(1 + ...). All are monotone, so the largest weight over positions is the weight of the largest
score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lexidex.errors import ParameterError
from lexidex.index.vectors import Float32s

if TYPE_CHECKING:
    import torch

LOGARITHMS = {"relu": 1, "log1p_relu": 2, "linear": 0, "softplus": 1}
"""Activation -> how often log(1 + x) is applied to the rectified score."""

_SMOOTH = ("softplus",)
"""Those that rectify by log(1 + exp(z)); the others by max(z, 0)."""


def check_activation(name: object, where: str = "activation") -> str:
    """`name` if it is an activation; ParameterError otherwise."""
    if isinstance(name, str) and name in LOGARITHMS:
        return name
    raise ParameterError(f"{where}: {name!r}; known are {', '.join(LOGARITHMS)}")


def least_score(activation: str) -> float:
    """The score up to which a weight is 0: 0, or for smooth activations none."""
    return -np.inf if activation in _SMOOTH else 0.0


def activate(scores: Float32s, activation: str) -> Float32s:
    """Weights of scores, float32 of the same shape; positive above `least_score`, else 0."""
    smooth = activation in _SMOOTH
    zero = np.float32(0)
    weights: Float32s = np.logaddexp(scores, zero) if smooth else np.maximum(scores, zero)
    for _ in range(LOGARITHMS[activation]):
        weights = np.log1p(weights)
    return weights


def activate_tensor(scores: torch.Tensor, activation: str) -> torch.Tensor:
    """`activate` for a tensor, differentiable."""
    from torch.nn.functional import softplus

    weights = softplus(scores) if activation in _SMOOTH else scores.relu()
    for _ in range(LOGARITHMS[activation]):
        weights = weights.log1p()
    return weights


def activate_in_place(scores: torch.Tensor, activation: str) -> torch.Tensor:
    """`activate` for a tensor, which is overwritten."""
    import torch

    if activation in _SMOOTH:
        torch.logaddexp(scores, scores.new_zeros(()), out=scores)
    else:
        scores.relu_()
    for _ in range(LOGARITHMS[activation]):
        scores.log1p_()
    return scores
