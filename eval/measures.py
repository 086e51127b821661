"""Effectiveness measures, computed by ir-measures (trec_eval's definitions)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import ir_measures
from ir_measures.measures import Measure

from lexidex.errors import ParameterError

from .judged import Qrels
from .runs import Run, separate_ties

DEFAULT_MEASURES = "nDCG@10 R@100"
_DEFAULT_DEPTH = 1000


@dataclass(frozen=True)
class Evaluation:
    """A run's effectiveness.

    Attributes:
        means: measure -> mean over all judged queries; a query without results counts as 0.
        per_query: query_id -> measure -> value.
    """

    means: dict[str, float]
    per_query: dict[str, dict[str, float]]


def parse_measures(text: str) -> list[Measure]:
    """Measures by their usual names, separated by spaces or commas: "nDCG@10 RR@10 R@100".

    Raises:
        ParameterError: a name that ir-measures does not know.
    """
    measures = []
    for name in text.replace(",", " ").split():
        try:
            measures.append(ir_measures.parse_measure(name))
        except (NameError, ValueError, SyntaxError, TypeError, KeyError) as error:
            raise ParameterError(
                f"measure {name!r} is not known ({error}); try nDCG@10, RR@10, R@100, AP, P@5"
            ) from None
    if not measures:
        raise ParameterError(f"measures: {text!r} names none; try {DEFAULT_MEASURES!r}")
    return measures


def depth_of(measures: Iterable[Measure]) -> int:
    """How many results a query these measures look at: the largest cutoff, 1,000 without one."""
    return max(int(measure.params.get("cutoff", _DEFAULT_DEPTH)) for measure in measures)


def evaluate(qrels: Qrels, run: Run, measures: Iterable[Measure]) -> Evaluation:
    """Score a run against judgments; queries of the run without judgments are passed over."""
    chosen = list(measures)
    judged = {query_id: separate_ties(run.get(query_id, {})) for query_id in qrels}
    found = {query_id: hits for query_id, hits in judged.items() if hits}
    per_query = {query_id: dict.fromkeys(map(str, chosen), 0.0) for query_id in qrels}
    for metric in ir_measures.iter_calc(chosen, qrels, found):
        per_query[metric.query_id][str(metric.measure)] = float(metric.value)
    means = {
        str(measure): sum(values[str(measure)] for values in per_query.values()) / len(per_query)
        for measure in chosen
    }
    return Evaluation(means, per_query)
