"""What a benchmark searches: a synthetic collection on disk, and its exact results.

Made once for a size and a seed, and found again in the same work folder. The arrays are plain
`.npy` files, because every engine runs in a process of its own.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from lexidex.index import ExactIndex
from lexidex.index.vectors import Components, Float32s, Int64s, Vectors, csr

from .. import synthetic, synthetic_kernels, synthetic_universe

DEPTH = 100
"""Exact results kept a query; no benchmark asks for more."""

SYNTHETIC = "synthetic"
"""The name of the collections that are generated."""

QUERY_SETS = ("tuning", "test", "short_tuning", "short_test")
COMPLETE = "complete"
"""The file that tells that a workload's folder is whole."""

_PARTS = ("indptr", "indices", "data")


@dataclass(frozen=True)
class Workload:
    """A collection and its queries in a folder."""

    folder: Path
    n_documents: int
    n_queries: int
    seed: int
    collection: str = SYNTHETIC

    def documents(self) -> Vectors:
        """The document vectors, loaded."""
        return load_vectors(self.folder / "documents")

    def queries(self, name: str) -> Vectors:
        """The queries of that set, one of QUERY_SETS."""
        return load_vectors(self.folder / name)

    def exact(self, name: str) -> Int64s:
        """Ordinals of the exact top 100 of a query set, int64 (n_queries, 100), -1 where empty."""
        ordinals: Int64s = np.load(self.folder / f"{name}.exact.npy")
        return ordinals


def prepare_workload(
    work: Path,
    n_documents: int,
    *,
    seed: int = 7,
    n_queries: int = 1000,
    n_threads: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> Workload:
    """The workload in its folder under `work`, made if it is not there."""
    name = f"synthetic-{n_documents}-{n_queries}-{seed}-{_generator_digest()}"
    workload = Workload(work / name, n_documents, n_queries, seed)
    if (workload.folder / COMPLETE).exists():
        return workload
    say(f"generating {n_documents:,} documents")
    collection = synthetic.generate(n_documents, seed=seed, n_queries=n_queries)
    queries = {name: getattr(collection, f"{name}_queries") for name in QUERY_SETS}
    save_workload(workload.folder, collection.documents, queries, n_threads=n_threads, say=say)
    return workload


def save_workload(
    folder: Path,
    documents: Vectors,
    queries: Mapping[str, Vectors],
    *,
    n_threads: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Write documents, query sets by name, and the queries' exact results to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_vectors(folder / "documents", documents)
    say("searching them exactly")
    exact = ExactIndex.build(documents)
    for name, batch in queries.items():
        save_vectors(folder / name, batch)
        ordinals = exact.search(batch, DEPTH, n_threads=n_threads).ordinals
        np.save(folder / f"{name}.exact.npy", ordinals)
    (folder / COMPLETE).touch()


def save_vectors(stem: Path, vectors: Vectors) -> None:
    """Write a csr_array as `<stem>.indptr.npy` and so on."""
    for part in _PARTS:
        np.save(f"{stem}.{part}.npy", getattr(vectors, part))


def load_vectors(stem: Path) -> Vectors:
    """The csr_array that `save_vectors` wrote, in canonical form."""
    indptr, indices, data = (np.load(f"{stem}.{part}.npy") for part in _PARTS)
    return csr(data, indices, indptr, synthetic_universe.DIM)


def rows(vectors: Vectors) -> Iterator[tuple[Components, Float32s]]:
    """The vectors one by one, as components and values."""
    for start, end in pairwise(vectors.indptr):
        yield vectors.indices[start:end], vectors.data[start:end]


def _generator_digest() -> str:
    """Changes with the generator, so that no folder of an older one is taken for the same."""
    digest = hashlib.sha256()
    for module in (synthetic, synthetic_kernels, synthetic_universe):
        digest.update(inspect.getsource(module).encode())
    return digest.hexdigest()[:8]
