"""The components that documents use, numbered without gaps.

An index holds posting lists and tables over [0, n_components), whatever the vocabulary's size:
hashed components up to 2**31 cost no more than consecutive ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..jit import lean_kernel
from ..vectors import Components, Int64s

TABLE_LIMIT = 1 << 24
"""Components up to here are looked up in a table; above, by sorting."""

_SMALL_TABLE = 1 << 16


class Vocabulary:
    """Numbers components in the order of their arrival; `ranks` then gives the final numbers."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._known = np.empty(0, dtype=np.int32)
        self._arrivals = np.empty(0, dtype=np.int32)

    @property
    def components(self) -> Components:
        """The components that have arrived, int32 (n_components,), ascending."""
        return self._known

    def number(self, components: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        """The arrival number of each component, same shape; new ones are taken in."""
        if components.size == 0:
            return np.empty(0, dtype=np.int32)
        highest = int(components.max())
        if highest > TABLE_LIMIT:
            distinct, places = np.unique(components, return_inverse=True)
            return self._take_in(distinct)[places]
        used = np.zeros(highest + 1, dtype=np.bool_)
        used[components] = True
        distinct = np.flatnonzero(used)
        numbers = np.empty(highest + 1, dtype=np.int32)
        numbers[distinct] = self._take_in(distinct)
        found: Components = numbers[components]
        return found

    def ranks(self) -> NDArray[np.int32]:
        """By arrival number, the component's place among all in ascending order."""
        ranks = np.empty(self._arrivals.size, dtype=np.int32)
        ranks[self._arrivals] = np.arange(self._arrivals.size, dtype=np.int32)
        return ranks

    def _take_in(self, distinct: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        """The arrival numbers of distinct ascending components."""
        places, found = find(self._known, distinct)
        new = distinct[~found].astype(np.int32)
        if new.size:
            numbers = self._arrivals.size + np.arange(new.size, dtype=np.int32)
            self._known = np.insert(self._known, places[~found], new)
            self._arrivals = np.insert(self._arrivals, places[~found], numbers)
            places = np.searchsorted(self._known, distinct)
        return self._arrivals[places]


def find(
    known: Components, components: NDArray[np.integer[Any]]
) -> tuple[Int64s, NDArray[np.bool_]]:
    """Where each component stands in the ascending `known`, and whether it does."""
    places = np.searchsorted(known, components)
    found = np.zeros(places.size, dtype=np.bool_)
    inside = places < known.size
    found[inside] = known[places[inside]] == components[inside]
    return places, found


class Numbering(NamedTuple):
    """The numbers of components, as kernels look them up."""

    known: Components
    """int32 (n_components,), ascending; a component's number is its place."""
    table: NDArray[np.int32]
    """`number_table(known)`."""


def number_table(known: Components) -> NDArray[np.int32]:
    """The number of each component up to the highest, -1 for unknown ones; empty where the
    vocabulary is so sparse that searching it takes less memory."""
    highest = int(known[-1]) if known.size else -1
    if highest >= 4 * known.size + _SMALL_TABLE:
        return np.empty(0, dtype=np.int32)
    table = np.full(highest + 1, -1, dtype=np.int32)
    table[known] = np.arange(known.size, dtype=np.int32)
    return table


@lean_kernel
def number_of(component: int, known: Components, table: NDArray[np.int32]) -> int:
    """The number of a component, or -1.

    Args:
        table: `number_table(known)`.
    """
    if table.size > 0:
        return table[component] if component < table.size else -1
    low = 0
    high = known.size
    while low < high:
        middle = (low + high) >> 1
        if known[middle] < component:
            low = middle + 1
        else:
            high = middle
    return low if low < known.size and known[low] == component else -1
