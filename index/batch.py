"""What every batch search shares: the check of k, and threads over queries."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from lexidex.errors import ParameterError

T = TypeVar("T")

K_LIMIT = 1_000_000


def check_k(k: int, name: str = "k") -> None:
    """Raise ParameterError unless 1 <= k <= 1,000,000."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= K_LIMIT:
        raise ParameterError(f"{name}: {k!r}; expected an integer from 1 to {K_LIMIT:,}")


def in_threads(run: Callable[[int, int], T], n_queries: int, n_threads: int) -> list[T]:
    """Call run(first, last) over `n_threads` contiguous shares of the queries; its results."""
    if isinstance(n_threads, bool) or not isinstance(n_threads, int) or n_threads < 1:
        raise ParameterError(f"n_threads: {n_threads!r}; expected an integer of at least 1")
    n_shares = min(n_threads, n_queries)
    if n_shares <= 1:
        return [run(0, n_queries)]
    bounds = np.linspace(0, n_queries, n_shares + 1).astype(int).tolist()
    with ThreadPoolExecutor(n_shares) as pool:
        return list(pool.map(run, bounds[:-1], bounds[1:]))
