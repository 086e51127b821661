"""Exact results over an index's own records: what its approximate search is measured by.

The queries are inverted, not the documents: one pass over the records meets each entry with the
queries that have its component. That takes no memory to speak of, and as many products as exact
search over posting lists.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ..batch import in_threads
from ..jit import strict_lean_kernel
from ..topk import EMPTY_ORDINAL, empty_results, heap_push, heap_sort
from ..vectors import Components, Float32s, Int64s, Vectors
from .records import Records, largest_document, read_entries


def exact_ordinals(
    records: Records,
    known: Components,
    queries: Vectors,
    k: int,
    left_out: Int64s,
    n_threads: int = 1,
) -> Int64s:
    """The k documents with the largest scores of each query, int64 (n_queries, k), -1 where empty.

    Args:
        known: the index's components, ascending.
        queries: canonical.
        left_out: int64 (n_queries,), a document that is none of a query's results; -1 for none.
    """
    scores, ordinals = empty_results(queries.shape[0], k)
    longest = largest_document(records.documents)

    def run(first: int, last: int) -> None:
        starts, rows, values = _inverted(queries[first:last], known)
        scan_documents(
            records,
            starts,
            rows,
            values,
            left_out[first:last],
            np.empty(longest, dtype=np.int64),
            np.empty(longest, dtype=np.float32),
            np.zeros(last - first, dtype=np.float32),
            np.zeros(last - first, dtype=np.int64),
            scores[first:last],
            ordinals[first:last],
        )

    in_threads(run, queries.shape[0], n_threads)
    return ordinals


def _inverted(queries: Vectors, known: Components) -> tuple[Int64s, Int64s, Float32s]:
    """The queries by component number: starts (n_components + 1,), query rows, values."""
    numbers = np.searchsorted(known, queries.indices)
    rows = np.repeat(np.arange(queries.shape[0]), np.diff(queries.indptr))
    found = np.append(known, -1)[numbers] == queries.indices
    columns = sparse.csc_array(
        (queries.data[found], (rows[found], numbers[found])),
        shape=(queries.shape[0], known.size),
    )
    return columns.indptr.astype(np.int64), columns.indices.astype(np.int64), columns.data


@strict_lean_kernel
def scan_documents(
    records: Records,
    starts: Int64s,
    rows: Int64s,
    query_values: Float32s,
    left_out: Int64s,
    numbers: Int64s,
    values: Float32s,
    totals: Float32s,
    sizes: Int64s,
    top_scores: Float32s,
    top_ordinals: Int64s,
) -> None:
    """Fill top_scores and top_ordinals (n_queries, k), whose places are all empty, best first.

    Args:
        starts, rows, query_values: the queries by component number.
        numbers, values: scratch for the largest document.
        totals, sizes: (n_queries,), all zero: scores of the document at hand, sizes of the heaps.
    """
    for ordinal in range(records.documents.size):
        for j in range(read_entries(records, ordinal, numbers, values)):
            for i in range(starts[numbers[j]], starts[numbers[j] + 1]):
                totals[rows[i]] += query_values[i] * values[j]
        for row in range(totals.size):
            total = totals[row]
            # Ordinals ascend, so an equal score comes after those that are kept.
            if total > 0.0:
                totals[row] = 0.0
                if ordinal != left_out[row] and (
                    sizes[row] < top_scores.shape[1] or total > top_scores[row, 0]
                ):
                    sizes[row] = heap_push(
                        top_scores[row], top_ordinals[row], sizes[row], total, ordinal
                    )
    for row in range(totals.size):
        heap_sort(top_scores[row], top_ordinals[row], sizes[row])
        top_scores[row, sizes[row] :] = -np.inf
        top_ordinals[row, sizes[row] :] = EMPTY_ORDINAL
