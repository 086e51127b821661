"""Blocks: the documents of each posting list in small groups of similar ones.

Documents are compared by their `doc_cut` largest entries, their leaders; see clustering.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..vectors import Int64s
from .clustering import Flags as Flags
from .clustering import cluster_lists
from .crew import Crew
from .leaders import choose_leaders
from .params import BuildParams
from .posting_keys import Ordinals
from .pruning import PostingLists
from .records import Records
from .scratch import Scratch
from .shares import document_shares, list_shares

_MARKS = 1 << 20
"""Marks that are turned into places at once."""


class Blocks(NamedTuple):
    """Posting lists in blocks: block b is ordinals[starts[b]:starts[b + 1]]."""

    first: Int64s
    """int64 (n_components + 1,), each list's first block."""
    starts: Ordinals
    """uint32 (n_blocks + 1,)."""
    ordinals: Ordinals


def form_blocks(
    records: Records,
    lists: PostingLists,
    params: BuildParams,
    seed: int,
    scratch: Scratch,
    crew: Crew,
) -> Blocks:
    """Order each list by block; `lists` is rearranged in place."""
    n_documents, n_lists = records.documents.size, lists.offsets.size - 1
    crew.begin("blocks", n_documents + n_lists)
    shape = (n_documents, params.doc_cut)
    n_leaders = n_documents * params.doc_cut
    leaders = scratch.zeros(n_leaders, records.components.dtype).reshape(shape)
    leader_codes = scratch.zeros(n_leaders, np.uint8).reshape(shape)

    def choose(first: int, last: int) -> None:
        choose_leaders(first, last, *records[:3], leaders, leader_codes)

    crew.run(choose, document_shares(n_documents))
    begins = scratch.zeros(lists.ordinals.size, np.bool_)

    def cluster(first: int, last: int) -> None:
        cluster_lists(
            first,
            last,
            *lists,
            records.documents,
            leaders,
            leader_codes,
            params.centroid_fraction,
            params.min_cluster_size,
            seed,
            begins,
        )

    crew.run(cluster, list_shares(lists.offsets))
    starts = _marked(begins, scratch)
    return Blocks(np.searchsorted(starts, lists.offsets.astype(np.uint32)), starts, lists.ordinals)


def _marked(begins: Flags, scratch: Scratch) -> Ordinals:
    """The places that are marked, and the end."""
    starts: Ordinals = scratch.zeros(int(np.count_nonzero(begins)) + 1, np.uint32)
    place = 0
    for first in range(0, begins.size, _MARKS):
        found = np.flatnonzero(begins[first : first + _MARKS])
        starts[place : place + found.size] = first + found
        place += found.size
    starts[place] = begins.size
    return starts
