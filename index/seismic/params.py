"""What a Seismic index is built with and searched with: two frozen dataclasses.

Every default stands here and nowhere else. Each field carries its meaning and its range as
metadata, so that the command line, the HTTP schema and the documentation's tables are derived:

    for parameter in dataclasses.fields(SearchParams):
        print(parameter.name, parameter.default, parameter.metadata["range"])
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np

from lexidex.errors import ParameterError

ValueType: TypeAlias = Literal["u8", "u16", "f32"]
VALUE_TYPES: tuple[ValueType, ...] = get_args(ValueType)


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a parameter takes; `str` gives the range in words."""

    low: float
    high: float = math.inf
    above: bool = False
    """Whether `low` itself is left out."""

    def holds(self, value: float) -> bool:
        """Whether the value is finite and inside."""
        enough = value > self.low if self.above else value >= self.low
        return math.isfinite(value) and enough and value <= self.high

    def __str__(self) -> str:
        low = f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        return low if math.isinf(self.high) else f"{low}, at most {self.high:g}"


def _parameter(
    default: object, range_: Range | tuple[object, ...], meaning: str, compare: bool = True
) -> Any:
    return field(default=default, compare=compare, metadata={"range": range_, "meaning": meaning})


def _check(params: BuildParams | SearchParams) -> None:
    """Raise ParameterError for the first field that is of another type or out of its range."""
    for parameter in fields(params):
        value, expected = getattr(params, parameter.name), parameter.metadata["range"]
        if value is None and parameter.default is None:
            continue
        if isinstance(expected, tuple):
            fits = value in expected
            words = "one of " + ", ".join(map(repr, expected))
        else:
            whole = isinstance(parameter.default, int)
            kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
            fits = isinstance(value, kinds) and not isinstance(value, bool)
            fits = fits and expected.holds(float(value))
            words = f"{'an integer' if whole else 'a number'}, {expected}"
        if not fits:
            raise ParameterError(f"{parameter.name}: {value!r}; expected {words}")


@dataclass(frozen=True, slots=True)
class BuildParams:
    """How an index is built.

    The names are Seismic's (arXiv 2404.18812); the defaults come from measurements on collections
    of 3,600 to 1,000,000 documents, not from its shipped defaults.

    Raises:
        ParameterError: a field is out of its range; the message names field, value and range.
    """

    n_postings: int = _parameter(
        64,
        Range(1),
        "Postings kept a component, on average, however small the collection is: all lists "
        "together keep the max(n_postings, posting_fraction x documents) x components largest "
        "values.",
    )
    posting_fraction: float = _parameter(
        4.5e-4,
        Range(0, 1),
        "Postings kept a component, on average, as a fraction of the number of documents; the "
        "larger of it and n_postings counts. Larger is more accurate, slower and larger on disk.",
    )
    max_fraction: float = _parameter(
        3.0,
        Range(1),
        "The longest list, as a multiple of the average: of each component at most "
        "max_fraction x max(n_postings, posting_fraction x documents) postings are kept.",
    )
    centroid_fraction: float = _parameter(
        0.2,
        Range(0, 1, above=True),
        "Blocks of a list, as a fraction of its postings: max(1, round(centroid_fraction x "
        "length)), at most 4096. Larger makes smaller blocks, which are skipped more exactly.",
    )
    min_cluster_size: int = _parameter(
        2,
        Range(1),
        "A block with fewer documents is dissolved, each document joining the next best block; 1 "
        "keeps all. (Seismic dissolves sizes up to and including its parameter.)",
    )
    doc_cut: int = _parameter(
        20,
        Range(1, 255),
        "Entries of a document, its largest, that are compared when blocks are formed.",
    )
    summary_energy: float = _parameter(
        0.35,
        Range(0, 1),
        "Share of a block's summed maxima that its summary keeps, largest first. Larger estimates "
        "more exactly, with a larger index.",
    )
    value_type: ValueType = _parameter(  # noqa: RUF009 (a field, as the others)
        "u16",
        VALUE_TYPES,
        "Precision of document values, and so of scores: 'u8' (1 byte, steps of 1/255 of the "
        "document's largest value), 'u16' (2 bytes, steps of 1/65,280 of it), 'f32' (5 bytes, "
        "exact).",
    )

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def accurate(cls) -> Self:
        """Parameters for an accuracy of .98 and above: twice the postings, larger summaries."""
        return cls(n_postings=128, posting_fraction=9e-4, summary_energy=0.4)


@dataclass(frozen=True, slots=True)
class SearchParams:
    """How an index is searched.

    Raises:
        ParameterError: a field is out of its range; the message names field, value and range.
    """

    query_cut: int = _parameter(
        8,
        Range(1),
        "Components of the query, its heaviest, whose lists are visited. Larger is more accurate "
        "and slower. Every component of the query counts in the scores.",
    )
    heap_factor: float = _parameter(
        0.9,
        Range(0),
        "A block is skipped when its summary_score < heap_factor x threshold, the threshold being "
        "the k-th best score so far, less what 8-bit values may be off; and so is a document whose "
        "largest entries promise less. Larger skips more; 0 skips none.",
    )
    rank_safe: bool = _parameter(
        False,
        (False, True),
        "Score every allowed document, so that none of the k best is missed, at the precision of "
        "the index's value type. Takes time in proportion to the documents; query_cut and "
        "heap_factor then count for nothing.",
    )
    expected_accuracy: float | None = _parameter(
        None,
        Range(0, 1),
        "Accuracy that tuning measured with these parameters, on queries they were not found by; "
        "None where nothing was measured. It tells, and changes nothing.",
        compare=False,
    )

    def __post_init__(self) -> None:
        _check(self)
