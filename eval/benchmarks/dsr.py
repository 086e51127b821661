"""DSR benchmark: densified sparse vectors, next to an approximate index and FAISS, fused.

Everything is compared on indexes in memory, by ordinals, so that nothing but the search is timed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lexidex.encoders import Encoder
from lexidex.encoders.dense import DenseEncoder
from lexidex.index import ExactIndex, SeismicIndex
from lexidex.index.dense import DenseIndex, DenseParams, DenseSearchParams
from lexidex.index.densified import DensifiedIndex, Slicing, densify
from lexidex.index.fusion import FusionParams, Leg, fuse
from lexidex.index.vectors import Float32s, Int64s, Vectors, stack
from lexidex.sources import Reader

from ..judged import JudgedQueries, Qrels, read_judged, read_qrels
from ..measures import evaluate, parse_measures
from ..runs import Run
from .harness import Say
from .real import QRELS, QUERIES, data_folder, document_ids, query_ids
from .record import Line, Record
from .tables import Table, megabytes, number
from .timing import latency, one_by_one
from .workload import Workload

KIND = "dsr"
NDCG, RECALL = parse_measures("nDCG@10 R@100")
ABOUT = """`DSR` keeps of every sparse vector the largest value in each of so many slices of the
vocabulary (arXiv 2206.09912), which the model was not trained for; a search adds up products in the
slices where both sides keep the same component, and the dense score, for all documents. With theta,
the slices in which the query's value is above it find ten times the documents that are wanted, and
all slices score these. `fused` takes 200 candidates of the approximate sparse index and of FAISS's,
scores them exactly in both, and combines by `convex` with its default weights, .2 of the sparse leg
and .8 of the dense one; DSR's dense score is multiplied by what makes both parts' best scores equal
on average. Each asked for 100. Microseconds are CPU time of a query in one thread, the mean over
queries of their medians over rounds, in which all take turns; MB are those of the indexes on disk,
without texts."""

K = 100
SLICES = (768, 256)
SHARES = (0.5, 0.75)
"""Parts of the queries' values that lie below theta."""

_SELF = 1
"""More that is asked for: the document that is the query itself is left out, by BEIR's rule."""


@dataclass(frozen=True)
class Vectorised:
    """A judged collection as vectors; `dense` is None for both sides, or for neither."""

    doc_ids: list[str]
    query_ids: list[str]
    documents: Vectors
    queries: Vectors
    dense: tuple[Float32s, Float32s] | None
    qrels: Qrels


@dataclass(frozen=True)
class DsrFigures:
    """One way to search.

    Attributes:
        vectors: "sparse", "dense" or "both".
        ndcg, recall: nDCG@10 and R@100.
        n_bytes: on disk, of all indexes that it needs.
        us: mean CPU microseconds of a query.
    """

    system: str
    vectors: str
    ndcg: float
    recall: float
    n_bytes: int
    us: float


class Saved(Protocol):
    """An index that can be written."""

    def save(self, path: Path) -> None: ...


@dataclass(frozen=True)
class _System:
    name: str
    vectors: str
    indexes: Sequence[Any]
    search: Callable[[int], Int64s]
    """From a query's number to ordinals, best first."""


def encoded(data: Path, encoder: Encoder, dense: DenseEncoder, say: Say) -> Vectorised:
    """The documents of a BEIR folder and its test queries, encoded.

    Raises:
        InputError: there are no queries or judgments, or a bad line.
    """
    documents = list(Reader([data]))
    judged: JudgedQueries = read_judged(data)
    texts = [one.full_text for one in documents]
    asked = [str(query) for query in judged.queries.values()]
    say(f"encoding {len(texts):,} documents and {len(asked):,} queries")
    encoder.fit(texts)
    sparse = encoder.encode_documents(texts), encoder.encode_queries(asked)
    rows = dense.encode_documents(texts), dense.encode_queries(asked)
    ids = [one.id for one in documents]
    return Vectorised(ids, list(judged.queries), *sparse, rows, judged.qrels)


def ready_made(workload: Workload) -> Vectorised:
    """NFCorpus by SPLADE-v3 from LEXIDEX_DATA, which has no dense vectors.

    Args:
        workload: of `real.prepare_real`.

    Raises:
        NotFound: LEXIDEX_DATA names no folder with the vectors.
    """
    data, documents = data_folder(), workload.documents()
    ids = query_ids(data / QUERIES)
    queries = stack([workload.queries("tuning"), workload.queries("test")], documents.shape[1])
    qrels = read_qrels(data / QRELS)
    return Vectorised(document_ids(data), [*ids[0::2], *ids[1::2]], documents, queries, None, qrels)


def run_dsr(found: Vectorised, *, record: Record, say: Say, rounds: int = 3) -> list[DsrFigures]:
    """Build every index over the vectors, and search each with all queries."""
    say("building indexes")
    systems = list(_systems(found))
    say("searching")
    numbers = range(found.queries.shape[0])
    passes: list[list[Int64s]] = [[] for _ in systems]
    results: list[list[Int64s]] = [[] for _ in systems]
    for turn in range(rounds + 1):
        for place, system in enumerate(systems):
            ns, results[place] = one_by_one(system.search, numbers)
            if turn:  # the first pass compiles
                passes[place].append(ns)
    figures = []
    for system, ordinals, times in zip(systems, results, passes, strict=True):
        means = evaluate(found.qrels, _run(found, ordinals), [NDCG, RECALL]).means
        figures.append(
            DsrFigures(
                system=system.name,
                vectors=system.vectors,
                ndcg=means[str(NDCG)],
                recall=means[str(RECALL)],
                n_bytes=sum(map(_bytes, system.indexes)),
                us=latency(times).mean,
            )
        )
        record.add(KIND, **vars(figures[-1]))
    return figures


def tables(lines: Sequence[Line]) -> list[Table]:
    """A row for each way to search."""
    columns = ("search", "vectors", str(NDCG), str(RECALL), "MB", "us a query")
    rows = [
        [
            line["system"],
            line["vectors"],
            number(line["ndcg"], 4),
            number(line["recall"], 4),
            megabytes(line["n_bytes"]),
            number(line["us"]),
        ]
        for line in lines
    ]
    return [Table("", columns, rows)]


def balanced_weight(index: DensifiedIndex, queries: Vectors, dense: DenseIndex | None,
                    rows: Float32s) -> float:  # fmt: skip
    """What dense scores are multiplied by, for both parts' best scores to be equal on average.

    Args:
        rows: float32 (n_queries, d), the queries' dense vectors.
    """
    if dense is None:
        return 0.0
    best = index.search(queries, 1).scores[:, 0]
    nearest = dense.search(rows, 1, DenseSearchParams(exact=True)).scores[:, 0]
    known = np.isfinite(best) & (nearest > 0)
    return float(best[known].mean() / nearest[known].mean()) if known.any() else 1.0


def _systems(found: Vectorised) -> Iterator[_System]:
    """What is compared: sparse alone, dense alone, both."""
    depth, queries = K + _SELF, found.queries
    one = [queries[[row]] for row in range(queries.shape[0])]
    exact, seismic = ExactIndex.build(found.documents), SeismicIndex.build(found.documents)
    densified = [DensifiedIndex.build(found.documents, slicing=Slicing(n)) for n in SLICES]

    def by_terms(index: ExactIndex | SeismicIndex, number: int, k: int = depth) -> Int64s:
        query = one[number]
        return _known(index.search_one(query.indices, query.data, k).ordinals[0])

    yield _System("exact", "sparse", [exact], partial(by_terms, exact))
    yield _System("Seismic", "sparse", [seismic], partial(by_terms, seismic))
    for index in densified:
        for name, theta in _thetas(index, queries):
            yield _System(name, "sparse", [index], partial(_densified, index, one, None, theta))
    if found.dense is None:
        return
    documents, rows = found.dense
    flat = DenseIndex.build(documents, DenseParams(factory="Flat"))
    hnsw = DenseIndex.build(documents, DenseParams(factory="HNSW32_SQ8"))

    def by_vectors(index: DenseIndex, number: int) -> Int64s:
        return _known(index.search(rows[[number]], depth).ordinals[0])

    for index_, name in ((flat, "FAISS Flat"), (hnsw, "FAISS HNSW32_SQ8")):
        yield _System(name, "dense", [index_], partial(by_vectors, index_))
    for index_, name in ((flat, "FAISS Flat"), (hnsw, "FAISS HNSW32_SQ8")):
        fused = partial(_fused, exact, seismic, index_, one, rows, by_terms)
        yield _System(f"Seismic and {name} fused", "both", [exact, seismic, index_], fused)
    for slices in SLICES:
        joined = DensifiedIndex.build(found.documents, documents, slicing=Slicing(slices))
        weight = balanced_weight(joined, queries, flat, rows)
        for name, theta in _thetas(joined, queries):
            dense = rows, weight
            search = partial(_densified, joined, one, dense, theta)
            yield _System(f"{name} and dense", "both", [joined], search)


def _thetas(index: DensifiedIndex, queries: Vectors) -> list[tuple[str, float]]:
    """Names and thetas: exact, and approximate by several."""
    values = densify(queries, index.slicing).data
    name = f"DSR {index.slicing.n_slices}"
    found = [(name, 0.0)]
    for share in SHARES:
        theta = float(np.quantile(values, share)) if values.size else 0.0
        found.append((f"{name}, theta {theta:.2g}", theta))
    return found


def _densified(
    index: DensifiedIndex,
    queries: Sequence[Vectors],
    dense: tuple[Float32s, float] | None,
    theta: float,
    number: int,
) -> Int64s:
    both: dict[str, Any] = {}
    if dense is not None:
        both = {"dense": dense[0][[number]], "dense_weight": dense[1]}
    found = index.search(queries[number], K + _SELF, theta=theta, **both)
    return _known(found.ordinals[0])


def _fused(
    exact: ExactIndex,
    seismic: SeismicIndex,
    dense: DenseIndex,
    queries: Sequence[Vectors],
    rows: Float32s,
    by_terms: Callable[..., Int64s],
    number: int,
) -> Int64s:
    """As a hybrid search of a collection does it."""
    params = FusionParams()
    near = dense.search(rows[[number]], params.depth, DenseSearchParams.for_fusion(exact=False))
    some = np.union1d(by_terms(seismic, number, params.depth), _known(near.ordinals[0]))
    sparse = exact.score(queries[number], some)
    sparse[sparse == 0] = np.nan
    legs = [
        Leg("sparse", sparse, 0.0),
        Leg("dense", dense.score(rows[number], some), dense.lower_bound),
    ]
    order = fuse(legs, params).order[: K + _SELF]
    return some[order]


def _known(ordinals: Int64s) -> Int64s:
    return ordinals[ordinals >= 0]


def _run(found: Vectorised, results: Sequence[Int64s]) -> Run:
    """Ranks as scores: the measures look at nothing else."""
    run: Run = {}
    for query_id, ordinals in zip(found.query_ids, results, strict=True):
        ids = [found.doc_ids[ordinal] for ordinal in ordinals.tolist()]
        kept = [doc_id for doc_id in ids if doc_id != query_id][:K]
        run[query_id] = {doc_id: float(K - rank) for rank, doc_id in enumerate(kept)}
    return run


def _bytes(index: Saved) -> int:
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder) / "index")
        return (Path(folder) / "index").stat().st_size
