"""Tuning a collection: which search parameters reach which accuracy, segment by segment."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from lexidex.errors import LexidexError, ParameterError
from lexidex.index.seismic.frontier import Frontier
from lexidex.index.seismic.sample import given_sample, held_out_sample
from lexidex.index.seismic.tuning import Trial, find_frontier
from lexidex.index.storage.files import Storage
from lexidex.index.storage.manifest import sweep, write_manifest
from lexidex.index.storage.tuned import record_tuning
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
    for segment in snapshot.stored:
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


def commit_tuning(storage: Storage, now: Snapshot, found: Sequence[Tuned]) -> Snapshot:
    """Make a manifest that knows what was found; the caller holds the write lock.

    The content is the same, so the generation is, and its log goes on. A segment that is no longer
    there is passed over.

    Args:
        now: the newest snapshot.
    """
    number = now.manifest.number + 1
    points = {one.segment: [trial.point for trial in one.trials] for one in found}
    entries, segments = list(now.manifest.segments), list(now.segments)
    try:
        # What the log takes away is deleted in `segments`, and not yet in `entries`.
        for place, entry in enumerate(entries):
            index = segments[place].seismic
            if index is not None and entry.name in points:
                frontier = index.frontier.with_points(points[entry.name])
                entries[place] = record_tuning(storage, entry, frontier, number)
                segments[place] = segments[place].with_frontier(entries[place].tuning, frontier)
        manifest = replace(now.manifest, number=number, segments=tuple(entries))
        write_manifest(storage, manifest)
    except Exception:
        with suppress(OSError, LexidexError):  # why it failed is the error to tell
            sweep(storage, now.manifest)
        raise
    with suppress(OSError, LexidexError):  # it is committed; the next write sweeps again
        sweep(storage, manifest)
    return now.rearranged(manifest, segments)
