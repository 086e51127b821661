"""Answering a search on one snapshot: encode, search the legs, fuse, rerank, fetch the hits."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

from lexidex.documents import SparseInput
from lexidex.errors import InputError, ParameterError
from lexidex.index import Counters, DenseSearchParams, SearchParams
from lexidex.index.batch import check_k
from lexidex.index.filters import Expression
from lexidex.index.fusion import SOUGHT, FusionParams
from lexidex.index.vectors import Float32s, Vectors, build_vectors, stack

from .arguments import ALL_FIELDS, as_list, check_facets, check_fields, check_manner
from .dense_side import DenseSide
from .hybrid import fuse_legs, with_leg
from .reranking import Reranking, rerank
from .results import Hit, Passage, SearchResult, Timings
from .segment_search import Hits, Located
from .snapshot import EVERYTHING, Snapshot
from .sparse_input import read_query

Mode: TypeAlias = Literal["sparse", "dense", "hybrid"]

_FROM_0 = ("convex", "min-max", "rrf", "max")
"""Methods of fusion that give no score below 0."""

FACET_VALUES = 10
"""Values of each facet, unless asked for otherwise."""


@dataclass(frozen=True)
class Asked:
    """A search but for its queries; `Collection.search` describes each.

    Raises:
        ParameterError: one is out of its range.
    """

    k: int = 10
    mode: Mode = "sparse"
    exact: bool = False
    params: SearchParams | None = None
    accuracy: float | None = None
    fusion: FusionParams | None = None
    fields: Sequence[str] = ALL_FIELDS
    expression: Expression | None = None
    facets: Sequence[str] = ()
    n_threads: int = 1
    reranking: Reranking | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        check_k(self.k)
        if isinstance(self.offset, bool) or not isinstance(self.offset, int) or self.offset < 0:
            raise ParameterError(f"offset: {self.offset!r}; expected an integer of at least 0")
        check_k(self.offset + self.k, "offset + k")
        if self.mode not in get_args(Mode):
            known = ", ".join(get_args(Mode))
            raise ParameterError(f"mode: {self.mode!r}; choose among {known}")
        if self.fusion is not None and self.mode != "hybrid":
            raise ParameterError(f"fusion: only for mode 'hybrid', this is {self.mode!r}")
        check_fields(self.fields)
        check_facets(self.facets)
        check_manner(self.mode, self.exact, self.params, self.accuracy)
        candidates = self.fused_by.depth
        if self.mode == "hybrid" and self.k > 2 * candidates:
            raise ParameterError(
                f"k: {self.k}; hybrid search ranks the {candidates} best of each leg, so there are "
                f"{2 * candidates} at most; give fusion a depth of {self.k}"
            )

    @property
    def fused_by(self) -> FusionParams:
        """How the legs of a hybrid search are fused."""
        return self.fusion or FusionParams()

    @property
    def misses_nothing(self) -> bool:
        """Whether every leg is searched exactly."""
        return self.exact or self.accuracy == 1

    @property
    def depth(self) -> int:
        """How many documents of the ranking are needed: up to those wanted, and those reranked."""
        last = self.offset + self.k
        return last if self.reranking is None else max(last, self.reranking.depth)

    @property
    def attends(self) -> bool:
        """Whether a reranker needs the dense vectors of queries."""
        return self.reranking is not None and self.reranking.attends


@dataclass(frozen=True)
class Queries:
    """Queries as vectors.

    Attributes:
        sparse: csr_array (n, dim); None where only the dense leg is asked for.
        dense: float32 (n, d); None where only the sparse leg is.
        ignored: for each query the terms that no document can match.
        texts: of each query, for those who read it; None for one that is given as a vector.
        attending: float32 (n, d), for a reranker that compares dense vectors; else None.
    """

    sparse: Vectors | None
    dense: Float32s | None
    ignored: list[list[str]] = field(default_factory=list)
    texts: Sequence[str | None] = ()
    attending: Float32s | None = None


def encode(
    snapshot: Snapshot,
    asked: Asked,
    texts: Sequence[str | None],
    sparse: SparseInput | None = None,
    dense: object = None,
) -> Queries:
    """The vectors that the legs of a mode need, and a reranker.

    Args:
        texts: of each query; None for one that is given as a vector.
        sparse, dense: of the only query, in the place of what its text would become.

    Raises:
        ParameterError: a text or a vector is missing, wrong, or of no use in this mode.
    """
    mode, attends = asked.mode, asked.attends
    if asked.reranking is not None:
        asked.reranking.reranker.check(snapshot, texts)
    for name, given in (("sparse", sparse), ("dense", dense)):
        used = mode in (name, "hybrid") or (name == "dense" and attends)
        if given is not None and not used:
            raise ParameterError(f"{name}: of no use in mode {mode!r}; choose another mode")
    vectors, rows = None, None
    ignored: list[list[str]] = [[] for _ in texts]
    if mode != "dense":
        if sparse is None:
            vectors, ignored = encode_texts(snapshot, texts)
        else:
            vectors, unknown = read_sparse(snapshot, sparse)
            ignored = [unknown]
    if mode != "sparse" or attends:
        side = _dense_side(snapshot, mode)
        if dense is not None:
            rows = side.given_query(dense, snapshot.dense_dim)
        else:
            rows = side.encode_queries(_checked(texts, "dense"))
    searched = None if mode == "sparse" else rows
    return Queries(vectors, searched, ignored, texts, rows if attends else None)


def encode_texts(
    snapshot: Snapshot, texts: Sequence[str | None]
) -> tuple[Vectors, list[list[str]]]:
    """Texts as sparse vectors, and the terms of each that no document can match."""
    checked = _checked(texts, "sparse")
    vectors = snapshot.encoder.encode_queries(checked)
    return vectors, [snapshot.encoder.ignored_terms(text) for text in checked]


def read_sparse(snapshot: Snapshot, given: SparseInput) -> tuple[Vectors, list[str]]:
    """A sparse vector as it is given, (1, dim), and its terms that no document can match."""
    try:
        ids, values, unknown = read_query(given, snapshot.encoder)
    except InputError as error:
        raise ParameterError(f"sparse: {error}") from None
    return build_vectors([(ids, values)], snapshot.encoder.dim), unknown


def query_vectors(snapshot: Snapshot, query: str | SparseInput) -> tuple[Vectors, list[str]]:
    """A text or a sparse vector as a vector (1, dim), and its terms that cannot match."""
    if not isinstance(query, str):
        return read_sparse(snapshot, query)
    vectors, ignored = encode_texts(snapshot, [query])
    return vectors, ignored[0]


def sample_vectors(snapshot: Snapshot, queries: Iterable[str | SparseInput]) -> Vectors:
    """Texts and sparse vectors as vectors, csr_array (n, dim)."""
    given = as_list("queries", queries, "texts or sparse vectors")
    texts = [query for query in given if isinstance(query, str)]
    if len(texts) == len(given):
        return encode_texts(snapshot, texts)[0]
    return stack([query_vectors(snapshot, query)[0] for query in given], snapshot.encoder.dim)


def answer(
    snapshot: Snapshot, queries: Queries, asked: Asked, started: float
) -> list[SearchResult]:
    """The results of queries that have been encoded since `started`, in order."""
    clock = [started, time.perf_counter()]
    found, plans, counters = _search(snapshot, queries, asked, asked.depth)
    if asked.reranking is not None and asked.depth > asked.reranking.depth:
        found, work = _same_beginning(snapshot, queries, asked, asked.reranking.depth, found)
        counters += work
    clock.append(time.perf_counter())
    # A reranker looks at the best, whichever of them are wanted.
    skipped = asked.offset if asked.reranking is None else 0
    wanted = slice(skipped, asked.depth)
    if queries.sparse is not None and queries.dense is not None:
        located = [
            fuse_legs(
                snapshot,
                queries.sparse if len(queries.ignored) == 1 else queries.sparse[[row]],
                queries.dense[row],
                [leg[row] for leg in found],
                wanted,
                asked.fused_by,
            )
            for row in range(queries.dense.shape[0])
        ]
    else:
        located = [hits.at(wanted).located() for hits in found[0]]
        if asked.mode == "dense":
            located = [with_leg(one, "dense", skipped + 1) for one in located]
    clock.append(time.perf_counter())
    if asked.reranking is not None:
        located = _reranked(snapshot, queries, asked, asked.reranking, located)
    clock.append(time.perf_counter())
    stored = ("id", *("text" if name == "passage" else name for name in asked.fields))
    first = asked.offset - skipped
    hits = [
        [_hit(snapshot, one, asked.fields, stored) for one in some[first : first + asked.k]]
        for some in located
    ]
    facets = {}
    if asked.facets:
        facets = snapshot.facets(asked.facets, asked.expression or EVERYTHING, FACET_VALUES)
    clock.append(time.perf_counter())
    encoding, searching, fusing, reranking, fetching = (
        round(1e6 * (end - start), 1) for start, end in pairwise(clock)
    )
    reranked = None if asked.reranking is None else reranking
    timings = Timings(encoding, searching, fusing, fetching, reranked)
    return [
        SearchResult(one, timings, snapshot.generation, counters, plan, terms, facets)
        for one, plan, terms in zip(hits, plans, queries.ignored, strict=True)
    ]


def _reranked(
    snapshot: Snapshot,
    queries: Queries,
    asked: Asked,
    reranking: Reranking,
    located: Sequence[Sequence[Located]],
) -> list[list[Located]]:
    """What was found for each query, in the order of a reranker."""
    lower: float | None = 0.0
    if asked.mode == "dense":
        lower = snapshot.dense_lower_bound
    elif asked.mode == "hybrid" and asked.fused_by.method not in _FROM_0:
        lower = None
    vectors = queries.attending if queries.attending is not None else [None] * len(located)
    return [
        rerank(snapshot, reranking, text, vector, hits, lower)
        for text, vector, hits in zip(queries.texts, vectors, located, strict=True)
    ]


def _same_beginning(
    snapshot: Snapshot, queries: Queries, asked: Asked, depth: int, found: list[list[Hits]]
) -> tuple[list[list[Hits]], Counters]:
    """What was found, behind what a search to a smaller depth finds; and the work of that.

    Approximate search that is asked for more finds others among the first, too; what is reranked
    must be the same for every page.
    """
    if asked.mode == "hybrid" or asked.misses_nothing:  # which have one ranking, whatever the depth
        return found, Counters()
    first, _, work = _search(snapshot, queries, asked, depth)
    joined = [
        [head.followed_by(hits) for head, hits in zip(heads, of_leg, strict=True)]
        for heads, of_leg in zip(first, found, strict=True)
    ]
    return joined, work


def _search(
    snapshot: Snapshot, queries: Queries, asked: Asked, depth: int
) -> tuple[list[list[Hits]], list[tuple[str, ...]], Counters]:
    """What each leg finds for each query, how segments were searched, and the work done.

    Args:
        depth: documents of a leg; fusion has a depth of its own.
    """
    sought = None
    if asked.mode == "hybrid":
        depth = asked.fused_by.depth
        if asked.params is None:
            sought = SOUGHT
    found: list[list[Hits]] = []
    plans: list[tuple[str, ...]] = []
    counters = Counters()
    if queries.sparse is not None:
        hits, ways, work = snapshot.search(
            queries.sparse,
            depth,
            exact=asked.exact,
            params=asked.params,
            accuracy=asked.accuracy,
            n_threads=asked.n_threads,
            expression=asked.expression,
            sought=sought,
        )
        found.append(hits)
        plans, counters = list(ways), counters + work
    if queries.dense is not None:
        alone = asked.mode == "dense"
        made = DenseSearchParams if alone else DenseSearchParams.for_fusion
        hits, ways, work = snapshot.search_dense(
            queries.dense,
            depth,
            params=made(exact=asked.misses_nothing),
            n_threads=asked.n_threads,
            expression=asked.expression,
        )
        found.append(hits)
        plans = [one + other for one, other in zip(plans or [()] * len(ways), ways, strict=True)]
        counters += work
    return found, plans, counters


def _dense_side(snapshot: Snapshot, mode: Mode) -> DenseSide:
    if snapshot.dense_side is None:
        raise ParameterError(
            f"mode: {mode!r}, but this collection has no dense side; create it with dense=, or "
            "'lexidex index --dense'"
        )
    return snapshot.dense_side


def _checked(texts: Sequence[str | None], leg: str) -> list[str]:
    checked = []
    for text in texts:
        if not isinstance(text, str):
            given = "none is given" if text is None else repr(text)
            raise ParameterError(f"query: {given}; expected a text, or a {leg} vector as {leg!r}")
        checked.append(text)
    return checked


def _hit(snapshot: Snapshot, located: Located, fields: Sequence[str], stored: Sequence[str]) -> Hit:
    """A document found; `stored` are the names of the fields, as documents have them, and "id"."""
    segment = snapshot.segments[located.segment]
    found = segment.documents.fetch(located.document, stored)
    first = int(segment.passages.starts[located.document])
    start, end = segment.passages.spans[first + located.passage].tolist()
    text = found.get("text")
    passage = Passage(located.passage, start, end, text and text[start:end])
    if "passage" in fields and "text" not in fields:
        del found["text"]
    legs = located.legs or {}
    return Hit(found.pop("id"), located.score, passage=passage, legs=legs, **found)
