"""Effectiveness measures, computed by ir-measures (trec_eval's definitions)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from subprocess import SubprocessError

import ir_measures
from ir_measures.measures import Measure

from lexidex.errors import ParameterError
from lexidex.index.batch import K_LIMIT

from .judged import Qrels
from .runs import Run, separate_ties

DEFAULT_MEASURES = "nDCG@10 R@100"
_DEFAULT_DEPTH = 1000
_BETWEEN = re.compile(r"[\s,]+(?![^(]*\))")
"""Spaces and commas, but for those in parentheses."""

_MISSING = re.compile(r"invalid param (\w+)=<object .*")

_REFUSALS = (
    ArithmeticError,
    AssertionError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SubprocessError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What ir-measures and the tools behind it raise at measures that they cannot compute."""


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
        ParameterError: a name that ir-measures does not know, or a measure that it cannot compute
            here.
    """
    measures = [_parse(name) for name in _BETWEEN.split(text) if name]
    if not measures:
        raise ParameterError(f"measures: {text!r} names none; try {DEFAULT_MEASURES!r}")
    return measures


def _parse(name: str) -> Measure:
    try:
        measure = ir_measures.parse_measure(name)
        cutoff = measure.params.get("cutoff", 1)
        # trec_eval brings the whole process down at a cutoff of 0.
        if not 1 <= cutoff <= K_LIMIT:
            raise ValueError(f"its cutoff must lie from 1 to {K_LIMIT:,}")
        ir_measures.calc_aggregate([measure], {"1": {"1": 1}}, {"1": {"1": 1.0}})
    except _REFUSALS as error:
        reason = _MISSING.sub(r"it needs a \1", str(error).splitlines()[0])
        raise ParameterError(
            f"measure {name!r} is not known ({reason}); try nDCG@10, RR@10, R@100, AP, P@5"
        ) from None
    return measure


def depth_of(measures: Iterable[Measure]) -> int:
    """How many results a query these measures look at: the largest cutoff, 1,000 without one."""
    return max(int(measure.params.get("cutoff", _DEFAULT_DEPTH)) for measure in measures)


def evaluate(qrels: Qrels, run: Run, measures: Iterable[Measure]) -> Evaluation:
    """Score a run against judgments; queries of the run without judgments are passed over.

    Raises:
        ParameterError: a measure that cannot be computed for these ids or judgments.
    """
    chosen = list(measures)
    # trec_eval reads memory that is not its own where every judgment of a query is negative.
    judged = {
        q: relevance for q, relevance in qrels.items() if max(relevance.values(), default=-1) >= 0
    }
    found = {q: separate_ties(run[q]) for q in judged if run.get(q)}
    per_query = {query_id: dict.fromkeys(map(str, chosen), 0.0) for query_id in qrels}
    try:
        for metric in ir_measures.iter_calc(chosen, judged, found):
            per_query[metric.query_id][str(metric.measure)] = float(metric.value)
    except _REFUSALS as error:
        names = " ".join(map(str, chosen))
        raise ParameterError(f"measures {names}: cannot be computed here ({error})") from None
    means = {
        str(measure): sum(values[str(measure)] for values in per_query.values()) / len(per_query)
        for measure in chosen
    }
    return Evaluation(means, per_query)
