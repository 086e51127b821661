"""A filter as a tree of frozen, hashable nodes: what evaluation walks, and what caches know it by.

The language that users write is read by `parsing.py`; docs/FILTERS.md describes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .values import Scalar

Operator: TypeAlias = Literal["in", "lt", "lte", "gt", "gte", "prefix"]


@dataclass(frozen=True, slots=True)
class Operand:
    """A value to compare with.

    `kind` keeps operands apart that Python holds equal, such as 1 and True. A moment's value is in
    microseconds since 1970, UTC.
    """

    kind: Literal["boolean", "number", "string", "moment"]
    value: Scalar


@dataclass(frozen=True, slots=True)
class Comparison:
    """One operator with its operands: several for "in", one for every other."""

    operator: Operator
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Matches:
    """Documents of which some value of the field satisfies all the comparisons."""

    field: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """Documents with some value of the field, or of a field beneath it."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """Documents that the part does not let through."""

    part: Expression


@dataclass(frozen=True, slots=True)
class And:
    """Documents that all parts let through; all documents where there are none."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Documents that some part lets through; none where there are no parts."""

    parts: tuple[Expression, ...]


Expression: TypeAlias = Matches | Exists | Not | And | Or
