"""Tuning a collection: which search parameters reach which accuracy, segment by segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lexidex.errors import ParameterError
from lexidex.index.seismic.frontier import Frontier
from lexidex.index.seismic.sample import given_sample, held_out_sample
from lexidex.index.seismic.tuning import Trial, find_frontier
from lexidex.index.storage.files import Storage
from lexidex.index.storage.manifest import Manifest, sweep, write_manifest
from lexidex.index.storage.segment import record_tuning
from lexidex.index.vectors import Vectors
from lexidex.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was found for a segment: points worth choosing, the cheapest first.

    Attributes:
        n_queries: queries that it was found with, half of which verified it.
        held_out: whether they were made from the segment's documents.
    """

    segment: str
    n_passages: int
    n_queries: int
    held_out: bool
    trials: tuple[Trial, ...]

    def chosen(self, accuracy: float) -> Trial | None:
        """The cheapest point that is assured to reach an accuracy; None if there is none."""
        return next((one for one in self.trials if one.point.assured >= accuracy), None)


@dataclass(frozen=True, slots=True)
class TuningReport:
    """What tuning a collection found; without segments when all are small enough to be searched
    exactly, and there was nothing to tune."""

    k: int
    accuracy: float
    generation: int
    segments: tuple[Tuned, ...]


def tune_segments(
    snapshot: Snapshot, queries: Vectors | None, k: int, n_threads: int
) -> list[Tuned]:
    """Tune every segment that has an approximate index; nothing is written.

    Raises:
        ParameterError: there are too few queries.
    """
    found = []
    for segment in snapshot.segments:
        index = segment.seismic
        if index is None:
            continue
        if queries is None:
            sample = held_out_sample(index, k, oracle=segment.exact, n_threads=n_threads)
        else:
            exact = segment.exact.search(queries, k, n_threads=n_threads).ordinals
            sample = given_sample(index, queries, k, exact, n_threads)
        trials = find_frontier(index, sample, k, n_threads=n_threads)
        if not trials:
            raise ParameterError(
                f"tune: segment {segment.entry.name} has too few documents that share a component "
                "with another; give queries"
            )
        found.append(
            Tuned(
                segment.entry.name,
                segment.entry.n_passages,
                len(sample),
                queries is None,
                _kept(trials),
            )
        )
    return found


def _kept(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Those that a table of them would keep."""
    points = Frontier(trial.point for trial in trials).points
    return tuple(trial for trial in trials if trial.point in points)


def commit_tuning(storage: Storage, snapshot: Snapshot, found: Sequence[Tuned]) -> Manifest:
    """Make a generation that knows what was found; the caller holds the write lock.

    A segment that is no longer in the snapshot is passed over.
    """
    base = snapshot.manifest
    points = {one.segment: [trial.point for trial in one.trials] for one in found}
    entries = []
    for segment in snapshot.segments:
        entry = segment.entry
        if segment.seismic is not None and entry.name in points:
            frontier = segment.seismic.frontier.with_points(points[entry.name])
            entry = record_tuning(storage, entry, frontier, base.generation + 1)
        entries.append(entry)
    manifest = replace(base, generation=base.generation + 1, segments=tuple(entries))
    write_manifest(storage, manifest)
    sweep(storage, manifest)
    return manifest
