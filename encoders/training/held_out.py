"""How good is a student, on pairs that it was not trained on? Through our index and ir-measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lexidex.index.vectors import Vectors

from .pairs import Pairs
from .student import Student

MEASURE = "nDCG@10"
PREFIX = "eval_"
"""What the names of measures begin with in a log; transformers' Trainer has it so."""

_DEPTH = 10
_LOGGED = tuple(PREFIX + name for name in (MEASURE, "nnz_queries", "nnz_documents", "flops"))


@dataclass(frozen=True)
class HeldOut:
    """Queries and documents that only measure."""

    pairs: Pairs

    def measure(self, student: Student) -> dict[str, float]:
        """Effectiveness and cost of a student.

        Returns:
            "nDCG@10"; "nnz_queries" and "nnz_documents", terms of a text; "flops", the number of
            products that a query and a document are expected to take.
        """
        documents = student.encode("documents", self.pairs.documents)
        queries = student.encode("queries", self.pairs.queries)
        return {
            MEASURE: self.effectiveness(documents, queries),
            "nnz_queries": queries.nnz / queries.shape[0],
            "nnz_documents": documents.nnz / documents.shape[0],
            "flops": expected_products(queries, documents),
        }

    def effectiveness(self, documents: Vectors, queries: Vectors) -> float:
        """nDCG@10 of the exact ranking of these vectors."""
        from lexidex.eval.measures import evaluate, parse_measures
        from lexidex.index import ExactIndex

        found = ExactIndex.build(documents).search(queries, _DEPTH)
        run = {
            name: {
                self.pairs.document_ids[row]: float(score)
                for row, score in zip(rows, scores, strict=True)
                if row >= 0
            }
            for name, rows, scores in zip(
                self.pairs.query_ids, found.ordinals, found.scores, strict=True
            )
        }
        qrels = {
            name: {self.pairs.document_ids[row]: 1 for row in rows}
            for name, rows in zip(self.pairs.query_ids, self.pairs.positives, strict=True)
        }
        return evaluate(qrels, run, parse_measures(MEASURE)).means[MEASURE]


def with_ends(
    log: Sequence[Mapping[str, float]],
    before: Mapping[str, float],
    after: Mapping[str, float],
    steps: int,
) -> list[Mapping[str, float]]:
    """A round's log with what was measured before its first step and after its last one."""
    end = [] if measured_at(log, steps) else [logged(after, steps)]
    return [logged(before, 0), *log, *end]


def measured_at(log: Sequence[Mapping[str, float]], step: int) -> dict[str, float]:
    """What was measured at a step, as `HeldOut.measure` gave it; empty if nothing was."""
    return {
        name.removeprefix(PREFIX): value
        for line in log
        if line["step"] == step
        for name, value in line.items()
        if name in _LOGGED
    }


def logged(measured: Mapping[str, float], step: int) -> dict[str, float]:
    """Measures as a line of a training's log."""
    return {PREFIX + name: value for name, value in measured.items()} | {"step": step}


def expected_products(queries: Vectors, documents: Vectors) -> float:
    """Sum over terms of the shares of queries and of documents that have it.

    The measure that FLOPS was made for (arXiv 2004.05665).
    """
    shares = [
        np.bincount(side.indices, minlength=side.shape[1]) / max(side.shape[0], 1)
        for side in (queries, documents)
    ]
    return float(shares[0] @ shares[1])
