"""What clients may ask to be written: request bodies. What a document is, the library says."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from lexidex.index.dense import Metric

from .limits import DELETED_IDS, DOCUMENTS
from .schemas import Body, Conditions, Term, check_one, exactly_one

LIST_FORM = "[...]"
OBJECT_FORM = '{"documents": [...]}'
"""How validation errors tell the two forms of a list of documents apart."""

COLLECTION_NAME = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$"
"""Names that collections are given over HTTP: such that every file system takes them."""

Metadata = Annotated[
    dict[str, Any], Field(description="Any JSON object; filters see its fields by their names.")
]


def _form(given: Any) -> str:
    return LIST_FORM if isinstance(given, list) else OBJECT_FORM


class DocumentBody(Body):
    """A document, but for its id."""

    title: str | None = None
    text: Annotated[str | None, Field(description="May be left out where there is a vector.")] = (
        None
    )
    metadata: Metadata | None = None
    vector: Annotated[
        dict[str, Any] | None,
        Field(
            description="For collections whose documents bring their own: {term: weight}, or "
            '{"components": [...], "values": [...]}.'
        ),
    ] = None
    dense: Annotated[
        list[Any] | None,
        Field(description="For collections with a dense side: one list of numbers, or several."),
    ] = None
    passages: Annotated[
        list[Any] | None,
        Field(
            description="For documents that say where they are split, or bring several vectors: "
            '{"start", "end"} in characters of the text, and perhaps "vector" and "dense".'
        ),
    ] = None
    id: Annotated[str | None, Field(description="May be left out; otherwise that of the path.")] = (
        None
    )


class MetadataBody(Body):
    """The metadata that takes the place of a document's own."""

    metadata: Metadata


class MetadataUpdate(MetadataBody):
    """Metadata for the document of that id."""

    id: Term


_DOCUMENTS = Field(
    max_length=DOCUMENTS,
    description="Documents with their ids. What is no document is reported, and the rest goes in.",
    examples=[[{"id": "whale", "text": "Whales sing.", "metadata": {"legs": 0}}]],
)
_UPDATES = Field(max_length=DOCUMENTS, description="Documents by id, with their new metadata.")


class DocumentList(Body):
    """Documents to add or replace."""

    documents: Annotated[list[Any], _DOCUMENTS]


class UpdateList(Body):
    """Documents to give other metadata."""

    documents: Annotated[list[MetadataUpdate], _UPDATES]


UpsertRequest = Annotated[
    Annotated[list[Any], _DOCUMENTS, Tag(LIST_FORM)] | Annotated[DocumentList, Tag(OBJECT_FORM)],
    Discriminator(_form),
]
UpdateRequest = Annotated[
    Annotated[list[MetadataUpdate], _UPDATES, Tag(LIST_FORM)]
    | Annotated[UpdateList, Tag(OBJECT_FORM)],
    Discriminator(_form),
]


class DeleteRequest(Body):
    """Which documents to remove, by their ids or by a filter; one of the two."""

    model_config = ConfigDict(json_schema_extra=exactly_one("ids", "filter"))

    ids: Annotated[
        list[Term] | None,
        Field(max_length=DELETED_IDS, description="Ids; those that are not there are passed over."),
    ] = None
    filter: Conditions | None = None

    @model_validator(mode="after")
    def _check_chosen(self) -> Self:
        check_one(self, "ids", "filter")
        return self


DenseName = Annotated[
    str,
    Field(
        max_length=1024,
        description='"joint" for the encoder\'s own, "vectors" for documents that bring theirs, a '
        "folder on the server's machine, or organisation/model on the hub.",
    ),
]


class DenseRequest(Body):
    """How a collection comes by dense vectors, with what differs from the defaults."""

    model: DenseName
    options: dict[str, Any] = Field(default={}, description="The model's own, such as `pooling`.")
    metric: Annotated[
        Metric | None,
        Field(description="How vectors are compared; by default as the model says."),
    ] = None
    index: Annotated[
        str | None,
        Field(
            max_length=1024,
            description="What is made of the vectors, as FAISS names it, such as SQ8 or "
            "HNSW32_SQ8; by default by their number.",
        ),
    ] = None


def _dense_form(given: Any) -> str:
    return "name" if isinstance(given, str) else "object"


DenseSource = Annotated[
    Annotated[DenseName, Tag("name")] | Annotated[DenseRequest, Tag("object")],
    Discriminator(_dense_form),
]


class CreateRequest(Body):
    """How a collection makes vectors of documents."""

    encoder: Annotated[
        str | None,
        Field(
            max_length=1024,
            description='"bm25", "vectors" for documents that bring their own, a folder on the '
            "server's machine, or organisation/model on the hub; by default lexidex's own default.",
        ),
    ] = None
    options: dict[str, Any] = Field(
        default={}, description="The encoder's own, such as `language` for bm25."
    )
    dense: Annotated[
        DenseSource | None, Field(description="A dense side for hybrid search; none by default.")
    ] = None
    passages: Annotated[
        str | None,
        Field(
            max_length=1024,
            description="What becomes of long documents: split, max or truncate, perhaps with "
            "',tokens=N' and ',overlap=N'; by default, what the encoder would cut off is split.",
        ),
    ] = None


class ReencodeRequest(Body):
    """By which encoder every document is encoded anew."""

    encoder: Annotated[
        str,
        Field(
            max_length=1024,
            description='"bm25", a folder on the server\'s machine, or organisation/model of a hub',
        ),
    ]
    options: dict[str, Any] = Field(default={}, description="The encoder's own.")
    passages: Annotated[
        str | None,
        Field(max_length=1024, description="What becomes of long documents from then on."),
    ] = None
