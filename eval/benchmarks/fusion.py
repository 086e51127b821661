"""Fusion benchmark: what each method of fusing a sparse and a dense search gives, by collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lexidex.collection import Collection
from lexidex.dense_side import DenseSide
from lexidex.encoders import Encoder
from lexidex.hybrid import LEGS
from lexidex.index.fusion import METHODS, FusionParams

from ..fusion_tuning import (
    Candidates,
    FusionReport,
    alone,
    candidates_of,
    default_weight,
    paired_p_value,
    tune_fusion,
    values_of,
)
from ..judged import JudgedQueries, read_judged
from ..measures import parse_measures
from ..runs import Run
from .harness import Say
from .judged_collection import indexed, splits
from .record import Line, Record
from .tables import Table, number

KIND = "fusion"
NDCG, RECALL = parse_measures("nDCG@10 R@100")
ABOUT = """Each leg alone, and both fused by every method: with its default weights, and, where a
collection has a split for it, with the weight of the dense leg that was best for nDCG@10 there,
among 0, .05, ..., 1; of equal ones the one next to the default. The sparse leg has the rest of 1.
Rankings are those of searches, less the document whose id is the query's own. All methods share 200
candidates of each leg, scored exactly in both. p is that of a two-sided paired t-test of nDCG@10
against the better leg's on the same queries, with nothing done about there being many tests."""

Float64s = NDArray[np.float64]


@dataclass(frozen=True)
class FusionFigures:
    """One method on one collection.

    Attributes:
        collection: its name, and the split's where that is not "test".
        method: "sparse", "dense", or one of fusion.METHODS.
        tuned: on which split the weight was chosen; None for the method's default.
        dense_weight: of the dense leg, the sparse one having the rest of 1; None for a leg alone.
        ndcg, recall: nDCG@10 and R@100, means over the queries.
        gain: of nDCG@10 over the better leg's.
        p_value: of that difference; 1 for the better leg itself.
    """

    collection: str
    method: str
    tuned: str | None
    dense_weight: float | None
    ndcg: float
    recall: float
    gain: float
    p_value: float
    n_queries: int


def run_fusion(
    folders: Sequence[Path],
    encoder: Encoder,
    dense: DenseSide,
    collections: Path,
    *,
    record: Record,
    say: Say,
) -> list[FusionFigures]:
    """Index the collections, where they are not yet, and measure every method on each.

    Args:
        folders: in BEIR's layout.
        collections: the folder that indexed ones are kept in.

    Raises:
        InputError: a folder has no queries or judgments, or a bad line.
    """
    figures = []
    for data in folders:
        with indexed(data, collections, encoder, dense, say) as collection:
            reported, tuning = splits(data)
            report = None
            if tuning is not None:
                say(f"{data.name}: choosing weights on {tuning}")
                report = tune_fusion(collection, read_judged(data, tuning), NDCG)
            for split in reported:
                say(f"{data.name}: searching the queries of {split}")
                name = (
                    data.absolute().name if split == "test" else f"{data.absolute().name} {split}"
                )
                judged = read_judged(data, split)
                for figure in _figures(name, collection, judged, report, tuning):
                    figures.append(figure)
                    record.add(KIND, **vars(figure))
    return figures


def tables(lines: Sequence[Line]) -> list[Table]:
    """A row for each collection and method."""
    columns = ("collection", "method", "dense weight", str(NDCG), str(RECALL), "gain", "p")
    rows = [
        [
            line["collection"],
            line["method"],
            _weight(line),
            number(line["ndcg"], 4),
            number(line["recall"], 4),
            f"{line['gain']:+.4f}",
            number(line["p_value"], 3),
        ]
        for line in lines
    ]
    counts = {line["collection"]: line["n_queries"] for line in lines}
    queries = ", ".join(f"{name} {n:,}" for name, n in counts.items())
    return [Table("", columns, rows, f"Judged queries: {queries}.")]


def _figures(
    name: str,
    collection: Collection,
    judged: JudgedQueries,
    report: FusionReport | None,
    tuning: str | None,
) -> list[FusionFigures]:
    candidates = candidates_of(collection, judged)
    legs = {leg: values_of(judged.qrels, alone(candidates, leg), NDCG) for leg in LEGS}
    better = max(legs.values(), key=lambda values: float(values.mean()))

    def figures(
        run: Run, method: str, weight: float | None = None, tuned: str | None = None
    ) -> FusionFigures:
        values = values_of(judged.qrels, run, NDCG)
        return FusionFigures(
            collection=name,
            method=method,
            tuned=tuned,
            dense_weight=weight,
            ndcg=float(values.mean()),
            recall=float(values_of(judged.qrels, run, RECALL).mean()),
            gain=float(values.mean() - better.mean()),
            p_value=paired_p_value(values, better),
            n_queries=len(run),
        )

    found = [figures(alone(candidates, leg), leg) for leg in LEGS]
    lower = collection.dense_lower_bound
    for method in METHODS:
        run = _fused(candidates, FusionParams(method), lower)
        found.append(figures(run, method, default_weight(method, lower)))
        if report is not None:
            weight = report.best[method].dense
            params = FusionParams(method, {"dense": weight, "sparse": 1 - weight})
            run = _fused(candidates, params, lower)
            found.append(figures(run, method, weight, tuning))
    return found


def _fused(candidates: Mapping[str, Candidates], params: FusionParams, lower: float | None) -> Run:
    return {name: found.fused(params, lower) for name, found in candidates.items()}


def _weight(line: Line) -> str:
    if line["dense_weight"] is None:
        return ""
    chosen = "default" if line["tuned"] is None else f"by {line['tuned']}"
    return f"{line['dense_weight']:g}, {chosen}"
