"""Document records: the forward index, one contiguous record a document.

A record begins on a 64-byte line and holds, for the document's n components in ascending order,

    components  uint16 or uint32 (n,), numbers of the vocabulary
    codes       uint8 (n,), round(value / scale), where scale = largest value / 255
    residues    (n,), what the codes leave out; absent, int8 or float32 by value type

so that one pass over three bytes an entry estimates a score to within half a step a component,
and only a document that may be among the best is read in full. Where Seismic (arXiv 2404.18812)
keeps components and float16 values in two arrays, this is one stream of memory a document.

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

from lexidex.errors import ParameterError

from ..batch import in_threads
from ..jit import kernel, strict_kernel
from ..vectors import Float32s, Int64s
from .params import ValueType

LINE = 64
"""Bytes of a cache line."""

STEPS = 256
"""Steps of a 16-bit code within one of an 8-bit code."""

DOCUMENT = np.dtype([("line", "<u4"), ("size", "<u4"), ("scale", "<f4")])
"""A row of the documents table: where the record begins, its components, its scale."""

Bytes: TypeAlias = NDArray[np.uint8]
Codes: TypeAlias = NDArray[np.uint16]
Numbers: TypeAlias = NDArray[np.unsignedinteger[Any]]
Rows: TypeAlias = NDArray[np.void]

_LINES_LIMIT = 1 << 32


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


class Chunk(NamedTuple):
    """Documents on their way into an index: encoded, their components in order of arrival."""

    components: Numbers
    """uint16 or uint32 (nnz,), arrival numbers of the vocabulary."""
    codes: Codes
    """uint16 (nnz,), round(256 x value / scale)."""
    exact: Float32s
    """float32 (nnz,), the values themselves where the value type keeps them; else empty."""
    indptr: Int64s
    scales: Float32s
    """float32 (n_documents,)."""


_NO_CHUNK = Chunk(
    np.empty(0, np.uint16),
    np.empty(0, np.uint16),
    np.empty(0, np.float32),
    np.zeros(1, np.int64),
    np.empty(0, np.float32),
)


def encode(
    components: NDArray[np.int32], values: Float32s, indptr: Int64s, value_type: ValueType
) -> Chunk:
    """Encode canonical vectors, whose components are arrival numbers already."""
    narrow = components.size == 0 or int(components.max()) < 1 << 16
    codes = np.empty(values.size, dtype=np.uint16)
    scales = np.empty(indptr.size - 1, dtype=np.float32)
    encode_values(values, indptr, value_type == "u8", codes, scales)
    return Chunk(
        components.astype(np.uint16 if narrow else np.uint32),
        codes,
        values.copy() if value_type == "f32" else np.empty(0, dtype=np.float32),
        indptr.copy(),
        scales,
    )


@strict_kernel
def encode_values(
    values: Float32s, indptr: Int64s, coarse: bool, codes: Codes, scales: Float32s
) -> None:
    """Fill codes (nnz,) and scales (n_documents,).

    Args:
        coarse: round to whole steps of 256, as value type u8 does.

    Postcondition: every code is in [1, 255 x 256], so that no component is lost.
    """
    step = STEPS if coarse else 1
    tiniest = np.float32(1.2e-38)
    for ordinal in range(indptr.size - 1):
        largest = np.float32(0.0)
        for i in range(indptr[ordinal], indptr[ordinal + 1]):
            largest = max(largest, values[i])
        scale = max(largest / np.float32(255.0), tiniest)
        scales[ordinal] = scale
        for i in range(indptr[ordinal], indptr[ordinal + 1]):
            steps = values[i] / scale * np.float32(STEPS // step)
            code = np.int64(steps + np.float32(0.5)) * step
            codes[i] = min(max(code, np.int64(step)), np.int64(255 * STEPS))


def lay_out(
    chunks: list[Chunk], ranks: NDArray[np.int32], value_type: ValueType, n_threads: int
) -> Records:
    """Write the chunks' documents into records, in order; the list is emptied on the way.

    Args:
        ranks: final numbers of components by their arrival numbers.

    Raises:
        ParameterError: the records take more than 2**32 lines of 64 bytes; n_threads is no number
            of threads. The chunks are as they were.
    """
    sizes = np.concatenate([np.diff(chunk.indptr) for chunk in chunks] or [np.empty(0, np.int64)])
    lines = -(-record_bytes(sizes, number_type(ranks.size), value_type) // LINE)
    n_lines = int(lines.sum())
    if n_lines >= _LINES_LIMIT:
        raise ParameterError(
            f"the documents take {n_lines * LINE:,} bytes; an index holds 256 GiB: make several"
        )
    documents = np.zeros(sizes.size, dtype=DOCUMENT)
    documents["line"] = np.cumsum(lines) - lines
    documents["size"] = sizes
    records = view_records(documents, _aligned(n_lines * LINE), ranks.size, value_type)
    ends = np.cumsum([chunk.scales.size for chunk in chunks], dtype=np.int64)

    def write(first: int, last: int) -> None:
        for number in range(first, last):
            chunk, chunks[number] = chunks[number], _NO_CHUNK
            rows = documents[ends[number] - chunk.scales.size : ends[number]]
            rows["scale"] = chunk.scales
            write_records(rows, *chunk[:4], ranks, *records[1:5])

    in_threads(write, len(chunks), n_threads)
    chunks.clear()
    return records


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
def first_residue(start: int, size: int, offset: int, residues: NDArray[Any]) -> int:
    """The place in `residues` of a record's first, where `start` is the record's first byte."""
    return place_of(start + size * offset + residues.itemsize - 1, residues)


@strict_kernel
def write_records(
    rows: Rows,
    arrivals: Numbers,
    values: Codes,
    exact: Float32s,
    indptr: Int64s,
    ranks: NDArray[np.int32],
    components: Numbers,
    codes: Bytes,
    residues: NDArray[Any],
    residue_offset: int,
) -> None:
    """Write one chunk's documents where their rows say."""
    for ordinal in range(rows.size):
        start = np.int64(rows[ordinal]["line"]) * LINE
        size = np.int64(rows[ordinal]["size"])
        begin = indptr[ordinal]
        first = place_of(start, components)
        first_code = start + size * components.itemsize
        residue = first_residue(start, size, residue_offset, residues)
        for j in range(size):
            value = np.int64(values[begin + j])
            code = (value + STEPS // 2) // STEPS
            components[first + j] = ranks[arrivals[begin + j]]
            codes[first_code + j] = code
            if exact.size > 0:
                residues[residue + j] = exact[begin + j]
            elif value != code * STEPS:
                residues[residue + j] = value - code * STEPS


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


@kernel
def rate(
    components: Numbers, codes: Bytes, query: Float32s, first: int, code: int, size: int
) -> np.float32:
    """Inner product of a record's codes with the query, in units of the document's scale.

    Args:
        first, code: places of the record's first component and first code. (Slices would cost two
            atomic reference counts a document, which threads contend for.)
    """
    total = np.float32(0.0)
    for j in range(np.uint64(size)):
        component = components[np.uint64(first) + j]
        total += query[component] * np.float32(codes[np.uint64(code) + j])
    return total


@strict_kernel
def score(
    components: Numbers,
    codes: Bytes,
    residues: NDArray[Any],
    query: Float32s,
    first: int,
    code: int,
    residue: int,
    size: int,
    scale: np.float32,
    weights: Float32s,
) -> np.float32:
    """Inner product of a record with the query, summed in ascending order of components.

    With float32 residues this is the very sum that ExactIndex computes, to the last bit.
    """
    total = np.float32(0.0)
    for j in range(np.uint64(size)):
        value = entry_value(
            codes[np.uint64(code) + j], residues[np.uint64(residue) + j], scale, weights
        )
        total += query[components[np.uint64(first) + j]] * value
    return total


def _aligned(size: int) -> Bytes:
    """Zeroed bytes that begin on a cache line."""
    block = np.zeros(size + LINE, dtype=np.uint8)
    skipped = -block.ctypes.data % LINE
    return block[skipped : skipped + size]
