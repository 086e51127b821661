"""What a search writes on, 12 bytes a document and more: made once a thread, kept for the next."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from ..allowed import Words
from ..topk import Counters
from ..vectors import Float32s, Int64s
from .pruning import Ordinals
from .records import DOCUMENT, Records, Rows

BATCH = 16
"""Documents in a stage: enough to keep memory busy, few enough that the threshold stays fresh."""

COMPARED = 24
"""Components of a query, its heaviest, that are compared with summaries."""

ORDER_BUCKETS = 512
"""Steps of a summary score, from 0 to a query's highest, by which blocks are sorted."""

BLOCKS_SCORED, BLOCKS_SKIPPED, DOCUMENTS_SCORED, DOCUMENTS_SKIPPED, POSTINGS_SCORED = range(5)
ORDINALS_READ, ENTRIES_READ, RESIDUES_READ, N_COUNTS = range(5, 9)
"""Places in the row of `counts` that a search adds to, and their number."""


class Workspace(NamedTuple):
    """Scratch arrays of a search."""

    query: Float32s
    """(n_components,), the query's values by component; all zero between searches."""
    terms: Int64s
    values: Float32s
    """Of the query's components that documents have."""
    chosen: Int64s
    chosen_values: Float32s
    """The lists that are visited, and the query's value of each."""
    compared: Int64s
    compared_values: Float32s
    """(COMPARED,), the components that are compared with summaries, and their values."""
    places: Int64s
    """(2, COMPARED), where the query's buckets of a list begin, for two lists in turn."""
    estimates: Float32s
    blocks: Ordinals
    """Blocks of the chosen lists."""
    sorted_estimates: Float32s
    sorted_blocks: Ordinals
    order_ends: Int64s
    """(ORDER_BUCKETS,)."""
    visited: Words
    """A bit a document; all zero between searches."""
    seen: Ordinals
    """Documents whose bit is set."""
    batches: Int64s
    """(3, BATCH), documents found, located, and kept by their heads."""
    ratings: Float32s
    """(BATCH,), of the heads of those kept."""
    candidates: Ordinals
    upper_bounds: Float32s
    """Documents that may be among the best, and an upper bound of each score."""


class WorkspacePool:
    """Lends workspaces, each to one search at a time; makes another when all are lent."""

    def __init__(self, n_documents: int, lists: Rows) -> None:
        """Workspaces for an index with that many documents and that lists table."""
        self._n_documents = n_documents
        self._n_components = lists.size - 1
        descending = np.sort(np.diff(lists["block"].astype(np.int64)))[::-1]
        self._most_blocks = np.concatenate(([0], np.cumsum(descending)))
        self._idle: deque[Workspace] = deque()

    def take(self, query_cut: int, n_terms: int) -> Workspace:
        """A workspace for queries of at most `n_terms` components, `query_cut` of them visited."""
        try:
            workspace = self._idle.pop()
        except IndexError:
            return self._made(query_cut, n_terms)
        if workspace.chosen.size < query_cut or workspace.terms.size < n_terms:
            return self._made(query_cut, n_terms)
        return workspace

    def give_back(self, workspace: Workspace) -> None:
        """Keep it for another search. Not after an error: its tables might not be clear."""
        self._idle.append(workspace)

    def _made(self, query_cut: int, n_terms: int) -> Workspace:
        n_blocks = int(self._most_blocks[min(query_cut, self._n_components)])
        return Workspace(
            query=np.zeros(self._n_components, dtype=np.float32),
            terms=np.empty(n_terms, dtype=np.int64),
            values=np.empty(n_terms, dtype=np.float32),
            chosen=np.empty(query_cut, dtype=np.int64),
            chosen_values=np.empty(query_cut, dtype=np.float32),
            compared=np.empty(COMPARED, dtype=np.int64),
            compared_values=np.empty(COMPARED, dtype=np.float32),
            places=np.empty((2, COMPARED), dtype=np.int64),
            estimates=np.empty(n_blocks, dtype=np.float32),
            blocks=np.empty(n_blocks, dtype=np.uint32),
            sorted_estimates=np.empty(n_blocks, dtype=np.float32),
            sorted_blocks=np.empty(n_blocks, dtype=np.uint32),
            order_ends=np.empty(ORDER_BUCKETS, dtype=np.int64),
            visited=np.zeros(self._n_documents // 64 + 1, dtype=np.uint64),
            seen=np.empty(self._n_documents, dtype=np.uint32),
            batches=np.empty((3, BATCH), dtype=np.int64),
            ratings=np.empty(BATCH, dtype=np.float32),
            candidates=np.empty(self._n_documents, dtype=np.uint32),
            upper_bounds=np.empty(self._n_documents, dtype=np.float32),
        )


def counters(counts: Int64s, records: Records) -> Counters:
    """What the `counts` of a search in these records come to."""
    done = counts.tolist()  # plain integers cost a third of NumPy's
    component_bytes = records.components.itemsize
    has_residues = records.residue_offset > component_bytes
    read = 4 * (done[ORDINALS_READ] + done[ENTRIES_READ])
    read += DOCUMENT.itemsize * (done[DOCUMENTS_SCORED] + done[DOCUMENTS_SKIPPED])
    read += (component_bytes + 1) * done[POSTINGS_SCORED]
    if has_residues:
        read += records.residues.itemsize * done[RESIDUES_READ]
    return Counters(
        postings_scored=done[POSTINGS_SCORED],
        documents_scored=done[DOCUMENTS_SCORED],
        documents_skipped=done[DOCUMENTS_SKIPPED],
        blocks_scored=done[BLOCKS_SCORED],
        blocks_skipped=done[BLOCKS_SKIPPED],
        bytes_touched=read,
    )
