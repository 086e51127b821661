"""Scores of single documents from their vectors."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..jit import strict_lean_kernel
from ..seismic.prefetch import prefetch
from ..topk import heap_push, is_worse
from ..vectors import DIM_LIMIT, Components, Float32s, Int64s, Vectors
from .workspace import DOCUMENTS, ENTRIES, Workspace

_AHEAD = 4
"""Documents asked for before one is scored."""

_LINE = 16
"""Components, and values, on a cache line."""


Marks: TypeAlias = NDArray[np.uint8]


class Documents(NamedTuple):
    """The document vectors, as a canonical csr_array has them."""

    starts: NDArray[np.signedinteger[Any]]
    """(n_documents + 1,), int32 wherever it fits."""
    components: Components
    values: Float32s


NO_DOCUMENTS = Documents(
    np.zeros(1, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
)


def documents_of(vectors: Vectors) -> Documents:
    """The rows of a canonical csr_array."""
    starts = vectors.indptr
    if vectors.nnz < DIM_LIMIT:
        starts = starts.astype(np.int32, copy=False)
    return Documents(starts, vectors.indices.astype(np.int32, copy=False), vectors.data)


@strict_lean_kernel
def score(documents: Documents, weights: Float32s, ordinal: int) -> np.float32:
    """Inner product of a document and the query, summed in ascending order of components.

    The very sum that posting lists give, to the last bit: components that the query does not have
    add nothing at all.
    """
    total = np.float32(0.0)
    for i in range(np.uint64(documents.starts[ordinal]), np.uint64(documents.starts[ordinal + 1])):
        total += weights[np.uint64(documents.components[i])] * documents.values[i]
    return total


@strict_lean_kernel
def ask_for(documents: Documents, ordinal: int) -> None:
    """Prefetch a document."""
    for i in range(documents.starts[ordinal], documents.starts[ordinal + 1], _LINE):
        prefetch(documents.components, i)
        prefetch(documents.values, i)


@strict_lean_kernel
def score_documents(
    n: int,
    documents: Documents,
    seeded: bool,
    work: Workspace,
    size: int,
    top_scores: Float32s,
    top_ordinals: Int64s,
    counts: Int64s,
) -> int:
    """Push those of the n candidates that are among the best into the heap; its new size.

    Args:
        seeded: whether the heap may hold some of these documents already.
        size: of the heap.
    """
    ordinals, weights = work.candidates, work.weights
    for i in range(min(_AHEAD, n)):
        ask_for(documents, np.int64(ordinals[i]))
    for i in range(n):
        if i + _AHEAD < n:
            ask_for(documents, np.int64(ordinals[i + _AHEAD]))
        if i + 4 * _AHEAD < n:
            prefetch(documents.starts, np.int64(ordinals[i + 4 * _AHEAD]))
        ordinal = np.int64(ordinals[i])
        counts[DOCUMENTS] += 1
        counts[ENTRIES] += documents.starts[ordinal + 1] - documents.starts[ordinal]
        total = score(documents, weights, ordinal)
        size = push_better(total, ordinal, seeded, size, top_scores, top_ordinals)
    return size


@strict_lean_kernel
def score_chosen(
    documents: Documents,
    components: Components,
    values: Float32s,
    slots: Components,
    marks: Marks,
    shared: Int64s,
    ordinals: Int64s,
    scores: Float32s,
) -> None:
    """Inner products of chosen documents and one query; summed in float64, components ascending.

    Args:
        components, values: the query's.
        slots: all -1, a power of two and more of them than terms: becomes a table of terms by
            their components' lowest bits. One by component would be as long as its largest.
        marks: all 0, a power of two: becomes 1 where a term's component has these lowest bits.
        shared: scratch of any size: entries that are taken together.
        scores: float32 (n_ordinals,), filled.
    """
    enter_terms(components, slots, marks)
    for i in range(min(_AHEAD, ordinals.size)):
        ask_for(documents, ordinals[i])
    for i in range(ordinals.size):
        if i + 4 * _AHEAD < ordinals.size:
            prefetch(documents.starts, ordinals[i + 4 * _AHEAD])
        if i + _AHEAD < ordinals.size:
            ask_for(documents, ordinals[i + _AHEAD])
        total = np.float64(0.0)
        start = np.int64(documents.starts[ordinals[i]])
        end = np.int64(documents.starts[ordinals[i] + 1])
        for first in range(start, end, shared.size):
            last = min(first + shared.size, end)
            n_shared = find_shared(documents.components, first, last, marks, shared)
            for j in range(n_shared):
                entry = np.uint64(shared[j])
                term = term_of(documents.components[entry], components, slots)
                if term >= 0:
                    total += np.float64(values[np.uint64(term)] * documents.values[entry])
        scores[i] = total


@strict_lean_kernel
def enter_terms(components: Components, slots: Components, marks: Marks) -> None:
    """Fill the table of a query's terms, and mark where they are."""
    mask = slots.size - 1
    for term in range(components.size):
        marks[components[term] & (marks.size - 1)] = 1
        slot = components[term] & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = term


@strict_lean_kernel
def find_shared(
    components: Components, first: int, last: int, marks: Marks, shared: Int64s
) -> np.int64:
    """Fill shared with the entries in [first, last) that marks let through; how many."""
    mask = marks.size - 1
    n_shared = np.int64(0)
    for entry in range(first, last):
        # Few entries are of the query, and without a branch none is guessed wrongly. Numbers
        # without a sign are not looked at for counting from the end.
        shared[np.uint64(n_shared)] = entry
        n_shared += np.int64(marks[np.uint64(components[np.uint64(entry)] & mask)])
    return n_shared


@strict_lean_kernel
def term_of(component: int, components: Components, slots: Components) -> int:
    """The term with that component in the table of a query's terms, or -1."""
    mask = slots.size - 1
    slot = np.uint64(component & mask)
    while slots[slot] >= 0:
        term = slots[slot]
        if components[np.uint64(term)] == component:
            return int(term)
        slot = np.uint64((np.int64(slot) + 1) & mask)
    return -1


@strict_lean_kernel
def push_better(
    total: np.float32,
    ordinal: np.int64,
    seeded: bool,
    size: int,
    top_scores: Float32s,
    top_ordinals: Int64s,
) -> int:
    """Push a score above zero into the heap if it is among the best; the heap's new size.

    Args:
        seeded: whether the document may be there already; then it stays there once.
    """
    if total <= 0.0:
        return size
    if size == top_scores.size and not is_worse(top_scores[0], top_ordinals[0], total, ordinal):
        return size
    for i in range(size if seeded else 0):
        if top_ordinals[i] == ordinal:
            return size
    return heap_push(top_scores, top_ordinals, size, total, ordinal)
