"""Approximate search: Seismic over learned sparse vectors.

After Bruch, Nardini, Rulli, Venturini: "Efficient Inverted Indexes for Approximate Retrieval over
Learned Sparse Representations" (SIGIR 2024, arXiv 2404.18812). The modules say where this differs.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexidex.errors import CorruptFile, ParameterError

from ..allowed import Allowed, as_allowed, words_of
from ..batch import check_k, in_threads
from ..entry import Entry
from ..storage.arrays import BinarySink, load_arrays, save_arrays, write_arrays
from ..topk import TopK, empty_results
from ..vectors import Components, Float32s, Int64s, Vectors, as_vector, as_vectors
from .crew import Progress
from .format import KIND as KIND
from .format import Arrays, restored, stored
from .frontier import Frontier, check_accuracy
from .params import BuildParams, SearchParams
from .proposing import propose_documents
from .records import Records, view_records
from .route import Route, choose_route
from .search import Queries, is_canonical, search_blocks, search_documents
from .summaries import Summaries
from .traversal import ALL_IN_ORDER, Postings
from .tuning import tune_index
from .vocabulary import Numbering, number_table
from .workspace import N_COUNTS, WorkspacePool, counters

_DEFAULTS = SearchParams()
_is_canonical = Entry(is_canonical)


class SeismicIndex:
    """Posting lists in blocks with summaries, over compact document records.

    Build with `SeismicIndex.build` or a `SeismicBuilder`, or `open` a saved one. Immutable but for
    `frontier`, which tuning replaces as a whole; safe to search from many threads.

    Attributes:
        frontier: what tuning has found, kept with the index; empty before.
    """

    def __init__(
        self,
        arrays: Arrays,
        n_documents: int,
        dim: int,
        params: BuildParams,
        seed: int,
        frontier: Frontier | None = None,
    ) -> None:
        """Wrap arrays as a builder lays them out; use `build` or `open` instead."""
        for array in arrays.values():
            array.flags.writeable = False
        self._arrays = arrays
        self.n_documents = n_documents
        self.dim = dim
        self.params = params
        self.seed = seed
        self.frontier = frontier or Frontier()
        components = arrays["components"]
        self.records: Records = view_records(
            arrays["documents"], arrays["records"], components.size, params.value_type
        )
        self._numbering = Numbering(components, number_table(components))
        self._postings = Postings(arrays["block_starts"], arrays["ordinals"])
        self._summaries = Summaries(
            arrays["lists"], arrays["impacts"], arrays["buckets"], arrays["entries"]
        )
        sizes = np.diff(arrays["block_starts"][arrays["lists"]["block"]].astype(np.int64))
        self._longest_list = int(sizes.max(initial=0))
        self._workspaces = WorkspacePool(n_documents, arrays["lists"])
        self._search_blocks = Entry(search_blocks)
        self._propose_documents = Entry(propose_documents)
        self._search_documents = Entry(search_documents)

    @classmethod
    def build(
        cls,
        vectors: Vectors,
        params: BuildParams | None = None,
        *,
        n_threads: int = 1,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> SeismicIndex:
        """Index a csr_array (n_documents, dim) of document vectors.

        The same vectors, parameters and seed give the same index, whatever the threads.

        Args:
            params: None stands for BuildParams().
            n_threads: threads over documents and lists.
            seed: from 0 to 2**31 - 1; what centroids are drawn with.
            progress: called some hundred times from this thread.

        Raises:
            ParameterError: a value is negative, NaN or infinite; n_threads or seed is out of its
                range.
        """
        from .builder import SeismicBuilder  # which imports this module

        builder = SeismicBuilder(params).add(vectors, progress=progress)
        return builder.finish(n_threads=n_threads, seed=seed, progress=progress)

    @property
    def components(self) -> Components:
        """The components that documents have, int32, ascending."""
        return self._arrays["components"]

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
        allowed: Allowed | ArrayLike | None = None,
        accuracy: float | None = None,
        sought: int | None = None,
    ) -> TopK:
        """The k best documents of each query, by inner product; a few may be missed.

        Args:
            queries: csr_array (n_queries, dim); components that no document has add nothing.
            k: results a query, at least 1; a document without a common component is never one.
            params: None stands for SearchParams().
            n_threads: threads over queries.
            allowed: only these documents are scored and returned: bool (n_documents,), or
                ordinals in any order, or an `Allowed` made of either once for many searches. The
                search is widened as they become fewer, and exact where they are few.
            accuracy: instead of params: above 0, at most 1, the share of the exact results that is
                to be found. Takes the cheapest parameters that `tune` has found to reach it for
                this k, or for the next larger k that it was called with; the most accurate ones
                where none reach it.
            sought: unless None or k and more, search for this many alone; the others of the k are
                the likeliest of what is rated on the way to these. Candidates to be scored anew,
                in a fraction of the time: scores are upper bounds, then.

        Returns:
            scores float32 (n_queries, k), inner products at the precision of the index's value
            type, and ordinals int64 (n_queries, k); empty places hold -inf and -1. Equal scores:
            lower ordinal first.

        Raises:
            ParameterError: an argument is out of its range; accuracy and params are given, or
                accuracy and `tune` was not called for a k so large.
        """
        if accuracy is not None:
            params = self._tuned(params, accuracy, k)
        batch = as_vectors(queries, name="queries")
        n_terms = int(np.diff(batch.indptr).max(initial=0))
        canonical = Queries(
            _frozen(batch.indices, np.int32),
            _frozen(batch.data, np.float32),
            _frozen(batch.indptr, np.int64),
        )
        return self._search(canonical, n_terms, k, params, n_threads, allowed, sought)

    def search_one(
        self,
        components: ArrayLike,
        values: ArrayLike,
        k: int = 10,
        params: SearchParams | None = None,
        *,
        allowed: Allowed | ArrayLike | None = None,
        accuracy: float | None = None,
        sought: int | None = None,
    ) -> TopK:
        """The k best documents of one query given as components and values; shapes (1, k)."""
        if accuracy is not None:
            params = self._tuned(params, accuracy, k)
        query = _as_query(components, values)
        return self._search(query, query.values.size, k, params, 1, allowed, sought)

    def tune(
        self,
        queries: Vectors | None = None,
        k: int = 10,
        accuracy: float = 0.95,
        *,
        exact: ArrayLike | None = None,
        n_threads: int = 1,
    ) -> SearchParams:
        """Find the fastest search parameters that reach an accuracy, and keep what was learned.

        Half of the queries find parameters, the other half verifies them: what is chosen reaches
        the accuracy on the first, and on the second with the standard error to spare. The table of
        points for this k becomes part of the index, for `search(..., accuracy=...)`; save the index
        to keep it. The same index and queries give the same table, whatever else the machine does.

        Args:
            queries: csr_array (n_queries, dim) like those to come; at least 10 that have a result,
                a few hundred are better, and of more than 1,000 as many evenly spaced ones are
                used. None makes some from documents, which come out a little less precise.
            k: results a query.
            accuracy: above 0, at most 1: share of the exact k best that is to be found.
            exact: int64 (n_queries, at least k), ordinals of the exact results of the queries,
                where they are known; else every document is scored for every query.
            n_threads: threads over queries.

        Returns:
            The parameters; `expected_accuracy` is the accuracy on the verifying half. Where none
            reach the accuracy, the most accurate, with a warning.

        Raises:
            ParameterError: an argument is out of its range, the queries are too few, or the index
                has too few documents.
        """
        check_accuracy(accuracy)
        self.frontier = tune_index(self, queries, k, exact, n_threads)
        best = self.frontier.of(k)[-1]
        if best.assured < accuracy:
            warnings.warn(
                f"tune: accuracy@{k} of {accuracy:g} is not assured; the best parameters reached "
                f"{best.accuracy:.4f}, of which {best.assured:.4f} can be counted on: build with "
                "BuildParams.accurate(), give more queries, ask for less, or search exactly",
                stacklevel=2,
            )
        return self.frontier.choose(k, accuracy)

    def _tuned(self, params: SearchParams | None, accuracy: float, k: int) -> SearchParams:
        """What tuning found for an accuracy, which is given instead of params."""
        if params is not None:
            raise ParameterError("accuracy and params: give one of them")
        return self.frontier.choose(k, accuracy)

    def _search(
        self,
        queries: Queries,
        n_terms: int,
        k: int,
        params: SearchParams | None,
        n_threads: int,
        allowed: Allowed | ArrayLike | None,
        sought: int | None,
    ) -> TopK:
        """Search with canonical queries, the longest of which has `n_terms` components."""
        check_k(k)
        if sought is not None:
            check_k(sought, "sought")
        chosen = as_allowed(allowed, self.n_documents)
        route = self.route(params, k, chosen)
        n_queries = queries.indptr.size - 1
        scores = np.empty((n_queries, k), dtype=np.float32)
        ordinals = np.empty((n_queries, k), dtype=np.int64)

        def run(first: int, last: int) -> Int64s:
            share = Queries(queries.components, queries.values, queries.indptr[first : last + 1])
            results = scores[first:last], ordinals[first:last]
            return self._run(share, n_terms, route, chosen, sought, *results)

        if n_queries == 1:  # without what sharing among threads costs
            counts = self._run(queries, n_terms, route, chosen, sought, scores, ordinals)
        else:
            counts = np.sum(in_threads(run, n_queries, n_threads), axis=0)
        return TopK(scores, ordinals, counters(counts, self.records))

    def _run(
        self,
        queries: Queries,
        n_terms: int,
        route: Route,
        allowed: Allowed | None,
        sought: int | None,
        scores: Float32s,
        ordinals: Int64s,
    ) -> Int64s:
        """Fill scores and ordinals; what was done, by the places in `counts`."""
        k = scores.shape[1]
        counts = np.zeros(N_COUNTS, dtype=np.int64)
        query_cut = min(route.query_cut, n_terms)
        workspace = self._workspaces.take(query_cut, n_terms)
        if route.is_exact:
            self._search_documents.call(
                queries,
                ALL_IN_ORDER if allowed is None else allowed.ordinals,
                self.n_documents if allowed is None else allowed.count,
                self._numbering,
                self.records,
                workspace,
                scores,
                ordinals,
                counts,
            )
        else:
            way = (
                queries,
                query_cut,
                route.heap_factor,
                words_of(allowed),
                self._numbering,
                self._summaries,
                self._postings,
                self.records,
                workspace,
            )
            if sought is None or sought >= k:
                self._search_blocks.call(*way, scores, ordinals, counts)
            else:
                (best,), (places,) = empty_results(1, sought)
                self._propose_documents.call(*way, best, places, scores, ordinals, counts)
        self._workspaces.give_back(workspace)
        return counts

    def route(self, params: SearchParams | None, k: int, allowed: Allowed | None = None) -> Route:
        """How a search with these arguments goes: see route.py."""
        n_allowed = self.n_documents if allowed is None else allowed.count
        return choose_route(params or _DEFAULTS, k, self._longest_list, self.n_documents, n_allowed)

    def write(self, file: BinarySink) -> None:
        """Write the index into an open file."""
        write_arrays(file, KIND, stored(self._arrays), self._meta())

    def save(self, path: str | PathLike[str]) -> None:
        """Write the index to one file, atomically."""
        save_arrays(path, KIND, stored(self._arrays), self._meta())

    @classmethod
    def open(cls, path: str | PathLike[str], memory: Literal["map", "load"] = "map") -> Self:
        """Open a saved index, memory-mapped or loaded.

        Raises:
            CorruptFile, UnsupportedVersion: the file cannot be used.
        """
        return cls.restore(*load_arrays(path, KIND, memory), str(path))

    @classmethod
    def restore(cls, arrays: Arrays, meta: dict[str, Any], where: str) -> Self:
        """The index whose file holds these arrays and this meta; `where` is for messages.

        Raises:
            CorruptFile: they are not what `write` wrote.
        """
        try:
            params = BuildParams(**meta["params"])
            n_documents, dim, seed = (int(meta[name]) for name in ("n_documents", "dim", "seed"))
            frontier = Frontier.restore(meta.get("frontier", []), where)
        except (KeyError, TypeError, ParameterError) as error:
            raise CorruptFile(f"{where}: not a whole {KIND}: {error}; build it again") from None
        whole = restored(arrays, n_documents, params.value_type, where)
        return cls(whole, n_documents, dim, params, seed, frontier)

    def _meta(self) -> dict[str, Any]:
        return {
            "n_documents": self.n_documents,
            "dim": self.dim,
            "seed": self.seed,
            "params": asdict(self.params),
            "frontier": self.frontier.rows(),
        }


def _as_query(components: ArrayLike, values: ArrayLike) -> Queries:
    """One query; without the 7 microseconds of `as_vector` where the arrays are canonical."""
    if (
        isinstance(components, np.ndarray)
        and isinstance(values, np.ndarray)
        and components.dtype == np.int32
        and values.dtype == np.float32
        and components.ndim == 1
        and components.shape == values.shape
    ):
        ids, weights = _frozen(components, np.int32), _frozen(values, np.float32)
        if _is_canonical.call(ids, weights):
            return Queries(ids, weights, _ends(ids.size))
    ids, weights = as_vector(components, values, name="query")
    return Queries(_frozen(ids, np.int32), _frozen(weights, np.float32), _ends(ids.size))


def _ends(size: int) -> Int64s:
    ends = np.array([0, size])
    ends.flags.writeable = False
    return ends


def _frozen(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """The array, contiguous and read-only: kernels are compiled anew for every other kind."""
    frozen = np.ascontiguousarray(array, dtype).view()
    frozen.flags.writeable = False
    return frozen
