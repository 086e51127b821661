"""Sparse vectors: the one type between encoders and index, and the checks at its border.

A batch of sparse vectors is a `scipy.sparse.csr_array` in *canonical form*: float32 values, all
positive and finite; components strictly increasing within a row and below 2**31.
Kernels trust that form, so everything that comes from outside passes through `as_vectors` or
`as_vector` first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from lexidex.errors import ParameterError

Float32s: TypeAlias = NDArray[np.float32]
Int64s: TypeAlias = NDArray[np.int64]
Components: TypeAlias = NDArray[np.int32]
Vectors: TypeAlias = "sparse.csr_array[Any, Any]"

DIM_LIMIT = 2**31
"""Components lie below this number, so that they fit a signed 32-bit integer."""


def as_vectors(vectors: Any, *, name: str = "vectors") -> Vectors:
    """The batch in canonical form: a csr_array (n, dim) that kernels can trust.

    Accepts any SciPy sparse matrix or array. Sorts components, adds up duplicates and drops
    explicit zeros in a copy; input already in canonical form is returned without copying.

    Raises:
        ParameterError: not a sparse matrix; a negative, NaN or infinite value; more than 2**31
            columns. The message names row, component and value.
    """
    if not sparse.issparse(vectors):
        raise ParameterError(
            f"{name}: expected a scipy.sparse matrix, got {type(vectors).__name__}; "
            "make one with scipy.sparse.csr_array(...)"
        )
    if vectors.ndim != 2 or vectors.shape[1] > DIM_LIMIT:
        raise ParameterError(
            f"{name}: shape {vectors.shape}; expected (n, dim) with dim <= 2**31 = {DIM_LIMIT}"
        )
    batch: Vectors = sparse.csr_array(vectors)
    if batch.data.dtype != np.float32:
        batch = batch.astype(np.float32)
    _reject_bad_values(batch, name)
    if not batch.has_canonical_format or not batch.data.all():
        batch = batch.copy()
        batch.sum_duplicates()
        batch.eliminate_zeros()
    return batch


def as_vector(
    components: ArrayLike, values: ArrayLike, *, name: str = "vector"
) -> tuple[Components, Float32s]:
    """One vector in canonical form, as (components int32 (nnz,), values float32 (nnz,)).

    The way around the 20 microseconds that a csr_array constructor costs.

    Raises:
        ParameterError: lengths differ; a component is repeated, negative or not below 2**31; a
            value is negative, NaN or infinite.
    """
    ids = np.asarray(components)
    weights = np.asarray(values, dtype=np.float32)
    if ids.ndim != 1 or weights.shape != ids.shape:
        raise ParameterError(
            f"{name}: {ids.size} components and {weights.size} values; "
            "give two flat lists of equal length"
        )
    if ids.size and ids.dtype.kind not in "iu":
        raise ParameterError(f"{name}: components must be integers, got {ids.dtype}")
    if ids.size and not (int(ids.min()) >= 0 and int(ids.max()) < DIM_LIMIT):
        bad = ids[(ids < 0) | (ids >= DIM_LIMIT)][0]
        raise ParameterError(f"{name}: component {bad} is not in [0, 2**31)")
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise ParameterError(
            f"{name}: value {weights[at]} of component {ids[at]}; "
            "weights must be finite and not negative"
        )
    if (ids[1:] <= ids[:-1]).any():
        order = np.argsort(ids, kind="stable")
        ids, weights = ids[order], weights[order]
        repeated = np.flatnonzero(ids[1:] == ids[:-1])
        if repeated.size:
            raise ParameterError(f"{name}: component {ids[repeated[0]]} is given twice")
    kept = weights > 0
    if not kept.all():
        ids, weights = ids[kept], weights[kept]
    return ids.astype(np.int32, copy=False), weights


def build_vectors(rows: Iterable[tuple[ArrayLike, ArrayLike]], dim: int) -> Vectors:
    """A canonical batch from (components, values) rows that are canonical already.

    Args:
        rows: what `as_vector` returns, one pair a row.
        dim: number of columns; every component lies below it.
    """
    pairs = list(rows)
    components = [np.asarray(ids, dtype=np.int32) for ids, _ in pairs]
    values = [np.asarray(weights, dtype=np.float32) for _, weights in pairs]
    indptr = np.zeros(len(pairs) + 1, dtype=np.int64)
    np.cumsum([ids.size for ids in components], out=indptr[1:])
    return csr(_joined(values, np.float32), _joined(components, np.int32), indptr, dim)


def csr(
    values: Float32s, components: Components, indptr: NDArray[np.integer[Any]], dim: int
) -> Vectors:
    """A csr_array (len(indptr) - 1, dim) over arrays known to be canonical; copies nothing."""
    if values.size < DIM_LIMIT:
        # SciPy gives both index arrays one type, and would double the larger.
        indptr = indptr.astype(np.int32, copy=False)
    batch: Vectors = sparse.csr_array(
        (values, components, indptr), shape=(indptr.size - 1, dim), copy=False
    )
    batch.has_canonical_format = True
    return batch


def stack(batches: Sequence[Vectors], dim: int) -> Vectors:
    """Batches under one another, widened to `dim` columns."""
    if not batches:
        return build_vectors([], dim)
    indptr = np.zeros(1 + sum(b.shape[0] for b in batches), dtype=np.int64)
    row, end = 1, 0
    for batch in batches:
        n = batch.shape[0]
        indptr[row : row + n] = batch.indptr[1:] + np.int64(end)
        row, end = row + n, end + int(batch.indptr[-1])
    values = _joined([b.data for b in batches], np.float32)
    return csr(values, _joined([b.indices for b in batches], np.int32), indptr, dim)


def _joined(arrays: Sequence[NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    return np.concatenate(arrays).astype(dtype, copy=False) if arrays else np.empty(0, dtype)


def _reject_bad_values(batch: Vectors, name: str) -> None:
    """One clear line about the first value that no index can hold."""
    # A minimum and a maximum pass NaN on, and unlike masks they take no memory.
    if batch.nnz and not (batch.data.min() >= 0 and batch.data.max() < np.inf):
        at = int(np.flatnonzero(~(np.isfinite(batch.data) & (batch.data >= 0)))[0])
        row = int(np.searchsorted(batch.indptr, at, side="right")) - 1
        raise ParameterError(
            f"{name}: value {batch.data[at]} in row {row}, component {batch.indices[at]}; "
            "weights must be finite and not negative"
        )
    if batch.indices.size and int(batch.indices.min()) < 0:
        raise ParameterError(f"{name}: a component is negative; they count from 0")
