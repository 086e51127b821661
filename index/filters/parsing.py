"""A filter as users write it, a JSON object -> an expression, or an error that names the place."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn, get_args

from lexidex.errors import ParameterError

from .expression import And, Comparison, Exists, Expression, Matches, Not, Operand, Operator, Or
from .values import as_moment, as_number

DEPTH_LIMIT = 32
"""How deep and, or, not may be nested."""

CLAUSE_LIMIT = 512
"""Operators in one filter."""

VALUE_LIMIT = 1024
"""Values of one `in`."""

CONNECTIVES = ("and", "or", "not")
OPERATORS = ("eq", "ne", "in", "lt", "lte", "gt", "gte", "exists", "prefix")

_COMPARING = get_args(Operator)
_SHOWN = 60
_PLAIN_NAME = re.compile(r"[\w.-]{1,60}")


def parse_filter(given: object) -> Expression:
    """The expression that a JSON object stands for.

    Raises:
        ParameterError: says which part of the filter is wrong, what was expected and what is there.
    """
    return _Parser().condition(given, "filter", 0)


class _Parser:
    """Counts the clauses of one filter while it is read."""

    def __init__(self) -> None:
        self._n_clauses = 0

    def condition(self, given: object, path: str, depth: int) -> Expression:
        """An object of fields and connectives, all of which must hold."""
        if not isinstance(given, Mapping):
            _refuse(path, "an object of fields and conditions", given)
        if depth > DEPTH_LIMIT:
            raise ParameterError(f"{path}: nested deeper than {DEPTH_LIMIT} levels; flatten it")
        parts: list[Expression] = []
        for name, value in given.items():
            if not isinstance(name, str):
                _refuse(path, "names of fields as strings", name)
            inner = _below(path, name)
            if name == "not":
                parts.append(Not(self.condition(value, inner, depth + 1)))
            elif name in CONNECTIVES:
                several = self._conditions(value, inner, depth + 1)
                parts.append(And(several) if name == "and" else Or(several))
            else:
                # A backslash in front makes a field of any name, such as \and.
                parts.append(self._field(name.removeprefix("\\"), value, inner))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _conditions(self, given: object, path: str, depth: int) -> tuple[Expression, ...]:
        if not isinstance(given, list | tuple):
            _refuse(path, "a list of conditions", given)
        return tuple(self.condition(one, f"{path}[{n}]", depth) for n, one in enumerate(given))

    def _field(self, field: str, given: object, path: str) -> Expression:
        """One field's condition: a value that it equals, or an object of operators."""
        if not isinstance(given, Mapping):
            self._count(path)
            operands = (_operand(given, path, "a value or an object of operators"),)
            return Matches(field, (Comparison("in", operands),))
        if not given:
            _refuse(path, f"an operator ({', '.join(OPERATORS)})", given)
        comparisons: list[Comparison] = []
        parts: list[Expression] = []
        for operator, value in given.items():
            if operator not in OPERATORS:
                _refuse(path, f"operators among {', '.join(OPERATORS)}", operator)
            inner = f"{path}.{operator}"
            self._count(inner)
            if operator == "exists":
                if not isinstance(value, bool):
                    _refuse(inner, "true or false", value)
                parts.append(Exists(field) if value else Not(Exists(field)))
            elif operator == "ne":
                equal = Comparison("in", (_operand(value, inner),))
                parts.append(Not(Matches(field, (equal,))))
            else:
                comparisons.append(_comparison(operator, value, inner))
        if comparisons:
            parts.append(Matches(field, tuple(comparisons)))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _count(self, path: str) -> None:
        self._n_clauses += 1
        if self._n_clauses > CLAUSE_LIMIT:
            raise ParameterError(
                f"{path}: more than {CLAUSE_LIMIT} operators in one filter; "
                "'in' takes many values at once"
            )


def _comparison(operator: str, given: object, path: str) -> Comparison:
    if operator == "eq":
        return Comparison("in", (_operand(given, path),))
    if operator == "in":
        return Comparison("in", _operands(given, path))
    if operator == "prefix":
        if not isinstance(given, str):
            _refuse(path, "a string", given)
        return Comparison("prefix", (Operand("string", given),))
    expected = "a number, date-time or string"
    if isinstance(given, bool):
        _refuse(path, expected, given)
    ordering = next(one for one in _COMPARING if one == operator)
    return Comparison(ordering, (_operand(given, path, expected),))


def _operands(given: object, path: str) -> tuple[Operand, ...]:
    if not isinstance(given, list | tuple):
        _refuse(path, "a list of values", given)
    if len(given) > VALUE_LIMIT:
        raise ParameterError(f"{path}: {len(given)} values; at most {VALUE_LIMIT}")
    return tuple(_operand(value, f"{path}[{n}]") for n, value in enumerate(given))


def _operand(
    given: object, path: str, expected: str = "a string, number, true or false"
) -> Operand:
    if isinstance(given, bool):
        return Operand("boolean", given)
    if isinstance(given, int) or (isinstance(given, float) and math.isfinite(given)):
        return Operand("number", as_number(given))
    if isinstance(given, str):
        moment = as_moment(given)
        return Operand("string", given) if moment is None else Operand("moment", moment)
    if given is None:
        expected += '; for documents without the field write {"exists": false}'
    return _refuse(path, expected, given)


def _refuse(path: str, expected: str, given: object) -> NoReturn:
    raise ParameterError(f"{path}: expected {expected}, got {_shown(given)}")


def _below(path: str, name: str) -> str:
    """The place of a field or connective; names that could be misread are quoted."""
    if _PLAIN_NAME.fullmatch(name):
        return f"{path}.{name}"
    return f"{path}[{_shown(name)}]"


def _shown(given: Any) -> str:
    """A value as JSON, short enough for one line."""
    try:
        text = json.dumps(given)
    except (TypeError, ValueError, RecursionError):
        text = f"a {type(given).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
