"""What callers may ask of a collection: arguments are checked before anything is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from lexidex.documents import Document
from lexidex.errors import ParameterError
from lexidex.index import SearchParams
from lexidex.index.filters import Expression, parse_filter
from lexidex.index.fusion import FusionParams
from lexidex.index.seismic.frontier import check_accuracy

T = TypeVar("T")

ALL_FIELDS = ("title", "text", "metadata")
"""What is fetched of a document, unless told otherwise."""

KNOWN_FIELDS = (*ALL_FIELDS, "passage")
"""What can be: "passage" is the text of the passage alone, which "text" includes."""

Filter: TypeAlias = Mapping[str, Any]
"""Conditions on metadata, such as {"year": {"gte": 2000}}; docs/FILTERS.md has the language."""


def as_expression(given: Filter | None) -> Expression | None:
    """A filter, parsed; None where there is none."""
    return None if given is None else parse_filter(given)


def check_ids(ids: Iterable[str]) -> list[str]:
    """The ids as a list; raises ParameterError unless they are strings."""
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        raise ParameterError(f"ids: {ids!r}; expected a list of ids")
    named = list(ids)
    for doc_id in named:
        if not isinstance(doc_id, str):
            raise ParameterError(f"ids: {doc_id!r}; an id is a string")
    return named


def check_documents(given: Iterable[T], name: str = "documents") -> Iterable[T]:
    """What was given, to be taken one by one; ParameterError for a single document, or a text."""
    if isinstance(given, str | bytes | Mapping | Document) or not isinstance(given, Iterable):
        raise ParameterError(f"{name}: {type(given).__name__}; expected a list of {name}")
    return given


def check_fields(fields: Sequence[str]) -> None:
    """Raise ParameterError unless all are among KNOWN_FIELDS."""
    for name in fields:
        if name not in KNOWN_FIELDS:
            raise ParameterError(f"fields: {name!r}; choose among {', '.join(KNOWN_FIELDS)}")


def check_facets(fields: Sequence[str]) -> Sequence[str]:
    """The names of facets; raises ParameterError unless it is a list of strings."""
    if isinstance(fields, str) or not all(isinstance(name, str) for name in fields):
        raise ParameterError(f"facets: {fields!r}; expected a list of names of metadata fields")
    return fields


def as_fusion(given: FusionParams | str | None) -> FusionParams | None:
    """How legs are fused, from a text such as "rrf,depth=100" or as it is; None for the default."""
    if given is None or isinstance(given, FusionParams):
        return given
    if not isinstance(given, str):
        raise ParameterError(f"fusion: {given!r}; expected FusionParams, or a text such as 'rrf'")
    return FusionParams.parse(given)


def check_manner(
    mode: str, exact: bool, params: SearchParams | None, accuracy: float | None
) -> None:
    """Raise ParameterError where how to search is out of range, said twice, or of no use."""
    if mode == "dense" and params is not None:
        raise ParameterError("params: of no use in mode 'dense'; they are the sparse index's")
    if accuracy is None:
        return
    check_accuracy(accuracy)
    if exact or params is not None:
        raise ParameterError(
            f"accuracy: give it without {'exact' if exact else 'params'}; 1.0 searches exactly"
        )
    if mode == "dense" and accuracy < 1:
        raise ParameterError(
            f"accuracy: {accuracy!r}; dense search knows but 1, which compares with every vector"
        )
