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
from lexidex.index.vectors import DIM_LIMIT

from .limits import (
    BATCH_HITS,
    BATCH_QUERIES,
    DELETED_IDS,
    FACETS,
    K_LIMIT,
    OFFSET_LIMIT,
    QUERY_CHARACTERS,
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
        "to; not together with `exact`, which is what 1 means.",
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


def _exactly_one(*names: str) -> Callable[[dict[str, Any]], None]:
    """Say in a JSON schema what `_check_one` checks."""

    def extend(schema: dict[str, Any]) -> None:
        for name in names:
            described = schema["properties"][name]
            options = [option for option in described.pop("anyOf") if option != {"type": "null"}]
            del described["default"]
            described.update(options[0] if len(options) == 1 else {"anyOf": options})
        schema["oneOf"] = [{"required": [name]} for name in names]

    return extend


def _check_one(body: Body, *names: str) -> None:
    """Raise ValueError unless exactly one of the fields is given, and not as null."""
    given = body.model_fields_set & set(names)
    if len(given) != 1 or getattr(body, given.pop()) is None:
        raise ValueError(f"give exactly one of {' and '.join(names)}, and no null")


class Asked(Body):
    """A query: a text for the collection's encoder, or a sparse vector; exactly one of them."""

    model_config = ConfigDict(json_schema_extra=_exactly_one("query", "sparse"))

    query: Annotated[Text | None, Field(description="A text.")] = None
    sparse: Annotated[
        Sparse | None,
        Field(description='{term: weight}, or {"components": [...], "values": [...]}.'),
    ] = None

    @model_validator(mode="after")
    def _check_asked(self) -> Self:
        _check_one(self, "query", "sparse")
        return self

    @property
    def vector(self) -> SparseInput | None:
        """The sparse vector as the library takes it, or None when a text was given."""
        return self.sparse.model_dump() if isinstance(self.sparse, NumberedVector) else self.sparse


class SearchRequest(Asked):
    """Body of `search`."""

    k: Count = 10
    exact: Exact = False
    accuracy: Accuracy = None
    offset: Annotated[
        int, Field(ge=0, le=OFFSET_LIMIT, description="Better hits to pass over, for paging.")
    ] = 0
    explain: Annotated[
        bool, Field(description="Give each hit the terms that make up its score.")
    ] = False
    highlight: Annotated[bool, Field(description="Say where title and text show those terms.")] = (
        False
    )
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


class BatchRequest(Body):
    """Body of `search:batch`: many texts at once."""

    queries: Annotated[list[Text], Field(min_length=1, max_length=BATCH_QUERIES)]
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
        return self


class ExplainRequest(Asked):
    """Body of `explain`."""

    id: Annotated[Term, Field(description="The document's id.")]


class EncodeRequest(Body):
    """Body of `encode`."""

    query: Annotated[Text, Field(description="A text, encoded as a query.")]


class DeleteRequest(Body):
    """Body of `documents:delete`: which documents, by their ids or by a filter; one of the two."""

    model_config = ConfigDict(json_schema_extra=_exactly_one("ids", "filter"))

    ids: Annotated[
        list[Term] | None,
        Field(max_length=DELETED_IDS, description="Ids; those that are not there are passed over."),
    ] = None
    filter: Conditions | None = None

    @model_validator(mode="after")
    def _check_chosen(self) -> Self:
        _check_one(self, "ids", "filter")
        return self
