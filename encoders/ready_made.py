"""The encoder of collections whose documents and queries bring their own sparse vectors."""

from __future__ import annotations

from os import PathLike
from typing import Any, ClassVar, NoReturn, Self

from lexidex.errors import ParameterError
from lexidex.index.vectors import DIM_LIMIT

from .base import Encoder, Texts
from .saved import write_description
from .vocabulary import Vocabulary


class ReadyMadeEncoder(Encoder):
    """Encodes nothing; names components, as the words that documents use or as numbers."""

    kind: ClassVar[str] = "vectors"
    costly = False

    def __init__(self) -> None:
        """Make an encoder whose vocabulary is empty: components are numbers until words come."""
        self.vocabulary: Vocabulary = Vocabulary()

    def use_vocabulary(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def restore(self, state: dict[str, Any]) -> Self:
        self.use_vocabulary(Vocabulary(state["terms"]))
        return self

    @property
    def dim(self) -> int:
        return len(self.vocabulary) or DIM_LIMIT

    @property
    def options(self) -> dict[str, Any]:
        return {}

    def term(self, component: int) -> str:
        if component < len(self.vocabulary):
            return self.vocabulary.terms[component]
        return str(component)

    def component(self, term: str) -> int | None:
        return self.vocabulary.find(term)

    def warm_up(self) -> None:
        """Nothing to do: there is no model."""

    def encode_documents(self, texts: Texts) -> NoReturn:
        raise ParameterError(
            'this collection has no text encoder: give each document its own "vector", or create '
            "the collection with an encoder"
        )

    def encode_queries(self, texts: Texts) -> NoReturn:
        raise ParameterError(
            "this collection has no text encoder: query it with a sparse vector, or create the "
            "collection with an encoder"
        )

    def save(self, path: str | PathLike[str]) -> None:
        write_description(path, self.kind, {}, {"terms": self.vocabulary.terms})
