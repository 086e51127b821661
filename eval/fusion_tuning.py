"""Which weights should a hybrid search have on this collection, and does fusing help at all?

Every judged query is searched once, with its candidates' scores in both legs; any weights are then
tried on these scores alone. Weights are chosen on all folds of the queries but one, and what they
reach is measured on that one (cross-validation), so that the figure is not flattered by the choice;
of equal ones the one next to the method's default is taken. The best of them is compared with the
better leg alone: a weak leg drags the other down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ir_measures.measures import Measure
from numpy.typing import NDArray

from lexidex.collection import Collection
from lexidex.errors import ParameterError
from lexidex.hybrid import LEGS
from lexidex.index.fusion import METHODS, FusionParams, Leg, fuse
from lexidex.index.fusion import Method as FusionMethod
from lexidex.results import SearchResult

from .judged import JudgedQueries, Qrels
from .measures import evaluate
from .runs import Run

FOLDS = 5
STEPS = 20
"""Weights of the dense leg that are tried: 0, 1/20, ..., 1; the sparse leg has the rest."""

SIGNIFICANT = 0.05

_ROUNDING = 1e-12
"""By how much means of the same values may differ."""

Float64s = NDArray[np.float64]


@dataclass(frozen=True)
class Tried:
    """A method with one weight of the dense leg.

    Attributes:
        mean: of the measure, over all queries.
    """

    method: FusionMethod
    dense: float
    mean: float


@dataclass(frozen=True)
class FusionReport:
    """What fusing reaches.

    Attributes:
        measure: by which all figures are.
        n_queries: judged queries.
        legs: each leg alone.
        cross_validated: by method, with weights that were chosen on other queries.
        best: by method, with the weight that is best on all queries.
        chosen: that of the method of the best cross-validated figure.
        gain: cross-validated figure of that method less the better leg's.
        p_value: of a two-sided paired t-test of that difference; 1 where there is none.
        tried: every method and weight.
    """

    measure: str
    n_queries: int
    legs: Mapping[str, float]
    cross_validated: Mapping[FusionMethod, float]
    best: Mapping[FusionMethod, Tried]
    chosen: Tried
    gain: float
    p_value: float
    tried: Sequence[Tried]

    @property
    def helps(self) -> bool:
        """Whether fusing is better than the better leg, and not by chance."""
        return self.gain > 0 and self.p_value < SIGNIFICANT

    @property
    def verdict(self) -> str:
        """One sentence about that."""
        better = max(self.legs, key=self.legs.__getitem__)
        if self.helps:
            return f"fusing helps: {self.gain:+.4f} over {better} alone, p = {self.p_value:.3f}"
        if self.gain > 0:
            return (
                f"fusing may help: {self.gain:+.4f} over {better} alone, but p = {self.p_value:.3f}"
            )
        return f"fusing does not help: {self.gain:+.4f}; search {better} alone"


@dataclass(frozen=True)
class Candidates:
    """The candidates of a query.

    Attributes:
        query_id: the document of that id is left out of rankings, by BEIR's rule; but only once
            they are made, as it is of a search's.
        ids: of the candidates.
        scores: by leg, what it scores them, NaN for nothing.
    """

    query_id: str
    ids: list[str]
    scores: Mapping[str, Float64s]

    def fused(self, params: FusionParams, lower: float | None) -> dict[str, float]:
        """Id -> fused score, best first."""
        found = fuse(_legs(self.scores["sparse"], self.scores["dense"], lower), params)
        return self._ranking(found.order, found.scores)

    def alone(self, leg: str) -> dict[str, float]:
        """Id -> score of the candidates that a leg knows, best first."""
        scores = self.scores[leg]
        known = np.flatnonzero(~np.isnan(scores))
        return self._ranking(known[np.argsort(-scores[known], kind="stable")], scores)

    def _ranking(self, places: NDArray[np.int64], scores: Float64s) -> dict[str, float]:
        ranking = {self.ids[place]: float(scores[place]) for place in places.tolist()}
        ranking.pop(self.query_id, None)
        return ranking


def tune_fusion(
    collection: Collection,
    judged: JudgedQueries,
    measure: Measure,
    *,
    methods: Sequence[FusionMethod] = METHODS,
    depth: int = FusionParams().depth,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> FusionReport:
    """Try weights of the dense leg, by several methods, on judged queries.

    Args:
        judged: texts; at least FOLDS of them.
        methods: of fusion, which share the candidates.
        depth: candidates of each leg.
        seed: of the folds.
        progress: called with the number of queries searched.

    Raises:
        ParameterError: the collection has no dense side, or there are too few queries.
    """
    names = list(judged.queries)
    if len(names) < FOLDS:
        raise ParameterError(f"queries: {len(names)}; expected {FOLDS} judged texts or more")
    candidates = candidates_of(collection, judged, depth, progress)
    lower = collection.dense_lower_bound
    legs = {leg: values_of(judged.qrels, alone(candidates, leg), measure) for leg in LEGS}
    values: dict[FusionMethod, Float64s] = {}
    for method in methods:
        rows = []
        for step in range(STEPS + 1):
            params = FusionParams(method, _weights(step), depth)
            run = {name: found.fused(params, lower) for name, found in candidates.items()}
            rows.append(values_of(judged.qrels, run, measure))
        values[method] = np.array(rows)
    defaults = {method: default_weight(method, lower) for method in methods}
    return _report(str(measure), legs, values, defaults, np.random.default_rng(seed))


def candidates_of(
    collection: Collection,
    judged: JudgedQueries,
    depth: int = FusionParams().depth,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Candidates]:
    """The candidates of every judged query, by its id.

    Args:
        depth: candidates of each leg.
        progress: called with the number of queries searched.

    Raises:
        ParameterError: the collection has no dense side, or a query is no text.
    """
    if not judged.all_texts:
        raise ParameterError("queries: some are vectors; expected texts, which both legs can read")
    found = {}
    for number, (name, text) in enumerate(judged.queries.items(), start=1):
        found[name] = _candidates(collection, str(text), name, depth)
        if progress:
            progress(number)
    return found


def default_weight(method: FusionMethod, lower: float | None) -> float:
    """The dense leg's share of the weights that a search has unless told otherwise.

    Args:
        lower: the dense leg's least score, None where there is no such bound.
    """
    nothing = np.empty(0)
    sparse, dense = fuse(_legs(nothing, nothing, lower), FusionParams(method)).weights.tolist()
    return float(dense / (sparse + dense))


def alone(candidates: Mapping[str, Candidates], leg: str) -> Run:
    """What one leg alone finds."""
    return {name: found.alone(leg) for name, found in candidates.items()}


def values_of(qrels: Qrels, run: Run, measure: Measure) -> Float64s:
    """The measure of every query of a run, in its order, float64 (queries,)."""
    per_query = evaluate(qrels, run, [measure]).per_query
    return np.array([per_query[name][str(measure)] for name in run])


def paired_p_value(one: Float64s, other: Float64s) -> float:
    """Of a two-sided paired t-test of two systems on the same queries; 1 where they are equal."""
    from scipy.stats import ttest_rel

    return 1.0 if (one == other).all() else float(ttest_rel(one, other).pvalue)


def _report(
    measure: str,
    legs: Mapping[str, Float64s],
    values: Mapping[FusionMethod, Float64s],
    defaults: Mapping[FusionMethod, float],
    random: np.random.Generator,
) -> FusionReport:
    n_queries = next(iter(legs.values())).size
    folds = random.permutation(n_queries) % FOLDS
    held_out = {
        method: _cross_validated(rows, folds, defaults[method]) for method, rows in values.items()
    }
    tried = {
        method: [Tried(method, step / STEPS, float(row.mean())) for step, row in enumerate(rows)]
        for method, rows in values.items()
    }
    best = {m: tried[m][_best_step(rows, defaults[m])] for m, rows in values.items()}
    chosen = max(held_out, key=lambda method: float(held_out[method].mean()))
    better = max(legs.values(), key=lambda one: float(one.mean()))
    return FusionReport(
        measure,
        n_queries,
        {leg: float(one.mean()) for leg, one in legs.items()},
        {method: float(one.mean()) for method, one in held_out.items()},
        best,
        best[chosen],
        float(held_out[chosen].mean() - better.mean()),
        paired_p_value(held_out[chosen], better),
        [one for some in tried.values() for one in some],
    )


def _cross_validated(values: Float64s, folds: NDArray[np.int64], default: float) -> Float64s:
    """What each query gets from the weight that is best on the other folds, float64 (queries,).

    Args:
        values: float64 (weights, queries).
        folds: int (queries,).
        default: the weight that is taken where others are no better.
    """
    found = np.empty(folds.size)
    for fold in range(FOLDS):
        inside = folds == fold
        found[inside] = values[_best_step(values[:, ~inside], default), inside]
    return found


def _best_step(values: Float64s, default: float) -> int:
    """Which weight of float64 (weights, queries) has the best mean; of equal ones that next to the
    default."""
    means = values.mean(axis=1)
    equal = np.flatnonzero(means >= means.max() - _ROUNDING)
    return int(equal[np.abs(equal / STEPS - default).argmin()])


def _weights(step: int) -> dict[str, float]:
    return {"dense": step / STEPS, "sparse": 1 - step / STEPS}


def _legs(sparse: Float64s, dense: Float64s, lower: float | None) -> list[Leg]:
    return [Leg("sparse", sparse, 0.0), Leg("dense", dense, lower)]


def _candidates(collection: Collection, text: str, name: str, depth: int) -> Candidates:
    result: SearchResult = collection.search(
        text, 2 * depth, mode="hybrid", fusion=FusionParams(depth=depth), fields=()
    )
    # By id, so that equal scores of one leg do not stand in the order of the fusion.
    hits = sorted(result, key=lambda hit: hit.doc_id)
    scores = {
        leg: np.array([hit.legs[leg].score if leg in hit.legs else np.nan for hit in hits])
        for leg in LEGS
    }
    return Candidates(name, [hit.doc_id for hit in hits], scores)
