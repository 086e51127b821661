"""What searches, explanations and writes return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lexidex.index import Counters
from lexidex.index.filters import FacetCount


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of a document found.

    Attributes:
        number: among the document's passages, from 0.
        start, end: where it stands in the document's text, in code points.
        text: text[start:end], if text or passage was asked for; else None.
    """

    number: int = 0
    start: int = 0
    end: int = 0
    text: str | None = None


@dataclass(frozen=True, slots=True)
class LegScore:
    """What one leg, sparse or dense search or a reranker, says of a document and adds to its score.

    Attributes:
        rank: among the candidates, from 1; equal scores share the best.
        score: the leg's own.
        normalised: on the scale of the fusion.
        weight: the leg's.
        contribution: to the document's score, which is the sum of its legs' contributions.
        passage: number of the passage that has the leg's score, from 0.
    """

    rank: int
    score: float
    normalised: float
    weight: float
    contribution: float
    passage: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A document found.

    `passage` is its best: the one that has its score, or adds most to it. `legs` are those of a
    dense or hybrid search that know the document, by name. A reranked search adds two: "first", the
    rank and the score before, and "rerank", where the document was reranked; then these two add up
    to the score, and those of the search to the score before.
    """

    doc_id: str
    score: float
    title: str | None = None
    text: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    passage: Passage = Passage()
    legs: Mapping[str, LegScore] = field(default_factory=dict)

    @property
    def sparse_passage(self) -> int:
        """The number of the passage with the sparse score, which an explanation is of.

        Fusion and reranking may show another one: `passage` adds most to the document's score.
        """
        leg = self.legs.get("sparse") or (None if "dense" in self.legs else self.legs.get("first"))
        return self.passage.number if leg is None else leg.passage


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall time of the parts of a search, in microseconds; rerank_us is None without reranking."""

    encode_us: float
    search_us: float
    fuse_us: float
    fetch_us: float
    rerank_us: float | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first, and how they came about.

    Attributes:
        generation: the collection's generation that was searched.
        plan: how each segment was searched, oldest segment first, those in memory last: "exact";
            "seismic", or, by dense vectors, the name of the index that proposed what was scored,
            such as "HNSW32_SQ8"; "skipped" where it has no document left, none that passes the
            filter, or no dense vector. In hybrid mode those of the sparse leg, then those of the
            dense one.
        ignored_terms: terms of the query that no document can match.
        counters: work done; equal on every machine.
        facets: for each field asked for, its most frequent values among all documents that pass
            the filter, whether they are hits or not.
    """

    hits: list[Hit]
    timings: Timings
    generation: int
    counters: Counters
    plan: tuple[str, ...] = ()
    ignored_terms: list[str] = field(default_factory=list)
    facets: Mapping[str, list[FacetCount]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)


@dataclass(frozen=True, slots=True)
class TermContribution:
    """What one term adds to a score: `product` = `query` weight x `document` weight."""

    term: str
    query: float
    document: float
    product: float

    def __iter__(self) -> Iterator[Any]:
        return iter((self.term, self.query, self.document, self.product))


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a document has its score: `terms`, largest first, add up to `score`.

    `passage` is the number of the passage that is explained, from 0.
    """

    doc_id: str
    score: float
    terms: list[TermContribution]
    passage: int = 0
    ignored_terms: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a write did.

    Attributes:
        upserted, deleted: numbers of documents.
        failed: (id, reason) of documents that were left out; the id is "#7" for the document
            in place 7 (from 0) when it has none.
        generation: the generation in which the write is visible.
        resumed: texts among them whose vectors an earlier run, which was killed, had encoded.
    """

    upserted: int = 0
    deleted: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    generation: int = 0
    resumed: int = 0
