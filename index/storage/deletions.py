"""Deleted documents of a segment: the mask on disk, and the terms that they still count for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..vectors import Int64s, Vectors
from . import layout
from .arrays import read_arrays, write_arrays
from .files import Storage
from .manifest import SegmentEntry, check_file, counted

_KIND = "deletions"


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


def read_deletions(storage: Storage, entry: SegmentEntry) -> NDArray[np.bool_] | None:
    """bool (n_documents,): the documents deleted on disk; None when there are none.

    Raises:
        CorruptFile: the file is damaged.
    """
    if entry.deletions is None:
        return None
    name = entry.deletions.name
    where = f"{storage.location}/{name}"
    data = storage.view(name, "load")
    check_file(storage, entry.deletions, data)
    arrays, _ = read_arrays(data, _KIND, where)
    return np.unpackbits(arrays["bits"], count=entry.n_documents).astype(np.bool_)


def mark_deleted(
    storage: Storage, entry: SegmentEntry, deleted: NDArray[np.bool_], number: int
) -> SegmentEntry:
    """The entry with these documents deleted, their mask written as of manifest `number`."""
    if not deleted.any():
        return entry
    name = layout.deletions(entry.name, number)
    with counted(storage, name) as target:
        write_arrays(target, _KIND, {"bits": np.packbits(deleted)}, {})
    storage.sync_folder(f"{layout.SEGMENTS}/{entry.name}")
    return replace(entry, n_deleted=int(deleted.sum()), deletions=target.entry(name))


def _merged(
    one: tuple[NDArray[Any], Int64s], other: tuple[NDArray[Any], Int64s]
) -> tuple[NDArray[Any], Int64s]:
    components, numbers = np.unique(np.concatenate((one[0], other[0])), return_inverse=True)
    counts = np.zeros(components.size, dtype=np.int64)
    np.add.at(counts, numbers, np.concatenate((one[1], other[1])))
    return components, counts
