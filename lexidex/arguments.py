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
    return _strings("ids", ids, "ids")


def check_texts(queries: Sequence[str]) -> list[str]:
    """The queries as a list; raises ParameterError unless they are strings."""
    return _strings("queries", queries, "texts")


def check_documents(given: Iterable[T], name: str = "documents") -> Iterable[T]:
    """What was given, to be taken one by one; ParameterError for a single document, or a text."""
    if isinstance(given, str | bytes | Mapping | Document) or not isinstance(given, Iterable):
        raise ParameterError(f"{name}: {type(given).__name__}; expected a list of {name}")
    return given


def check_fields(fields: Sequence[str]) -> None:
    """Raise ParameterError unless all are among KNOWN_FIELDS."""
    for name in _strings("fields", fields, "names"):
        if name not in KNOWN_FIELDS:
            raise ParameterError(f"fields: {name!r}; choose among {', '.join(KNOWN_FIELDS)}")


def check_facets(fields: Sequence[str]) -> list[str]:
    """The names of facets; raises ParameterError unless it is a list of strings."""
    return _strings("facets", fields, "names of metadata fields")


def _strings(argument: str, given: object, what: str) -> list[str]:
    strings = as_list(argument, given, what)
    for one in strings:
        if not isinstance(one, str):
            raise ParameterError(f"{argument}: {one!r}; expected a list of {what}, strings")
    return strings


def as_list(argument: str, given: object, what: str) -> list[Any]:
    """Several things as a list; raises ParameterError where one is given in their place.

    Args:
        argument: its name, for the message.
        what: what was expected a list of.
    """
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise ParameterError(f"{argument}: {given!r}; expected a list of {what}")
    return list(given)


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
    if params is not None and not isinstance(params, SearchParams):
        raise ParameterError(f"params: {params!r}; expected SearchParams")
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
