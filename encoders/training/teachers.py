"""Teachers: what tells a student how well a document answers a query, and how several agree.

A teacher scores (query, document) by their rows in `Pairs`. Those that encode texts by themselves
(our encoders, BM25, dense models) encode each text when it is first asked for and keep the vector:
in the loop in the first epoch, precomputed in the others. Cross-encoders read both texts at once,
and stored scores (`Candidates`) cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from lexidex.errors import InputError, ParameterError
from lexidex.index.vectors import Float32s, Int64s, Vectors

from ..base import Encoder, Texts
from ..cross_encoder import CrossEncoder
from ..dense import DenseEncoder
from .candidates import Candidates
from .pairs import Pairs

NORMALISATIONS = ("none", "min-max")

SCALE = 30.0
"""What normalised scores are multiplied by in the heterogeneous ensemble (arXiv 2411.04403)."""

_NOTHING_SPREAD = 1e-6


class Teacher(Protocol):
    """What scores pairs of texts."""

    def scores(self, queries: Int64s, documents: Int64s) -> Float32s:
        """Score of each pair, float32 (pairs,).

        Args:
            queries: int64 (pairs,), rows of queries.
            documents: int64 (pairs,), rows of documents.
        """


class DenseTeacher:
    """Inner products of dense vectors."""

    def __init__(self, encoder: DenseEncoder, pairs: Pairs, precision: str = "fp32") -> None:
        """Take a dense encoder, and what its model computes in: "fp32" or "bf16"."""

        def computed(encode: Callable[[Texts], Float32s]) -> Callable[[Texts], Float32s]:
            return encode if precision == "fp32" else partial(_in_bfloat16, encode)

        self._queries = _DenseRows(computed(encoder.encode_queries), pairs.queries)
        self._documents = _DenseRows(computed(encoder.encode_documents), pairs.documents)

    def query_vectors(self) -> Float32s:
        """The vectors of all queries, float32 (queries, d)."""
        return self._queries.rows(np.arange(len(self._queries)))

    def scores(self, queries: Int64s, documents: Int64s) -> Float32s:
        """See `Teacher`."""
        left, right = self._queries.rows(queries), self._documents.rows(documents)
        products: Float32s = np.einsum("ij,ij->i", left, right)
        return products


class SparseTeacher:
    """Inner products of the vectors of one of our encoders."""

    def __init__(self, encoder: Encoder, pairs: Pairs) -> None:
        """Take an encoder; one that weighs by a collection (BM25) is fitted on the documents."""
        if encoder.needs_statistics:
            encoder.fit(pairs.documents)
        self._queries = _SparseRows(encoder.encode_queries, pairs.queries)
        self._documents = _SparseRows(encoder.encode_documents, pairs.documents)

    def scores(self, queries: Int64s, documents: Int64s) -> Float32s:
        """See `Teacher`."""
        left, right = self._queries.rows(queries), self._documents.rows(documents)
        width = max(left.shape[1], right.shape[1])  # a growing vocabulary widens later batches
        left, right = (_widened(vectors, width) for vectors in (left, right))
        return np.asarray(left.multiply(right).sum(1), dtype=np.float32).ravel()


class CrossEncoderTeacher:
    """A transformer that reads query and document together; see `CrossEncoder`."""

    def __init__(
        self,
        folder: Path,
        pairs: Pairs,
        *,
        max_length: int = 256,
        batch: int = 32,
        device: str = "cpu",
    ) -> None:
        """Load a model for sequence classification, onto a device of torch's.

        Raises:
            EncoderNotFound, CorruptFile: see `CrossEncoder`.
        """
        self._model = CrossEncoder(folder, max_length=max_length, batch=batch)
        self._model.use_device(device)
        self._pairs = pairs

    def scores(self, queries: Int64s, documents: Int64s) -> Float32s:
        """See `Teacher`."""
        return self._model.scores(
            [self._pairs.queries[row] for row in queries],
            [self._pairs.documents[row] for row in documents],
        )


class StoredTeacher:
    """Scores that stand in candidate lists; pairs that do not are an error."""

    def __init__(self, candidates: Candidates, pairs: Pairs) -> None:
        """Take lists with scores.

        Raises:
            ParameterError: they have none.
        """
        if candidates.scores is None:
            raise ParameterError("candidate lists without scores cannot teach; mine with a teacher")
        self._pairs = pairs
        repeats = [documents.size for documents in candidates.documents]
        keys = self._keys(
            np.repeat(candidates.queries, repeats), np.concatenate(candidates.documents)
        )
        self._stored, places = np.unique(keys, return_index=True)
        self._scores = np.concatenate(candidates.scores)[places]

    def scores(self, queries: Int64s, documents: Int64s) -> Float32s:
        """See `Teacher`.

        Raises:
            InputError: there is no score of a pair.
        """
        keys = self._keys(queries, documents)
        places = np.minimum(np.searchsorted(self._stored, keys), self._stored.size - 1)
        missing = np.flatnonzero(self._stored[places] != keys)
        if missing.size:
            query, document = queries[missing[0]], documents[missing[0]]
            raise InputError(
                f"no stored score of query {self._pairs.query_ids[query]!r} and document "
                f"{self._pairs.document_ids[document]!r}; lists that `lexidex mine --teacher` "
                "wrote have those of their own documents, so distil over lists, not over the batch"
            )
        return self._scores[places]

    def _keys(self, queries: Int64s, documents: Int64s) -> Int64s:
        keys: Int64s = queries * len(self._pairs.documents) + documents
        return keys


@dataclass(frozen=True)
class Ensemble:
    """Several teachers as one.

    score = scale * (sum over teachers of weight * normalised score) + shift

    With "min-max", equal weights that add up to 1 and scale 30 this is the heterogeneous ensemble
    of arXiv 2411.04403; `rescaled` makes it SPLADE-v3's (arXiv 2403.06789). With "none" it is a
    plain weighted sum, such as cosine / 0.05 + 0.3 * BM25.

    Attributes:
        teachers: at least one.
        weights: one a teacher.
        normalisation: "min-max" (`min_max`) or "none".
        scale, shift: what is done with the sum.
    """

    teachers: Sequence[Teacher]
    weights: Sequence[float]
    normalisation: str = "none"
    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if self.normalisation not in NORMALISATIONS:
            known = " or ".join(map(repr, NORMALISATIONS))
            raise ParameterError(f"normalisation: {self.normalisation!r}; expected {known}")

    def lists(self, queries: Int64s, documents: Int64s) -> Float32s:
        """Scores of each query's candidates, float32 (queries, candidates).

        Args:
            queries: int64 (queries,).
            documents: int64 (queries, candidates).
        """
        repeated = np.repeat(queries, documents.shape[1])
        total = np.zeros(documents.shape, dtype=np.float32)
        for teacher, weight in zip(self.teachers, self.weights, strict=True):
            scores = teacher.scores(repeated, documents.ravel()).reshape(documents.shape)
            total += np.float32(weight) * (
                min_max(scores) if self.normalisation == "min-max" else scores
            )
        combined: Float32s = np.float32(self.scale) * total + np.float32(self.shift)
        return combined

    def matrix(self, queries: Int64s, documents: Int64s) -> Float32s:
        """Scores of every query against every document, float32 (queries, documents)."""
        return self.lists(queries, np.broadcast_to(documents, (queries.size, documents.size)))

    def rescaled(self, reference: Teacher, queries: Int64s, documents: Int64s) -> Ensemble:
        """This ensemble with scale and shift such that it has a reference's mean and deviation.

        Margins keep the size that a student is used to, although normalised scores have none.

        Args:
            reference: whose scale to take.
            queries, documents: candidate lists to measure both on, as in `lists`.
        """
        plain = replace(self, scale=1.0, shift=0.0).lists(queries, documents)
        wanted = reference.scores(np.repeat(queries, documents.shape[1]), documents.ravel())
        scale = float(wanted.std() / max(float(plain.std()), _NOTHING_SPREAD))
        shift = float(wanted.mean() - scale * plain.mean())
        return replace(self, scale=scale, shift=shift)


def min_max(scores: Float32s) -> Float32s:
    """Each row mapped to [0, 1): (s - min) / (max - min + 1e-6)."""
    low = scores.min(1, keepdims=True)
    scaled: Float32s = (scores - low) / (scores.max(1, keepdims=True) - low + _NOTHING_SPREAD)
    return scaled


def _in_bfloat16(encode: Callable[[Texts], Float32s], texts: Texts) -> Float32s:
    """What `encode` gives, with the products of its model in bfloat16."""
    import torch

    with torch.autocast("cuda" if torch.cuda.is_available() else "cpu", torch.bfloat16):
        return encode(texts)


class _DenseRows:
    """Vectors of texts by row, each encoded when it is first asked for.

    One text at a time, which on a processor is as fast: in a batch the last bits of a vector depend
    on the texts beside it, and a training that goes on would not end like one that was not killed.
    """

    def __init__(self, encode: Callable[[Texts], Float32s], texts: Sequence[str]) -> None:
        self._encode = encode
        self._texts = texts
        self._known = np.zeros(len(texts), dtype=np.bool_)
        self._vectors: Float32s | None = None

    def __len__(self) -> int:
        return len(self._texts)

    def rows(self, rows: Int64s) -> Float32s:
        missing = np.unique(rows[~self._known[rows]])
        for row in missing:
            (vector,) = self._encode([self._texts[row]])
            if self._vectors is None:
                # Memory is taken page by page, as rows are filled.
                self._vectors = np.empty((len(self._texts), vector.size), dtype=np.float32)
            self._vectors[row] = vector
        self._known[missing] = True
        assert self._vectors is not None
        return self._vectors[rows]


class _SparseRows:
    """Vectors of texts by row, each encoded when it is first asked for; one by one, see above."""

    def __init__(self, encode: Callable[[Texts], Vectors], texts: Sequence[str]) -> None:
        self._encode = encode
        self._texts = texts
        self._vectors: dict[int, tuple[Any, Any]] = {}
        self._dim = 0

    def rows(self, rows: Int64s) -> Vectors:
        for row in dict.fromkeys(map(int, rows)):
            if row not in self._vectors:
                vector = self._encode([self._texts[row]])
                self._dim = max(self._dim, vector.shape[1])
                self._vectors[row] = vector.indices, vector.data
        chosen = [self._vectors[int(row)] for row in rows]
        indptr = np.cumsum([0, *(ids.size for ids, _ in chosen)])
        indices = np.concatenate([ids for ids, _ in chosen])
        data = np.concatenate([values for _, values in chosen])
        return sparse.csr_array((data, indices, indptr), shape=(len(rows), self._dim))


def _widened(vectors: Vectors, width: int) -> Vectors:
    arrays = (vectors.data, vectors.indices, vectors.indptr)
    return sparse.csr_array(arrays, shape=(vectors.shape[0], width))
