"""Stored documents, what a hit shows: Arrow record batches, read by ordinal or by id."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lexidex.errors import CorruptFile

from . import layout
from .arrays import read_arrays
from .files import Storage
from .manifest import CountedFile, SegmentEntry
from .passages import Passages
from .verification import Guard

SCHEMA = pa.schema(
    [
        pa.field("id", pa.large_string(), nullable=False),
        pa.field("title", pa.large_string()),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("metadata", pa.large_string()),
    ]
)
MAP_KIND = "document-map"
"""Kind of the file beside the documents: the order of their ids, batches, passages."""

_ARROW_MAGIC = b"ARROW1"
_LENGTH = struct.Struct("<i")
_BATCH_ROWS = 4096
_BATCH_CHARACTERS = 1 << 24


class StorableDocument(Protocol):
    """What is kept of a document."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str | None: ...
    @property
    def text(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it comes back from storage."""

    id: str
    title: str | None
    text: str
    metadata: Mapping[str, Any]


class DocumentWriter:
    """Streams documents into a file in batches of bounded size."""

    def __init__(self, file: CountedFile) -> None:
        """Write into an open file."""
        self._file = file
        self._writer = pa.ipc.new_file(pa.PythonFile(file, mode="w"), SCHEMA)
        self._rows: list[dict[str, Any]] = []
        self._characters = 0
        self._batch_starts = [0]
        self._batch_ends: list[int] = []

    def add(self, document: StorableDocument) -> None:
        """Append one document."""
        row = _row(document)
        self._rows.append(row)
        self._characters += len(document.text) + len(row["metadata"] or "")
        if len(self._rows) == _BATCH_ROWS or self._characters >= _BATCH_CHARACTERS:
            self._flush()

    def finish(self) -> dict[str, NDArray[np.int64]]:
        """Complete the file; where its batches are, see docs/FORMAT.md."""
        self._flush()
        self._writer.close()
        return {
            "batch_starts": np.array(self._batch_starts, dtype=np.int64),
            "batch_ends": np.array(self._batch_ends, dtype=np.int64),
        }

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, SCHEMA))
            self._batch_starts.append(self._batch_starts[-1] + len(self._rows))
            self._batch_ends.append(self._file.size)
            self._rows, self._characters = [], 0


class DocumentReader:
    """Documents of a segment over a memory map; batches are decoded when first touched."""

    def __init__(
        self,
        data: memoryview,
        placed: Mapping[str, NDArray[Any]],
        where: str,
        guard: Guard | None = None,
    ) -> None:
        """Read a file's bytes.

        Args:
            placed: what `DocumentWriter.finish` returned, and `id_order`: int32 (n,), ordinals in
                ascending order of their ids.
            guard: verifies what is read of the file; None where all of it is verified.
        """
        batch_starts, id_order = placed["batch_starts"], placed["id_order"]
        try:
            if guard:
                guard.verify(*_footer(data, guard))
            self._file = pa.ipc.open_file(pa.py_buffer(data))
        except (pa.ArrowException, OSError) as error:
            raise CorruptFile(f"{where}: {error}") from None
        if self._file.num_record_batches != batch_starts.size - 1:
            raise CorruptFile(f"{where}: {self._file.num_record_batches} batches, expected others")
        self._where = where
        self._guard = guard
        self._batch_ends = placed["batch_ends"]
        self._batch_starts = batch_starts
        self._id_order = id_order
        self._batches: dict[int, pa.RecordBatch] = {}

    def __len__(self) -> int:
        return int(self._id_order.size)

    def fetch(self, ordinal: int, fields: Sequence[str]) -> dict[str, Any]:
        """Some fields of one document; metadata as an object, {} where there is none."""
        number = int(np.searchsorted(self._batch_starts, ordinal, side="right")) - 1
        row = ordinal - int(self._batch_starts[number])
        batch = self._batch(number)
        found = {name: batch.column(name)[row].as_py() for name in fields}
        if "metadata" in found:
            found["metadata"] = json.loads(found["metadata"] or "{}")
        return found

    def find(self, doc_id: str) -> int | None:
        """The ordinal of the document with that id, the highest if several have it, or None."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._id(middle) <= doc_id:
                low = middle + 1
            else:
                high = middle
        return int(self._id_order[low - 1]) if low and self._id(low - 1) == doc_id else None

    def batches(self) -> Iterator[tuple[int, list[StoredDocument]]]:
        """Every document, batch by batch, each with the ordinal of its first."""
        for number, first in enumerate(self._batch_starts[:-1].tolist()):
            yield first, stored_documents(self._batch(number))

    def ids(self) -> pa.ChunkedArray:
        """Every id, in order of ordinals."""
        batches = [self._batch(i) for i in range(self._file.num_record_batches)]
        return pa.chunked_array([b.column("id") for b in batches], type=pa.large_string())

    def _id(self, place: int) -> str:
        identifier: str = self.fetch(int(self._id_order[place]), ("id",))["id"]
        return identifier

    def _batch(self, number: int) -> pa.RecordBatch:
        if number not in self._batches:
            try:
                if self._guard:
                    first = int(self._batch_ends[number - 1]) if number else 0
                    self._guard.verify(first, int(self._batch_ends[number]))
                batch = self._file.get_batch(number)
                batch.validate(full=True)
            except (pa.ArrowException, OSError) as error:
                raise CorruptFile(f"{self._where}: batch {number}: {error}") from None
            self._batches[number] = batch
        return self._batches[number]


def read_documents(
    storage: Storage, entry: SegmentEntry, guard: Guard | None = None
) -> tuple[DocumentReader, Passages]:
    """A segment's documents, and the passages that they own."""
    name = layout.segment_file(entry.name, layout.DOCUMENT_MAP)
    mapped, _ = read_arrays(storage.view(name), MAP_KIND, f"{storage.location}/{name}")
    path = layout.segment_file(entry.name, layout.DOCUMENTS)
    reader = DocumentReader(storage.view(path), mapped, f"{storage.location}/{path}", guard)
    return reader, Passages.from_arrays(mapped)


def _footer(data: memoryview, guard: Guard) -> tuple[int, int]:
    """Where the footer of an Arrow file begins and ends; its length, in front of the last six
    bytes, is verified."""
    end = len(data) - len(_ARROW_MAGIC) - _LENGTH.size
    guard.verify(end)
    return end - _LENGTH.unpack_from(data, end)[0], end


def as_batch(documents: Sequence[StorableDocument]) -> pa.RecordBatch:
    """Documents as a record batch of SCHEMA."""
    return pa.RecordBatch.from_pylist([_row(document) for document in documents], SCHEMA)


def stored_documents(batch: pa.RecordBatch) -> list[StoredDocument]:
    """The documents of a record batch of SCHEMA."""
    columns = (batch.column(name).to_pylist() for name in ("id", "title", "text", "metadata"))
    return [
        StoredDocument(doc_id, title, text, json.loads(metadata) if metadata else {})
        for doc_id, title, text, metadata in zip(*columns, strict=True)
    ]


def _row(document: StorableDocument) -> dict[str, Any]:
    metadata = json.dumps(document.metadata, ensure_ascii=False) if document.metadata else None
    return {
        "id": document.id,
        "title": document.title,
        "text": document.text,
        "metadata": metadata,
    }


def sort_ids(ids: pa.ChunkedArray) -> NDArray[np.int32]:
    """Ordinals in ascending order of their ids; equal ids in order of ordinals."""
    order: NDArray[np.int32] = pc.sort_indices(ids).to_numpy().astype(np.int32)
    return order


def repeated_ids(ids: pa.ChunkedArray, id_order: NDArray[np.int32]) -> NDArray[np.bool_]:
    """bool (n,): documents whose id comes again at a higher ordinal."""
    repeated = np.zeros(id_order.size, dtype=np.bool_)
    if id_order.size > 1:
        in_order = ids.take(pa.array(id_order))
        same = pc.equal(in_order[1:], in_order[:-1]).to_numpy(zero_copy_only=False)
        repeated[id_order[:-1][same]] = True
    return repeated
