"""Hand-written questions on the standard library, judged against its documentation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from .judged import Qrels

_QUESTIONS = files(__package__) / "data" / "stdlib_questions.jsonl"


def questions(documents: Iterable[Mapping[str, Any]]) -> tuple[dict[str, str], Qrels]:
    """The questions that `documents` (of `stdlib_docs.collect`) answer, and their qrels.

    Each question names every right answer by the name that users know; here it becomes the id of
    the document that has it. What this version of Python lacks is left out, and so is a question
    that keeps no answer.

    Returns:
        query_id -> text, and query_id -> doc_id -> 1.
    """
    ids = _ids_by_name(documents)
    queries: dict[str, str] = {}
    qrels: Qrels = {}
    for line in _QUESTIONS.read_text(encoding="utf-8").splitlines():
        question = json.loads(line)
        relevant = {ids[name]: 1 for name in question["answers"] if name in ids}
        if relevant:
            queries[question["_id"]] = question["text"]
            qrels[question["_id"]] = relevant
    return queries, qrels


def _ids_by_name(documents: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    ids: dict[str, str] = {}
    for document in documents:
        for name in (document["id"], *document["metadata"].get("aliases", ())):
            ids[name] = document["id"]
    return ids
