"""Hybrid search: candidates of a sparse and of a dense search, scored exactly by both, and fused.

Each leg is searched to the same depth, whatever the number of hits wanted, so that pages of any
size are parts of one ranking. Every candidate then gets its exact score in both legs; a document
has none where it shares no term with the query, or has no dense vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from lexidex.index.fusion import Fused, FusionParams, Leg, fuse
from lexidex.index.storage.segment import Segment
from lexidex.index.union import union
from lexidex.index.vectors import Float32s, Int64s, Vectors

from .results import LegScore
from .segment_search import DOCUMENT_BITS, Hits, Located
from .snapshot import Snapshot

LEGS = ("sparse", "dense")


def fuse_legs(
    snapshot: Snapshot,
    sparse_query: Vectors,
    dense_query: Float32s,
    found: Sequence[Hits],
    wanted: slice,
    params: FusionParams,
) -> list[Located]:
    """The best documents of one query among those that either leg has found.

    Args:
        sparse_query: csr_array (1, dim).
        dense_query: float32 (d,).
        found: what the sparse and the dense search have found.
        wanted: which of the ranking, from 0.
    """
    segments, documents, known, unknown = _candidates(*found)
    sparse = np.full(documents.size, np.nan, dtype=np.float32)
    dense, passages = sparse.copy(), np.zeros((len(LEGS), documents.size), dtype=np.int64)
    # Exact as they are, unless a document has several vectors, of which the best may be missed.
    dense[known], passages[1, known] = found[1].scores, found[1].passages
    for number, here in _by_segment(segments):
        segment = snapshot.segments[number]
        owned, starts = _passages(segment, documents[here])
        scores = segment.score(sparse_query, owned)
        scores[scores == 0] = np.nan
        sparse[here], passages[0, here] = _best(scores, starts)
        if segment.dense is None:
            continue
        if starts is None and segment.dense.one_each:
            places = unknown[slice(*np.searchsorted(unknown, (here.start, here.stop)))]
            dense[places] = segment.dense.score(dense_query, documents[places])
        else:
            scores = segment.dense.score(dense_query, owned)
            dense[here], passages[1, here] = _best(scores, starts)
    lower = snapshot.dense_lower_bound
    if lower is not None:  # a cosine of -1 may be less by rounding
        np.maximum(dense, np.float32(lower), out=dense)
    legs = [Leg("sparse", sparse, 0.0), Leg("dense", dense, lower)]
    fused = fuse(legs, params)
    places = fused.order[wanted]
    best = passages[fused.contributions[:, places].argmax(axis=0), places]
    columns = (fused.scores[places], segments[places], documents[places], best)
    told = leg_scores(legs, fused, places, passages[:, places])
    return [Located(*one) for one in zip(*(a.tolist() for a in columns), told, strict=True)]


def _candidates(sparse: Hits, dense: Hits) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """Segments and documents of what either leg has found, each once, oldest first; and which of
    them each hit of the dense leg is, and which are none of its."""
    chosen, known, unknown = union(sparse.keys, dense.keys)
    return chosen >> DOCUMENT_BITS, chosen & ((1 << DOCUMENT_BITS) - 1), known, unknown


def _by_segment(segments: Int64s) -> Iterator[tuple[int, slice]]:
    """Each segment of an ascending sequence, and where it stands there."""
    first = 0
    while first < segments.size:
        number = int(segments[first])
        last = int(np.searchsorted(segments, number, side="right"))
        yield number, slice(first, last)
        first = last


def _passages(segment: Segment, documents: Int64s) -> tuple[Int64s, Int64s | None]:
    """The passages of documents, and where each document's begin; None where each has one."""
    owned = segment.passages.of(documents)
    if owned is documents:
        return owned, None
    starts = segment.passages.starts
    counts = starts[documents + 1] - starts[documents]
    return owned, np.cumsum(counts) - counts


def with_leg(hits: Sequence[Located], name: str, first: int) -> list[Located]:
    """What one leg alone has found, with that leg's part in it: all of it.

    Args:
        first: the rank of the first of them.
    """
    return [
        replace(hit, legs={name: LegScore(rank, hit.score, hit.score, 1.0, hit.score, hit.passage)})
        for rank, hit in enumerate(hits, start=first)
    ]


def _best(scores: Float32s, starts: Int64s | None) -> tuple[Float32s, Int64s | int]:
    """Of each group of passages the best score, NaN for none, and which of the group has it.

    Args:
        starts: of the groups; None where each is of one.
    """
    if starts is None:
        return scores, 0
    known = np.where(np.isnan(scores), -np.inf, scores)
    best = np.maximum.reduceat(known, starts)
    counts = np.diff(np.append(starts, scores.size))
    has_it = np.flatnonzero(known == np.repeat(best, counts))
    groups = np.repeat(np.arange(starts.size), counts)[has_it]
    first = has_it[np.unique(groups, return_index=True)[1]] - starts
    return np.where(best == -np.inf, np.nan, best).astype(np.float32), first


def leg_scores(
    legs: Sequence[Leg], fused: Fused, places: Int64s, passages: Int64s
) -> list[dict[str, LegScore]]:
    """What each leg that has a score for the candidate in a place says of it, for some places.

    Args:
        passages: int64 (legs, n_places), of the candidate in each of these places.
    """
    picked = (table[:, places] for table in (fused.given, fused.normalised, fused.contributions))
    columns = (table.tolist() for table in (fused.ranks(places), *picked, passages))
    told: list[dict[str, LegScore]] = [{} for _ in range(places.size)]
    for leg, weight, *of_leg in zip(legs, fused.weights.tolist(), *columns, strict=True):
        for one, (rank, *scores) in zip(told, zip(*of_leg, strict=True), strict=True):
            if rank:
                score, normalised, contribution, passage = scores
                one[leg.name] = LegScore(rank, score, normalised, weight, contribution, passage)
    return told
