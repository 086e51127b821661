"""The builder: takes vectors in batches, encodes them at once, and makes an index in the end."""

from __future__ import annotations

from os import PathLike
from typing import Self

import numpy as np

from lexidex.errors import ParameterError

from ..memory_size import as_bytes
from ..vectors import Vectors, as_vectors
from .assembly import assemble
from .chunks import Chunks, encode
from .crew import BuildProgress, Crew, Progress
from .memory import check_least, least_budget
from .params import BuildParams
from .scratch import Scratch
from .seismic_index import SeismicIndex
from .vocabulary import Vocabulary

_DOCUMENTS_LIMIT = 1 << 31
_SEED_LIMIT = 1 << 31

_CHUNK = 1 << 13
"""Documents that are encoded at once."""


class SeismicBuilder:
    """Takes documents in batches of any size, then makes one index of them.

        index = SeismicBuilder(params).add(first_vectors).add(more_vectors).finish()

    What is given to `add` is encoded at once and not kept: about 4 bytes an entry. With a memory
    budget, what goes beyond it stands in nameless temporary files (scratch.py), which no failure,
    interrupt or kill leaves behind; the index has the same bytes.
    """

    def __init__(
        self,
        params: BuildParams | None = None,
        *,
        memory: str | int | None = None,
        folder: str | PathLike[str] | None = None,
    ) -> None:
        """Start without documents.

        Args:
            params: None stands for BuildParams().
            memory: what a build may take of the process's own memory, the batches that it is given
                aside: "2GB" or a number of bytes; None for no limit. Mapped files, which the system
                drops from memory when others want it, do not count.
            folder: where the temporary files are; None for the system's folder of temporary files.
                They take about twice the index. Choose a disk: a folder in memory helps nothing.

        Raises:
            ParameterError: memory is no size, or less than any build takes.
        """
        self.params = params or BuildParams()
        self._memory = memory
        self._folder = folder
        self._empty()

    def _room(self, n_components: int, highest: int, n_threads: int) -> int | None:
        """Bytes that arrays may take in memory; None for no limit."""
        if self._memory is None:
            return None
        check_least(self._memory, n_components, highest, n_threads)
        return as_bytes(self._memory) - least_budget(n_components, highest, n_threads)

    def _empty(self) -> None:
        self.n_documents = 0
        self._dim = 0
        self._vocabulary = Vocabulary()
        self._scratch = Scratch(self._room(0, 0, 1), self._folder)
        self._chunks = Chunks(self._scratch)

    def add(self, vectors: Vectors, *, progress: Progress | None = None) -> Self:
        """Append documents, a csr_array (n, dim); their ordinals go on from those before.

        Args:
            progress: called every few thousand documents.

        Raises:
            ParameterError: a value is negative, NaN or infinite; there are more than 2**31
                documents. The builder is as before.
            StorageFull: no space is left for the temporary files. The builder is empty.
        """
        batch = as_vectors(vectors)
        if self.n_documents + batch.shape[0] > _DOCUMENTS_LIMIT:
            raise ParameterError(
                f"{self.n_documents + batch.shape[0]:,} documents; an index holds "
                f"{_DOCUMENTS_LIMIT:,}: make several"
            )
        try:
            self._encode(batch, progress)
        except BaseException:
            self._empty()
            raise
        self.n_documents += batch.shape[0]
        self._dim = max(self._dim, batch.shape[1])
        return self

    def _encode(self, batch: Vectors, progress: Progress | None) -> None:
        n_documents = batch.shape[0]
        for first in range(0, n_documents, _CHUNK):
            indptr = batch.indptr[first : first + _CHUNK + 1].astype(np.int64)
            entries = slice(indptr[0], indptr[-1])
            numbers = self._vocabulary.number(batch.indices[entries])
            values = batch.data[entries]
            values.flags.writeable = False  # kernels are compiled anew for every other kind
            indptr -= indptr[0]
            self._chunks.append(encode(numbers, values, indptr, self.params.value_type))
            if progress:
                done = min(first + _CHUNK, n_documents)
                progress(BuildProgress("encoding", done, n_documents))

    def affordable_threads(self, most: int) -> int:
        """How many threads the budget allows for what was added: from 1 to `most`."""
        if self._memory is None:
            return most
        known, highest = self._components()
        fixed = least_budget(known, highest, 0)
        a_thread = least_budget(known, highest, 1) - fixed
        return max(1, min(most, (as_bytes(self._memory) - fixed) // a_thread))

    def _components(self) -> tuple[int, int]:
        """The number of components, and the highest."""
        known = self._vocabulary.components
        return known.size, int(known[-1]) if known.size else 0

    def finish(
        self, *, n_threads: int = 1, seed: int = 0, progress: Progress | None = None
    ) -> SeismicIndex:
        """Make the index; the builder is empty afterwards.

        With a memory budget the index may stand on temporary files, which go when it is dropped:
        `save` it, and open what was saved.

        Args:
            n_threads: threads over documents and lists.
            seed: from 0 to 2**31 - 1; what centroids are drawn with.
            progress: called some hundred times from this thread.

        Raises:
            ParameterError: n_threads or seed is out of its range; the budget is less than these
                documents take with that many threads (all these leave the builder as it was); the
                documents are more than one index can hold.
            StorageFull: no space is left for the temporary files.

        After these, or an interrupt, or anything that `progress` raises, no thread of the build
        runs, no file is left, and the builder is empty.
        """
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < _SEED_LIMIT:
            raise ParameterError(f"seed: {seed!r}; expected an integer from 0 to {_SEED_LIMIT - 1}")
        crew = Crew(n_threads, progress)
        self._scratch.limit = self._room(*self._components(), n_threads)
        try:
            arrays = assemble(
                self._vocabulary,
                self._chunks,
                self.n_documents,
                self.params,
                seed,
                self._scratch,
                crew,
            )
            return SeismicIndex(arrays, self.n_documents, self._dim, self.params, seed)
        finally:
            self._empty()
