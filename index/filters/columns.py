"""Typed columns of a segment's metadata, over a memory map: the values of a field, by kind."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lexidex.errors import CorruptFile

from .format import N_DOCUMENTS, SCHEMA
from .values import KINDS, Kind

NOT_A_MOMENT = np.iinfo(np.int64).min
"""Stands in `Column.moments` for strings that are no date-times."""


@dataclass(frozen=True, eq=False)
class Column:
    """The values of one field that are of one kind.

    Attributes:
        documents: uint32 (n_values,), the document of each value, ascending; None where every
            document has exactly one value.
        values: (n_values,) bool, float64, int64; of strings uint32 codes, their places among
            `strings`.
        strings: the distinct strings, ascending; empty for other kinds.
    """

    kind: Kind
    documents: NDArray[np.uint32] | None
    values: NDArray[Any]
    strings: pa.LargeStringArray
    _moments: pa.Int64Array

    @cached_property
    def moments(self) -> NDArray[np.int64] | None:
        """int64 (n_strings,): microseconds since 1970, UTC; None where no string is a moment."""
        if not len(self._moments):
            return None
        filled: NDArray[np.int64] = self._moments.fill_null(int(NOT_A_MOMENT)).to_numpy()
        return filled


class Columns:
    """What `ColumnsWriter` wrote. Each field is verified when it is first asked for."""

    def __init__(self, data: memoryview, where: str) -> None:
        """Read a file's bytes; `where` is what to call it in messages.

        Raises:
            CorruptFile: it is not such a file.
        """
        self._where = where
        try:
            file = pa.ipc.open_file(pa.py_buffer(data))
            if not file.schema.equals(SCHEMA) or file.num_record_batches != 1:
                raise CorruptFile(f"{where}: not a file of metadata columns")
            self._batch = file.get_batch(0)
            self._batch.validate()
            self.n_documents = int((file.schema.metadata or {})[N_DOCUMENTS])
            self._fields = self._batch.column("field")
            self._fields.validate(full=True)
            self._kinds = self._batch.column("kind")
            self._kinds.validate(full=True)
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise CorruptFile(f"{where}: {error}") from None
        self._columns: dict[str, tuple[Column, ...]] = {}

    def of(self, field: str) -> tuple[Column, ...]:
        """The columns of a field, one for each kind of value that it has."""
        if field not in self._columns:
            rows = self._rows(field, field + "\0")
            # Fields that are not there are not kept: there is no end of them.
            if not rows:
                return ()
            self._columns[field] = tuple(self._column(row) for row in rows)
        return self._columns[field]

    def having(self, field: str) -> NDArray[np.bool_]:
        """bool (n_documents,): documents with a value of the field, or of one beneath it."""
        mask = np.zeros(self.n_documents, dtype=np.bool_)
        every = self._batch.column("documents").is_null()
        # "/" is the character after ".": between the two bounds lie all fields beneath this one.
        for rows in (self._rows(field, field + "\0"), self._rows(f"{field}.", f"{field}/")):
            if not rows:
                continue
            if every[rows.start : rows.stop].true_count:
                mask[:] = True
            else:
                mask[self._ordinals(rows)] = True
        return mask

    def _rows(self, low: str, high: str) -> range:
        """Rows of fields from `low` on and before `high`."""
        first = bisect_left(self._fields, low, key=as_text)
        return range(first, bisect_left(self._fields, high, first, key=as_text))

    def _column(self, row: int) -> Column:
        rows = range(row, row + 1)
        kind: Kind = self._kinds[row].as_py()
        if kind not in KINDS:
            raise self._damaged(rows, f"values of kind {kind!r}")
        every = not self._batch.column("documents")[row].is_valid
        documents = None if every else self._ordinals(rows)
        name = "codes" if kind == "string" else f"{kind}s"
        values = self._slice(name, rows).to_numpy(zero_copy_only=False)
        strings, moments = self._slice("strings", rows), self._slice("moments", rows)
        try:
            strings.validate(full=True)
        except pa.ArrowException as error:
            raise self._damaged(rows, str(error)) from None
        if values.size != (self.n_documents if documents is None else documents.size):
            raise self._damaged(rows, f"{values.size} values, not one a document")
        if len(moments) not in (0, len(strings)):
            raise self._damaged(rows, f"{len(moments)} moments of {len(strings)} strings")
        if kind == "string" and values.size and int(values.max()) >= len(strings):
            raise self._damaged(rows, f"a code beyond {len(strings)} strings")
        return Column(kind, documents, values, strings, moments.view(pa.int64()))

    def _ordinals(self, rows: range) -> NDArray[np.uint32]:
        """The documents of all values of these rows."""
        documents: NDArray[np.uint32] = self._slice("documents", rows).to_numpy()
        if documents.size and int(documents.max()) >= self.n_documents:
            raise self._damaged(rows, f"a document beyond {self.n_documents}")
        return documents

    def _slice(self, name: str, rows: range) -> pa.Array:
        """The elements of adjacent rows' lists."""
        column = self._batch.column(name)
        start, stop = (column.offsets[at].as_py() for at in (rows.start, rows.stop))
        if not 0 <= start <= stop <= len(column.values):
            raise self._damaged(rows, f"{name} from {start} to {stop}")
        return column.values[start:stop]

    def _damaged(self, rows: range, what: str) -> CorruptFile:
        field = self._fields[rows.start].as_py()
        return CorruptFile(f"{self._where}: field {field!r}: {what}; index the documents anew")


def as_text(scalar: pa.LargeStringScalar) -> str:
    """A string of an Arrow array; the key by which such arrays are bisected."""
    text: str = scalar.as_py()
    return text
