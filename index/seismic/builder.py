"""The builder: takes vectors in batches, encodes them at once, and makes an index in the end."""

from __future__ import annotations

from typing import Self

import numpy as np

from lexidex.errors import ParameterError

from ..vectors import Vectors, as_vectors
from .assembly import assemble
from .params import BuildParams
from .records import Chunk, encode
from .seismic_index import SeismicIndex
from .vocabulary import Vocabulary

_DOCUMENTS_LIMIT = 1 << 31
_SEED_LIMIT = 1 << 31

_CHUNK = 1 << 16
"""Documents that are encoded at once."""


class SeismicBuilder:
    """Takes documents in batches of any size, then makes one index of them.

        index = SeismicBuilder(params).add(first_vectors).add(more_vectors).finish()

    What is given to `add` is encoded at once and not kept: about 4 bytes an entry.
    """

    def __init__(self, params: BuildParams | None = None) -> None:
        """Start without documents; `params` None stands for BuildParams()."""
        self.params = params or BuildParams()
        self._empty()

    def _empty(self) -> None:
        self.n_documents = 0
        self._dim = 0
        self._vocabulary = Vocabulary()
        self._chunks: list[Chunk] = []

    def add(self, vectors: Vectors) -> Self:
        """Append documents, a csr_array (n, dim); their ordinals go on from those before.

        Raises:
            ParameterError: a value is negative, NaN or infinite; there are more than 2**31
                documents.
        """
        batch = as_vectors(vectors)
        if self.n_documents + batch.shape[0] > _DOCUMENTS_LIMIT:
            raise ParameterError(
                f"{self.n_documents + batch.shape[0]:,} documents; an index holds "
                f"{_DOCUMENTS_LIMIT:,}: make several"
            )
        for first in range(0, batch.shape[0], _CHUNK):
            indptr = batch.indptr[first : first + _CHUNK + 1].astype(np.int64)
            entries = slice(indptr[0], indptr[-1])
            numbers = self._vocabulary.number(batch.indices[entries])
            values = batch.data[entries]
            self._chunks.append(encode(numbers, values, indptr - indptr[0], self.params.value_type))
        self.n_documents += batch.shape[0]
        self._dim = max(self._dim, batch.shape[1])
        return self

    def finish(self, *, n_threads: int = 1, seed: int = 0) -> SeismicIndex:
        """Make the index; the builder is empty afterwards.

        Args:
            n_threads: threads over documents and lists.
            seed: from 0 to 2**31 - 1; what centroids are drawn with.

        Raises:
            ParameterError: n_threads or seed is out of its range; the documents are more than one
                index can hold.
        """
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < _SEED_LIMIT:
            raise ParameterError(f"seed: {seed!r}; expected an integer from 0 to {_SEED_LIMIT - 1}")
        arrays = assemble(self._vocabulary, self._chunks, self.params, n_threads, seed)
        index = SeismicIndex(arrays, self.n_documents, self._dim, self.params, seed)
        self._empty()
        return index
