"""Which of FAISS's indexes has this name, and can a collection have it?"""

from __future__ import annotations

import math
import re
from typing import Any

import faiss

from lexidex.errors import ParameterError

from .vectors import DENSE_DIM_LIMIT

NUMBER_LIMIT = 1 << 20
"""Largest number in a name: FAISS takes memory for as many lists before it looks at vectors."""

BITS_LIMIT = 12
"""Most bits of a code of product quantisation (`PQ8x12`): FAISS takes memory for 2^bits of them."""

LINKS_LEAST = 2
"""Fewest neighbours of a graph's node (`HNSW2`): with fewer, FAISS ends the process."""

EXPECTED = "expected a name such as 'SQ8', 'HNSW32_SQ8' or 'IVF1024,SQ8'"

_WIDE = 4096
"""Dimensions that suffice for whatever a name may want to reduce."""

_PLACE = re.compile(r"^.*\.(?:cpp|h):\d+: (?:Error: '.*?' failed:? ?)?", re.DOTALL)
"""What FAISS's messages begin with: the function and the place in its sources."""


_KINDS = (
    faiss.IndexFlat,
    faiss.IndexScalarQuantizer,
    faiss.IndexPQ,
    faiss.IndexPQFastScan,
    faiss.IndexHNSWFlat,
    faiss.IndexHNSWSQ,
    faiss.IndexHNSWPQ,
    faiss.IndexIVFFlat,
    faiss.IndexIVFScalarQuantizer,
    faiss.IndexIVFPQ,
    faiss.IndexIVFPQFastScan,
)
"""What can be built of plain vectors, and searched with as much effort as a search asks for."""


def check(factory: str, dim: int | None) -> None:
    """That a collection can have the index of that name; `dim` as `parse` takes it.

    Raises:
        ParameterError: it cannot.
    """
    made = parse(factory, dim)  # which owns what is behind it
    index = inner(made)
    nested = isinstance(index, faiss.IndexIVF) and isinstance(
        faiss.downcast_index(index.quantizer), faiss.IndexIVF
    )
    # FAISS takes bytes as they are for such an index, and vectors have none.
    if nested or not isinstance(index, _KINDS) or "_direct" in factory:
        raise ParameterError(
            f"factory: {factory!r}; dense search is of no use with such an index; {EXPECTED}"
        )


def parse(factory: str, dim: int | None) -> Any:
    """FAISS's index of that name, empty and not trained.

    Args:
        dim: of the vectors; None where it is not known yet, for one that fits the name.

    Raises:
        ParameterError: there is no such index, or none for inner products, or of these dimensions.
    """
    _check_numbers(factory)
    try:
        return faiss.index_factory(dim or _fitting(factory), factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        where = "" if dim is None else f" for vectors of {dim} dimensions"
        raise ParameterError(
            f"factory: {factory!r}{where}; FAISS says: {reason(error)}; {EXPECTED}"
        ) from None


def _check_numbers(factory: str) -> None:
    """ParameterError for numbers that FAISS takes, and comes to grief with later."""
    for pattern, least, most in (
        (r"\d+", 0, NUMBER_LIMIT),
        (r"HNSW(\d+)", LINKS_LEAST, NUMBER_LIMIT),
        (r"IVF(\d+)", 1, NUMBER_LIMIT),
        (r"PQ\d+x(\d+)", 1, BITS_LIMIT),
    ):
        for number in re.findall(pattern, factory):
            if not least <= int(number) <= most:
                raise ParameterError(
                    f"factory: {factory!r}; {number} stands where {least} to {most:,} may;"
                    f" {EXPECTED}"
                )


def reason(error: RuntimeError) -> str:
    """What FAISS says, without the place in its sources."""
    said = str(error).strip()
    return _PLACE.sub("", said).strip() or "it has none for inner products"


def inner(index: Any) -> Any:
    """The index behind what is done to vectors first."""
    index = faiss.downcast_index(index)
    return inner(index.index) if isinstance(index, faiss.IndexPreTransform) else index


def _fitting(factory: str) -> int:
    """Dimensions of which product quantisers can make the parts that a name asks for."""
    parts = math.lcm(*(int(n) or 1 for n in re.findall(r"PQ(\d+)", factory)))
    return min(parts * -(-_WIDE // parts), DENSE_DIM_LIMIT)
