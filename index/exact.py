"""Exact search: the k documents with the largest inner product, nothing approximated.

The oracle for everything approximate, and the index of choice for small collections.
"""

from __future__ import annotations

from os import PathLike
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexidex.errors import CorruptFile

from .allowed import Allowed, as_allowed, words_of
from .batch import check_k, in_threads
from .exact_kernels import WINDOW, count_runs, invert, search_exact
from .storage.arrays import BinarySink, load_arrays, read_arrays, save_arrays, write_arrays
from .topk import Counters, TopK, empty_results
from .vectors import Float32s, Int64s, Vectors, as_vector, as_vectors

KIND = "exact-index"
_ARRAYS = ("components", "run_offsets", "run_windows", "run_starts", "ordinals", "impacts")
_DENSE_LIMIT = 1 << 24

_POSTING_BYTES = 6
"""Of an ordinal and an impact."""


class ExactIndex:
    """Posting lists in float32; build with `ExactIndex.build`, or `open` a saved one.

    Components that no document has take no space, whatever `dim` is, so hashed components work
    like any others. Immutable; safe to search from many threads.
    """

    def __init__(self, arrays: dict[str, NDArray[Any]], n_documents: int, dim: int) -> None:
        """Wrap arrays as `build` lays them out; use `build` or `open` instead."""
        self._arrays = arrays
        self.n_documents = n_documents
        self.dim = dim

    @classmethod
    def build(cls, vectors: Vectors) -> Self:
        """Index a csr_array (n_documents, dim) of document vectors.

        Raises:
            ParameterError: a value is negative, NaN or infinite.
        """
        documents = as_vectors(vectors)
        components, numbers = _distinct(documents.indices)
        counts = np.zeros((2, components.size), dtype=np.int64)
        count_runs(numbers, documents.indptr, counts[0], counts[1])
        offsets, run_offsets = (np.concatenate(([0], np.cumsum(row))) for row in counts)
        ordinals = np.empty(documents.nnz, dtype=np.uint16)
        impacts = np.empty(documents.nnz, dtype=np.float32)
        run_windows = np.empty(run_offsets[-1], dtype=np.int32)
        run_starts = np.full(run_offsets[-1] + 1, documents.nnz, dtype=np.int64)
        invert(
            numbers,
            documents.data,
            documents.indptr,
            offsets[:-1],
            run_offsets[:-1].copy(),
            ordinals,
            impacts,
            run_windows,
            run_starts,
        )
        arrays: dict[str, NDArray[Any]] = {
            "components": components,
            "run_offsets": run_offsets,
            "run_windows": run_windows,
            "run_starts": run_starts,
            "ordinals": ordinals,
            "impacts": impacts,
        }
        for array in arrays.values():
            array.flags.writeable = False
        return cls(arrays, documents.shape[0], documents.shape[1])

    @property
    def n_postings(self) -> int:
        """Number of (document, component) pairs held."""
        return int(self._arrays["ordinals"].size)

    def document_frequencies(self, components: ArrayLike) -> Int64s:
        """How many documents have each component; int64, one for each."""
        wanted = np.asarray(components)
        lists, found = self._lists_of(wanted)
        frequencies = np.zeros(wanted.size, dtype=np.int64)
        frequencies[found] = self._lengths(lists[found])
        return frequencies

    def work(self, queries: Vectors) -> tuple[Int64s, Int64s]:
        """What searching would touch: postings and lists of each query, int64 (n_queries,) each."""
        lists, _, ends = self._known_terms(
            queries.indices, queries.data, queries.indptr.astype(np.int64)
        )
        postings = np.concatenate(([0], np.cumsum(self._lengths(lists))))
        return np.diff(postings[ends]), np.diff(ends)

    def search(
        self,
        queries: Vectors,
        k: int = 10,
        *,
        n_threads: int = 1,
        allowed: Allowed | ArrayLike | None = None,
    ) -> TopK:
        """The k best documents of each query, by inner product.

        Args:
            queries: csr_array (n_queries, dim); components that no document has add nothing.
            k: results a query, at least 1; a document without a common component is never one.
            n_threads: threads over queries.
            allowed: only these documents are returned: bool (n_documents,), or ordinals, or an
                `Allowed` made of either once for many searches.

        Returns:
            scores float32 (n_queries, k) and ordinals int64 (n_queries, k); empty places hold
            -inf and -1. Equal scores: lower ordinal first.
        """
        batch = as_vectors(queries, name="queries")
        return self._search(
            batch.indices, batch.data, batch.indptr.astype(np.int64), k, n_threads, allowed
        )

    def search_one(
        self,
        components: ArrayLike,
        values: ArrayLike,
        k: int = 10,
        allowed: Allowed | ArrayLike | None = None,
    ) -> TopK:
        """The k best documents of one query given as components and values; shapes (1, k)."""
        ids, weights = as_vector(components, values, name="query")
        return self._search(ids, weights, np.array([0, ids.size]), k, 1, allowed)

    def _search(
        self,
        components: NDArray[np.integer[Any]],
        values: Float32s,
        indptr: Int64s,
        k: int,
        n_threads: int,
        allowed: Allowed | ArrayLike | None,
    ) -> TopK:
        check_k(k)
        words = words_of(as_allowed(allowed, self.n_documents))
        lists, weights, ends = self._known_terms(components, values, indptr)
        n_queries = indptr.size - 1
        scores, ordinals = empty_results(n_queries, min(k, max(self.n_documents, 1)))

        def run(first: int, last: int) -> int:
            return search_exact(
                lists,
                weights,
                ends[first : last + 1],
                self._arrays["run_offsets"],
                self._arrays["run_windows"],
                self._arrays["run_starts"],
                self._arrays["ordinals"],
                self._arrays["impacts"],
                self.n_documents,
                words,
                np.zeros(WINDOW, dtype=np.float32),
                scores[first:last],
                ordinals[first:last],
            )

        postings = sum(in_threads(run, n_queries, n_threads))
        return TopK(*_widen(scores, ordinals, k), _counters(postings))

    def _known_terms(
        self, components: NDArray[np.integer[Any]], values: Float32s, indptr: Int64s
    ) -> tuple[Int64s, Float32s, Int64s]:
        """The query terms that have a posting list: list numbers, values, int64 indptr."""
        lists, found = self._lists_of(components)
        ends = np.concatenate(([0], np.cumsum(found, dtype=np.int64)))[indptr]
        return lists[found], values[found], ends

    def _lists_of(self, components: NDArray[Any]) -> tuple[Int64s, NDArray[np.bool_]]:
        """Each component's list by number, and whether it has one."""
        known = self._arrays["components"]
        if not known.size:
            return np.zeros(components.size, np.int64), np.zeros(components.size, np.bool_)
        lists = np.minimum(np.searchsorted(known, components), known.size - 1)
        return lists, known[lists] == components

    def _lengths(self, lists: Int64s) -> Int64s:
        offsets, starts = self._arrays["run_offsets"], self._arrays["run_starts"]
        lengths: Int64s = starts[offsets[lists + 1]] - starts[offsets[lists]]
        return lengths

    def write(self, file: BinarySink) -> None:
        """Write the index into an open file."""
        write_arrays(file, KIND, self._arrays, self._meta())

    def save(self, path: str | PathLike[str]) -> None:
        """Write the index to one file, atomically."""
        save_arrays(path, KIND, self._arrays, self._meta())

    @classmethod
    def open(cls, path: str | PathLike[str], memory: Literal["map", "load"] = "map") -> Self:
        """Open a saved index, memory-mapped or loaded.

        Raises:
            CorruptFile, UnsupportedVersion: the file cannot be used.
        """
        return cls._from_file(*load_arrays(path, KIND, memory), str(path))

    @classmethod
    def read(cls, data: memoryview, where: str) -> Self:
        """The index in a file's bytes; `where` names the file in errors."""
        return cls._from_file(*read_arrays(data, KIND, where), where)

    @classmethod
    def _from_file(cls, arrays: dict[str, NDArray[Any]], meta: dict[str, Any], where: str) -> Self:
        missing = [name for name in _ARRAYS if name not in arrays]
        if missing:
            raise CorruptFile(f"{where}: not a complete {KIND}, no array {missing[0]!r}")
        return cls(arrays, int(meta["n_documents"]), int(meta["dim"]))

    def _meta(self) -> dict[str, int]:
        return {"n_documents": self.n_documents, "dim": self.dim}


def _distinct(
    components: NDArray[np.integer[Any]],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The distinct components, ascending, and each entry's number among them."""
    highest = int(components.max()) if components.size else -1
    if highest > _DENSE_LIMIT:  # hashed components: a table over all of them would not fit
        distinct, numbers = np.unique(components, return_inverse=True)
        return distinct.astype(np.int32), numbers.astype(np.int32)
    used = np.zeros(highest + 1, dtype=np.bool_)
    used[components] = True
    places = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(used).astype(np.int32), places[components]


def _widen(scores: Float32s, ordinals: Int64s, k: int) -> tuple[Float32s, Int64s]:
    """Pad results to k columns: kernels never get a k above the number of documents."""
    if scores.shape[1] == k:
        return scores, ordinals
    wide_scores, wide_ordinals = empty_results(scores.shape[0], k)
    wide_scores[:, : scores.shape[1]] = scores
    wide_ordinals[:, : ordinals.shape[1]] = ordinals
    return wide_scores, wide_ordinals


def _counters(postings: int) -> Counters:
    return Counters(postings_scored=postings, bytes_touched=_POSTING_BYTES * postings)
