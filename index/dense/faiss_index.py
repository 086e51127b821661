"""All that is asked of FAISS: indexes over dense vectors that propose the nearest ones.

FAISS's files carry no checksums and load altered bytes silently, so its indexes are kept as arrays
of bytes within our own files, and read from the mapped memory without a copy. Threads are ours:
FAISS and PyTorch may each bring an OpenMP of their own, so FAISS's is held to one thread, except
while an index is built.
"""

from __future__ import annotations

import threading
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from lexidex.errors import CorruptFile, ParameterError

from ..vectors import Float32s, Int64s
from .factories import inner, parse, reason
from .params import TooFewVectors

_PER_NODE, _PER_CODE = 27.0, 0.5
"""Comparisons of float32 vectors that take as long as keeping one more node of a graph, and as
looking at one more code: CPU time on one core of an AMD EPYC, for HNSW32_SQ8, SQ8 and IVF1024,SQ8
of `lexidex.eval.synthetic_dense.generate_dense(100_000)`, about 2.7, .1 and .05 microseconds."""

_building = threading.Lock()
faiss.omp_set_num_threads(1)


def build(vectors: Float32s, factory: str, n_threads: int) -> NDArray[np.uint8]:
    """An index over vectors, as FAISS serialises it: uint8 (n_bytes,).

    Raises:
        TooFewVectors: it cannot be trained on so few.
        ParameterError: FAISS knows no such index.
    """
    index = parse(factory, vectors.shape[1])
    try:
        with _building:
            faiss.omp_set_num_threads(n_threads)
            try:
                index.train(vectors)
                index.add(vectors)
                data: NDArray[np.uint8] = faiss.serialize_index(index)
            finally:
                faiss.omp_set_num_threads(1)
    except RuntimeError as error:
        kind = TooFewVectors if "training points" in str(error) else ParameterError
        raise kind(
            f"factory: {factory!r} for {vectors.shape[0]:,} vectors of {vectors.shape[1]} "
            f"dimensions; FAISS says: {reason(error)}"
        ) from None
    return data


def view(data: NDArray[np.uint8], where: str) -> Any:
    """The index in its serialised bytes, which it reads where they lie; keep them alive.

    Raises:
        CorruptFile: FAISS cannot read them.
    """
    try:
        reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(data), data.size)
        return faiss.read_index(reader, faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise CorruptFile(f"{where}: FAISS cannot read its index: {reason(error)}") from None


def search(index: Any, queries: Float32s, k: int, ef_search: int, n_probe: int) -> Int64s:
    """Ordinals of about the k nearest vectors of each query, int64 (n_queries, k); -1 where none.

    Args:
        ef_search: of HNSW: nodes kept while it is searched; fewer than k find what is met on the
            way to as many.
        n_probe: of IVF: lists looked at, all where there are no more.

    Raises:
        ParameterError: FAISS cannot search an index of this kind.
    """
    k = min(k, index.ntotal)
    try:
        found: Int64s = index.search(queries, k, params=_parameters(index, ef_search, n_probe))[1]
    except RuntimeError as error:
        raise ParameterError(
            f"dense index: FAISS cannot search it: {reason(error)}; search with exact=True, or "
            "make the collection anew with another one"
        ) from None
    return found


def cost(index: Any, ef_search: int, n_probe: int) -> float:
    """How many vectors are compared one by one in about the time that a search takes."""
    index = inner(index)
    if isinstance(index, faiss.IndexHNSW):
        return _PER_NODE * ef_search
    if isinstance(index, faiss.IndexIVF):
        return _PER_CODE * float(index.ntotal) * n_probe / float(index.nlist)
    return _PER_CODE * float(index.ntotal)


def _parameters(index: Any, ef_search: int, n_probe: int) -> Any:
    """What FAISS takes for that effort; None where there is no choice of it."""
    kind = faiss.downcast_index(index)
    if isinstance(kind, faiss.IndexPreTransform):
        chosen = _parameters(kind.index, ef_search, n_probe)
        return chosen and faiss.SearchParametersPreTransform(index_params=chosen)
    if isinstance(kind, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=ef_search)
    if isinstance(kind, faiss.IndexIVF):
        return faiss.SearchParametersIVF(nprobe=min(n_probe, kind.nlist))
    return None
