"""Effectiveness benchmark: how good are an encoder's results, next to BM25 and its dense side?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lexidex.collection import Collection
from lexidex.dense_side import DenseSide
from lexidex.encoders import Encoder, load_encoder
from lexidex.index.storage.files import FileStorage
from lexidex.index.storage.manifest import read_manifest

from ..judged import read_judged
from ..measures import evaluate, parse_measures
from ..runs import search_all
from .harness import Say
from .judged_collection import indexed, place_of, splits
from .record import Line, Record
from .tables import Table, number

KIND = "effectiveness"
MEASURES = parse_measures("nDCG@10 R@100")
ABOUT = """Exact search of whole collections by our BM25, by the encoder, by its dense side, and by
both fused with default weights. A document whose id is the query's own is left out of its results.
nnz is the mean number of terms that the encoder gives a passage."""

BASELINE = "bm25"
_DEPTH = 100


@dataclass(frozen=True)
class EffectivenessFigures:
    """One system on one collection.

    Attributes:
        collection: its name, and the split's where that is not "test".
        encoder: the name of the encoder compared.
        system: "bm25", "sparse", "dense" or "hybrid".
        ndcg, recall: nDCG@10 and R@100, means over the queries.
        nnz: terms of a passage, of the encoder's sparse side alone.
    """

    collection: str
    encoder: str
    system: str
    ndcg: float
    recall: float
    nnz: float | None
    n_queries: int


def run_effectiveness(
    folders: Sequence[Path],
    encoder: Encoder,
    dense: DenseSide | None,
    collections: Path,
    *,
    record: Record,
    say: Say,
) -> list[EffectivenessFigures]:
    """Index collections by both encoders, where they are not yet, and search all judged queries.

    Args:
        folders: in BEIR's layout.
        dense: None for an encoder without.
        collections: the folder that indexed ones are kept in.

    Raises:
        InputError: a folder has no queries or judgments, or a bad line.
    """
    modes = ["sparse"] if dense is None else ["sparse", "dense", "hybrid"]
    figures = []
    for data in folders:
        baseline = indexed(data, collections, load_encoder(BASELINE), None, say)
        ours = indexed(data, collections, encoder, dense, say)
        nnz = _terms_of_passages(place_of(data, collections, encoder, dense))
        with baseline, ours:
            systems = {BASELINE: (baseline, "sparse")} | {mode: (ours, mode) for mode in modes}
            for split in splits(data)[0]:
                say(f"{data.name}: searching the queries of {split}")
                for measured in _figures(data, split, systems, nnz):
                    figure = replace(measured, encoder=encoder.name)
                    figures.append(figure)
                    record.add(KIND, **vars(figure))
    return figures


def _figures(
    data: Path, split: str, systems: Mapping[str, tuple[Collection, str]], nnz: float
) -> list[EffectivenessFigures]:
    judged = read_judged(data, split)
    name = data.absolute().name if split == "test" else f"{data.absolute().name} {split}"
    found = []
    for system, (collection, mode) in systems.items():
        options: dict[str, Any] = {"mode": mode, "exact": True}
        means = evaluate(
            judged.qrels, search_all(collection, judged, _DEPTH, options), MEASURES
        ).means
        ndcg, recall = (means[str(measure)] for measure in MEASURES)
        terms = nnz if system == "sparse" else None
        found.append(EffectivenessFigures(name, "", system, ndcg, recall, terms, len(judged.qrels)))
    return found


def _terms_of_passages(folder: Path) -> float:
    entries = read_manifest(FileStorage(folder)).segments
    n_passages = sum(entry.n_passages for entry in entries)
    return sum(entry.n_postings for entry in entries) / max(n_passages, 1)


def tables(lines: Sequence[Line]) -> list[Table]:
    """A row for each collection, and their mean; then how far each system is above the baseline."""
    systems = list(dict.fromkeys(line["system"] for line in lines))
    cells = {(line["collection"], line["system"]): line for line in lines}
    names = list(dict.fromkeys(line["collection"] for line in lines))
    found = []
    for measure, field in zip(MEASURES, ("ndcg", "recall"), strict=True):
        values = np.array([[cells[name, system][field] for system in systems] for name in names])
        rows = [
            [name, *(number(value, 4) for value in row), f"{row[1] - row[0]:+.4f}"]
            for name, row in zip([*names, "mean"], [*values, values.mean(axis=0)], strict=True)
        ]
        if field == "ndcg":
            nnz = [number(cells[name, systems[1]]["nnz"], 0) for name in names]
            rows = [[*row, terms] for row, terms in zip(rows, [*nnz, ""], strict=True)]
        columns = ("collection", *systems, "sparse - bm25", *(["nnz"] if field == "ndcg" else []))
        found.append(Table(str(measure), columns, rows))
    return found
