"""Peers behind the same interface; each is imported only in the process that runs it.

pyseismic-lsr is Seismic's own implementation (Rust), kannolo a graph index over sparse vectors
(Rust), SciPy's column slices what one writes without any library, bm25s and splade-index exact
scoring over a column-major matrix (Numba).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from lexidex.index import BuildParams
from lexidex.index.vectors import Components, Float32s, Vectors

from .engines import SEISMIC_SERIES, Engine, Point, Variant
from .workload import rows

_ROWS_AT_ONCE = 50_000
BASELINE = "pyseismic f16"
"""The family that times are compared with."""

_GRAPH_LIMIT = 200_000
"""Documents above which building kannolo's graph would take hours."""


def approximate_peers(n_documents: int) -> list[Variant]:
    """Peers of the approximate index, in the configurations that suit them at this size.

    pyseismic-lsr: the winners of its authors' own grid search, not its shipped defaults, with as
    many postings as our default index and with twice as many.
    """
    ours = BuildParams()
    few = max(ours.n_postings, round(ours.posting_fraction * n_documents))
    variants = [
        _seismic("f16", few, centroid_fraction=0.1, summary_energy=0.4, max_fraction=3.0),
        _seismic("f16", few, centroid_fraction=0.2, summary_energy=0.5, max_fraction=3.0),
        _seismic("f16", 2 * few, centroid_fraction=0.1, summary_energy=0.4, max_fraction=6.0),
        _seismic("f16", 2 * few, centroid_fraction=0.2, summary_energy=0.5, max_fraction=3.0),
        _seismic("dotvbyte", few, centroid_fraction=0.2, summary_energy=0.5, max_fraction=3.0),
        _seismic("dotvbyte", 2 * few, centroid_fraction=0.2, summary_energy=0.4, max_fraction=6.0),
    ]
    if n_documents > _GRAPH_LIMIT:
        return variants
    beams: tuple[Point, ...] = tuple({"ef_search": n} for n in (20, 40, 80, 160, 320, 640))
    graph = {"m": 32, "ef_construction": 200}
    kannolo = Variant("kannolo", "kannolo", graph, (beams,), "kannolo", "kannolo", "kannolo")
    return [*variants, kannolo]


def exact_peers() -> list[Variant]:
    """Peers of the exact index."""
    return [
        Variant("scipy columns", "scipy-columns", module="scipy", package="scipy"),
        Variant("splade-index", "splade-index", module="splade_index", package="splade-index"),
        Variant("bm25s", "bm25s", module="bm25s", package="bm25s"),
    ]


def _seismic(values: str, n_postings: int, **options: float) -> Variant:
    name = (
        f"pyseismic {values} {n_postings} c{options['centroid_fraction']} "
        f"e{options['summary_energy']} m{options['max_fraction']:g}"
    )
    chosen = {"n_postings": n_postings, "min_cluster_size": 2, "doc_cut": 15, **options}
    return Variant(
        name,
        f"pyseismic-{values}",
        chosen,
        SEISMIC_SERIES,
        module="seismic",
        package="pyseismic-lsr",
        family=f"pyseismic {values}",
    )


class PySeismic(Engine):
    """pyseismic-lsr's SeismicIndexRaw: half-precision values, 16-bit components."""

    def prepare(self, documents: Vectors, folder: Path) -> None:
        _write_inner_format(documents, folder / "documents.bin")

    def build(self, folder: Path, n_threads: int, seed: int) -> None:
        index = import_module("seismic").SeismicIndexRaw.build(
            str(folder / "documents.bin"), **self.options
        )
        index.save(str(folder / "index"))

    def open(self, folder: Path) -> None:
        self._folder = folder
        (path,) = folder.glob("index*")
        self._index = import_module("seismic").SeismicIndexRaw.load(str(path))

    def as_query(self, components: Components, values: Float32s) -> Any:
        return components.astype(np.int32), values.astype(np.float32)

    def as_point(self, point: Point) -> Any:
        return int(point["query_cut"]), point["heap_factor"], 0, True

    def search(self, query: Any, k: int, point: Any) -> Any:
        return self._index.search(*query, k, *point)

    def ordinals(self, result: Any) -> Sequence[int]:
        return [ordinal for _, ordinal in result]

    def as_batch(self, queries: Vectors) -> Any:
        path = self._folder / "queries.bin"
        _write_inner_format(queries, path)
        return str(path)

    def search_batch(self, batch: Any, k: int, point: Any, n_threads: int) -> Any:
        return self._index.batch_search(batch, k, *point, num_threads=n_threads)


class PySeismicDotVByte(Engine):
    """pyseismic-lsr's DotVByte index: 8-bit values, compressed components."""

    def prepare(self, documents: Vectors, folder: Path) -> None:
        with (folder / "documents.jsonl").open("w", encoding="utf-8") as file:
            for row, (components, values) in enumerate(rows(documents)):
                names = map(str, components.tolist())
                weights = values.astype(np.float64).round(4).tolist()
                vector = dict(zip(names, weights, strict=True))
                file.write(json.dumps({"id": str(row), "content": "", "vector": vector}) + "\n")

    def build(self, folder: Path, n_threads: int, seed: int) -> None:
        index = import_module("seismic").SeismicIndexDotVByte.build(
            str(folder / "documents.jsonl"),
            **self.options,
            load_content=False,
            num_threads=n_threads,
        )
        index.save(str(folder / "index"))

    def open(self, folder: Path) -> None:
        self._string = import_module("seismic").get_seismic_string()
        (path,) = folder.glob("index*")
        self._index = import_module("seismic").SeismicIndexDotVByte.load(str(path))

    def as_query(self, components: Components, values: Float32s) -> Any:
        return np.array(list(map(str, components.tolist())), dtype=self._string), values

    def as_point(self, point: Point) -> Any:
        return int(point["query_cut"]), point["heap_factor"], 0, True

    def search(self, query: Any, k: int, point: Any) -> Any:
        return self._index.search("0", *query, k, *point)

    def ordinals(self, result: Any) -> Sequence[int]:
        return [int(doc_id) for _, _, doc_id in result]

    def as_batch(self, queries: Vectors) -> Any:
        vectors = [self.as_query(components, values) for components, values in rows(queries)]
        components, values = zip(*vectors, strict=True)
        names = np.arange(len(vectors)).astype(self._string)
        return names, list(components), list(values)

    def search_batch(self, batch: Any, k: int, point: Any, n_threads: int) -> Any:
        return self._index.batch_search(*batch, k, *point, num_threads=n_threads)


class Kannolo(Engine):
    """kannolo's SparsePlainHNSW: a graph over half-precision vectors."""

    def prepare(self, documents: Vectors, folder: Path) -> None:
        self._documents = documents

    def build(self, folder: Path, n_threads: int, seed: int) -> None:
        documents = self._documents
        offsets = documents.indptr.astype(np.int64)
        index = import_module("kannolo").SparsePlainHNSW.build_from_arrays(
            documents.indices, documents.data, offsets, **self.options
        )
        index.save(str(folder / "index"))

    def open(self, folder: Path) -> None:
        self._index = import_module("kannolo").SparsePlainHNSW.load(str(folder / "index"))

    def as_query(self, components: Components, values: Float32s) -> Any:
        return components.astype(np.int32), values.astype(np.float32)

    def as_point(self, point: Point) -> Any:
        return int(point["ef_search"])

    def search(self, query: Any, k: int, point: Any) -> Any:
        return self._index.search(*query, k, max(point, k))

    def ordinals(self, result: Any) -> Sequence[int]:
        _, found = result
        return [int(ordinal) for ordinal in found]


class ColumnMatrix(Engine):
    """A column-major matrix in a file, and what its users have in common."""

    def prepare(self, documents: Vectors, folder: Path) -> None:
        self._documents = documents

    def build(self, folder: Path, n_threads: int, seed: int) -> None:
        sparse.save_npz(folder / "index.npz", sparse.csc_array(self._documents), compressed=False)

    def open(self, folder: Path) -> None:
        self._columns = sparse.load_npz(folder / "index.npz")


class ScipyColumns(ColumnMatrix):
    """The sum of the query's columns, and a partition for the best."""

    def as_query(self, components: Components, values: Float32s) -> Any:
        return components, values

    def search(self, query: Any, k: int, point: Any) -> Any:
        components, values = query
        scores = self._columns[:, components] @ values
        best = np.argpartition(scores, -k)[-k:]
        return best[np.argsort(-scores[best])]

    def ordinals(self, result: Any) -> Sequence[int]:
        found: list[int] = result.tolist()
        return found


class SpladeIndex(ColumnMatrix):
    """splade-index, its Numba backend; query vectors come from a stand-in for the model."""

    compiles = True

    def open(self, folder: Path) -> None:
        super().open(folder)
        self._index = import_module("splade_index").SPLADE(backend="numba")
        self._index.scores = _scores(self._columns)
        self._index.document_ids = np.arange(self._columns.shape[0])
        self._index.model = self
        self.encode_query(["warm-up"])

    def encode_query(self, queries: Any, **_options: Any) -> Any:
        """What splade-index asks of a model: here the queries are vectors already."""
        return queries

    def as_query(self, components: Components, values: Float32s) -> Any:
        import torch

        places = torch.from_numpy(components.astype(np.int64))[None]
        size = (self._columns.shape[1],)
        return torch.sparse_coo_tensor(places, torch.from_numpy(values.copy()), size).coalesce()

    def search(self, query: Any, k: int, point: Any) -> Any:
        return self._index.retrieve([query], k=k, return_as="doc_ids", show_progress=False)

    def ordinals(self, result: Any) -> Sequence[int]:
        found: list[int] = np.asarray(result)[0].tolist()
        return found


class Bm25s(ColumnMatrix):
    """bm25s, its Numba backend, over ready-made weights; it knows no query weights but 1."""

    compiles = True

    def open(self, folder: Path) -> None:
        super().open(folder)
        self._index = import_module("bm25s").BM25(backend="numba")
        self._index.scores = _scores(self._columns)
        used = np.flatnonzero(np.diff(self._columns.indptr))
        self._index.unique_token_ids_set = set(used.tolist())
        self._index.vocab_dict = {"": 0}
        self._index.nonoccurrence_array = None

    def as_query(self, components: Components, values: Float32s) -> Any:
        return [components.tolist()]

    def search(self, query: Any, k: int, point: Any) -> Any:
        return self._index.retrieve(query, k=k, return_as="documents", show_progress=False)

    def ordinals(self, result: Any) -> Sequence[int]:
        found: list[int] = np.asarray(result)[0].tolist()
        return found


def _scores(columns: Any) -> dict[str, Any]:
    """A matrix as bm25s and splade-index hold it."""
    return {
        "data": columns.data,
        "indices": columns.indices.astype(np.int32),
        "indptr": columns.indptr.astype(np.int32),
        "num_docs": columns.shape[0],
    }


def _write_inner_format(vectors: Vectors, path: Path) -> None:
    """Seismic's binary form: n; for each vector nnz, components, values; 4 bytes each."""
    with path.open("wb") as file:
        np.array([vectors.shape[0]], dtype=np.uint32).tofile(file)
        for first in range(0, vectors.shape[0], _ROWS_AT_ONCE):
            indptr = vectors.indptr[first : first + _ROWS_AT_ONCE + 1].astype(np.int64)
            part = slice(indptr[0], indptr[-1])
            lengths = np.diff(indptr)
            heads = np.concatenate(([0], np.cumsum(1 + 2 * lengths)))
            words = np.empty(heads[-1], dtype=np.uint32)
            words[heads[:-1]] = lengths
            within = np.arange(indptr[-1] - indptr[0]) - np.repeat(indptr[:-1] - indptr[0], lengths)
            places = np.repeat(heads[:-1] + 1, lengths) + within
            words[places] = vectors.indices[part]
            words[places + np.repeat(lengths, lengths)] = vectors.data[part].view(np.uint32)
            words.tofile(file)
