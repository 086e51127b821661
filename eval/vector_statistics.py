"""Statistics of sparse vectors: what decides how fast and how accurately an index finds them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from lexidex.index.vectors import Vectors

_SAMPLE = 20_000
_RANKS = (1, 10, 100, 1000, 5000)


@dataclass(frozen=True)
class VectorStatistics:
    """Figures of a batch of sparse vectors; `str` gives them as lines for people.

    Attributes:
        nnz_mean, nnz_deviation: components a vector.
        largest_value: of all vectors.
        top_value_mean: mean of each vector's largest value.
        top_10_mass, top_50_mass: share of a vector's summed values in its largest entries, mean.
        document_frequencies: share of the vectors that have the component of a rank, ranked by it.
        common_components: how many components two random vectors share, in the mean; what an
            exact search pays for each document.
    """

    n_vectors: int
    n_components: int
    nnz_mean: float
    nnz_deviation: float
    largest_value: float
    top_value_mean: float
    top_10_mass: float
    top_50_mass: float
    document_frequencies: dict[int, float]
    common_components: float

    def __str__(self) -> str:
        lines = []
        for name, value in asdict(self).items():
            if isinstance(value, dict):
                text = ", ".join(f"rank {rank}: {share:.4f}" for rank, share in value.items())
            else:
                text = f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
            lines.append(f"{name.replace('_', ' '):22} {text}")
        return "\n".join(lines)


def statistics(vectors: Vectors) -> VectorStatistics:
    """Statistics of a canonical csr_array (n, dim), n at least 1.

    Values are looked at in 20,000 vectors, evenly spaced, where there are more.
    """
    n_vectors = vectors.shape[0]
    lengths = np.diff(vectors.indptr)
    frequencies = np.sort(np.bincount(vectors.indices))[::-1] / n_vectors
    sampled = np.linspace(0, n_vectors - 1, min(n_vectors, _SAMPLE)).astype(np.int64)
    sampled = sampled[lengths[sampled] > 0]
    figures = np.empty((sampled.size, 3))
    for row, vector in enumerate(sampled):
        values = vectors.data[vectors.indptr[vector] : vectors.indptr[vector + 1]]
        sums = np.cumsum(np.sort(values)[::-1], dtype=np.float64)
        last = sums.size - 1
        figures[row] = sums[0], sums[min(9, last)] / sums[-1], sums[min(49, last)] / sums[-1]
    top_value, top_10, top_50 = (float(mean) for mean in figures.mean(axis=0))
    return VectorStatistics(
        n_vectors=n_vectors,
        n_components=int((frequencies > 0).sum()),
        nnz_mean=float(lengths.mean()),
        nnz_deviation=float(lengths.std()),
        largest_value=float(vectors.data.max()),
        top_value_mean=top_value,
        top_10_mass=top_10,
        top_50_mass=top_50,
        document_frequencies={
            rank: float(frequencies[rank - 1]) for rank in _RANKS if rank <= frequencies.size
        },
        common_components=float(np.square(frequencies).sum()),
    )
