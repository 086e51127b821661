"""Metadata of one document after another -> typed columns, written as one Arrow file.

Values are held in flat arrays, 12 to 16 bytes each, and every distinct string once, until `write`.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .format import N_DOCUMENTS, SCHEMA
from .values import KINDS, Kind, Scalar, as_moment, as_number

_TYPE_CODES: Mapping[Kind, str] = {"boolean": "B", "float": "d", "integer": "q", "string": "I"}
_COLUMNS: Mapping[Kind, str] = {
    "boolean": "booleans",
    "float": "floats",
    "integer": "integers",
    "string": "codes",
}

Ints = NDArray[np.int64]


class _Entries:
    """All values of one kind, in order of documents: field, document and value of each."""

    def __init__(self, type_code: str) -> None:
        self.fields: dict[str, int] = {}
        self.numbers = array("I")
        self.documents = array("I")
        self.values = array(type_code)

    def append(self, field: str, document: int, value: Any) -> None:
        self.numbers.append(self.fields.setdefault(field, len(self.fields)))
        self.documents.append(document)
        self.values.append(value)


class ColumnsWriter:
    """Collects the metadata of a segment's documents, in order; `write` makes a file of it."""

    def __init__(self) -> None:
        """Start with no document; `n_characters` are those of the distinct strings."""
        self._entries = {kind: _Entries(code) for kind, code in _TYPE_CODES.items()}
        self._strings: dict[str, int] = {}
        self.n_documents = 0
        self.n_characters = 0

    def add(self, metadata: Mapping[str, Any]) -> None:
        """Take in the next document's metadata: what JSON can hold.

        A field is named by its keys, joined by dots. Every element of a list is a value of the
        list's field, at any depth; null is no value.
        """
        document = self.n_documents
        self.n_documents += 1
        waiting: list[tuple[str, Any]] = list(metadata.items())
        while waiting:
            field, value = waiting.pop()
            if isinstance(value, str | int | float):
                self._append(field, document, value)
            elif isinstance(value, Mapping):
                waiting += [(f"{field}.{_key(key)}", inner) for key, inner in value.items()]
            elif value is not None:
                waiting += [(field, element) for element in value]

    def write(self, file: Any) -> None:
        """Write the columns of all documents into an open binary file."""
        labels = sorted((field, kind) for kind in KINDS for field in self._entries[kind].fields)
        columns: dict[str, pa.Array] = {
            "field": pa.array([field for field, _ in labels], pa.large_string()),
            "kind": pa.array([kind for _, kind in labels], pa.large_string()),
        }
        row_of = {label: row for row, label in enumerate(labels)}
        sorted_strings, ranks = self._sort_strings()
        all_rows, all_documents = [], []
        for kind in KINDS:
            entries = self._entries[kind]
            rows = np.array([row_of[field, kind] for field in entries.fields], dtype=np.int64)
            values = np.asarray(entries.values)
            if kind == "string":
                values = ranks[values]
            rows, documents, values = _in_order(rows[entries.numbers], entries.documents, values)
            if kind == "string":
                values, named = _distinct(rows, values, sorted_strings, len(labels))
                columns |= named
            column = _COLUMNS[kind]
            inner = SCHEMA.field(column).type.value_type
            columns[column] = _lists(rows, pa.array(values).cast(inner), len(labels))
            all_rows.append(rows)
            all_documents.append(documents)
        columns["documents"] = _document_lists(
            np.concatenate(all_rows), np.concatenate(all_documents), len(labels), self.n_documents
        )
        schema = SCHEMA.with_metadata({N_DOCUMENTS: str(self.n_documents)})
        batch = pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)
        with pa.ipc.new_file(pa.PythonFile(file, mode="w"), schema) as writer:
            writer.write_batch(batch)

    def _append(self, field: str, document: int, value: Scalar) -> None:
        if isinstance(value, str):
            if value not in self._strings:
                self._strings[value] = len(self._strings)
                self.n_characters += len(value)
            self._entries["string"].append(field, document, self._strings[value])
        elif isinstance(value, bool):
            self._entries["boolean"].append(field, document, value)
        else:
            number = as_number(value)
            kind: Kind = "integer" if isinstance(number, int) else "float"
            self._entries[kind].append(field, document, number)

    def _sort_strings(self) -> tuple[pa.Array, Ints]:
        """Every distinct string, ascending, and int64 (n,): the rank of each by its code."""
        strings = pa.array(self._strings, pa.large_string())
        order = pc.sort_indices(strings)
        ranks = np.empty(len(strings), dtype=np.int64)
        ranks[order.to_numpy()] = np.arange(len(strings))
        return strings.take(order), ranks


def _in_order(
    rows: Ints, documents: array[int], values: NDArray[Any]
) -> tuple[Ints, NDArray[np.uint32], NDArray[Any]]:
    """Entries by row, then by document, each once; they come in order of documents."""
    order = np.argsort(rows, kind="stable")
    rows, ordinals, values = rows[order], np.asarray(documents)[order], values[order]
    if ((rows[1:] == rows[:-1]) & (ordinals[1:] == ordinals[:-1])).any():
        order = np.lexsort((values, ordinals, rows))
        rows, ordinals, values = rows[order], ordinals[order], values[order]
        fresh = np.ones(rows.size, dtype=np.bool_)
        fresh[1:] = (
            (rows[1:] != rows[:-1]) | (ordinals[1:] != ordinals[:-1]) | (values[1:] != values[:-1])
        )
        rows, ordinals, values = rows[fresh], ordinals[fresh], values[fresh]
    return rows, ordinals, values


def _distinct(
    rows: Ints, ranks: Ints, sorted_strings: pa.Array, n_rows: int
) -> tuple[NDArray[np.uint32], dict[str, pa.Array]]:
    """Codes of the entries within their row, and the columns `strings` and `moments`."""
    n_strings = max(len(sorted_strings), 1)
    pairs, places = np.unique(rows * n_strings + ranks, return_inverse=True)
    pair_rows, pair_ranks = pairs // n_strings, pairs % n_strings
    first = np.searchsorted(pair_rows, np.arange(n_rows))
    codes = (places - first[rows]).astype(np.uint32)
    moments = pa.array([as_moment(text) for text in sorted_strings.to_pylist()], pa.int64())
    moments = moments.take(pa.array(pair_ranks))
    dated = np.zeros(n_rows, dtype=np.bool_)
    dated[pair_rows[moments.is_valid().to_numpy(zero_copy_only=False)]] = True
    kept = dated[pair_rows]
    moments = moments.filter(pa.array(kept)).cast(pa.timestamp("us", "UTC"))
    return codes, {
        "strings": _lists(pair_rows, sorted_strings.take(pa.array(pair_ranks)), n_rows),
        "moments": _lists(pair_rows[kept], moments, n_rows),
    }


def _document_lists(
    rows: Ints, documents: NDArray[np.uint32], n_rows: int, n_documents: int
) -> pa.Array:
    """The column `documents`, null for rows where every document has exactly one value."""
    order = np.argsort(rows, kind="stable")
    rows, documents = rows[order], documents[order]
    counts = np.bincount(rows, minlength=n_rows)
    places = np.arange(rows.size) - (np.cumsum(counts) - counts)[rows]
    misplaced = np.bincount(rows[places != documents], minlength=n_rows)
    every = (counts == n_documents) & (misplaced == 0)
    kept = ~every[rows]
    return _lists(rows[kept], pa.array(documents[kept]), n_rows, every)


def _lists(
    rows: Ints, values: pa.Array, n_rows: int, null: NDArray[np.bool_] | None = None
) -> pa.Array:
    """One list a row, of values that come in order of their rows."""
    offsets = np.zeros(n_rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=n_rows), out=offsets[1:])
    mask = None if null is None else pa.array(null)
    return pa.LargeListArray.from_arrays(pa.array(offsets), values, mask=mask)


def _key(key: object) -> str:
    """An object's key as JSON writes it."""
    return key if isinstance(key, str) else json.dumps(key)
