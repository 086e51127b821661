"""Judged test collections in BEIR's layout: queries and qrels (the corpus is read as a source).

corpus.jsonl[.gz]   {"_id", "title", "text"}
queries.jsonl[.gz]  {"_id", "text"}
qrels/<split>.tsv   query-id, corpus-id, score, under a header line
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lexidex.documents import SparseInput, check_sparse
from lexidex.errors import InputError
from lexidex.sources import beir_file, json_lines

Qrels: TypeAlias = dict[str, dict[str, int]]
"""query_id -> doc_id -> relevance."""


@dataclass(frozen=True)
class JudgedQueries:
    """The queries of one split and their judgments; a query is a text or a sparse vector."""

    queries: dict[str, str | SparseInput]
    qrels: Qrels

    @property
    def all_texts(self) -> bool:
        """Whether every query is a text."""
        return all(isinstance(query, str) for query in self.queries.values())


def read_judged(folder: Path, split: str = "test") -> JudgedQueries:
    """The judged queries of a BEIR folder; queries without a judgment are left out.

    Raises:
        InputError: a file is missing or has a bad line (named), or a judged query has no text.
    """
    path = beir_file(folder, "queries.jsonl")
    if path is None:
        raise InputError(f"{folder}: no queries.jsonl in it; expected a BEIR folder")
    qrels = read_qrels(_split_file(folder, split))
    queries: dict[str, str | SparseInput] = {}
    for line, record in json_lines(path):
        query_id, query = _query(path, line, record)
        if query_id in queries:
            raise InputError(f"{path}:{line}: query {query_id!r} stands in an earlier line already")
        if query_id in qrels:
            queries[query_id] = query
    missing = [query_id for query_id in qrels if query_id not in queries]
    if missing:
        raise InputError(f"{path}: judged query {missing[0]!r} is not among the queries")
    return JudgedQueries(queries, qrels)


def read_qrels(path: Path) -> Qrels:
    """Judgments from a TSV (query-id, corpus-id, score; header line) or TREC file (4 columns).

    Raises:
        InputError: the file cannot be read, or names a bad line: of another form, or one that
            judges a pair differently than a line before.
    """
    qrels: Qrels = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    for number, text in enumerate(lines, start=1):
        cells = text.split("\t") if "\t" in text else text.split()
        if not text.strip() or (number == 1 and not any(map(str.isdigit, cells[-1]))):
            continue
        if len(cells) == 4:
            del cells[1]
        try:
            query_id, doc_id, relevance = cells
            judged = int(relevance)
        except ValueError:
            raise InputError(
                f"{path}:{number}: {text!r}; expected query-id, corpus-id and an integer score"
            ) from None
        former = qrels.setdefault(query_id, {}).setdefault(doc_id, judged)
        if former != judged:
            raise InputError(f"{path}:{number}: {text!r}; the same pair was judged {former} before")
    if not qrels:
        raise InputError(f"{path}: no judgments in it")
    return qrels


def splits_of(folder: Path) -> list[str]:
    """The splits that a BEIR folder has judgments for, in order of their names."""
    return sorted(file.stem for file in (folder / "qrels").glob("*.tsv"))


def _split_file(folder: Path, split: str) -> Path:
    path = folder / "qrels" / f"{split}.tsv"
    if not path.is_file():
        known = ", ".join(splits_of(folder)) or "none"
        raise InputError(f"{folder}: no split {split!r} in qrels/; there is {known}")
    return path


def _query(
    path: Path, line: int, record: dict[str, Any] | InputError
) -> tuple[str, str | SparseInput]:
    if isinstance(record, InputError):
        raise InputError(f"{path}:{line}: {record}")
    query_id, text = record.get("_id", record.get("id")), record.get("text")
    if not isinstance(query_id, str | int):
        raise InputError(f"{path}:{line}: field '_id' is missing")
    if record.get("vector") is not None:
        try:
            return str(query_id), check_sparse(record["vector"])
        except InputError as error:
            raise InputError(f"{path}:{line}: {error}") from None
    if not isinstance(text, str):
        raise InputError(f"{path}:{line}: field 'text' is missing or no string")
    return str(query_id), text
