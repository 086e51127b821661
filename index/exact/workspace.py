"""What an exact search writes on: made once a thread, kept for the next search."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..topk import Counters
from ..vectors import Float32s, Int64s
from .block_maxima import BLOCK
from .posting_lists import WINDOW

POSTINGS, BOUNDS, DOCUMENTS, ENTRIES, N_COUNTS = range(5)
"""Places in the row of counts that a search adds to, and their number: postings of lists, block
maxima, documents scored one by one, and their entries."""


class Workspace(NamedTuple):
    """Scratch arrays of a search."""

    accumulators: Float32s
    """(WINDOW,), all zero between searches."""
    bounds: Float32s
    """(WINDOW / BLOCK,), of each block what terms that are left out may add."""
    candidates: NDArray[np.uint32]
    """(WINDOW,), documents whose scores may be among the best."""
    partial_sums: Float32s
    """(WINDOW,), what has been added up for each candidate."""
    weights: Float32s
    """The query's values by component; all zero between searches. Empty without documents."""
    cursors: Int64s
    """(n_terms,), the next run of each term's list."""
    left_out: NDArray[np.bool_]
    """(n_terms,), whether a term's list is not read in this window."""
    merits: Float32s
    ranking: Int64s
    """(n_terms,), of terms what is gained by choosing them, and the terms, best first."""


class WorkspacePool:
    """Lends workspaces, each to one search at a time; makes another when all are lent."""

    def __init__(self, n_weights: int) -> None:
        """Workspaces with a table of so many weights."""
        self._n_weights = n_weights
        self._idle: deque[Workspace] = deque()

    def take(self, n_terms: int) -> Workspace:
        """A workspace for queries of at most `n_terms` terms."""
        try:
            workspace = self._idle.pop()
        except IndexError:
            return self._made(n_terms)
        return workspace if workspace.cursors.size >= n_terms else self._made(n_terms)

    def give_back(self, workspace: Workspace) -> None:
        """Keep it for another search. Not after an error: its tables might not be clear."""
        self._idle.append(workspace)

    def _made(self, n_terms: int) -> Workspace:
        return Workspace(
            accumulators=np.zeros(WINDOW, dtype=np.float32),
            bounds=np.empty(WINDOW // BLOCK, dtype=np.float32),
            candidates=np.empty(WINDOW, dtype=np.uint32),
            partial_sums=np.empty(WINDOW, dtype=np.float32),
            weights=np.zeros(self._n_weights, dtype=np.float32),
            cursors=np.empty(n_terms, dtype=np.int64),
            left_out=np.zeros(n_terms, dtype=np.bool_),
            merits=np.empty(n_terms, dtype=np.float32),
            ranking=np.empty(n_terms, dtype=np.int64),
        )


def counters(counts: Int64s) -> Counters:
    """What the counts of a search come to."""
    postings, bounds, documents, entries, *_ = counts.tolist()
    return Counters(
        postings_scored=postings + entries,
        documents_scored=documents,
        bytes_touched=6 * postings + bounds + 8 * entries,
    )
