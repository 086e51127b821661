"""What clients may ask: request bodies. Unknown fields, wrong types and excess are refused.

What does not exist is not offered: a field that is not here is an error, never silently ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from lexidex.documents import SparseInput, is_numbered
from lexidex.index.dense.vectors import DENSE_DIM_LIMIT
from lexidex.index.fusion import DEPTH, RRF_K, FusionParams, Method
from lexidex.index.vectors import DIM_LIMIT
from lexidex.rerankers import RerankMethod
from lexidex.reranking import DEPTH as DEFAULT_RERANK_DEPTH
from lexidex.searching import Mode

from .limits import (
    BATCH_HITS,
    BATCH_QUERIES,
    BATCH_RERANKED,
    FACETS,
    K_LIMIT,
    OFFSET_LIMIT,
    QUERY_CHARACTERS,
    RERANK_DEPTH,
    SPARSE_TERMS,
    TERM_CHARACTERS,
    WEIGHT_LIMIT,
)

TERMS_FORM = "{term: weight}"
NUMBERED_FORM = "{components, values}"
"""How validation errors tell the two forms of a sparse vector apart."""


def _form(given: Any) -> str:
    numbered = isinstance(given, dict) and is_numbered(given)
    return NUMBERED_FORM if numbered or isinstance(given, NumberedVector) else TERMS_FORM


Text = Annotated[str, Field(max_length=QUERY_CHARACTERS)]
Term = Annotated[str, Field(max_length=TERM_CHARACTERS)]
Weight = Annotated[float, Field(ge=0, le=WEIGHT_LIMIT, allow_inf_nan=False)]
Component = Annotated[int, Field(ge=0, lt=DIM_LIMIT)]
FieldName = Literal["title", "text", "metadata", "passage"]
Count = Annotated[int, Field(ge=1, le=K_LIMIT, description="Hits at most.")]
Exact = Annotated[bool, Field(description="Approximate nothing.")]
Accuracy = Annotated[
    float | None,
    Field(
        gt=0,
        le=1,
        description="Share of the exact results that is to be found, by the cheapest search known "
        "to; not together with `exact`, which is what 1 means. In mode `hybrid` it is about the "
        "sparse leg; mode `dense` knows but 1.",
    ),
]
Conditions = Annotated[
    dict[str, Any],
    Field(
        description="Conditions on metadata that documents must meet: fields with a value or an "
        "object of eq, ne, in, lt, lte, gt, gte, exists, prefix; and, or, not.",
        examples=[{"year": {"gte": 2000, "lt": 2010}, "not": {"language": "fr"}}],
    ),
]


class Body(BaseModel):
    """What all bodies have in common: no other fields, no conversions between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NumberedVector(Body):
    """A sparse vector by numbers of components; equal lengths, no component twice."""

    components: Annotated[list[Component], Field(max_length=SPARSE_TERMS)]
    values: Annotated[list[Weight], Field(max_length=SPARSE_TERMS)]


TermWeights = Annotated[dict[Term, Weight], Field(max_length=SPARSE_TERMS)]
Sparse = Annotated[
    Annotated[TermWeights, Tag(TERMS_FORM)] | Annotated[NumberedVector, Tag(NUMBERED_FORM)],
    Discriminator(_form),
]


def exactly_one(*names: str) -> Callable[[dict[str, Any]], None]:
    """Say in a JSON schema what `check_one` checks."""

    def extend(schema: dict[str, Any]) -> None:
        _without_null(schema, names)
        schema["oneOf"] = [{"required": [name]} for name in names]

    return extend


def at_least_one(*names: str) -> Callable[[dict[str, Any]], None]:
    """Say in a JSON schema that some of these fields are given, and none of them as null."""

    def extend(schema: dict[str, Any]) -> None:
        _without_null(schema, names)
        schema["anyOf"] = [{"required": [name]} for name in names]

    return extend


def _without_null(schema: dict[str, Any], names: Sequence[str]) -> None:
    for name in names:
        described = schema["properties"][name]
        options = [option for option in described.pop("anyOf") if option != {"type": "null"}]
        del described["default"]
        described.update(options[0] if len(options) == 1 else {"anyOf": options})


def check_one(body: Body, *names: str) -> None:
    """Raise ValueError unless exactly one of the fields is given, and not as null."""
    given = body.model_fields_set & set(names)
    if len(given) != 1 or getattr(body, given.pop()) is None:
        raise ValueError(f"give exactly one of {' and '.join(names)}, and no null")


class Asked(Body):
    """A query: a text for the collection's encoder, or a sparse vector; exactly one of them."""

    model_config = ConfigDict(json_schema_extra=exactly_one("query", "sparse"))

    query: Annotated[Text | None, Field(description="A text.")] = None
    sparse: Annotated[
        Sparse | None,
        Field(description='{term: weight}, or {"components": [...], "values": [...]}.'),
    ] = None

    @model_validator(mode="after")
    def _check_asked(self) -> Self:
        check_one(self, "query", "sparse")
        return self

    @property
    def vector(self) -> SparseInput | None:
        """The sparse vector as the library takes it, or None when a text was given."""
        return self.sparse.model_dump() if isinstance(self.sparse, NumberedVector) else self.sparse


class Fusion(Body):
    """How a hybrid search fuses its legs; docs/FUSION.md has the formulas."""

    method: Annotated[Method, Field(description="How scores are fused.")] = "convex"
    weights: Annotated[
        dict[Literal["sparse", "dense"], Weight],
        Field(
            description="By leg, not all of them 0; 1 for one that is not named. Without any, 1 "
            "for both, except for `convex` of cosines: dense 0.8, sparse 0.2."
        ),
    ] = Field(default_factory=dict)
    depth: Annotated[
        int, Field(ge=1, le=K_LIMIT, description="Candidates of each leg, whatever `k` is.")
    ] = DEPTH
    rrf_k: Annotated[float, Field(ge=0, allow_inf_nan=False)] = RRF_K

    def params(self) -> FusionParams:
        """As the library takes it."""
        weights = {str(leg): weight for leg, weight in self.weights.items()}
        return FusionParams(self.method, weights, self.depth, self.rrf_k)


class RerankFusion(Body):
    """How a reranker's scores are fused with those of the search before; see docs/FUSION.md."""

    method: Annotated[
        Method | None,
        Field(description="How scores are fused; left out, as the reranker does it: `min-max`."),
    ] = None
    weights: Annotated[
        dict[Literal["first", "rerank"], Weight],
        Field(description="By leg, not all of them 0; 1 for one that is not named."),
    ] = Field(default_factory=dict)
    rrf_k: Annotated[float, Field(ge=0, allow_inf_nan=False)] = RRF_K

    def params(self, method: Method) -> FusionParams:
        """As the library takes it; `method` is the reranker's own."""
        weights = {str(leg): weight for leg, weight in self.weights.items()}
        return FusionParams(self.method or method, weights, rrf_k=self.rrf_k)


class Rerank(Body):
    """How the first documents of a search are ordered anew; see docs/RERANKING.md."""

    method: Annotated[RerankMethod, Field(description="What scores documents anew.")]
    model: Annotated[
        Term | None,
        Field(
            description="Which of the rerankers that the server was started with; left out, "
            "attention without maps, or the only cross-encoder."
        ),
    ] = None
    depth: Annotated[
        int,
        Field(ge=1, le=RERANK_DEPTH, description="Documents that it looks at, whatever `k` is."),
    ] = DEFAULT_RERANK_DEPTH
    fusion: Annotated[
        RerankFusion | None,
        Field(
            description="How both scores are fused; left out, as the reranker does by itself: a "
            "cross-encoder's scores alone decide."
        ),
    ] = None


class SearchRequest(Asked):
    """Body of `search`: a text or vectors; in hybrid mode a dense vector beside either."""

    model_config = ConfigDict(json_schema_extra=at_least_one("query", "sparse", "dense"))

    dense: Annotated[
        list[Annotated[float, Field(allow_inf_nan=False)]] | None,
        Field(min_length=1, max_length=DENSE_DIM_LIMIT, description="A dense vector."),
    ] = None
    mode: Annotated[Mode, Field(description="Which vectors are searched.")] = "sparse"
    fusion: Annotated[Fusion | None, Field(description="Only in mode `hybrid`.")] = None
    rerank: Annotated[Rerank | None, Field(description="Order the first documents anew.")] = None
    k: Count = 10
    exact: Exact = False
    accuracy: Accuracy = None
    offset: Annotated[
        int, Field(ge=0, le=OFFSET_LIMIT, description="Better hits to pass over, for paging.")
    ] = 0
    explain: Annotated[
        bool, Field(description="Give each hit the terms that make up its sparse score.")
    ] = False
    highlight: Annotated[
        bool, Field(description="Say where title and text show terms of the query.")
    ] = False
    fields: Sequence[FieldName] = Field(
        ("title", "text", "metadata"),
        max_length=4,
        description="What to give of each document; `passage` is the text of the passage alone.",
    )
    filter: Conditions | None = None
    facets: Sequence[Term] = Field(
        (),
        max_length=FACETS,
        description="Metadata fields whose most frequent values to count, over all documents that "
        "pass the filter.",
    )

    @model_validator(mode="after")
    def _check_asked(self) -> Self:
        if self.mode == "hybrid":
            given = self.model_fields_set & {"query", "sparse", "dense"}
            if not given or {"query", "sparse"} <= given:
                raise ValueError("give query or sparse, or dense beside either, and no null")
        elif self.fusion is not None:
            raise ValueError(f"fusion is for mode hybrid, this is {self.mode}")
        elif self.mode == "dense":
            check_one(self, "query", "dense")
        else:
            check_one(self, "query", "sparse")
        if self.explain and self.mode == "dense":
            raise ValueError("explain is for modes sparse and hybrid: no terms make a dense score")
        attends = self.rerank is not None and self.rerank.method == "attention"
        both = self.dense is not None and self.sparse is not None
        if both and self.mode != "hybrid" and not (attends and self.mode == "sparse"):
            raise ValueError("give both vectors in mode hybrid alone, or to rerank by attention")
        return self


class BatchRequest(Body):
    """Body of `search:batch`: many texts at once."""

    queries: Annotated[list[Text], Field(min_length=1, max_length=BATCH_QUERIES)]
    mode: Annotated[Mode, Field(description="Which vectors are searched.")] = "sparse"
    fusion: Annotated[Fusion | None, Field(description="Only in mode `hybrid`.")] = None
    rerank: Annotated[Rerank | None, Field(description="Order the first documents anew.")] = None
    k: Count = 10
    exact: Exact = False
    accuracy: Accuracy = None
    fields: Sequence[FieldName] = Field(
        (), max_length=4, description="What to give of each document, if anything."
    )
    filter: Conditions | None = None

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        if len(self.queries) * self.k > BATCH_HITS:
            raise ValueError(
                f"{len(self.queries)} queries of k={self.k}; one batch answers {BATCH_HITS} hits "
                "at most"
            )
        if self.rerank is not None and len(self.queries) * self.rerank.depth > BATCH_RERANKED:
            raise ValueError(
                f"{len(self.queries)} queries of rerank.depth={self.rerank.depth}; one batch "
                f"reranks {BATCH_RERANKED} documents at most"
            )
        return self


class ExplainRequest(Asked):
    """Body of `explain`."""

    id: Annotated[Term, Field(description="The document's id.")]


class EncodeRequest(Body):
    """Body of `encode`."""

    query: Annotated[Text, Field(description="A text, encoded as a query.")]
