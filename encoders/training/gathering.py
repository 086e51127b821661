"""Vectors of all processes, with gradients: every process sees the batch of all of them.

The gradient of what was gathered flows back to the process that it came from, summed over all, so
that after the average that data parallelism takes it is that of the mean of all processes' losses.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor


def n_processes() -> int:
    """How many processes train together."""
    distributed = torch.distributed
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """The number of this process."""
    return torch.distributed.get_rank() if n_processes() > 1 else 0


def is_main() -> bool:
    """Whether this process tells and writes for all; known before they have met, too."""
    return (rank() or int(os.environ.get("RANK", "0"))) == 0


def gathered(tensor: Tensor) -> Tensor:
    """The rows of all processes, in the order of their ranks; all have to hold as many."""
    if n_processes() == 1:
        return tensor
    if not tensor.requires_grad:
        parts = [torch.empty_like(tensor) for _ in range(n_processes())]
        torch.distributed.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)
    from torch.distributed.nn.functional import all_gather

    untyped: Any = all_gather
    return torch.cat(list(untyped(tensor.contiguous())))
