"""Synthetic collections with the statistics of SPLADE vectors on MS MARCO.

For tests and benchmarks of any size without a model. What is matched, and how closely the real
vectors agree, `vector_statistics` tells of either. A seed gives the same bytes on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lexidex.errors import ParameterError
from lexidex.index.vectors import Components, Float32s, Int64s, Vectors, build_vectors, csr

from .synthetic_kernels import fill_documents, fill_queries
from .synthetic_universe import (
    DIM,
    N_SUBJECTS,
    RandomWords,
    Universe,
    lognormal,
    make_universe,
)

DOCUMENT_LENGTHS = np.clip(lognormal(4.735, 0.32), 20, 320).astype(np.int64)
QUERY_LENGTHS = np.clip(lognormal(3.70, 0.35), 8, 120).astype(np.int64)
"""Distinct terms by quantile: 119 +- 39 in a document, 43 +- 15 in a query."""

_UNIVERSE, _PLAN, _DOCUMENTS, _TUNING, _TEST = range(5)
_DOCUMENT_DRAWS, _QUERY_DRAWS = 768, 384
_CHUNK = 2048
_COPY_DISTANCE = 1000


@dataclass(frozen=True)
class SyntheticCollection:
    """Documents and queries; every batch is a csr_array (n, 30522) in canonical form.

    Attributes:
        tuning_queries, test_queries: as SPLADE encodes queries, mean nnz 43.
        short_tuning_queries, short_test_queries: the 5 to 10 largest components of each of these,
            weighted by inverse document frequency, as BM25 and inference-free encoders do.
        tuning_targets, test_targets: int64 (n_queries,), the document that a query was made from.
    """

    documents: Vectors
    tuning_queries: Vectors
    test_queries: Vectors
    short_tuning_queries: Vectors
    short_test_queries: Vectors
    tuning_targets: Int64s
    test_targets: Int64s


@dataclass(frozen=True)
class Plan:
    """What documents are made of, before their terms are drawn; each int64 (n_documents,).

    Attributes:
        subjects, asides: what each is on, and touches on.
        lengths: terms at most.
        n_private: terms that only it is drawn with.
        originals: the document that it nearly repeats; -1 for none.
    """

    subjects: Int64s
    asides: Int64s
    lengths: Int64s
    n_private: Int64s
    originals: Int64s


@dataclass(frozen=True)
class _Documents:
    indptr: Int64s
    components: Components
    values: Float32s
    subjects: Int64s


def generate(
    n_documents: int, *, seed: int = 7, n_queries: int = 1000, duplicate_share: float = 0.03
) -> SyntheticCollection:
    """A collection of n_documents, with n_queries to tune on and as many to test with.

    A document is drawn from one of 65,536 subjects, another that it touches on, and common words;
    weights are log(1 + salience). A query is drawn from a document and its subject. One million
    documents take about 15 seconds and 1.2 GB.

    Args:
        seed: at least 0. The same seed gives the same bytes on every machine: randomness is
            NumPy's PCG64 in raw words, drawn in one order by one thread.
        duplicate_share: in [0, 1], documents that nearly repeat one of the 1,000 before them.

    Raises:
        ParameterError: an argument is out of its range.
    """
    _check(n_documents, seed, n_queries, duplicate_share)
    universe = make_universe(RandomWords(seed, _UNIVERSE))
    drawn = _documents(universe, n_documents, seed, duplicate_share)
    documents = csr(drawn.values, drawn.components, drawn.indptr, DIM)
    tuning, tuning_targets = _queries(universe, drawn, n_queries, RandomWords(seed, _TUNING))
    test, test_targets = _queries(universe, drawn, n_queries, RandomWords(seed, _TEST))
    weights = _inverse_document_frequencies(documents)
    return SyntheticCollection(
        documents=documents,
        tuning_queries=tuning,
        test_queries=test,
        short_tuning_queries=_shortened(tuning, weights),
        short_test_queries=_shortened(test, weights),
        tuning_targets=tuning_targets,
        test_targets=test_targets,
    )


def plan_of(n_documents: int, seed: int, duplicate_share: float = 0.03) -> Plan:
    """The plan of the documents that `generate` makes of the same arguments."""
    random = RandomWords(seed, _PLAN)
    subjects = _popular_subjects(random, n_documents)
    asides = _popular_subjects(random, n_documents)
    lengths = random.picks(DOCUMENT_LENGTHS, n_documents)
    n_private = 4 + random.below(5, n_documents)
    ordinals = np.arange(n_documents)
    distances = 1 + random.below(np.minimum(ordinals, _COPY_DISTANCE), n_documents)
    copied = random.fractions(n_documents) < duplicate_share
    originals = np.where(copied, ordinals - distances, -1)
    return Plan(subjects, asides, lengths, n_private, originals)


def targets_of(n_documents: int, seed: int, n_queries: int) -> Int64s:
    """The documents that `generate` makes its test queries from, int64 (n_queries,)."""
    return RandomWords(seed, _TEST).below(n_documents, n_queries)


def _check(n_documents: int, seed: int, n_queries: int, duplicate_share: float) -> None:
    for name, value, least in (
        ("n_documents", n_documents, 1),
        ("seed", seed, 0),
        ("n_queries", n_queries, 0),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ParameterError(f"{name}: {value!r}; expected an integer of at least {least}")
    if not 0 <= duplicate_share <= 1:
        raise ParameterError(f"duplicate_share: {duplicate_share!r}; expected 0 to 1")


def _documents(
    universe: Universe, n_documents: int, seed: int, duplicate_share: float
) -> _Documents:
    plan = plan_of(n_documents, seed, duplicate_share)
    longest = int(DOCUMENT_LENGTHS[-1])
    capacity = int(np.where(plan.originals < 0, plan.lengths, longest).sum())
    indptr = np.zeros(n_documents + 1, dtype=np.int64)
    components = np.empty(capacity, dtype=np.int32)
    values = np.empty(capacity, dtype=np.float32)
    salience = np.zeros(DIM)
    random = RandomWords(seed, _DOCUMENTS)
    for first in range(0, n_documents, _CHUNK):
        fill_documents(
            random.words(min(_CHUNK, n_documents - first), _DOCUMENT_DRAWS),
            first,
            plan.subjects,
            plan.asides,
            plan.originals,
            plan.lengths,
            plan.n_private,
            universe.subject_terms,
            universe.places,
            universe.gains,
            universe.common,
            universe.rare,
            universe.noise,
            universe.saturation,
            salience,
            indptr,
            components,
            values,
        )
    # In place: at a million documents, copies would be another gigabyte.
    components.resize(indptr[-1], refcheck=False)
    values.resize(indptr[-1], refcheck=False)
    return _Documents(indptr, components, values, plan.subjects)


def _popular_subjects(random: RandomWords, n: int) -> Int64s:
    """Subjects, the lower the more often: subject s in proportion to about s ** (-1/3)."""
    fractions = random.fractions(n)
    return (fractions * np.sqrt(fractions) * N_SUBJECTS).astype(np.int64)


def _queries(
    universe: Universe, documents: _Documents, n_queries: int, random: RandomWords
) -> tuple[Vectors, Int64s]:
    """Queries, and the document that each was made from."""
    targets = random.below(documents.indptr.size - 1, n_queries)
    lengths = random.picks(QUERY_LENGTHS, n_queries)
    n_core = 4 + random.below(5, n_queries)
    indptr = np.zeros(n_queries + 1, dtype=np.int64)
    components = np.empty(int(lengths.sum()), dtype=np.int32)
    values = np.empty(components.size, dtype=np.float32)
    fill_queries(
        random.words(n_queries, _QUERY_DRAWS),
        targets,
        lengths,
        n_core,
        documents.subjects,
        universe.subject_terms,
        universe.places,
        universe.gains,
        universe.common,
        universe.rarity,
        universe.noise,
        universe.saturation,
        np.zeros(DIM),
        documents.indptr,
        documents.components,
        documents.values,
        indptr,
        components,
        values,
    )
    end = int(indptr[-1])
    return csr(values[:end], components[:end], indptr, DIM), targets


def _inverse_document_frequencies(documents: Vectors) -> Float32s:
    """Lucene's, float32 (DIM,), rounded because logarithms differ in the last bit."""
    frequencies = np.zeros(DIM, dtype=np.int64)
    for part in np.array_split(documents.indices, 64):  # bincount makes an int64 copy
        frequencies += np.bincount(part, minlength=DIM)
    ratios = (documents.shape[0] - frequencies + 0.5) / (frequencies + 0.5)
    rounded: Float32s = np.round(np.log1p(ratios), 4).astype(np.float32)
    return rounded


def _shortened(queries: Vectors, weights: Float32s) -> Vectors:
    """Query i by its 5 + i % 6 largest components, or all where it has fewer."""
    rows = []
    for query in range(queries.shape[0]):
        part = slice(queries.indptr[query], queries.indptr[query + 1])
        largest = np.argsort(-queries.data[part], kind="stable")[: 5 + query % 6]
        components = np.sort(queries.indices[part][largest])
        rows.append((components, weights[components]))
    return build_vectors(rows, DIM)
