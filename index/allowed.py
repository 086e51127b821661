"""Filters: which documents a search may return."""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexidex.errors import ParameterError

from .jit import strict_kernel

Words: TypeAlias = NDArray[np.uint64]
"""A bit a document: document i is bit i % 64 of word i // 64."""

EVERY_DOCUMENT: Words = np.zeros(0, dtype=np.uint64)
"""The words that allow everything; kernels know them by their size."""
EVERY_DOCUMENT.flags.writeable = False


class Allowed:
    """Documents that a search may return, made once for any number of searches. Immutable.

    What is given is copied: a bit a document, 125 KB for a million of them.
    """

    def __init__(self, allowed: ArrayLike, n_documents: int) -> None:
        """Allow the documents that a mask marks, or those with the given ordinals.

        Args:
            allowed: bool (n_documents,), or integers in [0, n_documents) in any order, repeated
                or not.

        Raises:
            ParameterError: it is of another type or shape, or an ordinal is out of range.
        """
        given = np.asarray(allowed)
        self.n_documents = n_documents
        if given.dtype == np.bool_:
            if given.shape != (n_documents,):
                raise _unfit(given, n_documents)
            self.words = _packed(given)
        else:
            mask = np.zeros(n_documents, dtype=np.bool_)
            mask[_checked_ordinals(given, n_documents)] = True
            self.words = _packed(mask)
        self.count = int(np.bitwise_count(self.words).sum(dtype=np.int64))

    @cached_property
    def ordinals(self) -> NDArray[np.uint32]:
        """The allowed documents, uint32 (count,), ascending."""
        used = np.flatnonzero(self.words)  # few, where few documents are allowed
        bits = np.unpackbits(self.words[used].view(np.uint8), bitorder="little").reshape(-1, 64)
        rows, places = np.nonzero(bits)
        ordinals: NDArray[np.uint32] = (used[rows] * 64 + places).astype(np.uint32)
        ordinals.flags.writeable = False
        return ordinals

    def marks(self, ordinals: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each of some documents is allowed, bool (n,)."""
        bits = self.words[ordinals >> 6] >> (ordinals & 63).astype(np.uint64)
        marked: NDArray[np.bool_] = (bits & np.uint64(1)).astype(np.bool_)
        return marked


def as_allowed(allowed: Allowed | ArrayLike | None, n_documents: int) -> Allowed | None:
    """What a caller gave as a filter; None where it was None, which allows everything.

    Raises:
        ParameterError: it does not fit the number of documents.
    """
    if allowed is None:
        return None
    if not isinstance(allowed, Allowed):
        return Allowed(allowed, n_documents)
    if allowed.n_documents != n_documents:
        raise ParameterError(
            f"allowed: made for {allowed.n_documents:,} documents; the index has {n_documents:,}"
        )
    return allowed


def words_of(allowed: Allowed | None) -> Words:
    """The filter as kernels take it."""
    return EVERY_DOCUMENT if allowed is None else allowed.words


@strict_kernel
def is_allowed(words: Words, ordinal: int) -> bool:
    """Whether a search may return the document."""
    return words.size == 0 or (words[ordinal >> 6] >> np.uint64(ordinal & 63)) & np.uint64(1) != 0


def _packed(mask: NDArray[np.bool_]) -> Words:
    data = np.zeros(-(-mask.size // 64) * 8, dtype=np.uint8)
    bits = np.packbits(mask, bitorder="little")
    data[: bits.size] = bits
    words = data.view("<u8")
    words.flags.writeable = False
    return words


def _checked_ordinals(ordinals: NDArray[Any], n_documents: int) -> NDArray[np.intp]:
    if ordinals.ndim != 1 or (ordinals.size and ordinals.dtype.kind not in "iu"):
        raise _unfit(ordinals, n_documents)
    if ordinals.size and (int(ordinals.min()) < 0 or int(ordinals.max()) >= n_documents):
        outside = ordinals[(ordinals < 0) | (ordinals >= n_documents)][0]
        raise ParameterError(f"allowed: ordinal {outside} is not in [0, {n_documents})")
    return ordinals.astype(np.intp, copy=False)


def _unfit(given: NDArray[Any], n_documents: int) -> ParameterError:
    return ParameterError(
        f"allowed: {given.dtype} array of shape {given.shape}; "
        f"expected a bool array of shape ({n_documents},), or integers (n,): ordinals"
    )
