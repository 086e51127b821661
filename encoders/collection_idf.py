"""Query weights from a table, drawn towards the collection that is searched.

    w_t * ( max(idf(t), 0.05) / max(idf'(t), 0.3) ) ** g

A table of query weights knows how rare terms were among the texts it was learned from, idf'. Where
a collection is about one thing, that thing's words are not rare in it, and weigh too much. idf is
the collection's own: ln(1 + (N - df + 0.5) / (df + 0.5)), with df the documents whose vectors have
the term, expansion included, so that nothing has to be counted but the index. g = 0 leaves the
table as it is, g = 1 trusts the collection alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lexidex.errors import CorruptFile, ParameterError
from lexidex.index.vectors import Float32s, Vectors

from .base import Statistics
from .weights import read_safetensors, write_safetensors

IDF_FILE = "trained_idf.safetensors"
"""Beside the table: idf' of each term, float32 (terms,), as the tensor "idf"."""

_LEAST, _LEAST_TRAINED = 0.05, 0.3
"""So that a term of nearly all documents neither vanishes nor counts without bound."""


@dataclass(frozen=True)
class CollectionIdf:
    """How query weights depend on the collection.

    Attributes:
        exponent: g, from 0 to 1.
        trained: idf', float32 (terms,).
    """

    exponent: float
    trained: Float32s

    def weighed(self, queries: Vectors, statistics: Statistics) -> Vectors:
        """The queries, csr_array (queries, terms), with weights drawn towards the collection's."""
        components = queries.indices
        df = statistics.document_frequencies(components.astype(np.int32))
        factors = (
            np.maximum(inverse_document_frequencies(df, statistics.n_documents), _LEAST)
            / np.maximum(self.trained[components], _LEAST_TRAINED)
        ) ** self.exponent
        weighed = queries.copy()
        weighed.data = (queries.data * factors).astype(np.float32)
        return weighed


def inverse_document_frequencies(frequencies: np.ndarray, n_documents: int) -> Float32s:
    """ln(1 + (N - df + 0.5) / (df + 0.5)), as BM25 has it, float32, of int64 counts."""
    idf = np.log1p((n_documents - frequencies + 0.5) / (frequencies + 0.5))
    return np.asarray(idf, dtype=np.float32)


def check_exponent(value: object) -> float:
    """`value` if it can be an exponent; ParameterError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ParameterError(f"collection_idf: {value!r}; expected a number from 0 to 1")
    return float(value)


def read_trained_idf(folder: Path, n_terms: int) -> Float32s | None:
    """idf' beside the table in `folder`; None where there is none.

    Raises:
        CorruptFile: it is unreadable, or has not `n_terms` terms.
    """
    file = folder / IDF_FILE
    if not file.is_file():
        return None
    idf = read_safetensors(file).get("idf")
    if idf is None or idf.shape != (n_terms,):
        shape = None if idf is None else idf.shape
        raise CorruptFile(f"{file}: idf of shape {shape}; the table has {n_terms} terms")
    return idf


def write_trained_idf(folder: Path, idf: Float32s) -> None:
    """Write idf' beside the table in `folder`."""
    write_safetensors({"idf": np.ascontiguousarray(idf, dtype=np.float32)}, folder / IDF_FILE)
