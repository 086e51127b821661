"""Hybrid benchmark: what a search by both legs costs, next to each leg alone.

A collection whose documents bring a sparse and a dense vector each is built on disk; then three
fresh processes search it, by the sparse leg, by the dense one, and by both, and take turns.
"""

from __future__ import annotations

import hashlib
import inspect
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from lexidex.collection import Collection
from lexidex.dense_side import DenseSide
from lexidex.index.fusion import FusionParams
from lexidex.index.storage import layout
from lexidex.index.vectors import Int64s

from .. import synthetic_dense
from .harness import Say, WorkerProcess
from .memory import reset_peak, resident
from .record import Line, Record
from .tables import LATENCY, Table, latency_cells, megabytes, number
from .timing import Latency, latency
from .workload import Workload, rows

KIND = "hybrid"
BUILD = "hybrid-build"
ABOUT = """A collection of synthetic documents with a sparse and a dense vector each, of 384
dimensions, on the same subjects. Three fresh processes search it in turns, with nothing fetched but
ids; a hybrid search looks at 200 candidates of each leg, scores each exactly in both, and fuses
them to 10 hits. Each leg alone is asked for 10 hits; for the 200 that fusing by hand would need;
and, as "10 of 200", for the last 10 of these, so that it searches as deep as a hybrid search and
fetches as few. Microseconds are CPU time of one search in one thread; the ratios are those of a
hybrid search to the slower leg. Accuracy is the overlap of the first ten with those of the same
search done exactly. Search, fuse and fetch are the medians of their wall times. Memory is the
process' own, above what it held before opening, and what is mapped of files."""

BUILD_ABOUT = """What the collection above took to build, dense and sparse indexes and their tuning:
CPU seconds in one thread, the process' memory at its peak, with the sparse vectors that it indexes,
and bytes on disk."""

MODES = ("sparse", "dense", "hybrid")
K = 10
DEPTH = FusionParams().depth
LEG_PAGES = ((0, K), (0, DEPTH), (DEPTH - K, K))
"""What each leg alone is asked for: how many of the best hits are left out, and how many follow."""

Way: TypeAlias = tuple[str, int, int]
WAYS: tuple[Way, ...] = (
    *((mode, *page) for page in LEG_PAGES for mode in ("sparse", "dense")),
    ("hybrid", 0, K),
)
"""Modes, offsets, and how many hits are asked for."""

LIMIT = 1.3
"""How much more than the slower leg a hybrid search may cost."""

_EXACT = 100
"""Queries whose accuracy is measured: an exact dense search compares with every vector."""


@dataclass(frozen=True)
class HybridFigures:
    """One way to search.

    Attributes:
        mode, offset, k: as `Collection.search` takes them.
        latency: of one search in a call of its own.
        accuracy: overlap of the ten found with the exact ten; None where others are asked for.
        parts: median wall microseconds of search_us, fuse_us and fetch_us.
        plan: which indexes were searched.
        own, mapped: bytes of memory after all rounds.
    """

    mode: str
    offset: int
    k: int
    latency: Latency
    accuracy: float | None
    parts: dict[str, float]
    plan: list[str]
    own: int
    mapped: int


def run_hybrid(
    workload: Workload, *, record: Record, say: Say, factory: str | None = None, rounds: int = 5
) -> list[HybridFigures]:
    """Build the collection, unless the workload has it, and search it in every mode.

    Args:
        factory: the dense index, as FAISS names it; None chooses by size.

    Raises:
        BenchmarkError: a process failed.
        ParameterError: FAISS knows no such index.
    """
    folder = prepare_hybrid(workload, factory, record, say)
    say("searching")
    with ExitStack() as open_:
        workers = {mode: open_.enter_context(_worker(workload, folder, mode)) for mode in MODES}
        passes: dict[Way, list[Int64s]] = {way: [] for way in WAYS}
        replies: dict[Way, Any] = {}
        for turn in range(rounds + 1):
            for mode, offset, k in WAYS:
                reply = workers[mode].ask("search", k=k, offset=offset)
                replies[mode, offset, k] = reply
                if turn:  # the first pass loads and compiles
                    passes[mode, offset, k].append(np.array(reply["ns"], dtype=np.int64))
        memory = {mode: worker.ask("memory") for mode, worker in workers.items()}
        exact = {
            mode: worker.ask("search", k=K, exact=True, limit=_EXACT)["ids"]
            for mode, worker in workers.items()
        }
    figures = [
        HybridFigures(
            mode=way[0],
            offset=way[1],
            k=way[2],
            latency=latency(passes[way]),
            accuracy=None if way[1] else overlap(replies[way]["ids"], exact[way[0]]),
            parts=replies[way]["parts"],
            plan=replies[way]["plan"],
            **memory[way[0]],
        )
        for way in WAYS
    ]
    for figure in figures:
        record.add(KIND, **vars(figure))
    return figures


def prepare_hybrid(workload: Workload, factory: str | None, record: Record, say: Say) -> Path:
    """The folder of the collection, kept beside the workload; what building took is recorded."""
    folder = workload.folder / f"hybrid-{factory or 'auto'}-{_generator_digest()}"
    if (folder / "built").exists():
        return folder / "collection"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    say("generating dense vectors")
    made = synthetic_dense.generate_dense(
        workload.n_documents, seed=workload.seed, n_queries=workload.n_queries
    )
    np.save(folder / "queries.npy", made.test_queries)
    np.save(folder / "documents.npy", made.documents)
    del made  # mapped while the collection is built, which takes memory enough
    say(f"indexing {workload.n_documents:,} documents")
    side = DenseSide.named("vectors", factory=factory)
    reset_peak()
    started = time.process_time()
    with Collection.create(folder / "collection", "vectors", merge="off", dense=side) as collection:
        collection.upsert(_documents(workload, folder / "documents.npy"))
    record.add(
        BUILD,
        cpu_s=time.process_time() - started,
        peak=resident("VmHWM"),
        bytes=_bytes(folder / "collection"),
    )
    (folder / "documents.npy").unlink()
    (folder / "built").touch()
    return folder / "collection"


def overlap(found: Sequence[Sequence[str]], exact: Sequence[Sequence[str]]) -> float:
    """Mean share of each exact result that is among as many first ones found, in [0, 1].

    Args:
        exact: of the first of the queries.
    """
    shares = [
        len(set(one[: len(best)]) & set(best)) / len(best)
        for one, best in zip(found, exact, strict=False)
        if best
    ]
    return float(np.mean(shares)) if shares else 1.0


def ratio(lines: Sequence[Line], page: tuple[int, int], name: str) -> float:
    """A hybrid search's time over that of the slower leg asked for a page of LEG_PAGES."""
    of = {(line["mode"], *_page(line)): line["latency"][name] for line in lines}
    return float(of["hybrid", 0, K] / max(of["sparse", *page], of["dense", *page]))


def hits_of(page: tuple[int, int]) -> str:
    """What a page of hits is called: "10", or "10 of 200" for the last ten of these."""
    offset, k = page
    return f"{k} of {offset + k}" if offset else str(k)


def _page(line: Line) -> tuple[int, int]:
    """Which hits were asked for; earlier lines have no offset."""
    return line.get("offset", 0), line["k"]


def tables(lines: Sequence[Line]) -> list[Table]:
    """A row for each way to search."""
    parts = ("search_us", "fuse_us", "fetch_us")
    sizes = ("own MB", "mapped MB")
    columns = ("search", "hits", *LATENCY, "accuracy", "search us", "fuse us", "fetch us", *sizes)
    body = [
        [
            line["mode"],
            hits_of(_page(line)),
            *latency_cells(line["latency"]),
            "" if line["accuracy"] is None else number(line["accuracy"], 3),
            *(number(line["parts"][name]) for name in parts),
            *(megabytes(line[name]) for name in ("own", "mapped")),
        ]
        for line in lines
    ]
    pages = dict.fromkeys(_page(line) for line in lines if line["mode"] != "hybrid")
    ratios = ", ".join(
        f"{ratio(lines, one, 'mean'):.2f} times (p50 {ratio(lines, one, 'p50'):.2f}, p99 "
        f"{ratio(lines, one, 'p99'):.2f}) that of the slower leg asked for {hits_of(one)}"
        for one in pages
    )
    dense = next(line["plan"] for line in lines if line["mode"] == "dense")
    note = (
        f"A hybrid search takes on average {ratios}; {LIMIT} times is the aim. Dense index: "
        f"{', '.join(dense)}."
    )
    return [Table("", columns, body, note)]


def build_tables(lines: Sequence[Line]) -> list[Table]:
    """What building took, and which files hold how much."""
    files = sorted({name for line in lines for name in line["bytes"]})
    columns = ("collection", "CPU s", "peak MB", *(f"{name} MB" for name in files))
    body = [
        [
            "built",
            number(line["cpu_s"]),
            megabytes(line["peak"]),
            *(megabytes(line["bytes"].get(name)) for name in files),
        ]
        for line in lines
    ]
    return [Table("", columns, body)]


def _worker(workload: Workload, folder: Path, mode: str) -> WorkerProcess:
    queries = [str(workload.folder / "test"), str(folder.parent / "queries.npy")]
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    log = folder.parent / f"{mode}.log"
    return WorkerProcess("hybrid_worker", [str(folder), *queries, mode], log, threads)


def _documents(workload: Workload, vectors: Path) -> Iterator[dict[str, Any]]:
    dense = np.load(vectors, mmap_mode="r")
    for place, (components, values) in enumerate(rows(workload.documents())):
        vector = {"components": components, "values": values}
        yield {"id": f"d{place}", "vector": vector, "dense": dense[place]}


def _bytes(folder: Path) -> dict[str, int]:
    """Bytes on disk of the segments' files, by what they hold, and of all else."""
    names = {
        layout.DENSE: "dense",
        layout.SEISMIC: "seismic",
        layout.EXACT: "exact",
        layout.VECTORS: "vectors",
    }
    sizes: dict[str, int] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            name = names.get(path.name, "other")
            sizes[name] = sizes.get(name, 0) + path.stat().st_size
    return sizes


def _generator_digest() -> str:
    return hashlib.sha256(inspect.getsource(synthetic_dense).encode()).hexdigest()[:8]
