"""The arrays of an exact index as its file has them (docs/FORMAT.md)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexidex.errors import CorruptFile

from .block_maxima import view_block_maxima
from .champions import view_champions
from .documents import Documents
from .posting_lists import PostingLists, lengths_of
from .search import Index

KIND = "exact-index"

_FREQUENT = ("frequent", "frequent_units", "frequent_means", "frequent_maxima")
_CHAMPIONS = ("champion_lists", "champion_peaks", "champions")
_DOCUMENTS = ("document_starts", "document_components", "document_values")
_LONG = ("ordinals", "impacts", "frequent_maxima", "champions")
"""What searches alone read: it stands behind all that opening the index reads."""


def stored(index: Index) -> dict[str, NDArray[Any]]:
    """What the file holds in any case, by name, in this order."""
    maxima, champions = index.maxima, index.champions
    frequent, listed = (
        np.flatnonzero(part.rows >= 0).astype(np.int32) for part in (maxima, champions)
    )
    arrays: dict[str, NDArray[Any]] = {
        **index.lists._asdict(),
        **dict(zip(_FREQUENT, (frequent, maxima.units, maxima.means, maxima.codes), strict=True)),
        **dict(zip(_CHAMPIONS, (listed, champions.peaks, champions.ordinals), strict=True)),
    }
    return {name: arrays[name] for name in sorted(arrays, key=_LONG.__contains__)}


def stored_documents(documents: Documents) -> dict[str, NDArray[Any]]:
    """What it holds besides where the document vectors are not kept elsewhere."""
    return dict(zip(_DOCUMENTS, documents, strict=True)) if documents.values.size else {}


def index_in(arrays: dict[str, NDArray[Any]], documents: Documents, where: str) -> Index:
    """The index in the arrays of a file.

    Raises:
        CorruptFile: an array is missing.
    """
    wanted = (*PostingLists._fields, *_FREQUENT, *_CHAMPIONS)
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise CorruptFile(
            f"{where}: not a complete {KIND}, no array {missing[0]!r}; build the index anew"
        )
    lists = PostingLists(*(arrays[name] for name in PostingLists._fields))
    lengths = lengths_of(lists)
    maxima = view_block_maxima(lengths, *(arrays[name] for name in _FREQUENT))
    champions = view_champions(lengths, *(arrays[name] for name in _CHAMPIONS))
    return Index(lists, maxima, champions, documents)


def documents_in(arrays: dict[str, NDArray[Any]]) -> Documents | None:
    """The document vectors in the arrays of a file; None where it does not hold them."""
    if _DOCUMENTS[0] not in arrays:
        return None
    return Documents(*(arrays[name] for name in _DOCUMENTS))
