"""Hybrid search: candidates of a sparse and of a dense search, scored exactly by both, and fused.

Each leg is searched to the same depth, whatever the number of hits wanted, so that pages of any
size are parts of one ranking. Every candidate then gets its exact score in both legs; a document
has none where it shares no term with the query, or has no dense vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lexidex.index.fusion import Fused, FusionParams, Leg, fuse
from lexidex.index.vectors import Float32s, Int64s, Vectors

from .explaining import products_of
from .results import LegScore
from .segment_search import Located
from .snapshot import Snapshot

LEGS = ("sparse", "dense")


def fuse_legs(
    snapshot: Snapshot,
    sparse_query: Vectors,
    dense_query: Float32s,
    found: Sequence[Sequence[Located]],
    k: int,
    params: FusionParams,
) -> list[Located]:
    """The k best documents of one query among those that either leg has found.

    Args:
        sparse_query: csr_array (1, dim).
        dense_query: float32 (d,).
        found: what the sparse and the dense search have found, best first.
    """
    candidates = sorted({(hit.segment, hit.document) for hits in found for hit in hits})
    sparse = np.full(len(candidates), np.nan, dtype=np.float32)
    dense, passages = sparse.copy(), np.zeros((len(LEGS), len(candidates)), dtype=np.int64)
    for number in sorted({segment for segment, _ in candidates}):
        places = np.flatnonzero([segment == number for segment, _ in candidates])
        documents = np.array([candidates[place][1] for place in places], dtype=np.int64)
        segment = snapshot.segments[number]
        owned = segment.passages.of(documents)
        starts = np.cumsum(segment.passages.counts[documents]) - segment.passages.counts[documents]
        scores = _sparse_scores(segment.rows(owned), sparse_query)
        sparse[places], passages[0, places] = _best(scores, starts)
        if segment.dense is not None:
            scores = segment.dense.score(dense_query, owned)
            dense[places], passages[1, places] = _best(scores, starts)
    legs = [Leg("sparse", sparse, 0.0), Leg("dense", dense, snapshot.dense_lower_bound)]
    fused = fuse(legs, params)
    located = []
    for place in fused.order[:k].tolist():
        passage = int(passages[np.argmax(fused.contributions[:, place]), place])
        segment, document = candidates[place]
        parts = leg_scores(legs, fused, place)
        located.append(Located(float(fused.scores[place]), segment, document, passage, parts))
    return located


def with_leg(hits: Sequence[Located], name: str) -> list[Located]:
    """What one leg alone has found, with that leg's part in it: all of it."""
    return [
        replace(hit, legs={name: LegScore(rank, hit.score, hit.score, 1.0, hit.score)})
        for rank, hit in enumerate(hits, start=1)
    ]


def _sparse_scores(rows: Vectors, query: Vectors) -> Float32s:
    """The inner product of each row, float32; NaN where it is 0."""
    scores = products_of(rows, query).astype(np.float32)
    scores[scores == 0] = np.nan
    return scores


def _best(scores: Float32s, starts: Int64s) -> tuple[Float32s, Int64s]:
    """Of each group of passages the best score, NaN for none, and which of the group has it."""
    known = np.where(np.isnan(scores), -np.inf, scores)
    best = np.maximum.reduceat(known, starts)
    counts = np.diff(np.append(starts, scores.size))
    has_it = np.flatnonzero(known == np.repeat(best, counts))
    groups = np.repeat(np.arange(starts.size), counts)[has_it]
    first = has_it[np.unique(groups, return_index=True)[1]] - starts
    return np.where(best == -np.inf, np.nan, best).astype(np.float32), first


def leg_scores(legs: Sequence[Leg], fused: Fused, place: int) -> dict[str, LegScore]:
    """What each leg that has a score for the candidate in that place says of it."""
    return {
        leg.name: LegScore(
            int(fused.ranks[number, place]),
            float(leg.scores[place]),
            float(fused.normalised[number, place]),
            float(fused.weights[number]),
            float(fused.contributions[number, place]),
        )
        for number, leg in enumerate(legs)
        if fused.ranks[number, place]
    }
