"""Dense vectors: the checks at the border of dense search, as `vectors` has them for sparse ones.

A batch is a C-contiguous float32 array (n, d), all values finite; for cosines, of unit length,
for inner products up to VALUE_LIMIT.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from lexidex.errors import ParameterError

from ..vectors import Float32s

Metric: TypeAlias = Literal["cosine", "inner-product"]
METRICS: tuple[Metric, ...] = get_args(Metric)

DENSE_DIM_LIMIT = 1 << 16
"""Most dimensions of a dense vector."""

VALUE_LIMIT = np.float32(1e16)
"""Largest magnitude of a value where inner products are compared: that of two vectors of any
dimensions stays below 1e37, and so finite in single precision."""


def as_dense(
    vectors: ArrayLike, metric: Metric, dim: int | None = None, *, name: str = "vectors"
) -> Float32s:
    """A batch that dense search can trust; of unit length where the metric is the cosine.

    Args:
        vectors: numbers (n, d).
        dim: the d that is expected; None takes any.

    Raises:
        ParameterError: another shape, a value that is NaN or infinite, or, for cosines, a vector
            of zeros, which has no direction, or, for inner products, a value beyond VALUE_LIMIT.
            The message names row and value.
    """
    try:
        batch = np.ascontiguousarray(vectors, dtype=np.float32)
    except (ValueError, TypeError):
        raise ParameterError(f"{name}: expected numbers of shape (n, dimensions)") from None
    if batch.ndim != 2 or not 0 < batch.shape[1] <= DENSE_DIM_LIMIT:
        raise ParameterError(f"{name}: shape {batch.shape}; expected (n, dimensions)")
    if dim is not None and batch.shape[1] != dim:
        raise ParameterError(f"{name}: {batch.shape[1]} dimensions; the index has {dim}")
    largest = np.abs(batch).max(axis=1, initial=0.0, keepdims=True)
    finite = np.isfinite(largest)
    if not finite.all():
        row = int(np.argmin(finite))
        value = batch[row][~np.isfinite(batch[row])][0]
        raise ParameterError(f"{name}: value {value} in row {row}; values must be finite")
    if metric == "cosine":
        return _of_unit_length(batch, largest, name)
    if largest.size and largest.max() > VALUE_LIMIT:
        row = int(np.argmax(largest))
        value = batch[row][np.abs(batch[row]).argmax()]
        raise ParameterError(
            f"{name}: value {value:g} in row {row}; inner products take magnitudes up to "
            f"{VALUE_LIMIT:.0e}; scale the vectors down"
        )
    return batch


def _of_unit_length(batch: Float32s, largest: Float32s, name: str) -> Float32s:
    """Rows over their lengths; `largest` are the largest values of each, float32 (n, 1)."""
    if not largest.all():
        row = int(np.argmin(largest))
        raise ParameterError(f"{name}: row {row} is all zeros, so it has no cosine with anything")
    # Over the largest value first: squares of single-precision numbers over- and underflow.
    unit: Float32s = batch / largest
    unit /= np.sqrt((unit * unit).sum(axis=1, keepdims=True))
    return unit
