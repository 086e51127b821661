"""Which weights should a hybrid search have on this collection, and does fusing help at all?

Every judged query is searched once, with its candidates' scores in both legs; any weights are then
tried on these scores alone. Weights are chosen on all folds of the queries but one, and what they
reach is measured on that one (cross-validation), so that the figure is not flattered by the choice.
The best of them is compared with the better leg alone: a weak leg drags the other down.
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
        chosen: the method of the best cross-validated figure, with its best weight on all queries.
        gain: cross-validated figure of that method less the better leg's.
        p_value: of a two-sided paired t-test of that difference; 1 where there is none.
        tried: every method and weight.
    """

    measure: str
    n_queries: int
    legs: Mapping[str, float]
    cross_validated: Mapping[FusionMethod, float]
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
    """The candidates of a query: their ids, and what each leg scores them, NaN for nothing."""

    ids: list[str]
    scores: Mapping[str, Float64s]

    def fused(self, params: FusionParams, lower: float | None) -> dict[str, float]:
        """Id -> fused score, best first."""
        legs = [
            Leg("sparse", self.scores["sparse"], 0.0),
            Leg("dense", self.scores["dense"], lower),
        ]
        found = fuse(legs, params)
        return {self.ids[place]: float(found.scores[place]) for place in found.order.tolist()}

    def alone(self, leg: str) -> dict[str, float]:
        """Id -> score of the candidates that a leg knows, best first."""
        scores = self.scores[leg]
        known = np.flatnonzero(~np.isnan(scores))
        order = known[np.argsort(-scores[known], kind="stable")]
        return {self.ids[place]: float(scores[place]) for place in order.tolist()}


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
    return _report(str(measure), legs, values, np.random.default_rng(seed))


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
    random: np.random.Generator,
) -> FusionReport:
    n_queries = next(iter(legs.values())).size
    folds = random.permutation(n_queries) % FOLDS
    held_out = {method: _cross_validated(rows, folds) for method, rows in values.items()}
    best = max(held_out, key=lambda method: float(held_out[method].mean()))
    step = int(values[best].mean(axis=1).argmax())
    better = max(legs.values(), key=lambda one: float(one.mean()))
    return FusionReport(
        measure,
        n_queries,
        {leg: float(one.mean()) for leg, one in legs.items()},
        {method: float(one.mean()) for method, one in held_out.items()},
        Tried(best, step / STEPS, float(values[best][step].mean())),
        float(held_out[best].mean() - better.mean()),
        paired_p_value(held_out[best], better),
        [
            Tried(method, number / STEPS, float(row.mean()))
            for method, rows in values.items()
            for number, row in enumerate(rows)
        ],
    )


def _cross_validated(values: Float64s, folds: NDArray[np.int64]) -> Float64s:
    """What each query gets from the weight that is best on the other folds, float64 (queries,).

    Args:
        values: float64 (weights, queries).
        folds: int (queries,).
    """
    found = np.empty(folds.size)
    for fold in range(FOLDS):
        inside = folds == fold
        found[inside] = values[values[:, ~inside].mean(axis=1).argmax(), inside]
    return found


def _weights(step: int) -> dict[str, float]:
    return {"dense": step / STEPS, "sparse": 1 - step / STEPS}


def _candidates(collection: Collection, text: str, name: str, depth: int) -> Candidates:
    result: SearchResult = collection.search(
        text, 2 * depth, mode="hybrid", fusion=FusionParams(depth=depth), fields=()
    )
    # By id, so that equal scores of one leg do not stand in the order of the fusion; without the
    # document that is the query itself, by BEIR's rule.
    found = sorted(result, key=lambda hit: hit.doc_id)
    hits = [hit for hit in found if hit.doc_id != name]
    scores = {
        leg: np.array([hit.legs[leg].score if leg in hit.legs else np.nan for hit in hits])
        for leg in LEGS
    }
    return Candidates([hit.doc_id for hit in hits], scores)
