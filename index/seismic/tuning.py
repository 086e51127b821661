"""Finding search parameters: the cheapest that reach an accuracy, for one index and its queries.

A sample of queries is split in two. On the first half a walk over a lattice of parameters goes from
the cheapest point to the most accurate one, each step to the neighbour that gains most for what it
costs; the points of which no other is both cheaper and more accurate are then measured on the
second half, which had no part in choosing them.

What a point costs is told by counters, not by a clock, so that the same index and queries give the
same table on every machine and in every run, however busy. Over nine points of two builds, default
and accurate, of a million synthetic documents it is .80 to 1.06 of the time by the clock.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexidex.errors import ParameterError

from ..vectors import Int64s, Vectors
from .frontier import Frontier, Point
from .params import SearchParams
from .sample import Sample, given_sample, held_out_sample, without_sources

if TYPE_CHECKING:
    from ..exact import ExactIndex
    from .seismic_index import SeismicIndex

QUERY_CUTS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48)
HEAP_FACTORS = (1.2, 1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""The lattice, from cheap to accurate."""

_HELD_OUT_CUTS = QUERY_CUTS[4:]
_HELD_OUT_FACTORS = HEAP_FACTORS[3:]
"""For queries made from documents, without the cheapest. The blocks that hold a query's document
hold others like it, so that skipping the rest costs less accuracy than it costs real queries; and
short real queries may have weights more even than these, so that every list counts."""

ENOUGH = 0.998
"""Accuracy at which the walk ends."""

WORTHWHILE = 0.7
"""Accuracy below which a point is kept only where no other is more accurate."""

_SPACING = 0.9
"""Of what one point misses, the next misses at most this share; the last may miss more."""

_US_PER_BLOCK = 0.0085
_US_PER_POSTING = 0.00095
"""Microseconds of estimating a block, and of rating an entry of a document: least-squares fit."""

_Place: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Trial:
    """A point of the frontier; `us` is the CPU time of a query in the pass that verified it."""

    point: Point
    us: float


@dataclass(frozen=True, slots=True)
class _Measured:
    """One pass over queries: accuracy of each that has results, and means a query."""

    accuracies: NDArray[np.float64]
    documents: float
    cost: float
    us: float

    @property
    def accuracy(self) -> float:
        return float(self.accuracies.mean())

    @property
    def error(self) -> float:
        """Standard error of the accuracy."""
        return float(self.accuracies.std(ddof=1) / np.sqrt(self.accuracies.size))


def tune_index(
    index: SeismicIndex,
    queries: Vectors | None,
    k: int,
    exact: ArrayLike | None,
    n_threads: int,
) -> Frontier:
    """The index's table with what tuning for k finds; the arguments are those of its `tune`.

    Raises:
        ParameterError: the queries are too few, or the index has too few documents.
    """
    if queries is None:
        sample = held_out_sample(index, k, n_threads=n_threads)
    else:
        sample = given_sample(index, queries, k, exact, n_threads)
    trials = find_frontier(index, sample, k, n_threads=n_threads)
    if not trials:
        raise ParameterError(
            f"tune: {len(sample)} documents share a component with another; there is nothing "
            "to tune by: add documents, or give queries"
        )
    return index.frontier.with_points(trial.point for trial in trials)


def self_tuned(
    index: SeismicIndex,
    n_queries: Mapping[int, int],
    oracle: ExactIndex | None = None,
    *,
    n_threads: int = 1,
) -> Frontier:
    """The table by queries made from documents, so many for each k; empty where there are too few.

    Args:
        oracle: as for `held_out_sample`.
    """
    trials: list[Trial] = []
    for k, n in n_queries.items():
        sample = held_out_sample(index, k, n, oracle, n_threads=n_threads)
        trials += find_frontier(index, sample, k, n_threads=n_threads)
    return Frontier(trial.point for trial in trials)


def find_frontier(
    index: SeismicIndex, sample: Sample, k: int, *, n_threads: int = 1
) -> list[Trial]:
    """The points worth choosing for k, cheapest first, measured on queries they were not found by.

    Of fewer than 4 queries nothing can be said: [].
    """
    if len(sample) < 4:
        return []
    finding, verifying = sample.half(0), sample.half(1)
    trials = []
    for params, found in _best(_walk(index, finding, k, n_threads)):
        verified = _measure(index, verifying, k, params, 1)
        point = Point(
            k=k,
            query_cut=params.query_cut,
            heap_factor=params.heap_factor,
            accuracy=verified.accuracy,
            assured=max(0.0, min(found.accuracy, verified.accuracy - verified.error)),
            documents=verified.documents,
            cost=found.cost,
        )
        trials.append(Trial(point, verified.us))
    return trials


def _walk(
    index: SeismicIndex, sample: Sample, k: int, n_threads: int
) -> list[tuple[SearchParams, _Measured]]:
    """What was measured on the way from the cheapest point of the lattice to the most accurate."""
    measured: dict[_Place, tuple[SearchParams, _Measured]] = {}
    cuts = _HELD_OUT_CUTS if sample.held_out else QUERY_CUTS
    factors = _HELD_OUT_FACTORS if sample.held_out else HEAP_FACTORS

    def at(place: _Place) -> _Measured:
        if place not in measured:
            params = SearchParams(cuts[place[0]], factors[place[1]])
            measured[place] = params, _measure(index, sample, k, params, n_threads)
        return measured[place][1]

    place = (0, 0)
    while at(place).accuracy < ENOUGH:
        here = at(place)
        further = [(place[0] + 1, place[1]), (place[0], place[1] + 1)]
        neighbours = [(i, j) for i, j in further if i < len(cuts) and j < len(factors)]
        if not neighbours:
            break

        def gain(neighbour: _Place, here: _Measured = here) -> float:
            there = at(neighbour)
            return (there.accuracy - here.accuracy) / max(there.cost - here.cost, 1e-9)

        place = max(neighbours, key=gain)
    return list(measured.values())


def _best(
    measured: Sequence[tuple[SearchParams, _Measured]],
) -> list[tuple[SearchParams, _Measured]]:
    """Those that no cheaper one equals, cheapest first, and of near ones the cheapest."""
    ahead: list[tuple[SearchParams, _Measured]] = []
    for one in sorted(measured, key=lambda one: (one[1].cost, -one[1].accuracy)):
        if not ahead or one[1].accuracy > ahead[-1][1].accuracy:
            ahead.append(one)
    kept: list[tuple[SearchParams, _Measured]] = []
    missed = 1 - WORTHWHILE
    for one in ahead[:-1]:
        if 1 - one[1].accuracy <= missed:
            kept.append(one)
            missed = _SPACING * (1 - one[1].accuracy)
    return kept + ahead[-1:]


def _measure(
    index: SeismicIndex, sample: Sample, k: int, params: SearchParams, n_threads: int
) -> _Measured:
    """Search the sample once; `us` means something with one thread only."""
    # A query's own document takes a place.
    depth = k + int(sample.held_out)
    started = time.thread_time()
    found = index.search(sample.queries, depth, params, n_threads=n_threads)
    seconds = time.thread_time() - started
    n_queries, counters = len(sample), found.counters
    n_blocks = counters.blocks_scored + counters.blocks_skipped
    cost = _US_PER_BLOCK * n_blocks + _US_PER_POSTING * counters.postings_scored
    return _Measured(
        accuracies=overlap(without_sources(found.ordinals, sample.sources, k), sample.exact[:, :k]),
        documents=counters.documents_scored / n_queries,
        cost=cost / n_queries,
        us=1e6 * seconds / n_queries,
    )


def overlap(found: Int64s, exact: Int64s) -> NDArray[np.float64]:
    """Share of each query's exact results that were found, float64 (n_queries,).

    Args:
        found, exact: ordinals (n_queries, k), -1 where empty; every query has an exact result.
    """
    base = 1 + max(int(found.max(initial=0)), int(exact.max(initial=0)))
    rows = base * np.arange(exact.shape[0])[:, None]
    expected = np.sort((exact + rows)[exact >= 0])
    places = np.searchsorted(expected, found + rows)
    hits = (np.append(expected, -1)[places] == found + rows) & (found >= 0)
    shares: NDArray[np.float64] = hits.sum(axis=1) / (exact >= 0).sum(axis=1)
    return shares
