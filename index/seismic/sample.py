"""Queries to tune with, and their exact results: given ones, or documents made to look like some.

A query has fewer terms than a document and a steeper slope: of the 43 terms of SPLADE's queries the
8 largest hold .69 of the weight, of a document's 40 largest .34. So a document gives 6, 16 or 40 of
its entries, drawn at random with the larger ones ahead, their values to the power of 1.25. On
SPLADE-v3's vectors of NFCorpus and on synthetic collections of 50,000 and 200,000 documents the
accuracy of such queries is within .015 of that of real ones, long or short, for k of 10, and up to
.03 below for k of 100; a document's largest entries as they are would be up to .1 below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lexidex.errors import ParameterError

from ..batch import check_k
from ..topk import EMPTY_ORDINAL
from ..vectors import Components, Int64s, Vectors, as_vectors, build_vectors
from .oracle import exact_ordinals
from .records import Records, read_entries

if TYPE_CHECKING:
    from ..exact import ExactIndex
    from .seismic_index import SeismicIndex

LENGTHS = (6, 16, 40)
"""Terms of the queries, in turn."""

_SLOPE = 1.25

LEAST_QUERIES = 10
MOST_QUERIES = 1000
"""Queries of a sample; of more that are given, as many evenly spaced ones are taken."""

HELD_OUT = 600
"""Queries that are made from documents where none are given."""


@dataclass(frozen=True)
class Sample:
    """Queries with their exact results.

    Attributes:
        exact: int64 (n_queries, at least k), ordinals, -1 where empty.
        sources: int64 (n_queries,), the document that a query was made from, which counts for
            nothing; -1 for none.
    """

    queries: Vectors
    exact: Int64s
    sources: Int64s

    def __len__(self) -> int:
        return int(self.sources.size)

    @property
    def held_out(self) -> bool:
        """Whether the queries were made from documents."""
        return bool((self.sources >= 0).any())

    def half(self, first: int) -> Sample:
        """Every second query."""
        rows = slice(first, None, 2)
        return Sample(self.queries[rows], self.exact[rows], self.sources[rows])


def given_sample(
    index: SeismicIndex,
    queries: Vectors,
    k: int,
    exact: ArrayLike | None = None,
    n_threads: int = 1,
) -> Sample:
    """A sample of given queries; those without any result are left out.

    Args:
        exact: int64 (n_queries, at least k), ordinals of their exact results where they are known;
            else they are computed.

    Raises:
        ParameterError: fewer than 10 queries have a result; `exact` has another shape.
    """
    check_k(k)
    batch = as_vectors(queries, name="queries")
    rows = np.arange(batch.shape[0])
    if rows.size > MOST_QUERIES:
        rows = np.linspace(0, rows.size - 1, MOST_QUERIES).astype(np.int64)
        batch = batch[rows]
    nothing = np.full(rows.size, EMPTY_ORDINAL, dtype=np.int64)
    if exact is None:
        known = exact_ordinals(index.records, index.components, batch, k, nothing, n_threads)
    else:
        known = _checked_exact(exact, queries.shape[0], k)[rows]
    sample = _with_results(Sample(batch, known, nothing))
    if len(sample) < LEAST_QUERIES:
        raise ParameterError(
            f"queries: {len(sample)} have a result; tuning needs at least {LEAST_QUERIES}, half to "
            "find parameters and half to verify them (a few hundred are better), or none at all: "
            "then documents serve"
        )
    return sample


def held_out_sample(
    index: SeismicIndex,
    k: int,
    n_queries: int = HELD_OUT,
    oracle: ExactIndex | None = None,
    *,
    seed: int = 0,
    n_threads: int = 1,
) -> Sample:
    """A sample of queries made from documents; a document is none of its own query's results.

    Args:
        oracle: an exact index over the same documents, where there is one: it is quicker than a
            pass over the records.
    """
    check_k(k)
    queries, sources = sample_queries(index.records, index.components, index.dim, n_queries, seed)
    if oracle is None:
        exact = exact_ordinals(index.records, index.components, queries, k, sources, n_threads)
    else:
        exact = without_sources(
            oracle.search(queries, k + 1, n_threads=n_threads).ordinals, sources, k
        )
    return _with_results(Sample(queries, exact, sources))


def without_sources(ordinals: Int64s, sources: Int64s, k: int) -> Int64s:
    """The first k ordinals of each row but for the row's source; (n_queries, k), -1 where empty."""
    left_out = (ordinals == sources[:, None]) & (ordinals >= 0)
    order = np.argsort(left_out, axis=1, kind="stable")[:, :k]
    kept = np.where(left_out, EMPTY_ORDINAL, ordinals)
    return np.take_along_axis(kept, order, axis=1)


def _with_results(sample: Sample) -> Sample:
    rows = np.flatnonzero(sample.exact[:, 0] >= 0)
    if rows.size == len(sample):
        return sample
    return Sample(sample.queries[rows], sample.exact[rows], sample.sources[rows])


def _checked_exact(exact: ArrayLike, n_queries: int, k: int) -> Int64s:
    ordinals = np.asarray(exact)
    if ordinals.ndim != 2 or ordinals.shape[0] != n_queries or ordinals.shape[1] < k:
        raise ParameterError(
            f"exact: shape {ordinals.shape}; expected ordinals of shape ({n_queries}, {k}), "
            "a row a query"
        )
    if ordinals.dtype.kind not in "iu":
        raise ParameterError(f"exact: {ordinals.dtype} values; expected ordinals, integers")
    return ordinals.astype(np.int64)


def sample_queries(
    records: Records, known: Components, dim: int, n_queries: int, seed: int
) -> tuple[Vectors, Int64s]:
    """Queries made from documents that are drawn at random, and the ordinals of these.

    Args:
        known: the index's components, ascending.
        n_queries: at most; there are no more than documents with an entry.
    """
    rng = np.random.default_rng(seed)
    filled = np.flatnonzero(records.documents["size"])
    drawn = rng.choice(filled, min(n_queries, filled.size), replace=False)
    queries = []
    for place, ordinal in enumerate(drawn):
        size = int(records.documents[ordinal]["size"])
        numbers, values = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.float32)
        read_entries(records, ordinal, numbers, values)
        ahead = np.argsort(-np.sqrt(values) * rng.random(size), kind="stable")
        kept = np.sort(ahead[: LENGTHS[place % len(LENGTHS)]])
        # Relative to the largest, so that no power overflows.
        queries.append((known[numbers[kept]], (values[kept] / values.max()) ** _SLOPE))
    return build_vectors(queries, dim), drawn
