"""Pruning: which values of a sparse vector are worth keeping.

Four rules, each of which keeps the largest values of a vector; with several, a value has to pass
all of them, and each looks at the vector as it was:

    top_k       the k largest
    threshold   those of at least t
    max_ratio   those of at least r times the largest
    mass        the fewest that hold the share a of the sum (alpha mass)

Of equal values that with the lower component goes first. (All four are in OpenSearch's neural
search; top_k is SPLADE's too, and sentence-transformers' `max_active_dims`.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexidex.errors import ParameterError
from lexidex.index.vectors import Vectors, csr


def _check(name: str, rule: Any, kind: Any, expected: str, most: float) -> None:
    if rule is None:
        return
    whole = isinstance(rule, kind) and not isinstance(rule, bool)
    if not whole or not 0 < rule <= most or rule == np.inf:
        raise ParameterError(f"{name}: {rule!r}; expected {expected}")


@dataclass(frozen=True)
class Pruning:
    """What is kept of a vector; None for a rule that does not apply.

    Attributes:
        top_k: most values, at least 1.
        threshold: least value, above 0.
        max_ratio: least share of the largest value, above 0 and at most 1.
        mass: share of the sum that is kept, above 0 and at most 1.
    """

    top_k: int | None = None
    threshold: float | None = None
    max_ratio: float | None = None
    mass: float | None = None

    def __post_init__(self) -> None:
        _check("top_k", self.top_k, int, "a whole number above 0", np.inf)
        _check("threshold", self.threshold, int | float, "a finite number above 0", np.inf)
        _check("max_ratio", self.max_ratio, int | float, "a number above 0, at most 1", 1)
        _check("mass", self.mass, int | float, "a number above 0, at most 1", 1)

    def __bool__(self) -> bool:
        """Whether anything may be left out."""
        return bool(self.options)

    @property
    def options(self) -> dict[str, Any]:
        """The rules that apply, as JSON values."""
        return {name: rule for name, rule in asdict(self).items() if rule is not None}


NO_PRUNING = Pruning()
"""Keeps everything."""


def as_pruning(given: object, where: str = "pruning") -> Pruning:
    """A pruning, from itself, a mapping, or text such as "top_k=64,max_ratio=0.1".

    Raises:
        ParameterError: no such rule, or a value out of its range.
    """
    if isinstance(given, Pruning):
        return given
    if given is None or given == "":
        return NO_PRUNING
    rules = _parsed(given, where) if isinstance(given, str) else given
    known = [field.name for field in fields(Pruning)]
    if not isinstance(rules, Mapping) or not set(rules) <= set(known):
        raise ParameterError(
            f"{where}: {given!r}; expected some of {', '.join(known)}, as in top_k=64,max_ratio=0.1"
        )
    try:
        return Pruning(**rules)
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from None


def prune(vectors: Vectors, pruning: Pruning) -> Vectors:
    """What `pruning` keeps of each row, csr_array of the same shape, canonical.

    Args:
        vectors: canonical, see `lexidex.index.vectors`; not changed.
        pruning: which values to keep.
    """
    if not pruning or not vectors.nnz:
        return vectors
    lengths = np.diff(vectors.indptr)
    rows = np.repeat(np.arange(lengths.size), lengths)
    kept = np.ones(vectors.nnz, dtype=np.bool_)
    if pruning.threshold is not None:
        kept &= vectors.data >= np.float32(pruning.threshold)
    if pruning.max_ratio is not None:
        largest = np.zeros(lengths.size, dtype=np.float32)
        np.maximum.at(largest, rows, vectors.data)
        kept &= vectors.data >= np.float32(pruning.max_ratio) * largest[rows]
    if pruning.top_k is not None or pruning.mass is not None:
        _keep_largest(kept, vectors, rows, pruning)
    indptr = np.concatenate([[0], np.cumsum(kept)])[vectors.indptr]
    return csr(vectors.data[kept], vectors.indices[kept], indptr, vectors.shape[1])


def _keep_largest(
    kept: NDArray[np.bool_], vectors: Vectors, rows: NDArray[np.int64], pruning: Pruning
) -> None:
    """Apply the rules that need the values of a row in order."""
    order = np.lexsort((-vectors.data, rows))  # stable: components stay in order within equals
    starts = vectors.indptr[:-1][rows]
    if pruning.top_k is not None:
        kept[order[np.arange(rows.size) - starts >= pruning.top_k]] = False
    if pruning.mass is not None:
        sums = np.concatenate([[0.0], np.cumsum(vectors.data[order], dtype=np.float64)])
        before = sums[:-1] - sums[starts]
        total = sums[vectors.indptr[1:]] - sums[vectors.indptr[:-1]]
        kept[order[before >= pruning.mass * total[rows]]] = False


def _parsed(text: str, where: str) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            rules[name.strip()] = int(value) if name.strip() == "top_k" else float(value)
        except ValueError:
            raise ParameterError(f"{where}: {part!r}; expected rule=number") from None
    return rules
