"""How many documents have each value of a field: the most frequent values, over segments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .columns import Column, Columns
from .values import KINDS, Kind, Scalar


@dataclass(frozen=True, slots=True)
class FacetCount:
    """A value of a field, and how many documents have it."""

    value: Scalar
    count: int


class FacetCounts:
    """Adds up the counts of one field's values; values of different kinds are counted apart."""

    def __init__(self, field: str) -> None:
        """Start with no document."""
        self._field = field
        self._counts: dict[Kind, list[pa.Table]] = {kind: [] for kind in KINDS}

    def add(self, columns: Columns, documents: NDArray[np.bool_]) -> None:
        """Count the values of a segment's documents where the mask, bool (n_documents,), is set."""
        for column in columns.of(self._field):
            self._counts[column.kind].append(_count(column, documents))

    def most_frequent(self, n: int) -> list[FacetCount]:
        """The `n` most frequent values; of equally frequent ones the lower first."""
        found: list[FacetCount] = []
        for tables in self._counts.values():
            if not tables:
                continue
            counts = tables[0]
            if len(tables) > 1:
                counts = pa.concat_tables(tables).group_by("value").aggregate([("count", "sum")])
                counts = counts.rename_columns({"count_sum": "count"})
            # Rare values need no sorting where more than n are frequent.
            if len(counts) > n:
                least = pc.select_k_unstable(counts, n, [("count", "descending")])
                bound = counts.column("count")[least[-1].as_py()]
                counts = counts.filter(pc.greater_equal(counts.column("count"), bound))
            ordered = counts.sort_by([("count", "descending"), ("value", "ascending")]).slice(0, n)
            found += [FacetCount(row["value"], row["count"]) for row in ordered.to_pylist()]
        # Stable: within a kind the order stays.
        return sorted(found, key=lambda one: -one.count)[:n]


def _count(column: Column, documents: NDArray[np.bool_]) -> pa.Table:
    """The distinct values of some documents, and how many of the documents have each."""
    chosen = documents if column.documents is None else np.take(documents, column.documents)
    values = np.compress(chosen, column.values)
    if column.kind == "string":
        counts = np.bincount(values, minlength=len(column.strings))
        present = np.flatnonzero(counts)
        strings = column.strings.take(pa.array(present))
        return pa.table({"value": strings, "count": pa.array(counts[present], pa.int64())})
    distinct, counts = pc.value_counts(pa.array(values)).flatten()
    return pa.table({"value": distinct, "count": counts})
