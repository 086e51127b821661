"""Leaders: the few largest entries of each document, by which documents are compared in a build."""

from __future__ import annotations

import numpy as np

from ..jit import strict_kernel
from .records import LINE, Bytes, Numbers, Rows, part_of


@strict_kernel
def choose_leaders(
    first: int,
    last: int,
    documents: Rows,
    components: Numbers,
    codes: Bytes,
    leaders: Numbers,
    leader_codes: Bytes,
) -> None:
    """Fill rows [first, last) of leaders and leader_codes (n_documents, doc_cut) with the largest
    entries of each document, descending, equal ones by component; a code of 0 fills the rest."""
    width = leaders.shape[1]
    for ordinal in range(first, last):
        start = np.int64(documents[ordinal]["line"]) * LINE
        size = np.int64(documents[ordinal]["size"])
        leader_codes[ordinal] = 0
        # Everything in the head is at least as large as anything in the tail.
        n_parts = 1 if part_of(start, size, components, 0).size >= width else 2
        for is_tail in range(n_parts):
            part = part_of(start, size, components, is_tail)
            for j in range(part.size):
                value = codes[part.code + j]
                place = width
                while place > 0 and leader_codes[ordinal, place - 1] < value:
                    place -= 1
                if place == width:
                    continue
                for i in range(width - 1, place, -1):
                    leaders[ordinal, i] = leaders[ordinal, i - 1]
                    leader_codes[ordinal, i] = leader_codes[ordinal, i - 1]
                leaders[ordinal, place] = components[part.component + j]
                leader_codes[ordinal, place] = value
