"""Filter benchmark: accuracy and time where only some documents are allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lexidex.index import Allowed, ExactIndex, SeismicIndex
from lexidex.index.allowed import as_allowed
from lexidex.index.topk import TopK
from lexidex.index.vectors import Components, Float32s, Vectors

from .harness import accuracy
from .record import Line, Record
from .tables import LATENCY, Table, latency_cells, number
from .timing import Latency, latency, one_by_one
from .workload import Workload, rows

KIND = "filter"
ABOUT = """`search_one` with default parameters, k = 10, under a filter made once for all searches,
of documents drawn at random, or correlated: those that share a frequent component, or one of the
most frequent ones. Accuracy is the overlap with the exact top 10 of the allowed documents.
Microseconds are CPU time of one query in one thread; the last column is the exact index under the
same filter."""

K = 10
SELECTIVITIES = (1.0, 0.5, 0.1, 0.01, 0.001)
"""Shares of the documents that are allowed."""

_SEED = 0


@dataclass(frozen=True)
class Mask:
    """Which documents are allowed: bool (n_documents,); None for all, with no mask."""

    kind: str
    allowed: NDArray[np.bool_] | None

    @property
    def share(self) -> float:
        """Of the documents, allowed."""
        return 1.0 if self.allowed is None else float(self.allowed.mean())


@dataclass(frozen=True)
class Filtered:
    """One mask; `share` is what it really allows."""

    mask: str
    share: float
    accuracy: float
    latency: Latency
    exact_us: float


def masks(documents: Vectors) -> list[Mask]:
    """No mask, then random and correlated ones of SELECTIVITIES, or as near as can be."""
    random = np.random.default_rng(_SEED)
    drawn = [random.random(documents.shape[0]) < share for share in SELECTIVITIES]
    sharing = [_sharing(documents, share) for share in SELECTIVITIES[1:]]
    return [
        Mask("none", None),
        *(Mask("random", allowed) for allowed in drawn),
        *(Mask("correlated", allowed) for allowed in sharing),
    ]


def _sharing(documents: Vectors, share: float) -> NDArray[np.bool_]:
    """The documents of the component whose share is nearest, or of several, if none has enough."""
    frequencies = np.bincount(documents.indices, minlength=documents.shape[1])
    wanted = share * documents.shape[0]
    allowed = np.zeros(documents.shape[0], dtype=np.bool_)
    if frequencies.max() >= wanted:
        components = [np.abs(frequencies - wanted).argmin()]
    else:
        components = list(np.argsort(-frequencies))
    for component in components:
        postings = np.flatnonzero(documents.indices == component)
        allowed[np.searchsorted(documents.indptr, postings, side="right") - 1] = True
        if allowed.sum() >= wanted:
            break
    return allowed


def run_filters(workload: Workload, path: Path, record: Record, rounds: int = 3) -> None:
    """Search an index file under every mask, in turns with the exact index."""
    documents = workload.documents()
    index, exact = SeismicIndex.open(path, "load"), ExactIndex.build(documents)
    batch = workload.queries("test")
    queries = list(rows(batch))
    chosen = masks(documents)
    filters = [as_allowed(mask.allowed, documents.shape[0]) for mask in chosen]
    own: list[list[NDArray[np.int64]]] = [[] for _ in chosen]
    other: list[list[NDArray[np.int64]]] = [[] for _ in chosen]
    found: list[list[list[int]]] = [[] for _ in chosen]
    one_by_one(partial(_search, index, None), queries)
    for _ in range(rounds):
        for place in range(len(chosen)):
            ns, results = one_by_one(partial(_search, index, filters[place]), queries)
            own[place].append(ns)
            found[place] = [result.ordinals[0].tolist() for result in results]
            ns, _ = one_by_one(partial(_search, exact, filters[place]), queries)
            other[place].append(ns)
    for place, mask in enumerate(chosen):
        true = exact.search(batch, K, allowed=filters[place]).ordinals
        reached = accuracy(found[place], true, K)
        times = latency(own[place]), latency(other[place]).mean
        record.add(KIND, **vars(Filtered(mask.kind, mask.share, reached, *times)))


def _search(
    index: SeismicIndex | ExactIndex,
    allowed: Allowed | None,
    query: tuple[Components, Float32s],
) -> TopK:
    components, values = query
    return index.search_one(components, values, K, allowed=allowed)


def tables(lines: Sequence[Line]) -> list[Table]:
    """One table, a row for each mask."""
    columns = ("mask", "allowed", "accuracy", *LATENCY, "exact, mean")
    return [Table("", columns, [_row(line) for line in lines])]


def _row(line: Line) -> list[str]:
    share = f"{100 * line['share']:.3g} %"
    times = [*latency_cells(line["latency"]), number(line["exact_us"])]
    return [line["mask"], share, number(line["accuracy"], 3), *times]
