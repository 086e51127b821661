"""Block pruning: feed-forward maps of which most 4x1 blocks are 0, mended by least squares.

As in the CPU sparse-inference paper (Intel, arXiv 2306.16601) a block is 4 outputs by 1 input. The
paper prunes while it trains for days; here nothing is trained. Blocks are chosen by their norm
times that of their input over some texts (Wanda, arXiv 2306.11695, for blocks).
Then, map after map, the weights that are left are fitted to the unpruned model's outputs, given
what reaches them in the pruned one: least squares, which also makes up for what the maps before
lost.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lexidex.errors import ParameterError

from .sparse_products import BLOCK

if TYPE_CHECKING:
    from ..language_model import LanguageModel

LENGTH = 128
"""Tokens of a text that weights are fitted to."""

_RIDGE = 1e-2
"""What is added to the inputs' mean square, as a share of it: texts are few, weights are many."""


def prune(
    source: str | PathLike[str],
    to: str | PathLike[str],
    texts: Sequence[str],
    sparsity: float,
    options: Mapping[str, Any] | None = None,
) -> int:
    """Write a checkpoint whose models have block-sparse feed-forward maps.

    Args:
        source: a checkpoint, in a folder or on the hub.
        to: a folder that is not there yet.
        texts: see `prune_model`; cut off after `LENGTH` tokens.
        sparsity: see `prune_model`.
        options: of `load_encoder`, for `source`: what its files do not tell; those written do.

    Returns:
        How many maps were pruned.

    Raises:
        ParameterError: see `prune_model`; or no model there, or `to` exists.
    """
    from .export import model_sides, with_models

    target = Path(to)
    if target.exists():
        raise ParameterError(f"{target}: exists already; expected a new folder")
    encoder = with_models(source, options)
    n_maps = 0
    for side in model_sides(encoder):
        ids = [text[:LENGTH] for text in side.tokenizer.encode(texts)]
        n_maps += prune_model(side.model, ids, sparsity)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        encoder.save(Path(scratch) / "checkpoint")
        (Path(scratch) / "checkpoint").rename(target)
    return n_maps


def prune_model(model: LanguageModel, texts: Sequence[Sequence[int]], sparsity: float) -> int:
    """Prune the feed-forward maps of a loaded model, in place.

    Args:
        model: with torch behind it.
        texts: ids of texts like those to come.
        sparsity: share of each map's blocks that become 0, in (0, 1).

    Returns:
        How many maps were pruned.

    Raises:
        ParameterError: no such share, no texts, or no feed-forward map.
    """
    if not 0 < sparsity < 1:
        raise ParameterError(f"sparsity: {sparsity!r}; expected a number between 0 and 1")
    texts = [text for text in texts if len(text)]
    if not texts:
        raise ParameterError("texts: all of them are empty; pruning needs some to fit weights to")
    backbone = model.trainable().model.base_model
    maps = _feed_forward(backbone)
    if not maps:
        raise ParameterError(f"{model.folder}: the model has no feed-forward maps")
    whole = copy.deepcopy(backbone)
    for name, pruned in maps.items():
        original: Any = whole.get_submodule(name)
        wanted = _seen(whole, original, texts, outputs=True)
        inputs = _seen(backbone, pruned, texts, outputs=False)
        kept = _kept_blocks(pruned.weight.detach(), inputs, sparsity)
        weight, bias = _fitted(inputs, wanted, kept)
        with torch.no_grad():
            pruned.weight.copy_(weight)
            pruned.bias.copy_(bias)
    return len(maps)


def _feed_forward(backbone: nn.Module) -> dict[str, nn.Linear]:
    """The maps that widen states and narrow them again, by name."""
    return {
        name: module
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear)
        and module.in_features != module.out_features
        and module.bias is not None
        and module.out_features % BLOCK == 0
    }


def _seen(
    backbone: Any, of: nn.Module, texts: Sequence[Sequence[int]], *, outputs: bool
) -> torch.Tensor:
    """The inputs or outputs of a module over all positions of texts, (positions, width)."""
    found: list[torch.Tensor] = []

    def keep(_module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        found.append((output if outputs else inputs[0]).flatten(0, -2))

    hook = of.register_forward_hook(keep)
    try:
        with torch.inference_mode():
            for text in texts:
                backbone(input_ids=torch.tensor([list(text)]))
    finally:
        hook.remove()
    return torch.cat(found)


def _kept_blocks(weight: torch.Tensor, inputs: torch.Tensor, sparsity: float) -> torch.Tensor:
    """Which blocks stay, bool (outputs / 4, inputs)."""
    n_outputs, n_inputs = weight.shape
    norms = weight.reshape(n_outputs // BLOCK, BLOCK, n_inputs).norm(dim=1)
    importance = (norms * inputs.norm(dim=0)).flatten()
    count = max(1, round((1 - sparsity) * importance.numel()))
    kept = torch.zeros_like(importance, dtype=torch.bool)
    kept[importance.topk(count).indices] = True
    return kept.reshape(norms.shape)


def _fitted(
    inputs: torch.Tensor, wanted: torch.Tensor, kept: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (outputs, inputs) and bias (outputs,) nearest to the outputs that are wanted."""
    input_mean, wanted_mean = inputs.mean(dim=0), wanted.mean(dim=0)
    centred = inputs - input_mean
    squares = centred.T @ centred
    products = centred.T @ (wanted - wanted_mean)
    squares += torch.eye(len(squares)) * (_RIDGE * squares.diagonal().mean())
    weight = torch.zeros(wanted.shape[1], inputs.shape[1])
    for block, row in enumerate(kept):
        used = row.nonzero().flatten()
        outputs = slice(block * BLOCK, (block + 1) * BLOCK)
        if len(used):
            solved = torch.linalg.solve(squares[used][:, used], products[used, outputs])
            weight[outputs, used] = solved.T
    return weight, wanted_mean - weight @ input_mean
