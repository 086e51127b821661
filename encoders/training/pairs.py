"""Training data: which documents answer which query, read from pairs or from a test collection.

Texts are known by row. Ids name them across files and runs (mined negatives, stored scores): those
of the collection where it has them, else a hash of the text, which no reordering changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from lexidex.errors import InputError, ParameterError
from lexidex.index.vectors import Int64s
from lexidex.sources import beir_file, json_lines

PAIRS = "pairs.jsonl"
"""{"query", "text"} and perhaps "title", a line a pair; also packed by gzip."""


@dataclass(frozen=True)
class Pairs:
    """Queries, documents, and which belong together.

    Attributes:
        query_ids: one a query, distinct.
        queries: texts.
        document_ids: one a document, distinct.
        documents: texts, title included.
        positives: for each query the rows of its documents, at least one; int64.
    """

    query_ids: list[str]
    queries: list[str]
    document_ids: list[str]
    documents: list[str]
    positives: list[Int64s]

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.queries)

    def of_queries(self, rows: Iterable[int]) -> Pairs:
        """These queries alone, with all documents."""
        kept = list(rows)
        return Pairs(
            [self.query_ids[row] for row in kept],
            [self.queries[row] for row in kept],
            self.document_ids,
            self.documents,
            [self.positives[row] for row in kept],
        )

    def of_documents(self, rows: Sequence[int] | Int64s) -> Pairs:
        """These documents alone, and the queries that have one of them."""
        place = {int(row): number for number, row in enumerate(rows)}
        kept, positives = [], []
        for query, own in enumerate(self.positives):
            there = [place[int(row)] for row in own if int(row) in place]
            if there:
                kept.append(query)
                positives.append(np.array(there, dtype=np.int64))
        return Pairs(
            [self.query_ids[row] for row in kept],
            [self.queries[row] for row in kept],
            [self.document_ids[int(row)] for row in rows],
            [self.documents[int(row)] for row in rows],
            positives,
        )


def read_pairs(path: Path, split: str = "train") -> Pairs:
    """The pairs of a file, or of a folder that holds pairs.jsonl or a BEIR collection.

    Args:
        path: JSON lines with query, text and perhaps title; or a folder.
        split: which qrels of a BEIR collection; documents judged 1 and above are positives.

    Raises:
        InputError: nothing usable is there, or a line is bad; names it.
    """
    file = beir_file(path, PAIRS) if path.is_dir() else path
    if file is not None:
        return _from_lines(file)
    if beir_file(path, "corpus.jsonl"):
        return _from_collection(path, split)
    raise InputError(f"{path}: neither {PAIRS} nor corpus.jsonl is there")


def join(parts: Sequence[Pairs]) -> Pairs:
    """Several sources as one; a text that stands in two of them is one text."""
    collected = _Collector()
    for part in parts:
        for query_id, query, own in zip(part.query_ids, part.queries, part.positives, strict=True):
            for row in own:
                document_id = part.document_ids[row]
                collected.add(query_id, query, document_id, part.documents[row])
        for document_id, text in zip(part.document_ids, part.documents, strict=True):
            collected.document(document_id, text)
    return collected.pairs()


def draw(pairs: Pairs, limit: int, seed: int) -> Pairs:
    """At most so many documents, drawn by their ids, and the queries that are left.

    The draw does not depend on the order of the file, and a larger limit keeps what a smaller one
    has taken.
    """
    if len(pairs.documents) <= limit:
        return pairs
    order = _order_by_hash(pairs.document_ids, str(seed))
    return pairs.of_documents(np.sort(order[:limit]))


def hold_out(pairs: Pairs, queries: int, documents: int, seed: int) -> tuple[Pairs, Pairs]:
    """What is trained on, and what is measured on: documents are in one or as a positive in none.

    Args:
        pairs: all there is.
        queries: about how many queries are held out: documents are drawn until theirs are so many.
        documents: how many documents they are searched among: their own, and others, drawn from
            what is trained on.
        seed: of the draw.

    Returns:
        (training, held out): of the training pairs no query has a held-out document.

    Raises:
        ParameterError: nothing would be left to train on.
    """
    # Not the order of `draw`, or what few are drawn of would be held out first.
    order = _order_by_hash(pairs.document_ids, f"held out {seed}")
    of_document: dict[int, list[int]] = {}
    for query, own in enumerate(pairs.positives):
        for row in own:
            of_document.setdefault(int(row), []).append(query)
    held: set[int] = set()
    asked: set[int] = set()
    for row in map(int, order):
        if len(asked) >= queries:
            break
        if row in of_document:
            held.add(row)
            asked.update(of_document[row])
    # A query with several documents takes all of them along.
    held |= {int(row) for query in asked for row in pairs.positives[query]}
    others = [int(row) for row in order if int(row) not in held]
    names = {pairs.query_ids[row] for row in asked}
    training = pairs.of_documents(sorted(others))
    training = training.of_queries(
        row for row, name in enumerate(training.query_ids) if name not in names
    )
    if not len(training):
        raise ParameterError(
            f"held out: {queries} queries of {len(pairs)}; none would be left to train on"
        )
    searched = sorted(held) + others[: max(0, documents - len(held))]
    measured = pairs.of_documents(searched)
    return training, measured.of_queries(
        row for row, name in enumerate(measured.query_ids) if name in names
    )


def text_id(text: str) -> str:
    """The id of a text that has none: 16 hexadecimal digits of its hash."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _order_by_hash(ids: Sequence[str], key: str) -> Int64s:
    """Rows in an order that is random, but the same for the same key."""
    keys = [blake2b(f"{key}:{name}".encode(), digest_size=8).digest() for name in ids]
    return np.array(sorted(range(len(ids)), key=keys.__getitem__), dtype=np.int64)


class _Collector:
    """Pairs in the making: every text once."""

    def __init__(self) -> None:
        self._queries: dict[str, int] = {}
        self._documents: dict[str, int] = {}
        self._texts: tuple[list[str], list[str]] = [], []
        self._positives: list[dict[int, None]] = []

    def document(self, document_id: str, text: str) -> int:
        if document_id not in self._documents:
            self._documents[document_id] = len(self._documents)
            self._texts[1].append(text)
        return self._documents[document_id]

    def add(self, query_id: str, query: str, document_id: str, document: str) -> None:
        if query_id not in self._queries:
            self._queries[query_id] = len(self._queries)
            self._texts[0].append(query)
            self._positives.append({})
        row = self.document(document_id, document)
        self._positives[self._queries[query_id]][row] = None

    def pairs(self) -> Pairs:
        positives = [np.array(list(rows), dtype=np.int64) for rows in self._positives]
        return Pairs(
            list(self._queries), self._texts[0], list(self._documents), self._texts[1], positives
        )


def _from_lines(file: Path) -> Pairs:
    collected = _Collector()
    for line, record in json_lines(file):
        if isinstance(record, InputError):
            raise InputError(f"{file}:{line}: {record}")
        query, text = (_field(file, line, record, name) for name in ("query", "text"))
        title = record.get("title") or ""
        document = f"{title} {text}".strip()
        collected.add(text_id(query), query, text_id(document), document)
    pairs = collected.pairs()
    if not len(pairs):
        raise InputError(f"{file}: no pairs in it")
    return pairs


def _field(file: Path, line: int, record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{file}:{line}: field {name!r}: {value!r}; expected a text")
    return value


def _from_collection(folder: Path, split: str) -> Pairs:
    from lexidex.eval.judged import read_judged
    from lexidex.sources import Reader

    collected = _Collector()
    reader = Reader([folder])
    texts = {document.id: document.full_text for document in reader}
    for document_id, text in texts.items():
        collected.document(document_id, text)
    judged = read_judged(folder, split)
    for query_id, relevances in judged.qrels.items():
        for document_id, relevance in relevances.items():
            if relevance < 1:
                continue
            query = judged.queries[query_id]
            if not isinstance(query, str) or document_id not in texts:
                what = "has no text" if document_id in texts else f"is not in {folder.name}"
                raise InputError(f"{folder}: query {query_id!r}: {document_id!r} {what}")
            collected.add(query_id, query, document_id, texts[document_id])
    return collected.pairs()
