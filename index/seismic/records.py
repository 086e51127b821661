"""Document records: the forward index, one contiguous record a document.

A record begins on a 64-byte line. It holds the document's n entries in two parts, the *head*, its h
largest, which take two lines at most, and the *tail*, all others, each by ascending component:

    components  uint16 or uint32 (h,), of the head: numbers of the vocabulary
    codes       uint8 (h,), round(value / scale), where scale = largest value / 255
    components  (n - h,), of the tail
    codes       (n - h,)
    residues    (n,), what the codes leave out; absent, int8 or float32 by value type

So two lines of memory tell that most documents are not among the best, one pass over three bytes an
entry estimates a score to within half a step a component, and only a document that may be among the
best is read in full. Seismic (arXiv 2404.18812) keeps components and float16 values in two arrays.

| value type | residue           | value of an entry                                  |
|------------|-------------------|----------------------------------------------------|
| u8         | -                 | scale x code                                       |
| u16        | int8, 1/256 steps | scale x (code + residue / 256)                     |
| f32        | float32           | residue                                            |
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..jit import lean_kernel, strict_kernel, strict_lean_kernel
from ..vectors import Float32s, Int64s
from .params import ValueType

LINE = 64
"""Bytes of a cache line."""

STEPS = 256
"""Steps of a 16-bit code within one of an 8-bit code."""

DOCUMENT = np.dtype([("line", "<u4"), ("size", "<u4"), ("scale", "<f4"), ("tail", "<f4")])
"""A row of the documents table: where the record begins, its components, its scale, and the sum of
the codes in its tail."""

Bytes: TypeAlias = NDArray[np.uint8]
Codes: TypeAlias = NDArray[np.uint16]
Numbers: TypeAlias = NDArray[np.unsignedinteger[Any]]
Rows: TypeAlias = NDArray[np.void]


class Part(NamedTuple):
    """Head or tail of a record: where its entries are."""

    component: int
    """Place of the first component, among the components of all records."""
    code: int
    """Place of the first code."""
    first: int
    """Entries of the record that stand before."""
    size: int


class Records(NamedTuple):
    """The records of all documents, as kernels read them: views of one block of bytes."""

    documents: Rows
    """DOCUMENT rows (n_documents,)."""
    components: Numbers
    """uint16 or uint32, the records' bytes."""
    codes: Bytes
    """uint8, the records' bytes."""
    residues: NDArray[Any]
    """uint8 (the codes again), int8 or float32, the records' bytes."""
    residue_offset: int
    """Bytes an entry that stand before the residues."""
    weights: Float32s
    """float32 (3,): a, b, c of value = scale x (a x code + b x residue) + c x residue."""


def number_type(n_components: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The type of component numbers in records: uint16 wherever they fit."""
    return np.dtype(np.uint16 if n_components <= 1 << 16 else np.uint32)


def record_bytes(
    sizes: Int64s, component_type: np.dtype[np.unsignedinteger[Any]], value_type: ValueType
) -> Int64s:
    """Bytes of records by their documents' numbers of components."""
    coarse = sizes * (component_type.itemsize + 1)
    if value_type == "u8":
        return coarse
    if value_type == "u16":
        return coarse + sizes
    return (coarse + 3) // 4 * 4 + 4 * sizes


def view_records(documents: Rows, data: Bytes, n_components: int, value_type: ValueType) -> Records:
    """The records in `data`, whose length is a multiple of 64."""
    components: Numbers = data.view(number_type(n_components))
    residues: NDArray[Any] = data
    offset, weights = components.itemsize, (1.0, 0.0, 0.0)
    if value_type == "u16":
        residues = data.view(np.int8)
        offset, weights = components.itemsize + 1, (1.0, 1.0 / STEPS, 0.0)
    elif value_type == "f32":
        residues = data.view(np.float32)
        offset, weights = components.itemsize + 1, (0.0, 0.0, 1.0)
    return Records(
        documents, components, data, residues, offset, np.array(weights, dtype=np.float32)
    )


@strict_kernel
def place_of(byte: int, array: NDArray[Any]) -> int:
    """The element of `array`, whose items have 1, 2 or 4 bytes, that begins at a byte.

    (A division would be checked for zero, and a kernel that can raise counts references.)
    """
    return byte >> (array.itemsize >> 1)


@strict_kernel
def head_size(size: int, components: Numbers) -> int:
    """Entries in the head of a record of that size: as fit two lines, in 126 or 120 bytes, and in a
    number that lets the tail's components begin where one may."""
    return min(size, 42 if components.itemsize == 2 else 24)


@strict_kernel
def part_of(start: int, size: int, components: Numbers, is_tail: int) -> Part:
    """The head (0) or the tail (1) of the record that begins at a byte."""
    head = head_size(size, components)
    begin = start + is_tail * head * (components.itemsize + 1)
    length = head if is_tail == 0 else size - head
    code = begin + length * components.itemsize
    return Part(place_of(begin, components), code, is_tail * head, length)


@strict_kernel
def first_residue(start: int, size: int, offset: int, residues: NDArray[Any]) -> int:
    """The place in `residues` of a record's first, where `start` is the record's first byte."""
    return place_of(start + size * offset + residues.itemsize - 1, residues)


@strict_kernel
def largest_document(documents: Rows) -> np.int64:
    """The most components of a document."""
    largest = np.int64(0)
    for ordinal in range(documents.size):
        largest = max(largest, np.int64(documents[ordinal]["size"]))
    return largest


@strict_kernel
def entry_value(code: int, residue: float, scale: float, weights: Float32s) -> np.float32:
    """The value of an entry of a document with that scale."""
    coarse = weights[0] * np.float32(code) + weights[1] * np.float32(residue)
    value: np.float32 = np.float32(scale) * coarse + weights[2] * np.float32(residue)
    return value


@lean_kernel
def rate(components: Numbers, codes: Bytes, query: Float32s, part: Part) -> np.float32:
    """Inner product of a part's codes with the query, in units of the document's scale."""
    total = np.float32(0.0)
    first, code = np.uint64(part.component), np.uint64(part.code)
    for j in range(np.uint64(part.size)):
        total += query[components[first + j]] * np.float32(codes[code + j])
    return total


@strict_lean_kernel
def score(records: Records, query: Float32s, ordinal: int) -> np.float32:
    """Inner product of a record with the query, summed in ascending order of components.

    With float32 residues this is the very sum that ExactIndex computes, to the last bit.
    """
    start, size, scale, residue = locate(records, ordinal)
    components, codes, residues = records.components, records.codes, records.residues
    head, tail = part_of(start, size, components, 0), part_of(start, size, components, 1)
    total = np.float32(0.0)
    i = 0
    for j in range(size):
        from_head = is_from_head(components, head, tail, i, j - i)
        part, place = (head, i) if from_head else (tail, j - i)
        i += from_head
        code, rest = codes[part.code + place], residues[residue + part.first + place]
        value = entry_value(code, rest, scale, records.weights)
        total += query[components[part.component + place]] * value
    return total


@strict_lean_kernel
def read_entries(records: Records, ordinal: int, numbers: Int64s, values: Float32s) -> np.int64:
    """Fill numbers and values with a document's entries by ascending component; how many."""
    start, size, scale, residue = locate(records, ordinal)
    components, codes, residues = records.components, records.codes, records.residues
    head, tail = part_of(start, size, components, 0), part_of(start, size, components, 1)
    i = 0
    for j in range(size):
        from_head = is_from_head(components, head, tail, i, j - i)
        part, place = (head, i) if from_head else (tail, j - i)
        i += from_head
        code, rest = codes[part.code + place], residues[residue + part.first + place]
        numbers[j] = components[part.component + place]
        values[j] = entry_value(code, rest, scale, records.weights)
    return size


@strict_lean_kernel
def locate(records: Records, ordinal: int) -> tuple[np.int64, np.int64, np.float32, int]:
    """A document's record: its first byte, its size and scale, the place of its first residue."""
    start = np.int64(records.documents[ordinal]["line"]) * LINE
    size = np.int64(records.documents[ordinal]["size"])
    scale = np.float32(records.documents[ordinal]["scale"])
    residue = first_residue(start, size, records.residue_offset, records.residues)
    return start, size, scale, residue


@strict_lean_kernel
def is_from_head(components: Numbers, head: Part, tail: Part, i: int, j: int) -> bool:
    """Whether the next entry by ascending component is the head's number i; else the tail's j."""
    if j == tail.size:
        return True
    return i < head.size and bool(components[head.component + i] < components[tail.component + j])
