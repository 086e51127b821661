"""What deleted documents still count for: their terms, until a merge takes them away for good."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..vectors import Int64s, Vectors


class DeadTerms:
    """How many deleted passages have each component. Immutable; `add` makes another.

    Kept as a few ascending lists, each at least twice as long as the next, so that one deletion
    more costs little however many there were.
    """

    def __init__(self, lists: tuple[tuple[NDArray[Any], Int64s], ...] = ()) -> None:
        """Wrap lists of components and counts; start with `DeadTerms()` and `add`."""
        self._lists = lists

    def add(self, deleted: Vectors) -> Self:
        """These counts and those of more deleted passages."""
        components, counts = np.unique(deleted.indices, return_counts=True)
        lists = [*self._lists, (components, counts.astype(np.int64))]
        while len(lists) > 1 and lists[-2][0].size < 2 * lists[-1][0].size:
            lists.append(_merged(lists.pop(), lists.pop()))
        return type(self)(tuple(lists))

    def frequencies(self, components: NDArray[Any]) -> Int64s:
        """For each component, how many deleted passages have it; int64, same shape."""
        total = np.zeros(components.shape, dtype=np.int64)
        for known, counts in self._lists:
            if known.size:
                places = np.minimum(np.searchsorted(known, components), known.size - 1)
                total += np.where(known[places] == components, counts[places], 0)
        return total


def _merged(
    one: tuple[NDArray[Any], Int64s], other: tuple[NDArray[Any], Int64s]
) -> tuple[NDArray[Any], Int64s]:
    components, numbers = np.unique(np.concatenate((one[0], other[0])), return_inverse=True)
    counts = np.zeros(components.size, dtype=np.int64)
    np.add.at(counts, numbers, np.concatenate((one[1], other[1])))
    return components, counts
