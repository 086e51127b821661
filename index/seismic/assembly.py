"""From encoded documents to the arrays of an index.

    chunks -> records -> pruned posting lists -> blocks -> summaries

The same documents, parameters and seed give the same bytes, whatever the number of threads and
however the documents were divided into chunks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..batch import in_threads
from .blocks import Blocks, cluster_lists
from .leaders import choose_leaders
from .params import BuildParams
from .pruning import PostingLists, even_shares, prune
from .records import Chunk, Records, lay_out
from .summaries import summarise
from .vocabulary import Vocabulary


def assemble(
    vocabulary: Vocabulary, chunks: list[Chunk], params: BuildParams, n_threads: int, seed: int
) -> dict[str, NDArray[Any]]:
    """The arrays that SeismicIndex wraps; `chunks` is emptied on the way.

    Raises:
        ParameterError: there is more than one index can hold; n_threads is no number of threads.
    """
    records = lay_out(chunks, vocabulary.ranks(), params.value_type, n_threads)
    components = vocabulary.components
    n_postings = max(params.n_postings, round(params.posting_fraction * records.documents.size))
    lists = prune(
        records,
        components.size,
        n_postings * components.size,
        round(n_postings * params.max_fraction),
        n_threads,
    )
    blocks = form_blocks(records, lists, params, n_threads, seed)
    summaries = summarise(records, blocks, params.summary_energy, n_threads)
    return {
        "components": components,
        "documents": records.documents,
        "records": records.codes,
        "lists": summaries.lists,
        "block_starts": blocks.starts,
        "impacts": summaries.impacts,
        "ordinals": blocks.ordinals,
        "buckets": summaries.buckets,
        "entries": summaries.entries,
    }


def form_blocks(
    records: Records, lists: PostingLists, params: BuildParams, n_threads: int, seed: int
) -> Blocks:
    """Order each list by block; `lists` is rearranged in place."""
    shape = (records.documents.size, params.doc_cut)
    leaders = np.zeros(shape, dtype=records.components.dtype)
    leader_codes = np.zeros(shape, dtype=np.uint8)

    def choose(first: int, last: int) -> None:
        choose_leaders(first, last, *records[:3], leaders, leader_codes)

    in_threads(choose, records.documents.size, n_threads)
    begins = np.zeros(lists.ordinals.size, dtype=np.bool_)
    bounds = even_shares(lists.offsets)

    def cluster(first: int, last: int) -> None:
        cluster_lists(
            bounds[first],
            bounds[last],
            lists.offsets,
            lists.ordinals,
            records.documents,
            leaders,
            leader_codes,
            params.centroid_fraction,
            params.min_cluster_size,
            seed,
            begins,
        )

    in_threads(cluster, bounds.size - 1, n_threads)
    starts = np.append(np.flatnonzero(begins), begins.size).astype(np.uint32)
    return Blocks(np.searchsorted(starts, lists.offsets), starts, lists.ordinals)
