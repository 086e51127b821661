"""Candidate lists for training attention: what a collection finds for judged queries.

Each list is a relevant document of a query and the documents that a search of the collection ranks
high and that are not judged relevant; their vectors are those that the collection stores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lexidex.collection import Collection
from lexidex.dense_side import DenseSide
from lexidex.encoders.training.attention import AttentionLists
from lexidex.errors import ParameterError
from lexidex.index.vectors import Float32s
from lexidex.searching import Mode

from .judged import JudgedQueries

DEPTH = 30
"""Documents that a search gives each list, unless told otherwise."""


def attention_lists(
    collection: Collection,
    judged: JudgedQueries,
    *,
    mode: Mode = "sparse",
    depth: int = DEPTH,
    all_negatives: bool = False,
    progress: Callable[[int], None] | None = None,
) -> AttentionLists:
    """A list for each judged query and each relevant document of it that has dense vectors.

    Args:
        judged: texts.
        mode: of the search.
        depth: documents of each search, at least 1; the document that is the query itself, by its
            id, is none.
        all_negatives: whether documents that are relevant to no query at all are candidates, too.
            They are wrong answers in every list, which maps learn by heart and bear against them;
            where there are few lists that costs more than it gives.
        progress: called with the number of queries searched.

    Raises:
        ParameterError: the collection has no dense encoder or holds no vectors, a query is no
            text, or nothing is left to train on.
    """
    side = collection.dense_side
    if side is None or side.encoder is None or not judged.all_texts:
        raise ParameterError(
            "attention is trained on texts, in a collection with a dense encoder; make one with "
            "'lexidex index --dense MODEL'"
        )
    known = _Documents(collection)
    right = {one for grades in judged.qrels.values() for one, grade in grades.items() if grade > 0}
    queries: list[str] = []
    rows: list[list[int]] = []
    scores: list[list[float]] = []
    for number, (name, query) in enumerate(judged.queries.items(), start=1):
        hits = collection.search(str(query), depth, mode=mode, fields=())
        found = {hit.doc_id: hit.score for hit in hits if hit.doc_id != name}
        relevant = {doc_id for doc_id, grade in judged.qrels[name].items() if grade > 0}
        wrong = [one for one in found if one not in relevant and (all_negatives or one in right)]
        others = [one for one in wrong if known.has_vectors(one)]
        for doc_id in sorted(relevant):
            if doc_id in collection and known.has_vectors(doc_id) and others:
                queries.append(str(query))
                rows.append([known.number(one) for one in (doc_id, *others)])
                scores.append([found.get(one, np.nan) for one in (doc_id, *others)])
        if progress:
            progress(number)
    if not rows:
        raise ParameterError(
            "no list to train on: no query has a relevant document with dense vectors, and others "
            "beside it"
        )
    return _joined(side, queries, known, rows, scores)


class _Documents:
    """The documents of lists, numbered as they come, with their vectors."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._vectors: dict[str, Float32s] = {}
        self._numbers: dict[str, int] = {}

    def has_vectors(self, doc_id: str) -> bool:
        if doc_id not in self._vectors:
            self._vectors[doc_id] = self._collection.dense_vectors(doc_id)
        return bool(self._vectors[doc_id].size)

    def number(self, doc_id: str) -> int:
        return self._numbers.setdefault(doc_id, len(self._numbers))

    @property
    def vectors(self) -> list[Float32s]:
        """Of each, by number."""
        return [self._vectors[doc_id] for doc_id in self._numbers]


def _joined(
    side: DenseSide,
    queries: Sequence[str],
    known: _Documents,
    rows: Sequence[Sequence[int]],
    scores: Sequence[Sequence[float]],
) -> AttentionLists:
    width = max(map(len, rows))
    candidates = np.full((len(rows), width), -1, dtype=np.int64)
    first = np.full((len(rows), width), np.nan, dtype=np.float32)
    for place, (some, told) in enumerate(zip(rows, scores, strict=True)):
        candidates[place, : len(some)], first[place, : len(some)] = some, told
    distinct = list(dict.fromkeys(queries))
    encoded = dict(zip(distinct, side.encode_queries(distinct), strict=True))
    vectors = known.vectors
    starts = np.concatenate([[0], np.cumsum([one.shape[0] for one in vectors])])
    return AttentionLists(
        np.stack([encoded[query] for query in queries]),
        np.concatenate(vectors),
        starts.astype(np.int64),
        candidates,
        first,
    )
