"""Exact search: the k documents with the largest inner product, nothing approximated.

The oracle for everything approximate, and the index of choice for small collections.
"""

from __future__ import annotations

import math
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexidex.errors import ParameterError

from ..allowed import Allowed, as_allowed, words_of
from ..batch import check_k, in_threads
from ..entry import Entry
from ..storage.arrays import BinarySink, load_arrays, read_arrays, save_arrays, write_arrays
from ..topk import TopK, empty_results
from ..vectors import Float32s, Int64s, Vectors, as_vector, as_vectors
from .block_maxima import build_block_maxima
from .champions import build_champions
from .documents import NO_DOCUMENTS, documents_of, score_chosen
from .format import KIND, documents_in, index_in, stored, stored_documents
from .posting_lists import WINDOW, Queries, build_lists, lengths_of
from .search import Index, search_exact
from .workspace import N_COUNTS, WorkspacePool, counters

PRUNED_FROM = 1_000
"""Postings that a query must have for each document that is scored by itself, and for a hundred of
them at least, so that it pays to look for terms that can be left out."""

_SHARED = 256
"""Entries of a document that are compared with a query's terms before some are added up."""

WEIGHTS_LIMIT = 1 << 24
"""Components from which there is no table of them, and no postings are left out."""


class ExactIndex:
    """Posting lists in float32; build with `ExactIndex.build`, or `open` a saved one.

    Components that no document has take no space, whatever `dim` is, so hashed components work
    like any others. Immutable; safe to search from many threads.

    With the document vectors at hand, large searches read a fraction of the postings. Scores are
    the same, to the last bit.
    """

    def __init__(self, index: Index, n_documents: int, dim: int) -> None:
        """Wrap arrays as `build` lays them out; use `build` or `open` instead."""
        self._index = index
        self.n_documents = n_documents
        self.dim = dim
        self._lengths = lengths_of(index.lists)
        self._search_lists = Entry(search_exact)
        components = index.lists.components
        n_weights = (
            int(components[-1]) + 1 if components.size and index.documents.values.size else 0
        )
        self._workspaces = WorkspacePool(n_weights if n_weights <= WEIGHTS_LIMIT else 0)

    @classmethod
    def build(cls, vectors: Vectors) -> Self:
        """Index a csr_array (n_documents, dim) of document vectors.

        The index refers to the vectors, where they are in canonical form, and does not copy them:
        do not change them afterwards.

        Raises:
            ParameterError: a value is negative, NaN or infinite.
        """
        documents = as_vectors(vectors)
        n_documents, dim = documents.shape
        lists = build_lists(documents)
        lengths = lengths_of(lists)
        if documents.nnz < least_postings(1, n_documents):  # no query can have as many
            lengths = np.zeros_like(lengths)
        maxima = build_block_maxima(lists, lengths, n_documents)
        index = Index(lists, maxima, build_champions(lists, lengths), documents_of(documents))
        return cls(frozen(index), n_documents, dim)

    @property
    def n_postings(self) -> int:
        """Number of (document, component) pairs held."""
        return int(self._index.lists.ordinals.size)

    def document_frequencies(self, components: ArrayLike) -> Int64s:
        """How many documents have each component; int64, one for each."""
        wanted = np.asarray(components)
        lists, found = self._lists_of(wanted)
        frequencies = np.zeros(wanted.size, dtype=np.int64)
        frequencies[found] = self._lengths[lists[found]]
        return frequencies

    def work(self, queries: Vectors) -> tuple[Int64s, Int64s]:
        """What searching would touch at most: postings and lists of each query, both int64
        (n_queries,)."""
        known = self._known_terms(queries.indices, queries.data, queries.indptr.astype(np.int64))
        postings = np.concatenate(([0], np.cumsum(self._lengths[known.lists])))
        return np.diff(postings[known.indptr]), np.diff(known.indptr)

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

    def score(self, query: Vectors, ordinals: Int64s) -> Float32s:
        """Inner products of chosen documents with one query, float32, one for each.

        Args:
            query: csr_array (1, any), canonical.
            ordinals: int64.

        Raises:
            ParameterError: the index was read without the document vectors.
        """
        if self._index.documents.starts.size <= self.n_documents:
            raise ParameterError("score: the index was read without its document vectors")
        scores = np.empty(ordinals.size, dtype=np.float32)
        slots = np.full(1 << (4 * query.nnz).bit_length(), -1, dtype=np.int32)
        # Nearly empty, so that few entries of other terms are let through; and within the
        # first-level cache.
        marks = np.zeros(1 << (128 * query.nnz).bit_length(), dtype=np.uint8)
        score_chosen(
            self._index.documents,
            query.indices.astype(np.int32, copy=False),
            query.data,
            slots,
            marks,
            np.empty(_SHARED, dtype=np.int64),
            np.ascontiguousarray(ordinals),
            scores,
        )
        return scores

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
        queries = self._known_terms(components, values, indptr)
        n_queries = indptr.size - 1
        n_terms = int(np.diff(queries.indptr).max(initial=0))
        pruned_from = least_postings(k, self.n_documents)
        scores, ordinals = empty_results(n_queries, min(k, max(self.n_documents, 1)))

        def run(first: int, last: int) -> Int64s:
            counts = np.zeros(N_COUNTS, dtype=np.int64)
            workspace = self._workspaces.take(n_terms)
            self._search_lists.call(
                queries._replace(indptr=queries.indptr[first : last + 1]),
                self._index,
                self.n_documents,
                pruned_from,
                words,
                workspace,
                scores[first:last],
                ordinals[first:last],
                counts,
            )
            self._workspaces.give_back(workspace)
            return counts

        counts = np.sum(in_threads(run, n_queries, n_threads), axis=0)
        return TopK(*_widen(scores, ordinals, k), counters(counts))

    def _known_terms(
        self, components: NDArray[np.integer[Any]], values: Float32s, indptr: Int64s
    ) -> Queries:
        """The query terms that have a posting list."""
        lists, found = self._lists_of(components)
        ends = np.concatenate(([0], np.cumsum(found, dtype=np.int64)))[indptr]
        known = components[found].astype(np.int32, copy=False)
        return Queries(lists[found], known, values[found], ends)

    def _lists_of(self, components: NDArray[Any]) -> tuple[Int64s, NDArray[np.bool_]]:
        """Each component's list by number, and whether it has one."""
        known = self._index.lists.components
        if not known.size:
            return np.zeros(components.size, np.int64), np.zeros(components.size, np.bool_)
        lists = np.minimum(np.searchsorted(known, components), known.size - 1)
        return lists, known[lists] == components

    def write(self, file: BinarySink) -> None:
        """Write the index into an open file, without the document vectors."""
        write_arrays(file, KIND, stored(self._index), self._meta())

    def save(self, path: str | PathLike[str]) -> None:
        """Write the index and the document vectors to one file, atomically."""
        arrays = stored(self._index) | stored_documents(self._index.documents)
        save_arrays(path, KIND, arrays, self._meta())

    @classmethod
    def open(cls, path: str | PathLike[str], memory: Literal["map", "load"] = "map") -> Self:
        """Open a saved index, memory-mapped or loaded.

        Raises:
            CorruptFile, UnsupportedVersion: the file cannot be used.
        """
        return cls._from_file(*load_arrays(path, KIND, memory), None, str(path))

    @classmethod
    def read(cls, data: memoryview, where: str, vectors: Vectors | None = None) -> Self:
        """The index in a file's bytes.

        Args:
            where: names the file in errors.
            vectors: what it was built of, where the file does not hold it. Without, searches read
                every posting of a query.
        """
        return cls._from_file(*read_arrays(data, KIND, where), vectors, where)

    @classmethod
    def _from_file(
        cls,
        arrays: dict[str, NDArray[Any]],
        meta: dict[str, Any],
        vectors: Vectors | None,
        where: str,
    ) -> Self:
        documents = documents_in(arrays) if vectors is None else documents_of(vectors)
        index = index_in(arrays, documents or NO_DOCUMENTS, where)
        return cls(frozen(index), int(meta["n_documents"]), int(meta["dim"]))

    def _meta(self) -> dict[str, int]:
        return {"n_documents": self.n_documents, "dim": self.dim}


def documents_scored(k: int, n_documents: int) -> float:
    """Documents that must be scored by themselves where terms are left out, about: in each window,
    those that are among the k best so far."""
    return k * (1 + math.log(max(n_documents / WINDOW, 1)))


def least_postings(k: int, n_documents: int) -> int:
    """Postings of a query from which terms are left out."""
    return round(PRUNED_FROM * max(100.0, documents_scored(k, n_documents)))


def frozen(index: Index) -> Index:
    """The same arrays as read-only views: kernels are compiled anew for every other kind."""

    def views(part: Any) -> Any:
        found = [np.ascontiguousarray(array).view() for array in part]
        for view in found:
            view.flags.writeable = False
        return type(part)(*found)

    return Index(*(views(part) for part in index))


def _widen(scores: Float32s, ordinals: Int64s, k: int) -> tuple[Float32s, Int64s]:
    """Pad results to k columns: kernels never get a k above the number of documents."""
    if scores.shape[1] == k:
        return scores, ordinals
    wide_scores, wide_ordinals = empty_results(scores.shape[0], k)
    wide_scores[:, : scores.shape[1]] = scores
    wide_ordinals[:, : ordinals.shape[1]] = ordinals
    return wide_scores, wide_ordinals
