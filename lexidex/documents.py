"""A document, as it comes in: what it may hold and what is wrong with one that is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from lexidex.errors import InputError, ParameterError
from lexidex.index.vectors import Components, Float32s, as_vector

SparseInput: TypeAlias = Mapping[str, Any]
"""{term: weight}, or {"components": [int], "values": [float]}."""

FIELDS = ("id", "title", "text", "metadata", "vector", "dense", "passages")
_PASSAGE_FIELDS = ("start", "end", "vector", "dense")
_ID_LIMIT = 1024
_WEIGHT_LIMIT = float(np.finfo(np.float32).max)
_NUMBERS = (int, float, np.integer, np.floating)


class TermWeights(dict[str, float]):
    """{term: weight} by terms that an encoder has made of words, and need not make again.

    A stem is no word: analysed once more it may become another.
    """


@dataclass(frozen=True, slots=True)
class GivenPassage:
    """A passage that a document brings: text[start:end] of its text, and perhaps its vectors."""

    start: int
    end: int
    vector: SparseInput | None = None
    dense: Float32s | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One document; `vector` is given when the document brings its own.

    `dense` are the dense vectors that it brings, float32 (n, d); of a document that is split they
    count as its first passage's. `passages` are given when it brings several vectors, or says
    itself where it is to be split. `text` may be empty for documents that bring vectors.
    """

    id: str
    text: str = ""
    title: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    vector: SparseInput | None = None
    passages: tuple[GivenPassage, ...] = ()
    dense: Float32s | None = None

    @property
    def full_text(self) -> str:
        """What encoders read: title and text."""
        return self.read(self.text)

    def read(self, passage: str) -> str:
        """What they read of a passage: the title, and it."""
        return f"{self.title} {passage}".strip() if self.title else passage


def check_document(given: object, *, others_to_metadata: bool = False) -> Document:
    """A document from a mapping with the keys id, text, title, metadata, vector, dense, passages.

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
            f"unknown field {_shown(others[0])}; a document has {', '.join(FIELDS)} "
            "(your own fields go under metadata)"
        )
    if others:
        metadata = {**{str(key): given[key] for key in others}, **metadata}
    _check_storable(metadata)
    vector = given.get("vector")
    if vector is not None:
        vector = check_sparse(vector)
    text = _string(given, "text")
    passages = _passages(given.get("passages"), text or "")
    if vector is not None and passages:
        raise InputError("field 'passages' has the vectors; leave out 'vector'")
    dense = _dense(given.get("dense"))
    if dense is not None and passages:
        raise InputError("field 'passages' has the vectors; leave out 'dense'")
    vectors = [one.vector for one in passages] or [vector]
    brings = [dense, *(one.dense for one in passages)]
    if text is None and None in vectors and all(one is None for one in brings):
        raise InputError("field 'text' is missing")
    return Document(
        _identifier(given), text or "", _string(given, "title"), metadata, vector, passages, dense
    )


def _passages(given: object, text: str) -> tuple[GivenPassage, ...]:
    """The passages that a document brings; none where it brings none."""
    if given is None:
        return ()
    if not isinstance(given, list | tuple) or not given:
        raise InputError(f"field 'passages': {_shown(given)}; expected a list of one or more")
    return tuple(_passage(one, place, text) for place, one in enumerate(given))


def _passage(given: object, place: int, text: str) -> GivenPassage:
    where = f"passages[{place}]"
    if not isinstance(given, Mapping) or not given.keys() <= set(_PASSAGE_FIELDS):
        raise InputError(
            f"{where}: {_shown(given)}; expected an object of {', '.join(_PASSAGE_FIELDS)}"
        )
    start, end, vector = given.get("start", 0), given.get("end", len(text)), given.get("vector")
    if any(isinstance(n, bool) or not isinstance(n, int) for n in (start, end)) or not (
        0 <= start <= end <= len(text)
    ):
        raise InputError(
            f"{where}: start {_shown(start)}, end {_shown(end)}; expected places in the text, "
            f"which has {len(text)} characters, start first"
        )
    try:
        checked = None if vector is None else check_sparse(vector)
        return GivenPassage(start, end, checked, _dense(given.get("dense")))
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _dense(given: object) -> Float32s | None:
    """Dense vectors that are brought along, float32 (n, d): one flat list, or a list of them."""
    if given is None:
        return None
    try:
        vectors = np.asarray(given)
        if vectors.dtype.kind not in "iuf":
            raise ValueError
    except ValueError:
        raise InputError(
            f"dense: {_shown(given)}; expected a list of numbers, or several of one length"
        ) from None
    vectors = np.atleast_2d(vectors).astype(np.float32)
    if vectors.ndim != 2 or not vectors.shape[1]:
        raise InputError(f"dense: an array of shape {vectors.shape}; expected (d,) or (n, d)")
    return vectors


def check_sparse(given: object) -> SparseInput:
    """A sparse vector in one of its two forms; InputError says what is wrong with it."""
    if not isinstance(given, Mapping):
        raise InputError(
            f"vector: {_shown(given)}; expected {{term: weight}} or "
            '{"components": [...], "values": [...]}'
        )
    if is_numbered(given):
        read_numbered(given)
        return given
    for term, weight in given.items():
        number = isinstance(weight, _NUMBERS) and not isinstance(weight, bool)
        if not isinstance(term, str) or not number or not 0 <= weight <= _WEIGHT_LIMIT:
            raise InputError(
                f"vector: weight {_shown(weight)} of term {_shown(term)}; "
                "weights must be finite numbers and not negative"
            )
        _check_encodable(term, "vector: term")
    return given


def is_numbered(given: SparseInput) -> bool:
    """Whether a sparse vector is in the form {"components": [...], "values": [...]}."""
    return given.keys() == {"components", "values"} and not isinstance(
        given["components"], int | float
    )


def read_numbered(given: SparseInput) -> tuple[Components, Float32s]:
    """Components and values of a vector for which `is_numbered` holds, in canonical form;
    InputError says what is wrong with it."""
    for name in ("components", "values"):
        numbers = given[name]
        if isinstance(numbers, list | tuple) and {*map(type, numbers)} & {str, bool}:
            raise InputError(f"vector: {name} {_shown(numbers)}; expected numbers")
    try:
        with np.errstate(over="ignore"):  # too large for 32 bits: infinite, and refused as such
            return as_vector(given["components"], given["values"])
    except ParameterError as error:
        raise InputError(str(error)) from None
    except (ValueError, TypeError, OverflowError):
        raise InputError(
            f"vector: components {_shown(given['components'])}, values "
            f"{_shown(given['values'])}; expected two flat lists of numbers"
        ) from None


def _identifier(given: Mapping[str, Any]) -> str:
    identifier = given.get("id")
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        small = abs(identifier) < 10**_ID_LIMIT
        identifier = str(identifier) if small else identifier
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
    if isinstance(value, str):
        _check_encodable(value, f"field {name!r}:")
    elif value is not None:
        raise InputError(f"field {name!r}: {_shown(value)}; expected a string")
    return value


def _metadata(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return value
    raise InputError(f"field 'metadata': {_shown(value)}; expected an object")


def _check_storable(metadata: Mapping[str, Any]) -> None:
    """Metadata is kept as JSON; name the first field that JSON cannot hold."""
    for name, value in metadata.items():
        try:
            json.dumps({name: value}, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"metadata field {_shown(name)}: {_shown(value)}; expected what JSON can hold "
                f"({error})"
            ) from None


def _check_encodable(text: str, what: str) -> None:
    """Strings are kept as UTF-8, which cannot hold one half of a surrogate pair."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            at = error.start
            raise InputError(
                f"{what} {_shown(text[at : at + 20])} at character {at}; expected Unicode text, "
                "this is one half of a surrogate pair"
            ) from None


def _shown(value: object) -> str:
    """A value, short enough for one line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or endless nesting
        return f"<{type(value).__name__} too large to show>"
    return text if len(text) <= 60 else f"{text[:57]}..."
