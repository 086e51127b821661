"""What a dense index is built with and searched with: two frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from lexidex.errors import ParameterError

from ..amounts import is_whole
from ..fusion import SOUGHT
from .vectors import METRICS, Metric

FLAT, SQ8 = "Flat", "SQ8"


class TooFewVectors(ParameterError):
    """An index cannot be trained on so few vectors."""


@dataclass(frozen=True, slots=True)
class DenseParams:
    """How a dense index is built.

    Attributes:
        metric: "cosine" or "inner-product".
        factory: what FAISS makes of the vectors, as its index_factory names it, such as "SQ8",
            "HNSW32_SQ8" or "IVF1024,PQ48x4fs"; "Flat" compares with every vector; "auto" chooses
            by their number.
    """

    metric: Metric = "cosine"
    factory: str = "auto"

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ParameterError(f"metric: {self.metric!r}; expected one of {METRICS}")
        if not isinstance(self.factory, str) or not self.factory:
            raise ParameterError(f"factory: {self.factory!r}; expected a name such as 'Flat'")

    def check(self, dim: int | None = None) -> None:
        """That there can be such an index of vectors with `dim` dimensions; None for any number.

        Raises:
            ParameterError: FAISS knows none of this name, or it does not fit.
        """
        if self.factory not in ("auto", FLAT):
            from . import factories

            factories.check(self.factory, dim)

    def factory_for(self, n_vectors: int) -> str:
        """The index to make for that many vectors."""
        if self.factory != "auto":
            return self.factory
        if n_vectors < SQ8_FROM:
            return FLAT
        return SQ8 if n_vectors < HNSW_FROM else "HNSW32_SQ8"


SQ8_FROM, HNSW_FROM = 10_000, 50_000
"""Vectors from which "auto" compares 8-bit values with all, and from which it builds a graph:
docs/FUSION.md has what they were measured by."""


@dataclass(frozen=True, slots=True)
class DenseSearchParams:
    """How a dense index is searched; what does not concern it is passed over.

    Under a filter, or where documents were deleted, `ef_search` and `n_probe` grow by as much as
    fewer vectors may be found, or all of these are compared, whichever costs less.

    Attributes:
        exact: compare with every vector.
        ef_search: of HNSW: how many nodes are kept while it is searched.
        deepen: of HNSW: keep as many nodes as results are wanted, where that is more. Otherwise
            those beyond the ef_search nearest are what was met on the way to these, in a fraction
            of the time: candidates for fusion.
        n_probe: of IVF: how many lists are looked at.
        refine: candidates that are scored exactly, as a multiple of k.
    """

    exact: bool = False
    ef_search: int = 128
    n_probe: int = 32
    refine: int = 2
    deepen: bool = True

    @classmethod
    def for_fusion(cls, exact: bool) -> Self:
        """Of candidates for fusion, which scores them exactly after: by less effort than a search
        for ten takes, however many there are to be."""
        return cls(exact, ef_search=SOUGHT, refine=1, deepen=False)

    def __post_init__(self) -> None:
        for name in ("ef_search", "n_probe", "refine"):
            value = getattr(self, name)
            if not is_whole(value, 1):
                raise ParameterError(f"{name}: {value!r}; expected an integer of at least 1")
