"""How a write builds its segments: within how much memory, and who watches."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..exact import ExactIndex
from ..memory_size import as_bytes
from ..seismic import SeismicBuilder, SeismicIndex
from ..seismic.crew import Progress
from ..seismic.memory import check_least
from ..seismic.tuning import self_tuned
from ..vectors import Vectors

_SEGMENT_POSTINGS = 1 << 27
_DENSE_BYTES = 1 << 31
"""Of dense vectors in a segment: 1,400,000 of 384 dimensions."""

_DENSE_SHARE = 4
"""Part of the memory that dense vectors may take: they are joined, and copied into an index."""

_POSTING_BYTES = 12
"""What a posting takes at most at a time: 8 bytes of its draft while documents come, 10 of the
exact index in the making, and its part of the documents' ids."""

TUNED_WITH = {10: 90, 100: 45}
"""Queries for each k, made from its documents, that a new segment is tuned with: some 7 % of what
building its indexes takes."""


@dataclass(frozen=True, slots=True)
class Building:
    """Within how much memory segments are built, and who is told how far they are.

    Attributes:
        memory: what vectors and indexes in the making may take: "2GB" or a number of bytes; None
            for what segments of 2**27 postings take, 1.6 GB. Below that, segments are smaller and
            more. Encoders and what they compute come on top.
        progress: called while an approximate index is built.

    Raises:
        ParameterError: memory is no size, or less than any build takes.
    """

    memory: str | int | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if self.memory is not None:
            check_least(self.memory, n_components=0, highest=0, n_threads=1)

    @property
    def segment_postings(self) -> int:
        """A segment is completed when it has this many postings."""
        if self.memory is None:
            return _SEGMENT_POSTINGS
        return min(_SEGMENT_POSTINGS, as_bytes(self.memory) // _POSTING_BYTES)

    @property
    def dense_bytes(self) -> int:
        """A segment is completed when its dense vectors take this much."""
        if self.memory is None:
            return _DENSE_BYTES
        return min(_DENSE_BYTES, as_bytes(self.memory) // _DENSE_SHARE)

    @property
    def n_threads(self) -> int:
        """As many as there are processors."""
        return len(os.sched_getaffinity(0))

    def seismic(
        self, vectors: Vectors, oracle: ExactIndex, folder: str | os.PathLike[str] | None
    ) -> SeismicIndex:
        """The approximate index, tuned by queries made from its documents.

        Takes as many threads as there are processors and memory allows.

        Args:
            oracle: an exact index over the same vectors; memory-mapped, it counts for nothing.
            folder: where temporary files are; see SeismicBuilder.
        """
        builder = SeismicBuilder(memory=self.memory, folder=folder)
        builder.add(vectors, progress=self.progress)
        n_threads = builder.affordable_threads(self.n_threads)
        index = builder.finish(n_threads=n_threads, progress=self.progress)
        index.frontier = self_tuned(index, TUNED_WITH, oracle, n_threads=n_threads)
        return index
