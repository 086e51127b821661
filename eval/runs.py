"""Runs: for each query the documents found, with scores; and TREC's file format for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from lexidex.collection import Collection
from lexidex.errors import InputError, LexidexError
from lexidex.index.batch import K_LIMIT

from .judged import JudgedQueries

Run: TypeAlias = dict[str, dict[str, float]]
"""query_id -> doc_id -> score, best first."""

_BATCH = 256
_SCORE_LIMIT = float(np.finfo(np.float32).max)


def search_all(
    collection: Collection,
    judged: JudgedQueries,
    k: int,
    options: Mapping[str, Any] | None = None,
    *,
    keep_self: bool = False,
    n_threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Search every query for k documents.

    Args:
        options: more of what `Collection.search_batch` takes, such as mode and exact.
        keep_self: keep a document whose id is the query's own; BEIR's rule leaves it out.
        progress: called with the number of queries done.
    """
    run: Run = {}
    query_ids = list(judged.queries)
    fetched = min(k + 1, K_LIMIT)
    for start in range(0, len(query_ids), _BATCH):
        batch = query_ids[start : start + _BATCH]
        asked = [judged.queries[query_id] for query_id in batch]
        results = _search(collection, asked, fetched, options or {}, n_threads)
        for query_id, hits in zip(batch, results, strict=True):
            kept = [(d, s) for d, s in hits if keep_self or d != query_id]
            run[query_id] = dict(kept[:k])
        if progress:
            progress(len(run))
    return run


def write_run(run: Run, path: Path, tag: str = "lexidex") -> None:
    """Write `query_id Q0 doc_id rank score tag` lines, ranks from 1.

    trec_eval orders by score and then by descending id, whatever the rank says; scores that tie
    are therefore lowered by the least step that keeps our order.
    """
    lines = []
    for query_id, hits in run.items():
        for rank, (doc_id, score) in enumerate(separate_ties(hits).items(), start=1):
            for name in (query_id, doc_id):
                if name.split() != [name]:
                    raise InputError(f"{path}: id {name!r} has spaces; a TREC run cannot hold it")
            lines.append(f"{query_id} Q0 {doc_id} {rank} {score!r} {tag}\n")
    try:
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise LexidexError(f"{path}: cannot be written: {error.strerror}") from None


def read_run(path: Path) -> Run:
    """The run in a TREC file, in trec_eval's order: by score, among equals by descending id.

    Raises:
        InputError: the file cannot be read, or names a bad line: of another form, without a finite
            score, or with a document that the query had before.
    """
    run: Run = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            query_id, _, doc_id, _, written, _ = text.split()
            score = float(written)
        except ValueError:
            score = math.nan
        if not abs(score) <= _SCORE_LIMIT:
            raise InputError(
                f"{path}:{number}: {text!r}; expected 'query_id Q0 doc_id rank score tag'"
            )
        hits = run.setdefault(query_id, {})
        if doc_id in hits:
            raise InputError(f"{path}:{number}: document {doc_id!r} comes twice for {query_id!r}")
        hits[doc_id] = score
    return {query_id: _as_trec_eval_orders(hits) for query_id, hits in run.items()}


def separate_ties(hits: dict[str, float]) -> dict[str, float]:
    """The same hits in the same order, with scores that strictly decrease as 32-bit floats.

    trec_eval holds scores in 32 bits, so a smaller step would be lost there.
    """
    separated, above = {}, np.float32(np.inf)
    for doc_id, score in hits.items():
        above = min(np.float32(score), np.nextafter(above, np.float32(-np.inf)))
        separated[doc_id] = float(above)
    return separated


def _as_trec_eval_orders(hits: dict[str, float]) -> dict[str, float]:
    """The hits by descending 32-bit score, and among equal ones by descending id."""
    ranked = sorted(hits.items(), key=lambda hit: (np.float32(hit[1]), hit[0]), reverse=True)
    return dict(ranked)


def _search(
    collection: Collection,
    queries: Sequence[object],
    k: int,
    options: Mapping[str, Any],
    n_threads: int,
) -> list[list[tuple[str, float]]]:
    texts = [query for query in queries if isinstance(query, str)]
    if len(texts) == len(queries):
        results = collection.search_batch(texts, k, n_threads=n_threads, **options)
    else:
        results = [
            collection.search(query, k, fields=(), **options)
            if isinstance(query, str)
            else collection.search(sparse=query, k=k, fields=(), **options)  # type: ignore[arg-type]
            for query in queries
        ]
    return [[(hit.doc_id, hit.score) for hit in result] for result in results]
