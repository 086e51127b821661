"""Candidate lists: for a query its positive, mined negatives, and perhaps a teacher's scores.

On disk a Parquet file, a row a list: query_id, document_ids (the positive first), and scores where
a teacher has been asked beforehand. Ids are those of `Pairs`, so lists outlive the run that made
them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lexidex.errors import InputError
from lexidex.index.vectors import Float32s, Int64s

from .pairs import Pairs


@dataclass(frozen=True)
class Candidates:
    """Candidate lists of any lengths, by rows of `Pairs`.

    Attributes:
        queries: int64 (lists,), the query of each list.
        documents: for each list int64 rows of documents, the positive first.
        scores: for each list float32 scores of a teacher, one a document; None without one.
    """

    queries: Int64s
    documents: list[Int64s]
    scores: list[Float32s] | None = None

    def __len__(self) -> int:
        """Number of lists."""
        return len(self.documents)

    def with_negatives(self) -> Candidates:
        """Those lists that are more than a positive."""
        kept = [row for row, documents in enumerate(self.documents) if documents.size > 1]
        return Candidates(
            self.queries[kept],
            [self.documents[row] for row in kept],
            None if self.scores is None else [self.scores[row] for row in kept],
        )

    def save(self, path: Path, pairs: Pairs) -> None:
        """Write the lists as Parquet, complete or not at all; the rows are those of `pairs`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        ids = [[pairs.document_ids[row] for row in documents] for documents in self.documents]
        columns = {
            "query_id": pa.array([pairs.query_ids[row] for row in self.queries], pa.string()),
            "document_ids": pa.array(ids, pa.list_(pa.string())),
        }
        if self.scores is not None:
            columns["scores"] = pa.array(self.scores, pa.list_(pa.float32()))
        temporary = path.with_name(f".{path.name}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), temporary, compression="zstd")
        os.replace(temporary, path)


def read_candidates(path: Path, pairs: Pairs) -> Candidates:
    """The lists of a Parquet file whose query and positive are in `pairs`.

    Negatives that `pairs` lacks are left out, and so are lists of other queries: lists of all data
    serve any part of it.

    Raises:
        InputError: not such a file, or no list of it belongs to `pairs`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        queries = table.column("query_id").to_pylist()
        lists = table.column("document_ids").to_pylist()
        scored = "scores" in table.column_names
        scores = table.column("scores").to_pylist() if scored else [None] * len(lists)
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: no candidate lists in it: {error}") from None
    query_rows = {name: row for row, name in enumerate(pairs.query_ids)}
    rows = {name: row for row, name in enumerate(pairs.document_ids)}
    found: list[tuple[int, Int64s, Float32s]] = []
    for query, documents, values in zip(queries, lists, scores, strict=True):
        if query not in query_rows or not documents or documents[0] not in rows:
            continue
        kept = [place for place, name in enumerate(documents) if name in rows]
        own = np.array([rows[documents[place]] for place in kept], dtype=np.int64)
        known = [values[place] for place in kept] if values is not None else []
        found.append((query_rows[query], own, np.array(known, dtype=np.float32)))
    if not found:
        raise InputError(f"{path}: none of its {len(lists)} lists belongs to the training data")
    return Candidates(
        np.array([query for query, _, _ in found], dtype=np.int64),
        [documents for _, documents, _ in found],
        [values for _, _, values in found] if scored else None,
    )
