"""Passages benchmark: what becomes of long documents, and what it does to the results.

The same documents are indexed whole, cut off, split into passages, and as the largest weights of
these; the same judged queries search each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lexidex.collection import Collection
from lexidex.documents import Document
from lexidex.encoders import Encoder
from lexidex.index.storage import layout
from lexidex.index.storage.files import FileStorage
from lexidex.index.storage.manifest import read_manifest
from lexidex.passages import PassageParams, passages_for

from ..judged import JudgedQueries
from ..measures import evaluate, parse_measures
from ..runs import search_all
from .harness import Say
from .record import Line, Record
from .tables import Table, megabytes, number

KIND = "passages"
ABOUT = """The same documents, whole, cut off (`truncate`), as passages of which the best counts
(`split`), and as one vector of the largest weights in any of them (`max`). Passages have so many
tokens at most, the title that each begins with among them; with bm25, tokens are words. A query is
*for long ones* where all of its relevant documents have more tokens than the largest passage
compared. Index is the exact index on disk."""

MEASURE = "nDCG@10"


@dataclass(frozen=True)
class PassageFigures:
    """One setting.

    Attributes:
        passages: the setting, as text; "whole" where nothing is cut.
        ndcg, ndcg_long, ndcg_short: means over all queries, those for long documents, the others;
            None where there are none.
        n_long: number of queries for long documents.
        index_bytes: of the exact index.
    """

    passages: str
    ndcg: float
    ndcg_long: float | None
    ndcg_short: float | None
    n_long: int
    n_passages: int
    n_postings: int
    index_bytes: int


def run_passages(
    documents: Sequence[Document],
    judged: JudgedQueries,
    encoder: Encoder,
    sizes: Sequence[int],
    overlaps: Sequence[int],
    *,
    record: Record,
    say: Say,
) -> list[PassageFigures]:
    """Index the documents in every way and search each with all queries.

    Args:
        sizes: most tokens of a passage.
        overlaps: most tokens that passages repeat.

    Raises:
        ParameterError: the encoder reads fewer tokens.
    """
    settings = settings_for(encoder, sizes, overlaps)
    long = _long_documents(documents, encoder, max(sizes))
    is_long = np.array([set(relevant) <= long for relevant in judged.qrels.values()])
    figures = []
    for name, params in settings.items():
        say(f"indexing {len(documents):,} documents: {name}")
        with tempfile.TemporaryDirectory() as scratch:
            found = _measure(documents, judged, encoder, params, is_long, Path(scratch) / "c")
        figures.append(replace(found, passages=name))
        record.add(KIND, **vars(figures[-1]))
    return figures


def settings_for(
    encoder: Encoder, sizes: Sequence[int], overlaps: Sequence[int]
) -> dict[str, PassageParams]:
    """What is compared, by name: whole, where the encoder can, then every way for every size."""
    whole = {} if encoder.max_tokens is not None else {"whole": PassageParams("truncate")}
    made = []
    for size in sizes:
        made.append(PassageParams("truncate", size, 0))
        made.append(PassageParams("max", size, 0))
        made += [PassageParams("split", size, overlap) for overlap in overlaps]
    return whole | {str(passages_for(params, encoder)): params for params in made}


def _long_documents(documents: Sequence[Document], encoder: Encoder, size: int) -> set[str]:
    return {one.id for one in documents if len(encoder.token_spans(one.full_text)) > size}


def _measure(
    documents: Sequence[Document],
    judged: JudgedQueries,
    encoder: Encoder,
    params: PassageParams,
    is_long: NDArray[np.bool_],
    folder: Path,
) -> PassageFigures:
    with Collection.create(folder, encoder, "off", passages=params) as collection:
        collection.upsert(documents)
        collection.compact()
        run = search_all(collection, judged, 10)
    entries = read_manifest(FileStorage(folder)).segments
    values = evaluate(judged.qrels, run, parse_measures(MEASURE)).per_query
    each = np.array([values[query_id][MEASURE] for query_id in judged.qrels])
    return PassageFigures(
        passages=str(params),
        ndcg=float(each.mean()),
        ndcg_long=float(each[is_long].mean()) if is_long.any() else None,
        ndcg_short=float(each[~is_long].mean()) if not is_long.all() else None,
        n_long=int(is_long.sum()),
        n_passages=sum(entry.n_passages for entry in entries),
        n_postings=sum(entry.n_postings for entry in entries),
        index_bytes=sum(
            file.size
            for entry in entries
            for file in entry.files
            if file.name.endswith(layout.EXACT)
        ),
    )


def tables(lines: Sequence[Line]) -> list[Table]:
    """One table, a row for each setting."""
    of_results = ("setting", MEASURE, "for long ones", "for others")
    columns = (*of_results, "passages", "nnz", "index MB")
    rows = [
        [
            line["passages"],
            *(number(line[name], 4) for name in ("ndcg", "ndcg_long", "ndcg_short")),
            number(line["n_passages"]),
            number(line["n_postings"]),
            megabytes(line["index_bytes"]),
        ]
        for line in lines
    ]
    note = f"{lines[0]['n_long']:,} of the queries are for long documents."
    return [Table("", columns, rows, note)]
