"""Batches of texts of like length: little padding, and memory that a number bounds."""

from __future__ import annotations

import numpy as np

from lexidex.errors import ParameterError
from lexidex.index.vectors import Int64s


def token_batches(lengths: Int64s, batch_tokens: int, max_rows: int | None = None) -> list[Int64s]:
    """Texts grouped so that no batch, padded to its longest text, exceeds a number of tokens.

    Args:
        lengths: tokens of each text, int64 (n,).
        batch_tokens: most tokens of a batch, padding included; a text longer than that is a batch
            of its own.
        max_rows: most texts of a batch; None for no limit.

    Returns:
        Rows of `lengths`, each batch int64, the longest text first: a batch that does not fit in
        memory fails at once. Texts of length 0 are in no batch.
    """
    if batch_tokens < 1:
        raise ParameterError(f"batch_tokens: {batch_tokens!r}; expected at least 1")
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    batches: list[Int64s] = []
    start = 0
    while start < order.size:
        rows = max(1, batch_tokens // int(lengths[order[start]]))
        if max_rows is not None:
            rows = max(1, min(rows, max_rows))
        batches.append(order[start : start + rows])
        start += rows
    return batches
