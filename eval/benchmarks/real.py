"""Real vectors, from the folder that LEXIDEX_DATA names: a workload, and their statistics.

NFCorpus as SPLADE-v3 encodes it, documents and queries, and queries of MS MARCO. A document is a
JSON line {"id", "vector": {token: weight}}, a query `id TAB token token ...`, where a token is
repeated as often as it weighs; weights are a hundred times the model's.
"""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from lexidex.errors import NotFound
from lexidex.index.vectors import Vectors, build_vectors

from ..synthetic_universe import DIM
from .workload import COMPLETE, Workload, save_workload

COLLECTION = "NFCorpus by SPLADE-v3"
DOCUMENTS = "nfcorpus.splade-v3.docs.jsonl.gz"
QUERIES = "topics.beir-v1.0.0-nfcorpus.test.splade-v3.tsv.gz"
QRELS = "nfcorpus-qrels/test.tsv"
OTHER_QUERIES = {
    "MS MARCO queries by SPLADE-v3": "topics.msmarco-passage.dev-subset.splade-v3.tsv.gz",
    "MS MARCO queries by SPLADE-distil": (
        "topics.msmarco-passage.dev-subset.splade_distil_cocodenser_medium.tsv.gz"
    ),
}

_UNIT = 100
Weights = Mapping[str, int]


def data_folder() -> Path:
    """The folder of real vectors.

    Raises:
        NotFound: LEXIDEX_DATA names none.
    """
    folder = Path(os.environ.get("LEXIDEX_DATA", "")) / "vectors"
    if not (folder / DOCUMENTS).exists():
        raise NotFound(
            f"{folder / DOCUMENTS}: no such file; LEXIDEX_DATA must name a folder that has it"
        )
    return folder


def prepare_real(
    work: Path, *, n_threads: int = 1, say: Callable[[str], None] = lambda _: None
) -> Workload:
    """The real workload in its folder under `work`: every other query to tune on.

    Raises:
        NotFound: see `data_folder`.
    """
    data = data_folder()
    documents, queries = read_documents(data / DOCUMENTS), read_queries(data / QUERIES)
    tuning, test = queries[0::2], queries[1::2]
    workload = Workload(work / "nfcorpus", len(documents), len(test), 0, COLLECTION)
    if not (workload.folder / COMPLETE).exists():
        numbers = vocabulary([*documents, *queries])
        sets = {"tuning": as_vectors(tuning, numbers), "test": as_vectors(test, numbers)}
        vectors = as_vectors(documents, numbers)
        save_workload(workload.folder, vectors, sets, n_threads=n_threads, say=say)
    return workload


def read_documents(path: Path) -> list[Weights]:
    """The documents' weights by token."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["vector"] for line in lines]


def read_queries(path: Path) -> list[Weights]:
    """The queries' weights by token."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [Counter(line.rstrip("\n").partition("\t")[2].split()) for line in lines]


def document_ids(folder: Path) -> list[str]:
    """The names of the collection's documents, in order."""
    with gzip.open(folder / DOCUMENTS, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["id"] for line in lines]


def query_ids(path: Path) -> list[str]:
    """The names of queries, in order."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [line.partition("\t")[0] for line in lines]


def vocabulary(vectors: Sequence[Weights]) -> dict[str, int]:
    """Components by token, in the tokens' order."""
    return {token: number for number, token in enumerate(sorted(set().union(*vectors)))}


def as_vectors(vectors: Sequence[Weights], numbers: Mapping[str, int]) -> Vectors:
    """A csr_array of them, with the model's weights."""
    rows = []
    for weights in vectors:
        components = np.array([numbers[token] for token in weights], dtype=np.int32)
        values = np.array(list(weights.values()), dtype=np.float32) / _UNIT
        order = np.argsort(components)
        rows.append((components[order], values[order]))
    return build_vectors(rows, DIM)
