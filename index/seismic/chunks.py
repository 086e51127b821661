"""Documents on their way into an index: encoded as they come, laid out when all are there.

Components have the numbers of their arrival, because final ones depend on all documents. A document
takes 4 bytes an entry (8 where values are kept in full), in memory or in a file.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexidex.errors import ParameterError

from ..jit import strict_kernel
from ..vectors import Float32s, Int64s
from .crew import Crew
from .params import ValueType
from .records import (
    DOCUMENT,
    LINE,
    STEPS,
    Bytes,
    Codes,
    Numbers,
    Records,
    Rows,
    first_residue,
    number_type,
    part_of,
    record_bytes,
    view_records,
)
from .scratch import Scratch, Spool

_LINES_LIMIT = 1 << 32

_ENTRIES = 1 << 20
_PIECES = 1 << 10
"""Chunks are joined up to this many entries, or pieces: small batches cost no more than large."""


class Chunk(NamedTuple):
    """Some documents, encoded."""

    components: Numbers
    """uint16 or uint32 (nnz,), arrival numbers of the vocabulary."""
    codes: Codes
    """uint16 (nnz,), round(256 x value / scale)."""
    exact: Float32s
    """float32 (nnz,), the values themselves where the value type keeps them; else empty."""
    sizes: NDArray[np.uint32]
    """uint32 (n_documents,), entries of each."""
    scales: Float32s
    """float32 (n_documents,)."""


_Places = list[tuple[int, int, np.dtype[Any]]]
"""Where the arrays of a chunk stand in the file: begin, end and type of each."""


class Chunks:
    """Encoded documents in order: appended in pieces of any size, taken out in chunks."""

    def __init__(self, scratch: Scratch) -> None:
        """None yet; those that `scratch` has no room for go to a file."""
        self._scratch = scratch
        self._pieces: list[Chunk] = []
        self._n_pending = 0
        self._chunks: list[Chunk | _Places | None] = []
        self._spool = Spool(scratch, np.uint8)
        self._file: NDArray[np.uint8] | None = None

    def append(self, piece: Chunk) -> None:
        """Go on with the documents of `piece`.

        Raises:
            StorageFull: no space is left for the file.
        """
        self._pieces.append(piece)
        self._n_pending += piece.codes.size
        if self._n_pending >= _ENTRIES or len(self._pieces) >= _PIECES:
            self._join()

    def complete(self) -> int:
        """End appending; the number of chunks to take."""
        self._join()
        if self._file is None:
            self._file = self._spool.array()
        return len(self._chunks)

    def sizes(self, number: int) -> NDArray[np.uint32]:
        """uint32, the sizes of a chunk's documents."""
        return self._find(number).sizes

    def take(self, number: int) -> Chunk:
        """A chunk, which is forgotten: its memory is free when the caller drops it."""
        chunk = self._find(number)
        self._chunks[number] = None
        return chunk

    def _join(self) -> None:
        """Make one chunk of the pieces."""
        if not self._pieces:
            return
        pieces, self._pieces, self._n_pending = self._pieces, [], 0
        fields = zip(*pieces, strict=True)
        if self._scratch.has_room(sum(array.nbytes for piece in pieces for array in piece)):
            self._chunks.append(Chunk(*map(self._scratch.joined, fields)))
        else:
            self._chunks.append([self._write(np.concatenate(arrays)) for arrays in fields])

    def _write(self, array: NDArray[Any]) -> tuple[int, int, np.dtype[Any]]:
        begin = self._spool.size
        self._spool.append(array.view(np.uint8))
        end = self._spool.size
        self._spool.append(np.zeros(-end % 4, dtype=np.uint8))
        return begin, end, array.dtype

    def _find(self, number: int) -> Chunk:
        chunk = self._chunks[number]
        if isinstance(chunk, Chunk):
            return chunk
        assert chunk is not None, "a chunk is taken once"
        assert self._file is not None, "chunks are taken when complete"
        return Chunk(*(self._file[begin:end].view(dtype) for begin, end, dtype in chunk))


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
        np.diff(indptr).astype(np.uint32),
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
    chunks: Chunks,
    n_documents: int,
    ranks: NDArray[np.int32],
    value_type: ValueType,
    scratch: Scratch,
    crew: Crew,
) -> Records:
    """Write the chunks' documents into records, in order; the chunks are taken.

    Args:
        ranks: final numbers of components by their arrival numbers.

    Raises:
        ParameterError: the records take more than 2**32 lines of 64 bytes. No chunk is taken.
    """
    n_chunks = chunks.complete()
    documents = scratch.zeros(n_documents, DOCUMENT)
    ends = np.zeros(n_chunks + 1, dtype=np.int64)
    n_lines = 0
    for number in range(n_chunks):
        sizes = chunks.sizes(number)
        ends[number + 1] = ends[number] + sizes.size
        rows = documents[ends[number] : ends[number + 1]]
        n_bytes = record_bytes(sizes.astype(np.int64), number_type(ranks.size), value_type)
        lines = -(-n_bytes // LINE)
        rows["size"] = sizes
        rows["line"] = n_lines + np.cumsum(lines) - lines
        n_lines += int(lines.sum())
    if n_lines >= _LINES_LIMIT:
        raise ParameterError(
            f"the documents take {n_lines * LINE:,} bytes; an index holds 256 GiB: make several"
        )
    records = view_records(
        documents, scratch.zeros(n_lines * LINE, np.uint8), ranks.size, value_type
    )

    def write(first: int, last: int) -> None:
        for number in range(first, last):
            chunk = chunks.take(number)
            rows = documents[ends[number] : ends[number + 1]]
            rows["scale"] = chunk.scales
            write_records(rows, *chunk[:3], ranks, *records[1:5])

    crew.begin("records", n_chunks)
    crew.run(write, range(n_chunks + 1))
    return records


@strict_kernel
def write_records(
    rows: Rows,
    arrivals: Numbers,
    values: Codes,
    exact: Float32s,
    ranks: NDArray[np.int32],
    components: Numbers,
    codes: Bytes,
    residues: NDArray[Any],
    residue_offset: int,
) -> None:
    """Write one chunk's documents where their rows say, and the rows' tails."""
    counts = np.zeros(256, np.int64)
    begin = np.int64(0)
    for ordinal in range(rows.size):
        start = np.int64(rows[ordinal]["line"]) * LINE
        size = np.int64(rows[ordinal]["size"])
        head, tail = part_of(start, size, components, 0), part_of(start, size, components, 1)
        residue = first_residue(start, size, residue_offset, residues)
        least, n_least = least_of_head(values, begin, size, head.size, counts)
        n_head, n_tail, in_tail = 0, 0, np.int64(0)
        for j in range(begin, begin + size):
            value = np.int64(values[j])
            code = (value + STEPS // 2) // STEPS
            if code > least or (code == least and n_least > 0):
                n_least -= code == least
                part, place = head, n_head
                n_head += 1
            else:
                part, place = tail, n_tail
                n_tail += 1
                in_tail += code
            components[part.component + place] = ranks[arrivals[j]]
            codes[part.code + place] = code
            if exact.size > 0:
                residues[residue + part.first + place] = exact[j]
            elif value != code * STEPS:
                residues[residue + part.first + place] = value - code * STEPS
        rows[ordinal]["tail"] = in_tail
        begin += size


@strict_kernel
def least_of_head(
    values: Codes, begin: int, size: int, n_head: int, counts: Int64s
) -> tuple[int, int]:
    """Which of the entries [begin, begin + size) are the n_head largest, by their 8-bit codes.

    Args:
        counts: int64 (256,), all zero; zero again on return.

    Returns:
        The smallest code in the head, and how many entries of that code are in it: the first ones.
    """
    for j in range(begin, begin + size):
        counts[(np.int64(values[j]) + STEPS // 2) // STEPS] += 1
    least = counts.size - 1
    above = 0
    while least > 0 and above + counts[least] < n_head:
        above += counts[least]
        least -= 1
    counts[:] = 0
    return least, n_head - above
