"""One ranking out of several: the scores of a sparse and a dense search of the same documents, fused.

Pure functions on arrays; what a *leg* is (sparse, dense, ...) is the caller's business. Every leg
gives every candidate its exact score, so that no result depends on how far a leg was searched for
it; where a leg has no score for a document at all, that is NaN, and adds nothing.

| method    | a leg's normalised score, over its scores s of the candidates | fused |
|-----------|---------------------------------------------------------------|-------|
| "convex"  | (s - lower) / (max - lower), `lower` being the least score that is possible in theory; as "min-max" in legs that have none | sum of w x normalised, weights scaled to the sum 1 |
| "min-max" | (s - min) / (max - min); 1 where all are equal                | as above |
| "z-score" | (s - mean) / standard deviation; 0 where all are equal        | as above |
| "l2"      | s / root of the sum of squares                                | as above |
| "dbsf"    | (s - (mean - 3 sd)) / (6 sd), sd of a sample; .5 where all are equal | as above |
| "rrf"     | 1 / (rrf_k + rank), ranks from 1, equal scores sharing the best | sum of w x normalised, weights as given |
| "max"     | as "convex"                                                   | largest of w x normalised, weights scaled to the largest 1 |

"convex" is the combination with theoretical min-max of Bruch, Gai and Ingber (arXiv 2210.11934),
which they found better than reciprocal rank fusion (Cormack et al., SIGIR 2009) on all nine
collections where a strong leg met a weaker one. docs/FUSION.md tells how other engines differ.
"""  # noqa: E501 (a table)

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from lexidex.errors import ParameterError

from .amounts import is_amount, is_whole
from .vectors import Int64s

Method: TypeAlias = Literal["convex", "min-max", "z-score", "l2", "dbsf", "rrf", "max"]
METHODS: tuple[Method, ...] = get_args(Method)
Float64s: TypeAlias = NDArray[np.float64]


PUBLISHED_WEIGHTS = {"sparse": 0.2, "dense": 0.8}
"""Of "convex" where no weights are given and the legs are inner products of sparse vectors and
cosines, by their names and least scores, PUBLISHED_LOWERS: what Bruch et al. found on MS MARCO and
used on all other collections. Cosines lie so close together on [-1, 1] that equal weights would
leave them little to say."""

PUBLISHED_LOWERS = {"sparse": 0.0, "dense": -1.0}

DEPTH = 200
SOUGHT = 64
"""Candidates of a leg that are searched for approximately; the others are what is met on the way to
these, in less than half of the time: all are scored exactly afterwards."""

RRF_K = 60.0


@dataclass(frozen=True, slots=True)
class FusionParams:
    """How legs are fused.

    Attributes:
        method: one of METHODS; the table at the head of this module defines them.
        weights: by the leg's name, at least 0 and not all of them 0; 1 for a leg that is not among
            them. Without any, 1 for all; but PUBLISHED_WEIGHTS for "convex" of exactly two legs,
            "sparse" with the least score 0 and "dense" with -1.
        depth: how many documents of each leg are candidates, at least 1. Nothing else decides
            about it, so pages of different sizes show parts of one ranking.
        rrf_k: of "rrf": at least 0; larger makes the first ranks count less.

    Raises:
        ParameterError: a field is out of its range; the message names it and its value.
    """

    method: Method = "convex"
    weights: Mapping[str, float] = field(default_factory=dict)
    depth: int = DEPTH
    rrf_k: float = RRF_K

    @classmethod
    def parse(cls, text: str) -> FusionParams:
        """From "rrf", or "convex,dense=2,sparse=1,depth=100": a method, weights, depth, rrf_k.

        Raises:
            ParameterError: it is of another form.
        """
        method, *settings = (part.strip() for part in text.split(","))
        given: dict[str, float] = {}
        for setting in settings:
            name, _, value = setting.partition("=")
            try:
                given[name] = float(value)
            except ValueError:
                raise ParameterError(
                    f"fusion: {setting!r} in {text!r}; expected LEG=WEIGHT, depth=N or rrf_k=NUMBER"
                ) from None
        depth, rrf_k = given.pop("depth", DEPTH), given.pop("rrf_k", RRF_K)
        whole = int(depth) if math.isfinite(depth) and depth == int(depth) else depth
        return cls(method, given, whole, rrf_k)  # type: ignore[arg-type]  # which it checks

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            known = ", ".join(map(repr, METHODS))
            raise ParameterError(f"method: {self.method!r}; expected one of {known}")
        if not is_whole(self.depth, 1):
            raise ParameterError(f"depth: {self.depth!r}; expected an integer of at least 1")
        if not is_amount(self.rrf_k):
            raise ParameterError(f"rrf_k: {self.rrf_k!r}; expected a number of at least 0")
        if not isinstance(self.weights, Mapping):
            raise ParameterError(f"weights: {self.weights!r}; expected a weight by leg, as a dict")
        for name, weight in self.weights.items():
            if not is_amount(weight):
                raise ParameterError(
                    f"weights: {weight!r} for {name!r}; expected a finite number of at least 0"
                )


@dataclass(frozen=True, slots=True)
class Leg:
    """What one leg says of the candidates.

    Attributes:
        name: by which weights and results name it.
        scores: float (n,), larger is better; NaN where the leg has no score for a candidate.
        lower: the least score that the leg could give to any document, such as 0 for inner
            products of sparse vectors and -1 for cosines; None where there is no such bound.
    """

    name: str
    scores: NDArray[np.floating]
    lower: float | None = None


_ALL = slice(None)


@dataclass(frozen=True, slots=True)
class Fused:
    """A fused ranking of n candidates, and how each leg took part in it.

    Attributes:
        order: int64 (n,), the candidates' places, best first; of equal scores the one first that
            was given first.
        scores: float64 (n,), by place. The contributions of a place add up to it.
        given: float64 (legs, n), what each leg gave; NaN without a score.
        normalised: float64 (legs, n); 0 without a score.
        weights: float64 (legs,), as used.
        contributions: float64 (legs, n).
    """

    order: Int64s
    scores: Float64s
    given: Float64s
    normalised: Float64s
    weights: Float64s
    contributions: Float64s

    def ranks(self, places: Int64s | slice = _ALL) -> Int64s:
        """Each leg's ranks of some places, int64 (legs, n_places): from 1, equal scores sharing the
        best; 0 without a score."""
        return _ranks(self.given, places)


def fuse(legs: Sequence[Leg], params: FusionParams | None = None) -> Fused:
    """Fuse the scores that legs give to the same candidates.

    The result does not depend on the order of the legs. A document's score never falls when one
    of its own scores rises; apart from "z-score", "l2" and "dbsf" it lies in [0, 1], for "rrf" in
    [0, sum of weights / (rrf_k + 1)].

    Args:
        legs: at least one, all of the same length.
        params: None takes the defaults.

    Raises:
        ParameterError: weights name no leg here, or all are 0; lengths differ; a score is
            infinite, or below its leg's lower bound.
    """
    params = params or FusionParams()
    _check(legs, params)
    weights = _weights(legs, params)
    given = np.array([leg.scores for leg in legs], dtype=np.float64)
    _check_scores(given, legs)
    normalised = _normalised(given, [leg.lower for leg in legs], params)
    contributions = weights[:, None] * normalised
    if params.method == "max":
        contributions = _largest_only(contributions)
    # Sorted, because sums of floats depend on the order of more than two.
    ordered = contributions if len(legs) < 3 else np.sort(contributions, axis=0)
    scores: Float64s = ordered.sum(axis=0)
    order = np.argsort(-scores, kind="stable")
    return Fused(order, scores, given, normalised, weights, contributions)


def _weights(legs: Sequence[Leg], params: FusionParams) -> Float64s:
    given = params.weights
    lowers = {leg.name: leg.lower for leg in legs}
    if not given and params.method == "convex" and lowers == PUBLISHED_LOWERS:
        given = PUBLISHED_WEIGHTS
    weights = np.array([float(given.get(leg.name, 1.0)) for leg in legs])
    if not weights.any():
        raise ParameterError(f"weights: {dict(params.weights)!r}; at least one must be above 0")
    if params.method == "rrf":
        return weights
    scaled: Float64s = weights / (weights.max() if params.method == "max" else weights.sum())
    return scaled


def _ranks(scores: Float64s, places: Int64s | slice = _ALL) -> Int64s:
    """Of some places of each row, in descending order from 1, those of equal scores the least of
    them; NaN has 0."""
    falling, wanted = np.sort(-scores, axis=1), -scores[:, places]  # NaN last
    ranks = np.array([np.searchsorted(*row) for row in zip(falling, wanted, strict=True)]) + 1
    ranks[np.isnan(wanted)] = 0
    return ranks


def _normalised(scores: Float64s, lowers: Sequence[float | None], params: FusionParams) -> Float64s:
    """The legs' normalised scores, float64 (legs, n); 0 for NaN."""
    present = ~np.isnan(scores)
    result = np.zeros(scores.shape)
    if params.method == "rrf":
        result[present] = 1.0 / (params.rrf_k + _ranks(scores)[present])
        return result
    for row, known, of, lower in zip(result, present, scores, lowers, strict=True):
        if known.all():
            row[:] = _scaled(of, params.method, lower) if of.size else of
        elif known.any():
            row[known] = _scaled(of[known], params.method, lower)
    return result


def _scaled(scores: Float64s, method: Method, lower: float | None) -> Float64s:
    """Scores of one leg on the scale of a linear method; at least one, none of them NaN."""
    if method == "l2":
        return scores / (math.hypot(*scores.tolist()) or 1.0)
    if method in ("z-score", "dbsf"):
        standard = _standardised(scores, ddof=int(method == "dbsf"))
        return standard if method == "z-score" else (standard + 3.0) / 6.0
    bounded = lower is not None and method != "min-max"
    low = lower if bounded and lower is not None else float(scores.min())
    width = float(scores.max()) - low
    if width == 0:  # nothing to tell them apart: the best that there are, or the worst possible
        return np.full(scores.size, 0.0 if bounded else 1.0)
    return (scores - low) / width


def _standardised(scores: Float64s, ddof: int) -> Float64s:
    """Scores less their mean, in standard deviations; 0 where all are equal."""
    if scores.min() == scores.max():
        return np.zeros(scores.size)
    # Over the range first, so that scores next to each other lose no digits to their distance
    # from 0, and squares of large ones do not overflow.
    inside = (scores - scores.min()) / (scores.max() - scores.min())
    standard: Float64s = (inside - inside.mean()) / inside.std(ddof=ddof)
    return standard


def _largest_only(contributions: Float64s) -> Float64s:
    """Each place's largest contribution, shared by the legs that have it; 0 for the others."""
    largest = contributions == contributions.max(axis=0)
    shared: Float64s = np.where(largest, contributions, 0.0) / largest.sum(axis=0)
    return shared


def _check(legs: Sequence[Leg], params: FusionParams) -> None:
    names = [leg.name for leg in legs]
    if not names or len(set(names)) < len(names):
        raise ParameterError(f"legs: {names}; expected at least one, each of another name")
    unknown = sorted(set(params.weights) - set(names))
    if unknown:
        raise ParameterError(f"weights: no leg {unknown[0]!r} here; there are {', '.join(names)}")
    for leg in legs:
        if leg.scores.shape != legs[0].scores.shape or leg.scores.ndim != 1:
            raise ParameterError(
                f"leg {leg.name!r}: scores of shape {leg.scores.shape}; expected those of leg "
                f"{names[0]!r}, flat: {legs[0].scores.shape}"
            )


def _check_scores(scores: Float64s, legs: Sequence[Leg]) -> None:
    """None of (legs, n) scores is infinite, or below its leg's least."""
    least = np.fmin.reduce(scores, axis=1, initial=np.inf).tolist()
    largest = np.fmax.reduce(scores, axis=1, initial=-np.inf).tolist()
    for leg, low, high in zip(legs, least, largest, strict=True):
        if low > high:  # no score at all
            continue
        if math.isinf(low) or math.isinf(high):
            raise ParameterError(f"leg {leg.name!r}: an infinite score")
        if leg.lower is not None and low < leg.lower:
            raise ParameterError(f"leg {leg.name!r}: score {low}, below its least, {leg.lower}")
