"""Batches larger than memory: gradient caching (arXiv 2101.06983).

An in-batch loss needs all vectors at once, but not all activations. Chunks pass through the model
without gradients; the loss gives the gradient of each vector; then chunks pass once more, each with
gradients, and take over those of their vectors. Twice the forward work, the memory of one chunk,
and the gradients of the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from .student import Batch, Vectors
from .trained import concatenated

Forward = Callable[[Batch, Batch], Vectors]


def chunks(batch: Batch, n: int) -> list[dict[str, Tensor]]:
    """A batch cut into n parts of nearly equal numbers of texts; those left over are empty."""
    parts = {name: tensor.tensor_split(n) for name, tensor in batch.items()}
    return [{name: tensors[place] for name, tensors in parts.items()} for place in range(n)]


def cached_step(
    forward: Forward,
    queries: Batch,
    documents: Batch,
    loss_of: Callable[[Vectors], Tensor],
    backward: Callable[[Tensor], Any],
    *,
    n_chunks: int,
    without_sync: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Tensor:
    """One step's loss; gradients are left in the parameters.

    Args:
        forward: from a chunk of both sides to vectors, all columns.
        queries, documents: of the whole batch.
        loss_of: from all vectors to a scalar.
        backward: what is called in place of `Tensor.backward`; scales losses in half precision.
        n_chunks: parts that the batch is cut into.
        without_sync: context in which processes do not exchange gradients; all chunks but the
            last are in it.
    """
    parts = list(zip(chunks(queries, n_chunks), chunks(documents, n_chunks), strict=True))
    states, found = [], []
    with torch.no_grad():
        for part in parts:
            states.append(_RandomState())
            found.append(forward(*part))
    whole = concatenated(found)
    leaves = Vectors(
        whole.queries.detach().requires_grad_(), whole.documents.detach().requires_grad_()
    )
    loss = loss_of(leaves)
    backward(loss)
    gradients = zip(
        torch.split(_gradient(leaves.queries), [len(part.queries) for part in found]),
        torch.split(_gradient(leaves.documents), [len(part.documents) for part in found]),
        strict=True,
    )
    for number, (part, state, grads) in enumerate(zip(parts, states, gradients, strict=True)):
        last = number == n_chunks - 1
        with nullcontext() if last else without_sync(), state.restored():
            vectors = forward(*part)
            # The gradients are already scaled; the product hands them on as they are.
            product = (vectors.queries * grads[0]).sum() + (vectors.documents * grads[1]).sum()
            torch.autograd.backward(product)
    return loss.detach()


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


class _RandomState:
    """The random numbers of dropout, so that a second pass drops what the first has dropped."""

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    @contextmanager
    def restored(self) -> Iterator[None]:
        with torch.random.fork_rng(devices=range(len(self._cuda))):
            torch.set_rng_state(self._cpu)
            if self._cuda:
                torch.cuda.set_rng_state_all(self._cuda)
            yield
