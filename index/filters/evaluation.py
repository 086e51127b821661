"""An expression and the metadata columns of a segment -> which documents it lets through.

Strings are compared by their codes, which are in the order of the strings themselves: a bound is
found by bisection of the distinct strings, and then only numbers are compared.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .columns import NOT_A_MOMENT, Column, Columns, as_text
from .expression import And, Comparison, Exists, Expression, Matches, Not, Operand, Operator, Or
from .values import Scalar

Mask = NDArray[np.bool_]

_MANY = 4
"""Numbers from which looking each value up in a hash table beats comparing with every number."""


def evaluate(expression: Expression, columns: Columns) -> Mask:
    """bool (n_documents,): the documents that the expression lets through."""
    match expression:
        case Matches():
            return _matching(expression, columns)
        case Exists(field):
            return columns.having(field)
        case Not(part):
            return ~evaluate(part, columns)
        case And(parts):
            masks = (evaluate(part, columns) for part in parts)
            return reduce(np.logical_and, masks, np.ones(columns.n_documents, dtype=np.bool_))
        case Or(parts):
            masks = (evaluate(part, columns) for part in parts)
            return reduce(np.logical_or, masks, np.zeros(columns.n_documents, dtype=np.bool_))


def _matching(expression: Matches, columns: Columns) -> Mask:
    """Documents of which one value satisfies all comparisons."""
    mask = np.zeros(columns.n_documents, dtype=np.bool_)
    for column in columns.of(expression.field):
        values = np.ones(column.values.size, dtype=np.bool_)
        for comparison in expression.comparisons:
            values &= _satisfying(comparison, column)
        if column.documents is None:
            mask |= values
        else:
            # np.compress and np.take do what indexing does, in a fraction of the time.
            mask[np.compress(values, column.documents)] = True
    return mask


def _satisfying(comparison: Comparison, column: Column) -> Mask:
    """bool (n_values,): values that satisfy one comparison."""
    operator, operands = comparison.operator, comparison.operands
    if column.kind == "string":
        return _of_strings(operator, operands, column)
    if column.kind == "boolean":
        wanted = {operand.value for operand in operands if operand.kind == "boolean"}
        return _equal(column.values, wanted)
    numbers = [_as_number(operand) for operand in operands if operand.kind == "number"]
    if operator == "in":
        return _among(column.values, numbers)
    if not numbers:
        return np.zeros(column.values.size, dtype=np.bool_)
    return _ordered(operator, column.values, numbers[0])


def _as_number(operand: Operand) -> int | float:
    assert isinstance(operand.value, int | float)
    return operand.value


def _among(values: NDArray[Any], numbers: list[int | float]) -> Mask:
    """bool (n,): values that equal one of the numbers."""
    integers = values.dtype == np.int64
    convert = int if integers else float
    exact = [convert(one) for one in numbers if _is_exact(one, integers)]
    if len(exact) < _MANY:
        return _equal(values, exact)
    wanted = pa.array(exact, pa.int64() if integers else pa.float64())
    found: Mask = pc.is_in(pa.array(values), value_set=wanted).to_numpy(zero_copy_only=False)
    return found


def _equal(values: NDArray[Any], wanted: Iterable[Scalar]) -> Mask:
    """bool (n,): values that equal one of a few."""
    masks = (values == one for one in wanted)
    return reduce(np.logical_or, masks, np.zeros(values.size, dtype=np.bool_))


def _is_exact(number: float, integers: bool) -> bool:
    """Whether an int64, or else a float64, can equal the number."""
    if integers:
        return number == math.floor(number) and -(2**63) <= number < 2**63
    return float(number) == number


def _ordered(operator: Operator, values: NDArray[Any], bound: float) -> Mask:
    """bool (n,): numbers before or after a bound, compared without rounding either."""
    below = operator in ("lt", "lte")
    inclusive = operator in ("lte", "gte")
    if values.dtype == np.int64:
        if bound != math.floor(bound):
            bound, inclusive = (math.floor(bound) if below else math.ceil(bound)), True
        bound = int(bound)
    elif float(bound) != bound:
        # The float next to the bound stands for it, and counts if it lies on the right side.
        inclusive = float(bound) < bound if below else float(bound) > bound
        bound = float(bound)
    if below:
        mask: Mask = values <= bound if inclusive else values < bound
    else:
        mask = values >= bound if inclusive else values > bound
    return mask


def _of_strings(operator: Operator, operands: tuple[Operand, ...], column: Column) -> Mask:
    """bool (n_values,): strings that satisfy one comparison."""
    texts = [str(one.value) for one in operands if one.kind == "string"]
    moments = [int(one.value) for one in operands if one.kind == "moment"]
    spans = [_span(operator, column.strings, text) for text in texts]
    codes: NDArray[np.uint32] = column.values
    if len(spans) == 1 and not moments:
        low, high = spans[0]
        return codes == low if high == low + 1 else (codes >= low) & (codes < high)
    wanted = np.zeros(len(column.strings), dtype=np.bool_)
    for low, high in spans:
        wanted[low:high] = True
    if moments and column.moments is not None:
        if operator == "in":
            wanted |= _among(column.moments, list(moments))
        else:
            satisfying = _ordered(operator, column.moments, moments[0])
            wanted |= satisfying & (column.moments != NOT_A_MOMENT)
    return np.take(wanted, codes)


def _span(operator: Operator, strings: pa.LargeStringArray, text: str) -> tuple[int, int]:
    """First and end of the strings, among distinct ascending ones, that satisfy a comparison."""
    n_strings = len(strings)
    left = bisect_left(strings, text, key=as_text)
    if operator in ("lt", "gte"):
        return (0, left) if operator == "lt" else (left, n_strings)
    if operator == "prefix":
        end = bisect_right(strings, text, left, key=lambda one: as_text(one)[: len(text)])
        return left, end
    right = left + (left < n_strings and as_text(strings[left]) == text)
    if operator == "in":
        return left, right
    return (0, right) if operator == "lte" else (right, n_strings)
