"""From encoded documents to the arrays of an index.

    chunks -> records -> pruned posting lists -> blocks -> summaries

The same documents, parameters and seed give the same bytes, whatever the number of threads and
however the documents were divided into chunks.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from .blocks import form_blocks
from .chunks import Chunks, lay_out
from .crew import Crew
from .params import BuildParams
from .pruning import prune
from .scratch import Scratch
from .summaries import summarise
from .vocabulary import Vocabulary


def assemble(
    vocabulary: Vocabulary,
    chunks: Chunks,
    n_documents: int,
    params: BuildParams,
    seed: int,
    scratch: Scratch,
    crew: Crew,
) -> dict[str, NDArray[Any]]:
    """The arrays that SeismicIndex wraps; `chunks` is emptied on the way.

    Raises:
        ParameterError: there is more than one index can hold.
        StorageFull: no space is left for temporary files.
    """
    records = lay_out(chunks, n_documents, vocabulary.ranks(), params.value_type, scratch, crew)
    components = vocabulary.components
    n_postings = max(params.n_postings, round(params.posting_fraction * n_documents))
    lists = prune(
        records,
        components.size,
        n_postings * components.size,
        round(n_postings * params.max_fraction),
        scratch,
        crew,
    )
    blocks = form_blocks(records, lists, params, seed, scratch, crew)
    summaries = summarise(records, blocks, params.summary_energy, scratch, crew)
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
