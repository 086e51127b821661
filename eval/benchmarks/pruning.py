"""What pruning costs and saves: size and effectiveness of pruned vectors, on real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from lexidex.encoders.pruning import Pruning, prune
from lexidex.index import BuildParams, ExactIndex, SeismicIndex
from lexidex.index.vectors import Int64s, Vectors, stack

from ..judged import Qrels, read_qrels
from ..measures import evaluate, parse_measures
from ..runs import Run
from .real import QRELS, QUERIES, data_folder, document_ids, query_ids
from .record import Line, Record
from .tables import Table, megabytes, number
from .workload import Workload

KIND = "pruning"
MEASURE = "nDCG@10"
ABOUT = """One side is pruned by one rule, the other left as the model gives it. Accuracy is the
overlap with the exact top 10 of vectors that are not pruned. Bytes are those of our approximate
index over the documents, with default parameters; results are the exact index's."""

_K = 10
RULES: dict[str, dict[str, tuple[float, ...]]] = {
    "documents": {
        "top_k": (200, 100, 50, 25),
        "threshold": (0.1, 0.2, 0.4, 0.8),
        "max_ratio": (0.05, 0.1, 0.2, 0.4),
        "mass": (0.95, 0.9, 0.8, 0.6),
    },
    "queries": {
        "top_k": (20, 10, 5),
        "threshold": (0.1, 0.2, 0.4),
        "max_ratio": (0.05, 0.1, 0.2, 0.4),
        "mass": (0.95, 0.9, 0.8),
    },
}
"""Side -> rule -> values, see `lexidex.encoders.pruning`."""


def run_pruning(workload: Workload, record: Record, say: Callable[[str], None]) -> None:
    """Record every rule on either side of the real workload, and no rule at all.

    Raises:
        NotFound: LEXIDEX_DATA names no folder with the vectors.
    """
    data = data_folder()
    documents = workload.documents()
    queries = stack([workload.queries("tuning"), workload.queries("test")], documents.shape[1])
    ids = query_ids(data / QUERIES)
    names = document_ids(data), [*ids[0::2], *ids[1::2]]
    qrels = read_qrels(data / QRELS)
    exact = ExactIndex.build(documents).search(queries, _K).ordinals
    for side, pruning in _choices():
        say(f"{side}: {pruning.options or 'as they are'}")
        pruned = {"documents": documents, "queries": queries}
        pruned[side] = prune(pruned[side], pruning)
        figures = _figures(pruned["documents"], pruned["queries"], exact, names, qrels)
        record.add(KIND, side=side, pruning=pruning.options, **figures)


def tables(lines: Sequence[Line]) -> list[Table]:
    """A table for each side, a row for each rule and value."""
    found = []
    columns = ("rule", "nnz documents", "nnz queries", "index MB")
    for side, chosen in groupby(lines, key=lambda line: line["side"]):
        rows = [_row(line) for line in chosen]
        found.append(Table(f"pruned {side}", (*columns, "accuracy", MEASURE), rows))
    return found


def _choices() -> Iterator[tuple[str, Pruning]]:
    for side, rules in RULES.items():
        yield side, Pruning()
        for rule, values in rules.items():
            for value in values:
                yield side, Pruning(**{rule: int(value) if rule == "top_k" else value})  # type: ignore[arg-type]


def _figures(
    documents: Vectors,
    queries: Vectors,
    exact: Int64s,
    names: tuple[list[str], list[str]],
    qrels: Qrels,
) -> dict[str, Any]:
    index = ExactIndex.build(documents)
    scores, ordinals = index.search(queries, _K)
    run: Run = {
        query_id: {
            names[0][ordinal]: float(score)
            for ordinal, score in zip(row, values, strict=True)
            if ordinal >= 0
        }
        for query_id, row, values in zip(names[1], ordinals, scores, strict=True)
    }
    overlap = [
        np.intersect1d(row[row >= 0], best[best >= 0]).size / max((best >= 0).sum(), 1)
        for row, best in zip(ordinals, exact, strict=True)
    ]
    return {
        "nnz_documents": documents.nnz / documents.shape[0],
        "nnz_queries": queries.nnz / queries.shape[0],
        "bytes": SeismicIndex.build(documents, BuildParams()).nbytes,
        "accuracy": float(np.mean(overlap)),
        MEASURE: evaluate(qrels, run, parse_measures(MEASURE)).means[MEASURE],
    }


def _row(line: Line) -> list[str]:
    rules = [f"{rule} {value:g}" for rule, value in line["pruning"].items()]
    sizes = [number(line[f"nnz_{side}"], 1) for side in ("documents", "queries")]
    shares = [number(line[name], digits) for name, digits in (("accuracy", 3), (MEASURE, 4))]
    return [" ".join(rules) or "none", *sizes, megabytes(line["bytes"]), *shares]
