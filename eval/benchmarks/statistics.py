"""Do synthetic vectors look like real ones? Statistics of both, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lexidex.errors import NotFound
from lexidex.index.vectors import Vectors

from ..vector_statistics import statistics
from .real import (
    COLLECTION,
    DOCUMENTS,
    OTHER_QUERIES,
    QUERIES,
    as_vectors,
    data_folder,
    read_documents,
    read_queries,
    vocabulary,
)
from .record import Line, Record
from .tables import Table, number
from .workload import Workload

KIND = "statistics"
ABOUT = """Components a vector (nnz), the largest value, the share of a vector's summed values in
its 10 and 50 largest entries, the share of vectors that have the component of a rank, by frequency,
and how many components two random vectors share. NFCorpus is small and of one subject, so its
frequencies are not those of web passages."""

_RANKS = ("1", "100", "1000")


def run_statistics(workload: Workload, record: Record, say: Callable[[str], None]) -> None:
    """Record statistics of a workload's documents and queries, and of real ones where there are."""

    def add(name: str, vectors: Vectors) -> None:
        record.add(KIND, vectors=name, statistics=statistics(vectors))

    add("synthetic documents", workload.documents())
    add("synthetic queries", workload.queries("test"))
    add("synthetic short queries", workload.queries("short_test"))
    try:
        data = data_folder()
    except NotFound as error:
        say(f"real vectors are left out: {error}")
        return
    documents = read_documents(data / DOCUMENTS)
    add(f"{COLLECTION}, documents", as_vectors(documents, vocabulary(documents)))
    for name, file in {f"{COLLECTION}, queries": QUERIES, **OTHER_QUERIES}.items():
        queries = read_queries(data / file)
        add(name, as_vectors(queries, vocabulary(queries)))


def tables(lines: Sequence[Line]) -> list[Table]:
    """One table, a row for each batch of vectors."""
    columns = ("vectors", "number", "nnz", "deviation", "largest", "mean largest", "in 10", "in 50")
    ranks = tuple(f"rank {rank}" for rank in _RANKS)
    return [Table("", (*columns, *ranks, "shared"), [_row(line) for line in lines])]


def _row(line: Line) -> list[str]:
    told = line["statistics"]
    nnz = [number(told[name], 1) for name in ("nnz_mean", "nnz_deviation")]
    names = ("largest_value", "top_value_mean", "top_10_mass", "top_50_mass")
    shares = [number(told["document_frequencies"].get(rank), 4) for rank in _RANKS]
    values = [number(told[name], 2) for name in names]
    shared = number(told["common_components"], 1)
    return [line["vectors"], number(told["n_vectors"]), *nnz, *values, *shares, shared]
