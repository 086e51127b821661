"""Pairs of a query and a text that answers it -> documents and judged queries.

    pairs.jsonl[.gz]   {"query", "title", "text"}

A text is the one relevant document of its query, or of several; so is, where texts are joined, the
document that has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lexidex.documents import Document
from lexidex.errors import InputError
from lexidex.sources import Reader, json_lines

from .judged import JudgedQueries, Qrels, read_judged


def read_pairs(
    path: Path, *, by_title: bool = False, n_queries: int | None = None, seed: int = 0
) -> tuple[list[Document], JudgedQueries]:
    """The documents and the judged queries of a file of pairs.

    Args:
        by_title: join the texts of one title to one document, in their order, a line each.
        n_queries: draw as many; None for all.
        seed: of the draw.

    Raises:
        InputError: the file cannot be read, or a line (named) is no pair.
    """
    texts: dict[tuple[str, str], dict[str, None]] = {}
    relevant: dict[str, dict[tuple[str, str], int]] = {}
    for query, title, text in _pairs(path):
        key = (title, "" if by_title else text)
        texts.setdefault(key, {})[text] = None
        relevant.setdefault(query, {})[key] = 1
    ids = {key: str(number) for number, key in enumerate(texts)}
    documents = [
        Document(ids[key], "\n".join(joined), title=key[0] or None) for key, joined in texts.items()
    ]
    order = np.random.default_rng(seed).permutation(len(relevant))[:n_queries]
    queries = list(relevant)
    chosen = {f"q{place}": queries[place] for place in sorted(order.tolist())}
    qrels: Qrels = {
        query_id: {ids[key]: 1 for key in relevant[query]} for query_id, query in chosen.items()
    }
    return documents, JudgedQueries(dict(chosen), qrels)


def read_documents(
    path: Path, *, by_title: bool = False, n_queries: int | None = None, seed: int = 0
) -> tuple[list[Document], JudgedQueries]:
    """The documents and judged queries of a BEIR folder (its test split), or of a file of pairs.

    Args:
        by_title, n_queries, seed: of pairs, see `read_pairs`.

    Raises:
        InputError: see `read_pairs` and `read_judged`.
    """
    if not path.is_dir():
        return read_pairs(path, by_title=by_title, n_queries=n_queries, seed=seed)
    return list(Reader([path])), read_judged(path)


def drawn_documents(
    documents: list[Document], judged: JudgedQueries, n: int, seed: int = 0
) -> tuple[list[Document], JudgedQueries]:
    """Some of the documents, drawn, and the queries whose relevant documents are all among them."""
    order = np.random.default_rng(seed).permutation(len(documents))[:n]
    chosen = [documents[place] for place in sorted(order.tolist())]
    ids = {one.id for one in chosen}
    qrels = {name: found for name, found in judged.qrels.items() if set(found) <= ids}
    return chosen, JudgedQueries({name: judged.queries[name] for name in qrels}, qrels)


def _pairs(path: Path) -> Iterator[tuple[str, str, str]]:
    for line, record in json_lines(path):
        if isinstance(record, InputError):
            raise InputError(f"{path}:{line}: {record}")
        query, title, text = (record.get(name) for name in ("query", "title", "text"))
        title = title or ""
        if not (isinstance(query, str) and isinstance(title, str) and isinstance(text, str)):
            raise InputError(f"{path}:{line}: expected strings query and text, and perhaps title")
        yield query, title, text
