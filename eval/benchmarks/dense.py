"""Dense benchmark: which of FAISS's indexes should dense vectors of that number have?"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from lexidex.index.dense import DenseIndex, DenseParams, DenseSearchParams
from lexidex.index.topk import TopK
from lexidex.index.vectors import Float32s, Int64s

from ..synthetic_dense import DIM, generate_dense
from .harness import Say, accuracy
from .record import Line, Record
from .tables import LATENCY, Table, latency_cells, megabytes, number
from .timing import Latency, latency, one_by_one
from .workload import Workload

KIND = "dense"
ABOUT = f"""Synthetic vectors of {DIM} dimensions, clustered as text models' are, compared by the
cosine; each index proposes candidates, which are scored exactly, k = 10. `Flat` compares with every
vector. Effort is `ef_search` of HNSW, and of IVF `n_probe`, both with candidates as a multiple of
k. Accuracy is the overlap with the exact ten. Microseconds are CPU time of one query in a call and
one thread, each query's median over the rounds, in which efforts take turns. MB are those of the
index beside the vectors."""

K = 10
FAMILIES = ("Flat", "SQ8", "HNSW32_SQ8", "IVF,SQ8", "IVF,PQ96x4fs")
"""FAISS's names; of IVF with as many lists as fit the number of vectors."""


@dataclass(frozen=True)
class DenseFigures:
    """One index with one effort.

    Attributes:
        effort: as text; empty where there is no choice.
        build_s: CPU seconds.
        n_bytes: of the index, without the vectors.
    """

    factory: str
    effort: str
    accuracy: float
    latency: Latency
    build_s: float
    n_bytes: int


def run_dense(
    workload: Workload, families: Sequence[str], *, record: Record, say: Say, rounds: int = 3
) -> list[DenseFigures]:
    """Build every index over the vectors of the workload's documents, and search it.

    Args:
        families: of FAMILIES.
    """
    made = generate_dense(workload.n_documents, seed=workload.seed, n_queries=workload.n_queries)
    exact = DenseIndex.build(made.documents, DenseParams(factory="Flat"))
    best = exact.search(made.test_queries, K).ordinals
    figures = []
    for family in families:
        factory = factory_of(family, workload.n_documents)
        say(f"building {factory}")
        started = time.process_time()
        index = DenseIndex.build(made.documents, DenseParams(factory=factory))
        build_s = time.process_time() - started
        figures += _searched(index, build_s, made.test_queries, best, rounds)
    for figure in figures:
        record.add(KIND, **vars(figure))
    return figures


def factory_of(family: str, n_vectors: int) -> str:
    """FAISS's name; of IVF with about four times the square root of the vectors' number lists."""
    lists = 1 << max(round(math.log2(4 * math.sqrt(n_vectors))), 0)
    return family.replace("IVF", f"IVF{lists}")


def efforts(factory: str) -> list[DenseSearchParams]:
    """What is tried of an index."""
    if "HNSW" in factory:
        return [DenseSearchParams(ef_search=ef) for ef in (32, 64, 128, 256)]
    if "IVF" in factory:
        refine = 10 if "PQ" in factory else 2
        return [DenseSearchParams(n_probe=n, refine=refine) for n in (8, 32, 128)]
    return [DenseSearchParams()]


def tables(lines: Sequence[Line]) -> list[Table]:
    """A row for each index and effort."""
    columns = ("index", "effort", "accuracy", *LATENCY, "build CPU s", "MB")
    body = [
        [
            line["factory"],
            line["effort"],
            number(line["accuracy"], 3),
            *latency_cells(line["latency"]),
            number(line["build_s"], 1),
            megabytes(line["n_bytes"]),
        ]
        for line in lines
    ]
    return [Table("", columns, body)]


def _searched(
    index: DenseIndex, build_s: float, queries: Float32s, best: Int64s, rounds: int
) -> list[DenseFigures]:
    tried = efforts(index.factory)
    passes: list[list[Int64s]] = [[] for _ in tried]
    found: list[list[list[int]]] = [[] for _ in tried]
    for _ in range(rounds):
        for place, params in enumerate(tried):
            ns, results = one_by_one(partial(_search, index, params), queries)
            passes[place].append(ns)
            found[place] = [result.ordinals[0].tolist() for result in results]
    return [
        DenseFigures(
            factory=index.factory,
            effort=_effort(index.factory, params),
            accuracy=accuracy(found[place], best, K),
            latency=latency(passes[place]),
            build_s=build_s,
            n_bytes=index.n_bytes - index.vectors.nbytes,
        )
        for place, params in enumerate(tried)
    ]


def _search(index: DenseIndex, params: DenseSearchParams, query: Float32s) -> TopK:
    return index.search(query[None], K, params)


def _effort(factory: str, params: DenseSearchParams) -> str:
    if "HNSW" in factory:
        return f"ef_search {params.ef_search}, {params.refine} k"
    return f"n_probe {params.n_probe}, {params.refine} k" if "IVF" in factory else ""
