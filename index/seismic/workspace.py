"""What a search writes on, 12 bytes a document and more: made once a thread, kept for the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from ..vectors import Float32s, Int64s
from .estimates import ORDER_BUCKETS
from .pruning import Ordinals
from .records import Rows
from .traversal import BATCH, Words


class Workspace(NamedTuple):
    """Scratch arrays, in the order and of the types that `search_queries` takes them."""

    query: Float32s
    terms: Int64s
    values: Float32s
    chosen: Int64s
    chosen_values: Float32s
    places: Int64s
    estimates: Float32s
    blocks: Ordinals
    sorted_estimates: Float32s
    sorted_blocks: Ordinals
    order_ends: Int64s
    visited: Words
    seen: Ordinals
    batches: Int64s
    candidates: Ordinals
    upper_bounds: Float32s


class WorkspacePool:
    """Lends workspaces, each to one search at a time; makes another when all are lent."""

    def __init__(self, n_documents: int, lists: Rows) -> None:
        """Workspaces for an index with that many documents and that lists table."""
        self._n_documents = n_documents
        self._n_components = lists.size - 1
        descending = np.sort(np.diff(lists["block"].astype(np.int64)))[::-1]
        self._most_blocks = np.concatenate(([0], np.cumsum(descending)))
        self._idle: deque[Workspace] = deque()

    @contextmanager
    def lend(self, query_cut: int, n_terms: int) -> Iterator[Workspace]:
        """A workspace for queries of at most `n_terms` components, `query_cut` of them visited."""
        try:
            workspace = self._idle.pop()
        except IndexError:
            workspace = self._made(query_cut, n_terms)
        if workspace.chosen.size < query_cut or workspace.terms.size < n_terms:
            workspace = self._made(query_cut, n_terms)
        yield workspace
        # Not after an error: the tables might not be clear.
        self._idle.append(workspace)

    def _made(self, query_cut: int, n_terms: int) -> Workspace:
        n_blocks = int(self._most_blocks[min(query_cut, self._n_components)])
        return Workspace(
            query=np.zeros(self._n_components, dtype=np.float32),
            terms=np.empty(n_terms, dtype=np.int64),
            values=np.empty(n_terms, dtype=np.float32),
            chosen=np.empty(query_cut, dtype=np.int64),
            chosen_values=np.empty(query_cut, dtype=np.float32),
            places=np.empty((2, n_terms), dtype=np.int64),
            estimates=np.empty(n_blocks, dtype=np.float32),
            blocks=np.empty(n_blocks, dtype=np.uint32),
            sorted_estimates=np.empty(n_blocks, dtype=np.float32),
            sorted_blocks=np.empty(n_blocks, dtype=np.uint32),
            order_ends=np.empty(ORDER_BUCKETS, dtype=np.int64),
            visited=np.zeros(self._n_documents // 64 + 1, dtype=np.uint64),
            seen=np.empty(self._n_documents, dtype=np.uint32),
            batches=np.empty((2, BATCH), dtype=np.int64),
            candidates=np.empty(self._n_documents, dtype=np.uint32),
            upper_bounds=np.empty(self._n_documents, dtype=np.float32),
        )
