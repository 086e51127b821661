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

from ..allowed import Allowed
from ..vectors import Float32s, Int64s

_building = threading.Lock()
faiss.omp_set_num_threads(1)


def build(vectors: Float32s, factory: str, n_threads: int) -> NDArray[np.uint8]:
    """An index over vectors, as FAISS serialises it: uint8 (n_bytes,).

    Raises:
        ParameterError: FAISS knows no such index, or cannot train it on so few vectors.
    """
    try:
        with _building:
            faiss.omp_set_num_threads(n_threads)
            try:
                index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
                index.train(vectors)
                index.add(vectors)
                data: NDArray[np.uint8] = faiss.serialize_index(index)
            finally:
                faiss.omp_set_num_threads(1)
    except RuntimeError as error:
        raise ParameterError(
            f"factory: {factory!r} for {vectors.shape[0]:,} vectors of {vectors.shape[1]} "
            f"dimensions; FAISS says: {_reason(error)}"
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
        raise CorruptFile(f"{where}: FAISS cannot read its index: {_reason(error)}") from None


def search(
    index: Any, queries: Float32s, k: int, ef_search: int, n_probe: int, allowed: Allowed | None
) -> Int64s:
    """Ordinals of about the k nearest vectors of each query, int64 (n_queries, k); -1 where none.

    Args:
        ef_search: of HNSW: nodes kept while it is searched; fewer than k find what is met on the
            way to as many.
        n_probe: of IVF: lists looked at.
        allowed: only these vectors are found.
    """
    selector = None
    if allowed is not None:
        bits = allowed.words.view(np.uint8)
        selector = faiss.IDSelectorBitmap(-(-allowed.n_documents // 8), faiss.swig_ptr(bits))
    _, ordinals = index.search(queries, k, params=_parameters(index, selector, ef_search, n_probe))
    found: Int64s = ordinals
    return found


def _parameters(index: Any, selector: Any, ef_search: int, n_probe: int) -> Any:
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        inner = _parameters(index.index, selector, ef_search, n_probe)
        return faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(sel=selector, efSearch=ef_search)
    if isinstance(index, faiss.IndexIVF):
        return faiss.SearchParametersIVF(sel=selector, nprobe=n_probe)
    return faiss.SearchParameters(sel=selector)


def _reason(error: RuntimeError) -> str:
    """What FAISS says, without the place in its sources."""
    return str(error).strip().splitlines()[-1].rpartition("Error: ")[2] or "nothing"
