"""Reranking benchmark: does attention over a document's passages find long documents better?

One collection of long documents, as passages with bm25 and dense vectors; the same judged queries
search it by either side, by both, and by bm25 reranked in several ways. What is trained learns from
queries about one half of the documents, and all figures are of queries about the other half.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexidex.collection import Collection
from lexidex.documents import Document
from lexidex.encoders.attention import Attention
from lexidex.encoders.dense import DenseEncoder
from lexidex.encoders.training.attention import AttentionTraining, train_attention
from lexidex.errors import ParameterError
from lexidex.index.vectors import Float32s
from lexidex.passages import PassageParams
from lexidex.rerankers import AttentionReranker
from lexidex.reranking import RerankParams

from ..attention_tuning import attention_lists
from ..judged import JudgedQueries
from ..measures import evaluate, parse_measures
from .harness import Say
from .record import Line, Record
from .tables import Table, number

KIND = "reranking"
ABOUT = """Long documents as passages, searched by bm25, by dense vectors, by both (`hybrid`), and
by bm25 with its first 100 documents reranked over the dense vectors of all their passages: `best
passage` (attention of temperature 0.0001), `attention` with its defaults, and trained. Trained were
the weight beside bm25, the temperature, too, or all of it and the maps, on queries about one half
of the documents; all figures are of queries about the other half. p is of a paired t-test, against
the best passage with the default weight, and with the trained one."""

MEASURE = "nDCG@10"
BASELINE, BEST = "bm25", "bm25, best passage"
TRAINED_BEST = "bm25, best passage, weight trained"
_COLD = 1e-4
_K = 10

Float64s = NDArray[np.float64]


@dataclass(frozen=True)
class RerankFigures:
    """One way to search.

    Attributes:
        way: what it is called.
        ndcg: mean over the measured queries.
        p_baseline, p_best, p_trained_best: of a paired t-test against bm25, and against the best
            passage with the default weight, and with a trained one.
        temperature, weight: of attention, beside 1 - weight of the search; None without.
        search_us, rerank_us: means over queries of the wall time of searching and of reranking.
    """

    way: str
    ndcg: float
    p_baseline: float
    p_best: float
    p_trained_best: float
    temperature: float | None
    weight: float | None
    search_us: float
    rerank_us: float | None
    n_queries: int
    n_training: int
    n_passages: int


def run_reranking(
    documents: Sequence[Document],
    judged: JudgedQueries,
    dense: DenseEncoder,
    size: int,
    *,
    training: AttentionTraining | None = None,
    seed: int = 0,
    record: Record,
    say: Say,
) -> list[RerankFigures]:
    """Index the documents, train on half of the queries and measure on the others.

    Args:
        size: most words of a passage.
        training: of the maps; the temperature alone is trained alike.
        seed: of the halves.

    Raises:
        ParameterError: a half has no queries.
    """
    learning, measured = halves(documents, judged, seed)
    params = PassageParams("split", size, 0)
    with tempfile.TemporaryDirectory() as scratch:
        say(f"indexing {len(documents):,} documents")
        folder = Path(scratch) / "c"
        with Collection.create(folder, "bm25", "off", dense=dense, passages=params) as collection:
            collection.upsert(documents)
            collection.compact()
            say(f"training on {len(learning.queries):,} queries")
            attentions = _attentions(collection, learning, training or AttentionTraining())
            say(f"searching {len(measured.queries):,} queries")
            rows = dense.encode_queries([str(query) for query in measured.queries.values()])
            found = {
                way: _search(collection, measured, rows, options)
                for way, options in _ways(attentions).items()
            }
            n_passages = collection.n_passages
    figures = _figures(found, attentions, len(learning.queries), n_passages)
    for one in figures:
        record.add(KIND, **vars(one))
    return figures


def halves(
    documents: Sequence[Document], judged: JudgedQueries, seed: int
) -> tuple[JudgedQueries, JudgedQueries]:
    """Queries about one half of the documents, and about the other; those about both are in none.

    Raises:
        ParameterError: there are none about one of them.
    """
    ids = [one.id for one in documents]
    order = np.random.default_rng(seed).permutation(len(ids))
    first = {ids[place] for place in order[: len(ids) // 2].tolist()}
    parts = []
    for half in (first, set(ids) - first):
        names = [name for name, relevant in judged.qrels.items() if set(relevant) <= half]
        if not names:
            raise ParameterError("no queries about one half of the documents; give more of both")
        qrels = {name: judged.qrels[name] for name in names}
        parts.append(JudgedQueries({name: judged.queries[name] for name in names}, qrels))
    return parts[0], parts[1]


def _attentions(
    collection: Collection, learning: JudgedQueries, training: AttentionTraining
) -> dict[str, Attention]:
    """What is compared, by the name of the way."""
    lists = attention_lists(collection, learning)
    plain = replace(training, width=0)
    # A step so small that the weight alone is chosen.
    weight = replace(plain, steps=1, learning_rate=1e-9, temperature=_COLD)
    return {
        BEST: Attention(_COLD),
        TRAINED_BEST: train_attention(lists, weight).attention,
        "bm25, attention": Attention(),
        "bm25, attention, temperature trained": train_attention(lists, plain).attention,
        "bm25, attention, maps trained": train_attention(lists, training).attention,
    }


def _ways(attentions: Mapping[str, Attention]) -> dict[str, dict[str, Any]]:
    """Options of each search."""
    reranked = {
        way: {"rerank": RerankParams(AttentionReranker(attention))}
        for way, attention in attentions.items()
    }
    return {BASELINE: {}, "dense": {"mode": "dense"}, "hybrid": {"mode": "hybrid"}, **reranked}


def _search(
    collection: Collection, measured: JudgedQueries, rows: Float32s, options: Mapping[str, Any]
) -> tuple[Float64s, float, float | None]:
    """The measure of each query, and the mean times of searching and of reranking."""
    run, searching, reranking = {}, [], []
    for (name, query), row in zip(measured.queries.items(), rows, strict=True):
        given = {"dense": row} if options else {}
        found = collection.search(str(query), _K, fields=(), **given, **options)
        run[name] = {hit.doc_id: hit.score for hit in found}
        searching.append(found.timings.search_us)
        if found.timings.rerank_us is not None:
            reranking.append(found.timings.rerank_us)
    values = evaluate(measured.qrels, run, parse_measures(MEASURE)).per_query
    each = np.array([values[name][MEASURE] for name in measured.qrels])
    return each, float(np.mean(searching)), float(np.mean(reranking)) if reranking else None


def _figures(
    found: Mapping[str, tuple[Float64s, float, float | None]],
    attentions: Mapping[str, Attention],
    n_training: int,
    n_passages: int,
) -> list[RerankFigures]:
    figures = []
    for way, (each, searching, reranking) in found.items():
        attention = attentions.get(way)
        weights = attention.fusion.weights if attention else {}
        figures.append(
            RerankFigures(
                way,
                float(each.mean()),
                _p_value(each, found[BASELINE][0]),
                _p_value(each, found[BEST][0]),
                _p_value(each, found[TRAINED_BEST][0]),
                attention.temperature if attention else None,
                weights.get("rerank", 0.5) if attention else None,
                searching,
                reranking,
                each.size,
                n_training,
                n_passages,
            )
        )
    return figures


def _p_value(one: Float64s, other: Float64s) -> float:
    from scipy.stats import ttest_rel

    return 1.0 if (one == other).all() else float(ttest_rel(one, other).pvalue)


def tables(lines: Sequence[Line]) -> list[Table]:
    """One table, a row for each way."""
    against = ("p, against bm25", "best passage", "its trained weight")
    columns = ("search", MEASURE, *against, "temperature", "weight", "search us", "rerank us")
    rows = [
        [
            line["way"],
            number(line["ndcg"], 4),
            number(line["p_baseline"], 3),
            number(line["p_best"], 3),
            number(line["p_trained_best"], 3),
            number(line["temperature"], 4),
            number(line["weight"], 2),
            number(line["search_us"]),
            number(line["rerank_us"]),
        ]
        for line in lines
    ]
    first = lines[0]
    note = (
        f"{first['n_queries']:,} queries measured, {first['n_training']:,} about other documents "
        f"trained on; {first['n_passages']:,} passages."
    )
    return [Table("", columns, rows, note)]
