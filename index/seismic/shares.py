"""Shares of documents and lists: small enough to be interrupted, large enough to cost nothing."""

from __future__ import annotations

import numpy as np

from ..vectors import Int64s

_AT_LEAST = 64
"""Shares, so that threads end together."""

_DOCUMENTS = 1 << 17
_POSTINGS = 1 << 17
"""What a share holds at most: some tenths of a second of any kernel."""


def document_shares(n_documents: int) -> Int64s:
    """Bounds (n_shares + 1,) of ranges of equally many documents."""
    n_shares = max(_AT_LEAST, -(-n_documents // _DOCUMENTS))
    return np.unique(np.linspace(0, n_documents, n_shares + 1).astype(np.int64))


def list_shares(offsets: Int64s, most: int = _POSTINGS) -> Int64s:
    """Bounds (n_shares + 1,) of ranges of lists with about as many postings each.

    Args:
        offsets: int64 (n_lists + 1,), each list's first posting.
        most: postings of a share, a longer list's excepted.
    """
    n_postings = int(offsets[-1])
    n_shares = max(_AT_LEAST, -(-n_postings // most))
    bounds = np.searchsorted(offsets, np.linspace(0, n_postings, n_shares + 1))
    bounds[0], bounds[-1] = 0, offsets.size - 1
    return np.unique(bounds).astype(np.int64)
