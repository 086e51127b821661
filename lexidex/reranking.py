"""Reranking: the first documents of a search in another order, by a reranker's scores.

It looks at the first `depth` documents whatever `k` is, so that pages of any size are parts of one
ranking; documents behind them keep their order. Every hit tells of two legs, "first" and "rerank":
its rank and score in the search before, and the reranker's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np

from lexidex.errors import ParameterError
from lexidex.index.batch import K_LIMIT
from lexidex.index.fusion import FusionParams, Leg, fuse
from lexidex.index.vectors import Float32s

from .arguments import as_fusion
from .hybrid import leg_scores
from .rerankers import ATTENTION, Reranker, Rerankers, Rescored
from .results import LegScore
from .segment_search import Located
from .snapshot import Snapshot

DEPTH = 100
FIRST, RERANK = "first", "rerank"
"""The legs of a reranked search."""


@dataclass(frozen=True)
class RerankParams:
    """How a search is reranked.

    Attributes:
        model: "attention"; the folder of trained attention; the folder or hub id of a
            cross-encoder; or a Reranker that is loaded.
        depth: how many documents of the search it looks at, from 1 to 1,000,000.
        fusion: how its scores are fused with those of the search, legs "first" and "rerank", as
            FusionParams or a text such as "min-max,rerank=3". None takes the reranker's own way: a
            cross-encoder's scores alone decide, and attention is fused, by "min-max". FusionParams
            given here are what they say, their method "convex" unless it is named. The depth in
            them is of no use.

    Raises:
        ParameterError: a field is of another type, or out of its range.
    """

    model: str | PathLike[str] | Reranker = ATTENTION
    depth: int = DEPTH
    fusion: FusionParams | str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, str | PathLike | Reranker):
            raise ParameterError(f"rerank: {self.model!r}; expected a name, a folder or a Reranker")
        as_fusion(self.fusion)
        given = self.depth
        if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= K_LIMIT:
            raise ParameterError(
                f"rerank: depth: {given!r}; expected an integer from 1 to {K_LIMIT:,}"
            )


@dataclass(frozen=True)
class Reranking:
    """A reranker that is loaded, and how deep it looks."""

    reranker: Reranker
    depth: int
    fusion: FusionParams | None

    @property
    def attends(self) -> bool:
        """Whether it needs the query's dense vector."""
        return self.reranker.method == "attention"

    @classmethod
    def of(cls, given: RerankParams | str | None, known: Rerankers) -> Reranking | None:
        """What is asked for, its model loaded; None for nothing."""
        if given is None:
            return None
        params = RerankParams(given) if isinstance(given, str) else given
        if not isinstance(params, RerankParams):
            raise ParameterError(f"rerank: {given!r}; expected RerankParams, or a reranker's name")
        model = params.model
        reranker = known.get(model) if isinstance(model, str | PathLike) else model
        return cls(reranker, params.depth, as_fusion(params.fusion) or reranker.fusion)


def rerank(
    snapshot: Snapshot,
    reranking: Reranking,
    text: str | None,
    vector: Float32s | None,
    hits: Sequence[Located],
    lower: float | None,
) -> list[Located]:
    """One query's hits in their new order.

    Args:
        text, vector: the query's, see `Reranker.score`.
        hits: best first, all that are wanted and at least the first `depth`.
        lower: the least score that they could have; None where there is no such bound.
    """
    head, tail = hits[: reranking.depth], hits[reranking.depth :]
    if not head:
        return []
    found = reranking.reranker.score(snapshot, text, vector, head)
    if reranking.fusion is None:
        ordered = _replaced(head, found)
    else:
        bounds = lower, reranking.reranker.lower(snapshot)
        ordered = _fused(head, found, bounds, reranking.fusion)
    behind = enumerate(tail, start=len(head) + 1)
    return ordered + [_kept(hit, rank) for rank, hit in behind]


def _replaced(hits: Sequence[Located], found: Rescored) -> list[Located]:
    """By the reranker's scores alone; documents that it cannot score follow in their order."""
    order = np.argsort(-found.scores, kind="stable")  # NaN last
    ordered: list[Located] = []
    for rank, place in enumerate(order.tolist(), start=1):
        hit, score, passage = hits[place], float(found.scores[place]), int(found.passages[place])
        if np.isnan(score):
            ordered.append(_kept(hit, place + 1))
            continue
        legs = {
            FIRST: LegScore(place + 1, hit.score, hit.score, 0.0, 0.0, hit.passage),
            RERANK: LegScore(rank, score, score, 1.0, score, passage),
        }
        ordered.append(_moved(hit, score, passage, legs))
    return ordered


def _fused(
    hits: Sequence[Located],
    found: Rescored,
    bounds: tuple[float | None, float | None],
    params: FusionParams,
) -> list[Located]:
    """By both scores; `bounds` are the least that either could be."""
    scores = np.array([hit.score for hit in hits]), found.scores
    legs = [
        # A cosine of -1 may be less by rounding.
        Leg(name, one if lower is None else np.maximum(one, lower), lower)
        for name, one, lower in zip((FIRST, RERANK), scores, bounds, strict=True)
    ]
    fused = fuse(legs, params)
    passages = np.array([[hit.passage for hit in hits], found.passages])[:, fused.order]
    told = leg_scores(legs, fused, fused.order, passages)
    ordered = []
    for column, (place, of_legs) in enumerate(zip(fused.order.tolist(), told, strict=True)):
        best = int(fused.contributions[:, place].argmax())
        passage = int(passages[best, column])
        ordered.append(_moved(hits[place], float(fused.scores[place]), passage, of_legs))
    return ordered


def _moved(hit: Located, score: float, passage: int, legs: dict[str, LegScore]) -> Located:
    """A hit with another score; the legs of the search before stay."""
    return replace(hit, score=score, passage=passage, legs={**(hit.legs or {}), **legs})


def _kept(hit: Located, rank: int) -> Located:
    """A hit that no reranker has looked at."""
    leg = LegScore(rank, hit.score, hit.score, 1.0, hit.score, hit.passage)
    return replace(hit, legs={**(hit.legs or {}), FIRST: leg})
