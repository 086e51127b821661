"""Approximate search: Seismic over learned sparse vectors.

After Bruch, Nardini, Rulli, Venturini: "Efficient Inverted Indexes for Approximate Retrieval over
Learned Sparse Representations" (SIGIR 2024, arXiv 2404.18812). The modules say where this differs.
"""

from __future__ import annotations

from dataclasses import asdict
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexidex.errors import CorruptFile, ParameterError

from ..batch import as_mask, check_k, in_threads
from ..storage.arrays import BinarySink, load_arrays, save_arrays, write_arrays
from ..topk import Counters, TopK, empty_results
from ..vectors import Float32s, Int64s, Vectors, as_vector, as_vectors
from .assembly import assemble
from .params import BuildParams, SearchParams
from .records import DOCUMENT, LINE, Chunk, encode, view_records
from .summaries import LIST
from .traversal import (
    BLOCKS_SCORED,
    BLOCKS_SKIPPED,
    DOCUMENTS_SCORED,
    POSTINGS_SCORED,
    search_queries,
)
from .vocabulary import Vocabulary, number_table
from .workspace import WorkspacePool

KIND = "seismic-index"
DOCUMENTS_LIMIT = 1 << 31
SEED_LIMIT = 1 << 31


class SeismicIndex:
    """Posting lists in blocks with summaries, over compact document records.

    Build with `SeismicIndex.build` or a `SeismicBuilder`, or `open` a saved one. Immutable; safe
    to search from many threads.
    """

    def __init__(
        self,
        arrays: dict[str, NDArray[Any]],
        n_documents: int,
        dim: int,
        params: BuildParams,
        seed: int,
    ) -> None:
        """Wrap arrays as a builder lays them out; use `build` or `open` instead."""
        for array in arrays.values():
            array.flags.writeable = False
        self._arrays = arrays
        self.n_documents = n_documents
        self.dim = dim
        self.params = params
        self.seed = seed
        components = arrays["components"]
        narrow = components.size <= 1 << 16
        records = view_records(arrays["documents"], arrays["records"], narrow, params.value_type)
        self._kernel_arrays = (
            components,
            number_table(components),
            arrays["lists"],
            arrays["impacts"],
            arrays["buckets"],
            arrays["entries"],
            arrays["block_starts"],
            arrays["ordinals"],
            *records,
        )
        self._workspaces = WorkspacePool(n_documents, arrays["lists"])

    @classmethod
    def build(
        cls,
        vectors: Vectors,
        params: BuildParams | None = None,
        *,
        n_threads: int = 1,
        seed: int = 0,
    ) -> SeismicIndex:
        """Index a csr_array (n_documents, dim) of document vectors.

        The same vectors, parameters and seed give the same index, whatever the threads.

        Args:
            params: None stands for BuildParams().
            n_threads: threads over documents and lists.
            seed: from 0 to 2**31 - 1; what centroids are drawn with.

        Raises:
            ParameterError: a value is negative, NaN or infinite; n_threads or seed is out of its
                range.
        """
        return SeismicBuilder(params).add(vectors).finish(n_threads=n_threads, seed=seed)

    @property
    def n_postings(self) -> int:
        """Number of postings that pruning has left."""
        return int(self._arrays["ordinals"].size)

    @property
    def n_blocks(self) -> int:
        """Number of blocks of all lists."""
        return int(self._arrays["impacts"].size)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, on disk as in memory."""
        return sum(array.nbytes for array in self._arrays.values())

    def search(
        self,
        queries: Vectors,
        k: int = 10,
        params: SearchParams | None = None,
        *,
        n_threads: int = 1,
        allowed: ArrayLike | None = None,
    ) -> TopK:
        """The k best documents of each query, by inner product; a few may be missed.

        Args:
            queries: csr_array (n_queries, dim); components that no document has add nothing.
            k: results a query, at least 1; a document without a common component is never one.
            params: None stands for SearchParams().
            n_threads: threads over queries.
            allowed: bool (n_documents,); only documents marked True are scored and returned.

        Returns:
            scores float32 (n_queries, k), inner products at the precision of the index's value
            type, and ordinals int64 (n_queries, k); empty places hold -inf and -1. Equal scores:
            lower ordinal first. Counters: blocks_scored, whose documents were looked at;
            blocks_skipped, by their summaries; documents_scored; postings_scored, the entries of
            these documents.

        Raises:
            ParameterError: an argument is out of its range.
        """
        batch = as_vectors(queries, name="queries")
        return self._search(batch.indices, batch.data, batch.indptr, k, params, n_threads, allowed)

    def search_one(
        self,
        components: ArrayLike,
        values: ArrayLike,
        k: int = 10,
        params: SearchParams | None = None,
        *,
        allowed: ArrayLike | None = None,
    ) -> TopK:
        """The k best documents of one query given as components and values; shapes (1, k)."""
        ids, weights = as_vector(components, values, name="query")
        return self._search(ids, weights, np.array([0, ids.size]), k, params, 1, allowed)

    def _search(
        self,
        components: NDArray[np.integer[Any]],
        values: Float32s,
        indptr: NDArray[np.integer[Any]],
        k: int,
        params: SearchParams | None,
        n_threads: int,
        allowed: ArrayLike | None,
    ) -> TopK:
        check_k(k)
        chosen = params or SearchParams()
        mask = _frozen(as_mask(allowed, self.n_documents), np.bool_)
        ids, weights = _frozen(components, np.int32), _frozen(values, np.float32)
        ends = _frozen(indptr, np.int64)
        n_queries = indptr.size - 1
        n_terms = int(np.diff(indptr).max(initial=0))
        query_cut = min(chosen.query_cut, n_terms)
        scores, ordinals = empty_results(n_queries, k)

        def run(first: int, last: int) -> Int64s:
            counts = np.zeros(4, dtype=np.int64)
            with self._workspaces.lend(query_cut, n_terms) as workspace:
                search_queries(
                    ids,
                    weights,
                    ends[first : last + 1],
                    query_cut,
                    chosen.heap_factor,
                    mask,
                    *self._kernel_arrays,
                    *workspace,
                    scores[first:last],
                    ordinals[first:last],
                    counts,
                )
            return counts

        counts = np.sum(in_threads(run, n_queries, n_threads), axis=0)
        return TopK(scores, ordinals, _counters(counts))

    def write(self, file: BinarySink) -> None:
        """Write the index into an open file."""
        write_arrays(file, KIND, self._stored(), self._meta())

    def save(self, path: str | PathLike[str]) -> None:
        """Write the index to one file, atomically."""
        save_arrays(path, KIND, self._stored(), self._meta())

    @classmethod
    def open(cls, path: str | PathLike[str], memory: Literal["map", "load"] = "map") -> Self:
        """Open a saved index, memory-mapped or loaded.

        Raises:
            CorruptFile, UnsupportedVersion: the file cannot be used.
        """
        arrays, meta = load_arrays(path, KIND, memory)
        return cls.restore(arrays, meta, str(path))

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any], where: str) -> Self:
        """The index that `write` wrote, from its file's arrays and meta.

        Raises:
            CorruptFile: the arrays do not belong together; names `where` and the array.
        """
        try:
            restored = {
                **arrays,
                "documents": arrays["documents"].view(DOCUMENT).reshape(-1),
                "lists": arrays["lists"].view(LIST).reshape(-1),
            }
            _check_sizes(restored, int(meta["n_documents"]))
            params = BuildParams(**meta["params"])
            return cls(restored, meta["n_documents"], meta["dim"], params, meta["seed"])
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise CorruptFile(f"{where}: not a complete {KIND} ({error}); build it again") from None

    def _stored(self) -> dict[str, NDArray[Any]]:
        """The arrays as files hold them: rows as plain uint32 words."""
        words = {
            name: self._arrays[name].view(np.uint32).reshape(self._arrays[name].size, -1)
            for name in ("documents", "lists")
        }
        return {**self._arrays, **words}

    def _meta(self) -> dict[str, Any]:
        return {
            "n_documents": self.n_documents,
            "dim": self.dim,
            "seed": self.seed,
            "params": asdict(self.params),
        }


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
        if self.n_documents + batch.shape[0] > DOCUMENTS_LIMIT:
            raise ParameterError(
                f"{self.n_documents + batch.shape[0]:,} documents; an index holds "
                f"{DOCUMENTS_LIMIT:,}: make several"
            )
        numbers = self._vocabulary.number(batch.indices)
        indptr = batch.indptr.astype(np.int64)
        self._chunks.append(encode(numbers, batch.data, indptr, self.params.value_type))
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
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEED_LIMIT:
            raise ParameterError(f"seed: {seed!r}; expected an integer from 0 to {SEED_LIMIT - 1}")
        arrays = assemble(self._vocabulary, self._chunks, self.params, n_threads, seed)
        index = SeismicIndex(arrays, self.n_documents, self._dim, self.params, seed)
        self._empty()
        return index


def _check_sizes(arrays: dict[str, NDArray[Any]], n_documents: int) -> None:
    """Raise ValueError unless the arrays' lengths agree with what they say of one another."""
    last_list, starts = arrays["lists"][-1], arrays["block_starts"]
    expected = {
        "documents": n_documents,
        "records": -(-arrays["records"].size // LINE) * LINE,
        "lists": arrays["components"].size + 1,
        "block_starts": int(last_list["block"]) + 1,
        "impacts": int(last_list["block"]),
        "ordinals": int(starts[-1]),
        "buckets": int(last_list["bucket"]) + 1,
        "entries": int(arrays["buckets"][-1]),
    }
    for name, size in expected.items():
        if arrays[name].size != size:
            raise ValueError(f"{name}: {arrays[name].size} elements, expected {size}")


def _frozen(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """The array, contiguous and read-only: kernels are compiled anew for every other kind."""
    frozen = np.ascontiguousarray(array, dtype).view()
    frozen.flags.writeable = False
    return frozen


def _counters(counts: Int64s) -> Counters:
    return Counters(
        postings_scored=int(counts[POSTINGS_SCORED]),
        documents_scored=int(counts[DOCUMENTS_SCORED]),
        blocks_scored=int(counts[BLOCKS_SCORED]),
        blocks_skipped=int(counts[BLOCKS_SKIPPED]),
    )
