"""The table of points that tuning found: how accurate, at which cost, by which parameters.

Kept with an index, so that a search can ask for an accuracy instead of parameters.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from lexidex.errors import CorruptFile, ParameterError

from ..batch import check_k
from .params import Range, SearchParams

_ACCURACY = Range(0, 1, above=True)
_SHARE = Range(0, 1)
_AMOUNT = Range(0)


@dataclass(frozen=True, slots=True)
class Point:
    """One choice of search parameters, and what it reached on the queries of a sample.

    Attributes:
        accuracy: accuracy@k on the half of the queries that had no part in finding the point.
        assured: what fresh queries may be expected to reach: `accuracy` less its standard error,
            and no more than the other half reached.
        documents: documents scored a query, on average.
        cost: microseconds a query by the cost model of `tuning`; for comparison among points.
    """

    k: int
    query_cut: int
    heap_factor: float
    accuracy: float
    assured: float
    documents: float
    cost: float

    @property
    def params(self) -> SearchParams:
        """The search parameters; their expected_accuracy is the point's accuracy."""
        return SearchParams(self.query_cut, self.heap_factor, expected_accuracy=self.accuracy)


class Frontier:
    """Points of one or several k; of each k the cheaper ones first, each more accurate."""

    def __init__(self, points: Iterable[Point] = ()) -> None:
        """Keep of each k the points that no cheaper one equals."""
        by_k: dict[int, list[Point]] = {}
        for point in sorted(points, key=lambda point: (point.k, point.cost, -point.assured)):
            kept = by_k.setdefault(point.k, [])
            if not kept or point.assured > kept[-1].assured:
                kept.append(point)
        self.points: tuple[Point, ...] = tuple(point for kept in by_k.values() for point in kept)
        self._ks = list(by_k)
        self._assured = [[point.assured for point in kept] for kept in by_k.values()]
        self._params = [[point.params for point in kept] for kept in by_k.values()]

    @property
    def ks(self) -> Sequence[int]:
        """The k that it has points for, ascending."""
        return tuple(self._ks)

    def of(self, k: int) -> tuple[Point, ...]:
        """The points for exactly that k, the cheapest first."""
        return tuple(point for point in self.points if point.k == k)

    def with_points(self, points: Iterable[Point]) -> Frontier:
        """This table with other points for the k of these."""
        fresh = tuple(points)
        replaced = {point.k for point in fresh}
        return Frontier([*(old for old in self.points if old.k not in replaced), *fresh])

    def find(self, k: int, accuracy: float) -> SearchParams | None:
        """The cheapest parameters that are assured to reach an accuracy; None if there are none.

        Those for the next larger k serve where there are none for k: the same parameters find the
        few best more surely than the many.
        """
        row = bisect_left(self._ks, k)
        if row == len(self._ks):
            return None
        place = bisect_left(self._assured[row], accuracy)
        return self._params[row][place] if place < len(self._params[row]) else None

    def choose(self, k: int, accuracy: float) -> SearchParams:
        """`find`, or the most accurate parameters where none reach the accuracy.

        Raises:
            ParameterError: accuracy or k is out of its range, or there is no point for this k nor
                for a larger one.
        """
        check_accuracy(accuracy)
        check_k(k)
        row = bisect_left(self._ks, k)
        if row == len(self._ks):
            known = f"for k up to {self._ks[-1]}" if self._ks else "not at all"
            raise ParameterError(
                f"accuracy: the index is tuned {known}, k is {k}; call tune(k={k}) first, or give "
                "params"
            )
        place = min(bisect_left(self._assured[row], accuracy), len(self._params[row]) - 1)
        return self._params[row][place]

    def rows(self) -> list[dict[str, Any]]:
        """The points as JSON can hold them."""
        return [asdict(point) for point in self.points]

    @classmethod
    def restore(cls, rows: object, where: str) -> Self:
        """The table that `rows` gave; `where` is for messages.

        Raises:
            CorruptFile: it is none, or a value in it is absurd.
        """
        try:
            if not isinstance(rows, list):
                raise TypeError(f"a {type(rows).__name__}, expected a list")
            points = [Point(**row) for row in rows]
            for point in points:
                _check_point(point)
            table = cls(points)
            if list(table.points) != points:
                raise ValueError("its points are not in order of cost and accuracy")
        except (TypeError, ValueError) as error:
            raise CorruptFile(f"{where}: the table of tuned points: {error}; tune again") from None
        return table


def check_accuracy(accuracy: float) -> None:
    """Raise ParameterError unless 0 < accuracy <= 1."""
    if not _is_number(accuracy) or not _ACCURACY.holds(accuracy):
        raise ParameterError(f"accuracy: {accuracy!r}; expected a number, {_ACCURACY}")


def _check_point(point: Point) -> None:
    """Raise ValueError (ParameterError is one) for a value that tuning cannot have found."""
    check_k(point.k)
    SearchParams(point.query_cut, point.heap_factor)
    for name, range_ in (
        ("accuracy", _SHARE),
        ("assured", _SHARE),
        ("documents", _AMOUNT),
        ("cost", _AMOUNT),
    ):
        value = getattr(point, name)
        if not _is_number(value) or not range_.holds(value):
            raise ValueError(f"{name}: {value!r}; expected a number, {range_}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.floating) and not isinstance(value, bool)
