"""Densified sparse vectors: one (value, component) pair for each slice of the vocabulary.

A vocabulary-sparse vector is cut into slices, component c falling into slice (c - first) mod
n_slices, and of each slice only the largest value is kept, with which component it is of. Two
vectors are compared by the *gated inner product*, the sum of the products in the slices in which
both keep the same component. Documents so become rows of fixed length beside dense vectors, and one
search adds both up (Lin and Lin, arXiv 2206.09912: A Dense Representation Framework for Lexical and
Semantic Matching). They keep values in 16-bit floats; here they are in 65,535 steps of the largest.
"""

from __future__ import annotations

from os import PathLike
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from lexidex.errors import CorruptFile, ParameterError

from .allowed import Allowed, as_allowed, words_of
from .amounts import is_amount, is_whole
from .batch import check_k, in_threads
from .dense import DenseParams, Metric
from .dense.vectors import as_dense
from .densified_kernels import scan_slices, score_chosen
from .storage.arrays import load_arrays, save_arrays
from .topk import Counters, TopK, empty_results
from .vectors import Float32s, Int64s, Vectors, as_vectors, csr

KIND = "densified-index"
STEPS = 65_535
_ARRAYS = ("codes", "places")


class Slicing(NamedTuple):
    """How a vocabulary is cut: see the module's text.

    Attributes:
        n_slices: 768 in the paper.
        first: components below it are dropped; 570 in the paper, where no word has a lower one.
    """

    n_slices: int = 768
    first: int = 0


def densify(vectors: Vectors, slicing: Slicing) -> Vectors:
    """Each vector with the largest value of each slice alone; of equal ones the lower component.

    Args:
        vectors: canonical, csr_array (n, dim).

    Returns:
        csr_array (n, dim), canonical; its inner products are the gated ones.
    """
    rows = np.repeat(np.arange(vectors.shape[0]), np.diff(vectors.indptr))
    kept = vectors.indices >= slicing.first
    rows, components, values = rows[kept], vectors.indices[kept], vectors.data[kept]
    slices = (components - slicing.first) % slicing.n_slices
    order = np.lexsort((components, -values, slices, rows))
    keys = rows[order] * slicing.n_slices + slices[order]
    largest = np.sort(order[np.concatenate(([True], keys[1:] != keys[:-1]))[: keys.size]])
    counts = np.bincount(rows[largest], minlength=vectors.shape[0])
    indptr = np.concatenate(([0], np.cumsum(counts)))
    return csr(values[largest], components[largest], indptr, vectors.shape[1])


class _Query(NamedTuple):
    """A query by its slices, largest value first; values times the size of a step."""

    slices: Int64s
    values: Float32s
    gates: NDArray[Any]

    def above(self, value: float) -> _Query:
        """The part with larger values."""
        n = int(np.count_nonzero(self.values > value))
        return _Query(self.slices[:n], self.values[:n], self.gates[:n])


class DensifiedIndex:
    """Densified vectors, and dense ones beside them; build with `DensifiedIndex.build`, or `open`.

    Immutable; safe to search from many threads.
    """

    def __init__(self, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> None:
        """Wrap arrays as `build` lays them out; use `build` or `open` instead."""
        self._arrays = arrays
        self._meta = meta
        self.slicing = Slicing(int(meta["n_slices"]), int(meta["first"]))
        self.n_documents = int(arrays["codes"].shape[1])
        self._step = np.float32(meta["step"])

    @classmethod
    def build(
        cls,
        vectors: Vectors,
        dense: ArrayLike | None = None,
        *,
        slicing: Slicing | None = None,
        metric: Metric = "cosine",
    ) -> Self:
        """Densify and index csr_array (n, dim) document vectors.

        Args:
            vectors: any sparse vectors with positive values.
            dense: numbers (n, d), the same documents' dense vectors, if they have any.
            slicing: None takes the defaults.
            metric: how dense vectors are compared.

        Raises:
            ParameterError: a value does not fit, or slices have more than 65,536 components.
        """
        slicing = slicing or Slicing()
        documents = as_vectors(vectors)
        n, dim = documents.shape
        if not (is_whole(slicing.n_slices, 1) and is_whole(slicing.first, 0)):
            raise ParameterError(f"slicing: {slicing}; expected 1 slice or more, and first >= 0")
        DenseParams(metric)  # which refuses an unknown one
        width = -(-max(dim - slicing.first, 1) // slicing.n_slices)
        if width > 1 << 16:
            raise ParameterError(
                f"slicing: {slicing.n_slices} slices of {width:,} components; take more slices, "
                "so that each has at most 65,536"
            )
        kept = densify(documents, slicing)
        step = float(kept.data.max(initial=0.0)) / STEPS or 1.0
        codes = np.zeros((slicing.n_slices, n), dtype=np.uint16)
        places = np.zeros((slicing.n_slices, n), dtype=np.uint8 if width <= 256 else np.uint16)
        columns = np.repeat(np.arange(n), np.diff(kept.indptr))
        place, number = np.divmod(kept.indices - slicing.first, slicing.n_slices)
        codes[number, columns] = np.maximum(np.rint(kept.data / step), 1)
        places[number, columns] = place
        arrays: dict[str, NDArray[Any]] = {"codes": codes, "places": places}
        if dense is not None:
            arrays["dense"] = as_dense(dense, metric, name="dense")
            if arrays["dense"].shape[0] != n:
                raise ParameterError(f"dense: {arrays['dense'].shape[0]} vectors for {n} documents")
        meta = {**slicing._asdict(), "dim": dim, "step": step, "metric": metric}
        return cls(arrays, meta)

    @property
    def n_bytes(self) -> int:
        """Bytes of all arrays, on disk and in memory alike."""
        return sum(array.nbytes for array in self._arrays.values())

    def search(
        self,
        queries: Vectors,
        k: int = 10,
        *,
        dense: ArrayLike | None = None,
        dense_weight: float = 1.0,
        theta: float = 0.0,
        refine: int = 10,
        allowed: Allowed | ArrayLike | None = None,
        n_threads: int = 1,
    ) -> TopK:
        """The k best documents of each query, by gated inner product, plus the dense one if given.

        Args:
            queries: csr_array (n_queries, dim).
            k: results a query, at least 1. Without dense vectors, documents that share nothing
                with the query are none.
            dense: numbers (n_queries, d), for an index with dense vectors.
            dense_weight: what dense scores are multiplied by.
            theta: find candidates by slices in which the query's value is above it alone, and
                score refine x k of them by all slices; 0 is exact.
            refine: see theta.
            allowed: only these documents are returned: a mask, ordinals, or an `Allowed`.
            n_threads: threads over queries.

        Returns:
            scores float32 (n_queries, k) and ordinals int64 (n_queries, k); empty places hold
            -inf and -1. Equal scores: lower ordinal first.

        Raises:
            ParameterError: a value does not fit, or dense vectors on one side alone.
        """
        check_k(k)
        for name, value in (("dense_weight", dense_weight), ("theta", theta)):
            if not is_amount(value):
                raise ParameterError(f"{name}: {value!r}; expected a number of at least 0")
        if not is_whole(refine, 1):
            raise ParameterError(f"refine: {refine!r}; expected an integer of at least 1")
        kept = densify(as_vectors(queries, name="queries"), self.slicing)
        words = words_of(as_allowed(allowed, self.n_documents))
        vectors = self._dense_queries(dense, kept.shape[0])
        scores, ordinals = empty_results(kept.shape[0], k)

        def run(first: int, last: int) -> int:
            work = 0
            for row in range(first, last):
                query = candidates = self._query(kept, row)
                if theta > 0:
                    candidates = query.above(theta * float(self._step))
                base = np.empty(0, dtype=np.float32)
                if vectors is not None:
                    base = np.float32(dense_weight) * (self._arrays["dense"] @ vectors[row])
                depth = k if candidates is query else refine * k
                found = _search_one(self._arrays, query, candidates, base, words, k, depth)
                scores[row, : found[0].size], ordinals[row, : found[0].size] = found
                work += candidates.slices.size * self.n_documents
            return work

        work = sum(in_threads(run, kept.shape[0], n_threads))
        return TopK(scores, ordinals, Counters(postings_scored=work))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the index to one file, atomically."""
        save_arrays(path, KIND, self._arrays, self._meta)

    @classmethod
    def open(cls, path: str | PathLike[str], memory: Literal["map", "load"] = "map") -> Self:
        """Open a saved index, memory-mapped or loaded.

        Raises:
            CorruptFile, UnsupportedVersion: the file cannot be used.
        """
        arrays, meta = load_arrays(path, KIND, memory)
        if not all(name in arrays for name in _ARRAYS):
            raise CorruptFile(f"{path}: not a complete {KIND}")
        return cls(arrays, meta)

    def stored(self) -> Vectors:
        """The documents' densified vectors as they are stored, csr_array (n, dim)."""
        number, column = np.nonzero(self._arrays["codes"])
        place = self._arrays["places"][number, column].astype(np.int64)
        components = place * self.slicing.n_slices + number + self.slicing.first
        values = self._arrays["codes"][number, column] * self._step
        shape = (self.n_documents, int(self._meta["dim"]))
        return as_vectors(sparse.csr_array((values, (column, components)), shape=shape))

    def _query(self, kept: Vectors, row: int) -> _Query:
        part = slice(kept.indptr[row], kept.indptr[row + 1])
        order = np.argsort(-kept.data[part], kind="stable")
        components = kept.indices[part][order].astype(np.int64) - self.slicing.first
        place, number = np.divmod(components, self.slicing.n_slices)
        here = components < int(self._meta["dim"]) - self.slicing.first
        values = kept.data[part][order][here] * self._step
        gates = place[here].astype(self._arrays["places"].dtype)
        return _Query(number[here], values, gates)

    def _dense_queries(self, dense: ArrayLike | None, n_queries: int) -> Float32s | None:
        if dense is None:
            return None
        if "dense" not in self._arrays:
            raise ParameterError("dense: the index was built without dense vectors")
        vectors = as_dense(
            dense, self._meta["metric"], self._arrays["dense"].shape[1], name="dense"
        )
        if vectors.shape[0] != n_queries:
            raise ParameterError(f"dense: {vectors.shape[0]} vectors for {n_queries} queries")
        return vectors


def _search_one(
    arrays: dict[str, NDArray[Any]],
    query: _Query,
    candidates: _Query,
    base: Float32s,
    words: NDArray[np.uint64],
    k: int,
    depth: int,
) -> tuple[Float32s, Int64s]:
    """Scores and ordinals of one query, best first; `candidates` is the part that finds them."""
    codes, places = arrays["codes"], arrays["places"]
    (scores,), (ordinals,) = empty_results(1, min(depth, max(codes.shape[1], 1)))
    n = scan_slices(codes, places, *candidates, base, words, scores, ordinals)
    if candidates is query:
        return scores[:n], ordinals[:n]
    exact = base[ordinals[:n]] if base.size else np.zeros(n, dtype=np.float32)
    score_chosen(codes, places, *query, ordinals[:n], exact)
    order = np.lexsort((ordinals[:n], -exact))[:k]
    return exact[order], ordinals[order]
