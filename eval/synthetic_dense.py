"""Dense vectors for the synthetic collections: of the same documents, on the same subjects.

A document's vector is the sum of what its area, its topic, its subject and the subject that it
touches on point to, and of what is its own; a query's is drawn from the document that the sparse
query was drawn from. So both legs of a hybrid search know of the same nearness, each with noise of
its own. Dimensions differ in spread, as those of text models do.

As many vectors as WikiQA has sentences are about as near one another as those that all-MiniLM-L6-v2
makes of them: cosines of any two have a standard deviation of .078 as there, a query's nearest,
tenth and hundredth document .77, .36 and .21 on average (there .74, .48 and .28), and the
eigenvalues of the covariance count for 158 equal ones, as there.

A seed gives the same vectors wherever NumPy's normal draws and sums are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lexidex.index.vectors import Float32s

from .synthetic import plan_of, targets_of
from .synthetic_universe import N_AREAS, N_SUBJECTS, N_TOPICS

DIM = 384

_FADING = 0.37
"""Dimension i has a spread in proportion to (i + 4) ** -_FADING."""

_AREA, _TOPIC, _SUBJECT, _ASIDE, _OWN = 0.45, 0.75, 0.5, 0.2, 0.4
"""Weights of a document's parts."""

_COPY, _QUERY_OWN, _QUERY_NOISE = 0.15, 0.3, 0.75
"""Noise of a document that repeats another; what a query keeps of its document, and its noise."""

_CENTRES, _DOCUMENTS, _QUERIES = range(10, 13)
_CHUNK = 1 << 14


@dataclass(frozen=True)
class SyntheticDense:
    """Vectors of unit length.

    Attributes:
        documents: float32 (n_documents, 384).
        test_queries: float32 (n_queries, 384), drawn from the documents of the sparse queries.
    """

    documents: Float32s
    test_queries: Float32s


def generate_dense(
    n_documents: int, *, seed: int = 7, n_queries: int = 1000, duplicate_share: float = 0.03
) -> SyntheticDense:
    """Dense vectors of what `synthetic.generate` makes with the same arguments.

    One million documents take about 15 seconds and 1.8 GB.
    """
    centres = _subject_centres(seed)
    plan = plan_of(n_documents, seed, duplicate_share)
    spread = _spread()
    random = np.random.default_rng([seed, _DOCUMENTS])
    documents = np.empty((n_documents, DIM), dtype=np.float32)
    for first in range(0, n_documents, _CHUNK):
        part = slice(first, min(first + _CHUNK, n_documents))
        own = _normal(random, part.stop - first) * spread
        documents[part] = (
            centres[plan.subjects[part]] + _ASIDE * centres[plan.asides[part]] + _OWN * own
        )
        # Copies repeat documents before them, so one after the other; their noise is small.
        copies = first + np.flatnonzero(plan.originals[part] >= 0)
        for place in copies.tolist():
            original = plan.originals[place]
            plan.subjects[place] = plan.subjects[original]
            documents[place] = documents[original] + _COPY * own[place - first]
    targets = targets_of(n_documents, seed, n_queries)
    noise = _normal(np.random.default_rng([seed, _QUERIES]), n_queries) * spread
    queries = _QUERY_OWN * documents[targets] + _QUERY_NOISE * noise
    queries += (1 - _QUERY_OWN) * centres[plan.subjects[targets]]
    return SyntheticDense(_unit(documents), _unit(queries))


def _subject_centres(seed: int) -> Float32s:
    """What documents on each subject have in common, float32 (N_SUBJECTS, 384)."""
    random, spread = np.random.default_rng([seed, _CENTRES]), _spread()
    areas, topics, subjects = (
        weight * _normal(random, n) * spread
        for n, weight in ((N_AREAS, _AREA), (N_TOPICS, _TOPIC), (N_SUBJECTS, _SUBJECT))
    )
    subjects += np.repeat(topics, N_SUBJECTS // N_TOPICS, axis=0)
    subjects += np.repeat(areas, N_SUBJECTS // N_AREAS, axis=0)
    return subjects


def _spread() -> Float32s:
    """Each dimension's standard deviation, float32 (384,); their squares add up to 1."""
    spread = (np.arange(DIM, dtype=np.float32) + 4) ** np.float32(-_FADING)
    return spread / np.float32(np.linalg.norm(spread))


def _normal(random: np.random.Generator, n: int) -> Float32s:
    return random.standard_normal((n, DIM), dtype=np.float32)


def _unit(vectors: Float32s) -> Float32s:
    """The vectors at length 1, in place."""
    for first in range(0, vectors.shape[0], _CHUNK):
        part = vectors[first : first + _CHUNK]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return vectors
