"""A document, as it comes in: what it may hold and what is wrong with one that is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lexidex.errors import InputError, ParameterError
from lexidex.index.vectors import as_vector

SparseInput: TypeAlias = Mapping[str, Any]
"""{term: weight}, or {"components": [int], "values": [float]}."""

FIELDS = ("id", "title", "text", "metadata", "vector")
_ID_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Document:
    """One document; `vector` is given when the document brings its own.

    `text` may be empty for documents that bring a vector.
    """

    id: str
    text: str = ""
    title: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    vector: SparseInput | None = None

    @property
    def full_text(self) -> str:
        """What encoders read: title and text."""
        return f"{self.title} {self.text}".strip() if self.title else self.text


def check_document(given: object, *, others_to_metadata: bool = False) -> Document:
    """A document from a mapping with the keys id, text, title, metadata, vector.

    Args:
        others_to_metadata: keep unknown keys in the metadata, as readers of files do; else they
            are an error.

    Raises:
        InputError: says which field is wrong, its value, and what is expected.
    """
    if isinstance(given, Document):
        return given
    if not isinstance(given, Mapping):
        raise InputError(f"expected an object with id and text, got {_shown(given)}")
    others = [key for key in given if key not in FIELDS]
    metadata = _metadata(given.get("metadata"))
    if others and not others_to_metadata:
        raise InputError(
            f"unknown field {others[0]!r}; a document has {', '.join(FIELDS)} "
            "(your own fields go under metadata)"
        )
    if others:
        metadata = {**{str(key): given[key] for key in others}, **metadata}
    vector = given.get("vector")
    if vector is not None:
        vector = check_sparse(vector)
    text = _string(given, "text")
    if text is None and vector is None:
        raise InputError("field 'text' is missing")
    return Document(_identifier(given), text or "", _string(given, "title"), metadata, vector)


def check_sparse(given: object) -> SparseInput:
    """A sparse vector in one of its two forms; InputError says what is wrong with it."""
    if not isinstance(given, Mapping):
        raise InputError(
            f"vector: {_shown(given)}; expected {{term: weight}} or "
            '{"components": [...], "values": [...]}'
        )
    if is_numbered(given):
        try:
            as_vector(given["components"], given["values"])
        except (ParameterError, ValueError, TypeError, OverflowError) as error:
            raise InputError(str(error)) from None
        return given
    for term, weight in given.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not isinstance(term, str) or not number or not math.isfinite(weight) or weight < 0:
            raise InputError(
                f"vector: weight {_shown(weight)} of term {_shown(term)}; "
                "weights must be finite numbers and not negative"
            )
    return given


def is_numbered(given: SparseInput) -> bool:
    """Whether a sparse vector is in the form {"components": [...], "values": [...]}."""
    return given.keys() == {"components", "values"} and not isinstance(
        given["components"], int | float
    )


def _identifier(given: Mapping[str, Any]) -> str:
    identifier = given.get("id")
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        identifier = str(identifier)
    if identifier is None:
        raise InputError("field 'id' is missing")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= _ID_LIMIT:
        raise InputError(
            f"field 'id': {_shown(identifier)}; expected a string of 1 to {_ID_LIMIT} characters"
        )
    if not identifier.isprintable():
        raise InputError(f"field 'id': {_shown(identifier)}; it has unprintable characters")
    return identifier


def _string(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is None or isinstance(value, str):
        return value
    raise InputError(f"field {name!r}: {_shown(value)}; expected a string")


def _metadata(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return value
    raise InputError(f"field 'metadata': {_shown(value)}; expected an object")


def _shown(value: object) -> str:
    """A value, short enough for one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
