"""Dense search: the k vectors with the largest inner products or cosines, by FAISS.

The vectors themselves are kept in float32 beside whatever index FAISS makes of them, so that every
score is exact: an index only proposes candidates, which are then scored and ordered here. That
also makes a vector's score for a query the same bits wherever it is asked for.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexidex.errors import CorruptFile, ParameterError

from ..allowed import Allowed, as_allowed
from ..batch import check_k, in_threads
from ..ranges import ranges
from ..storage.arrays import BinarySink, load_arrays, read_arrays, save_arrays, write_arrays
from ..topk import Counters, TopK, empty_results
from ..vectors import Float32s, Int64s
from .nearest import ROUNDING, flat, nearest
from .params import FLAT, DenseParams, DenseSearchParams
from .products import inner_products
from .vectors import Metric, as_dense

KIND = "dense-index"


class DenseIndex:
    """Dense vectors of passages; build with `DenseIndex.build`, or `open` a saved one.

    A passage may have any number of vectors, and its score is that of the best (the multi-vector
    encoder of arXiv 2005.00181); one without any is never found. Immutable; safe to search from
    many threads.
    """

    def __init__(
        self, arrays: dict[str, NDArray[Any]], meta: dict[str, Any], where: str = "memory"
    ) -> None:
        """Wrap arrays as `build` lays them out; use `build` or `open` instead."""
        self._arrays = arrays
        self._meta = meta
        self._where = where
        self.n_passages = int(meta["n_passages"])
        self.metric: Metric = meta["metric"]
        self.factory: str = meta["factory"]

    @classmethod
    def build(
        cls,
        vectors: ArrayLike,
        params: DenseParams | None = None,
        *,
        owners: ArrayLike | None = None,
        n_passages: int | None = None,
        n_threads: int = 1,
        checked: bool = False,
    ) -> Self:
        """Index vectors, numbers (n_vectors, d).

        Args:
            params: None takes the defaults.
            owners: the passage that each vector belongs to, int (n_vectors,), ascending; vector i
                belongs to passage i when None.
            n_passages: number of passages, of which some may have no vector.
            checked: vectors are what an index held before, and stay so to the last bit.

        Raises:
            ParameterError: a shape or a value does not fit, or FAISS cannot make such an index.
        """
        params = params or DenseParams()
        batch = np.asarray(vectors) if checked else as_dense(vectors, params.metric)
        arrays: dict[str, NDArray[Any]] = {"vectors": batch}
        n_owners = batch.shape[0]
        if owners is not None:
            arrays["owners"] = _checked_owners(owners, batch.shape[0], n_passages)
            n_owners = int(arrays["owners"][-1]) + 1 if batch.shape[0] else 0
        factory = params.factory_for(batch.shape[0])
        if factory != FLAT:
            from . import faiss_index

            arrays["faiss"] = faiss_index.build(batch, factory, n_threads)
        meta = {
            "n_passages": n_owners if n_passages is None else n_passages,
            "metric": params.metric,
            "asked_factory": params.factory,
            "factory": factory,
            "longest": float(np.linalg.norm(batch, axis=1).max(initial=0.0)),
        }
        return cls(arrays, meta)

    @property
    def params(self) -> DenseParams:
        """What it was built with."""
        return DenseParams(self.metric, self._meta["asked_factory"])

    def asked_for(self, params: DenseParams) -> Self:
        """The same index as one for which other parameters were asked, for when it grows."""
        return type(self)(self._arrays, {**self._meta, "asked_factory": params.factory})

    @property
    def dim(self) -> int:
        """Number of dimensions."""
        return int(self._arrays["vectors"].shape[1])

    @property
    def one_each(self) -> bool:
        """Whether every passage has one vector; but for the last ones, which may have none."""
        return "owners" not in self._arrays

    @property
    def n_bytes(self) -> int:
        """Bytes of all arrays, on disk and in memory alike."""
        return sum(array.nbytes for array in self._arrays.values())

    @property
    def vectors(self) -> Float32s:
        """The vectors, float32 (n_vectors, d); of unit length for cosines."""
        vectors: Float32s = self._arrays["vectors"]
        return vectors

    @property
    def owners(self) -> Int64s:
        """The passage that each vector belongs to, int64 (n_vectors,), ascending."""
        if "owners" in self._arrays:
            return self._arrays["owners"]
        return np.arange(self.vectors.shape[0])

    @property
    def lower_bound(self) -> float | None:
        """The least score that there can be: -1 for cosines, None for inner products."""
        return -1.0 if self.metric == "cosine" else None

    def search(
        self,
        queries: ArrayLike,
        k: int = 10,
        params: DenseSearchParams | None = None,
        *,
        n_threads: int = 1,
        allowed: Allowed | ArrayLike | None = None,
    ) -> TopK:
        """The k best passages of each query, by the largest score of a vector of theirs.

        Args:
            queries: numbers (n_queries, d).
            k: results a query, at least 1.
            params: None takes the defaults.
            n_threads: threads over queries.
            allowed: only these passages are returned: bool (n_passages,), or ordinals, or an
                `Allowed` made of either.

        Returns:
            scores float32 (n_queries, k) and ordinals int64 (n_queries, k) of passages; empty
            places hold -inf and -1. Equal scores: lower ordinal first. Counters tell how many
            vectors were compared, or came up in the index.
        """
        check_k(k)
        batch = as_dense(queries, self.metric, self.dim, name="queries")
        chosen = as_allowed(allowed, self.n_passages)
        vectors_allowed = None if chosen is None else self._vectors_of(chosen)
        scores, ordinals = empty_results(batch.shape[0], k)
        exact = np.zeros(batch.shape[0], dtype=np.bool_)

        def run(first: int, last: int) -> int:
            found = scores[first:last], ordinals[first:last], exact[first:last]
            return self._search(batch[first:last], params, vectors_allowed, *found)

        work = sum(in_threads(run, batch.shape[0], n_threads))
        return TopK(scores, ordinals, Counters(documents_scored=work), exact)

    def score(self, query: ArrayLike, passages: NDArray[np.integer[Any]]) -> Float32s:
        """The scores of chosen passages for one query (d,); float32, NaN without a vector."""
        unit = as_dense(np.atleast_2d(np.asarray(query)), self.metric, self.dim, name="query")[0]
        if "owners" not in self._arrays:
            known = passages < self.vectors.shape[0]
            scores = np.full(passages.size, np.nan, dtype=np.float32)
            scores[known] = self._products(unit, passages[known])
            return scores
        starts, counts = self._spans(passages)
        scores = np.full(passages.size, np.nan, dtype=np.float32)
        some = np.flatnonzero(counts)
        places = ranges(starts[some], counts[some])
        bounds = np.cumsum(counts[some]) - counts[some]
        if some.size:
            scores[some] = np.maximum.reduceat(self._products(unit, places), bounds)
        return scores

    def rows_of(self, passages: NDArray[np.integer[Any]]) -> tuple[Float32s, Int64s]:
        """The vectors of chosen passages, float32 (n, d), and the place of each one's passage.

        Places are those in `passages`, int64 (n,), ascending; a passage without a vector has none.
        """
        if "owners" not in self._arrays:
            places = np.flatnonzero(passages < self.vectors.shape[0])
            return self.vectors[passages[places]], places
        starts, counts = self._spans(passages)
        return self.vectors[ranges(starts, counts)], np.repeat(np.arange(passages.size), counts)

    def _spans(self, passages: NDArray[np.integer[Any]]) -> tuple[Int64s, Int64s]:
        """The first vector of each passage, and how many it has."""
        starts = np.searchsorted(self.owners, passages, side="left")
        return starts, np.searchsorted(self.owners, passages, side="right") - starts

    def _search(
        self,
        queries: Float32s,
        params: DenseSearchParams | None,
        allowed: Allowed | None,
        scores: Float32s,
        ordinals: Int64s,
        exact: NDArray[np.bool_],
    ) -> int:
        """Fill in the results of some queries; how many vectors were compared."""
        params = params or DenseSearchParams()
        k, most = scores.shape[1], self.vectors.shape[0] if allowed is None else allowed.count
        depth = k if "owners" not in self._arrays else 2 * k
        rows, compared = np.arange(queries.shape[0]), 0
        while rows.size:
            wanted, unfinished = min(depth, most), []
            proposed, exact[rows], work = self._candidates(queries[rows], wanted, params, allowed)
            compared += work
            for row, candidates in zip(rows.tolist(), proposed, strict=True):
                found = self._best(queries[row], candidates)
                if found[0].size < k and wanted < most:
                    unfinished.append(row)
                n = min(k, found[0].size)
                scores[row, :n], ordinals[row, :n] = found[0][:n], found[1][:n]
            rows = np.array(unfinished, dtype=np.int64)
            if rows.size:
                depth, params = 2 * depth, replace(params, deepen=True)
        return compared

    def _best(self, query: Float32s, candidates: Int64s) -> tuple[Float32s, Int64s]:
        """Scores and passages of candidate vectors, best first, each passage once."""
        scores = self._products(query, candidates)
        if "owners" not in self._arrays:
            order = np.lexsort((candidates, -scores))
            return scores[order], candidates[order]
        owners = self.owners[candidates]
        order = np.lexsort((owners, -scores))
        _, first = np.unique(owners[order], return_index=True)
        best = order[np.sort(first)]
        return scores[best], owners[best]

    def _products(self, query: Float32s, rows: NDArray[np.integer[Any]]) -> Float32s:
        """Inner products of chosen vectors with one query, float32 (n,)."""
        products = np.empty(rows.size, dtype=np.float32)
        inner_products(self._flat, query, rows.astype(np.int64, copy=False), products)
        return products

    def _candidates(
        self,
        queries: Float32s,
        wanted: int,
        params: DenseSearchParams,
        allowed: Allowed | None,
    ) -> tuple[list[Int64s], NDArray[np.bool_], int]:
        """Vectors that may be the `wanted` best of each query, for which of them all were compared,
        and how many were compared for that."""
        proposed: list[Int64s | None] = [None] * len(queries)
        work = 0
        if self._faiss is not None and not params.exact and wanted:
            from .proposing import propose

            for row, query in enumerate(queries):
                proposed[row], n = propose(self._faiss, query, wanted, params, allowed)
                work += n
        exact = np.array([one is None for one in proposed], dtype=np.bool_)
        known = [one for one in proposed if one is not None]
        if len(known) == len(queries):
            return known, exact, work
        ordinals = None if allowed is None else allowed.ordinals
        tolerance = ROUNDING * float(self._meta["longest"])
        compared = iter(nearest(queries[exact], self.vectors, wanted, tolerance, ordinals))
        work += int(exact.sum()) * (self.vectors.shape[0] if allowed is None else allowed.count)
        return [next(compared) if one is None else one for one in proposed], exact, work

    @cached_property
    def _flat(self) -> Float32s:
        """The vectors one behind the other."""
        return flat(self.vectors)

    @cached_property
    def _faiss(self) -> Any:
        """FAISS's index over the vectors; None where they are compared one after another."""
        if "faiss" not in self._arrays:
            return None
        from . import faiss_index

        index = faiss_index.view(self._arrays["faiss"], self._where)
        if (index.ntotal, index.d) != self.vectors.shape:
            raise CorruptFile(
                f"{self._where}: {index.ntotal} vectors of {index.d} dimensions in FAISS's index; "
                f"expected {self.vectors.shape[0]} of {self.vectors.shape[1]}"
            )
        return index

    def _vectors_of(self, allowed: Allowed) -> Allowed:
        """The vectors of allowed passages."""
        n_vectors = self.vectors.shape[0]
        if "owners" not in self._arrays and n_vectors == self.n_passages:
            return allowed
        passages = np.zeros(self.n_passages, dtype=np.bool_)
        passages[allowed.ordinals] = True
        return Allowed(passages[self.owners], n_vectors)

    def write(self, file: BinarySink) -> None:
        """Write the index into an open file."""
        write_arrays(file, KIND, self._arrays, self._meta)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the index to one file, atomically."""
        save_arrays(path, KIND, self._arrays, self._meta)

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
        complete = "vectors" in arrays and ("faiss" in arrays or meta.get("factory") == FLAT)
        if not complete:
            raise CorruptFile(f"{where}: not a complete {KIND}")
        return cls(arrays, meta, where)


def _checked_owners(owners: ArrayLike, n_vectors: int, n_passages: int | None) -> Int64s:
    given = np.asarray(owners)
    if given.shape != (n_vectors,) or (given.size and given.dtype.kind not in "iu"):
        raise ParameterError(
            f"owners: {given.dtype} of shape {given.shape}; expected integers ({n_vectors},)"
        )
    checked = given.astype(np.int64)
    if checked.size and (checked[0] < 0 or (np.diff(checked) < 0).any()):
        raise ParameterError("owners: expected passage numbers from 0, ascending")
    if n_passages is not None and checked.size and checked[-1] >= n_passages:
        raise ParameterError(f"owners: passage {checked[-1]} of {n_passages}")
    return checked
