"""The form of an export: a header, then a record for each document, as JSON lines or as Parquet.

A record is a document as `Collection.upsert` takes it, with its vectors. The header tells what
makes the same collection of them again: the encoder, its vocabulary, the average length.
docs/EXCHANGE.md describes both files.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from lexidex.encoders import Encoder
from lexidex.encoders.loading import load_stored_encoder
from lexidex.errors import InputError, ParameterError, UnsupportedVersion
from lexidex.index.storage.arrays import FORMAT_VERSION
from lexidex.sources import EXPORT, json_lines, readable

VectorForm: TypeAlias = Literal["terms", "components", "none"]
"""How vectors are written: by the words that components stand for, by their numbers, not at all."""

SUFFIXES = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz", ".parquet")
"""Names of exports end in one of these."""

_ROWS = 1024
"""Records of a Parquet file that are in memory at once."""

_COMPONENTS = pa.list_(pa.uint32())
_VALUES = pa.list_(pa.float32())
_NAMES = pa.list_(pa.string())
_DENSE = pa.list_(pa.list_(pa.float32()))
_SPAN = [("start", pa.int64()), ("end", pa.int64())]


@dataclass(frozen=True)
class Header:
    """What an export says of the collection.

    Attributes:
        n_documents: records that follow.
        generation: the commit that was exported.
        encoder: `kind`, `options` and `fingerprint` of the collection's.
        passages: what becomes of long documents, as `PassageParams` has it.
        dense: the description of the dense side, empty where there is none.
        vectors: how they are written.
        vocabulary: terms by component, of an encoder whose vocabulary grows, else None.
        average_length: of a passage in terms, which later documents are weighed by; 0 where the
            encoder counts none.
        format: version of the form.
    """

    n_documents: int
    generation: int
    encoder: Mapping[str, Any]
    passages: Mapping[str, Any]
    vectors: VectorForm
    vocabulary: list[str] | None
    average_length: float
    dense: Mapping[str, Any] = field(default_factory=dict)
    format: int = field(default_factory=lambda: FORMAT_VERSION)

    @classmethod
    def read(cls, described: object, where: str) -> Header:
        """From the JSON object in a file.

        Raises:
            InputError: it is none.
            UnsupportedVersion: it has another format version.
        """
        if not isinstance(described, dict):
            raise InputError(f"{where}: not an export: it does not begin with {EXPORT!r}")
        if described.get("format") != FORMAT_VERSION:
            raise UnsupportedVersion(
                f"{where}: format version {described.get('format')}; this Lexidex reads version "
                f"{FORMAT_VERSION}: use the release that wrote it"
            )
        try:
            return cls(**described)
        except TypeError:
            raise InputError(f"{where}: its header is not one of this version") from None

    def load_encoder(self) -> Encoder:
        """The collection's encoder, of a vocabulary that is empty where it grows."""
        return load_stored_encoder(self.encoder["kind"], self.encoder["options"])


def check_suffix(path: Path) -> None:
    """Raise ParameterError unless the name tells how the file is written."""
    if not path.name.endswith(SUFFIXES):
        raise ParameterError(f"{path}: an export's name ends in {', '.join(SUFFIXES)}")


def write_records(
    file: IO[bytes], name: str, header: Header, records: Iterable[Mapping[str, Any]]
) -> None:
    """Write an export into an open file of that name."""
    if name.endswith(".parquet"):
        _write_parquet(file, header, records)
    elif name.endswith(".gz"):
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as compressed:
            _write_lines(compressed, header, records)
    else:
        _write_lines(file, header, records)


def read_header(path: Path) -> Header:
    """The header of an export.

    Raises:
        InputError, UnsupportedVersion: the file is missing, or no export that can be read.
    """
    check_suffix(path)
    with readable(path):
        if path.suffix == ".parquet":
            with _parquet(path) as file:
                kept = (file.schema_arrow.metadata or {}).get(EXPORT.encode())
                return Header.read(json.loads(kept) if kept else None, str(path))
        _, first = next(json_lines(path), (1, {}))
        return Header.read(first.get(EXPORT) if isinstance(first, dict) else None, str(path))


def read_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line or row, record) of an export, in order.

    Raises:
        InputError: the file is damaged, or a line is no record; names it.
    """
    with readable(path):
        yield from _rows(path) if path.suffix == ".parquet" else _lines(path)


def _write_lines(
    file: IO[bytes] | gzip.GzipFile, header: Header, records: Iterable[Mapping[str, Any]]
) -> None:
    encoder = msgspec.json.Encoder()
    file.write(json.dumps({EXPORT: asdict(header)}, ensure_ascii=False).encode() + b"\n")
    for record in records:
        # Python's own JSON writes integers of any length.
        metadata = msgspec.Raw(json.dumps(record["metadata"], ensure_ascii=False).encode())
        file.write(encoder.encode({**record, "metadata": metadata}) + b"\n")


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, record in islice(json_lines(path), 1, None):
        if isinstance(record, InputError):
            raise InputError(f"{path}:{line}: {record}")
        yield line, record


def _write_parquet(file: IO[bytes], header: Header, records: Iterable[Mapping[str, Any]]) -> None:
    schema = _schema(header)
    rows = (_as_row(record) for record in records)
    with pq.ParquetWriter(pa.PythonFile(file, mode="w"), schema, compression="zstd") as writer:
        while some := list(islice(rows, _ROWS)):
            writer.write_batch(pa.RecordBatch.from_pylist(some, schema))


def _schema(header: Header) -> pa.Schema:
    vector = {
        "terms": [("terms", _NAMES), ("values", _VALUES)],
        "components": [("indices", _COMPONENTS), ("values", _VALUES)],
        "none": [],
    }[header.vectors]
    if header.dense:
        vector.append(("dense", _DENSE))
    fields = [("id", pa.string()), ("title", pa.string()), ("text", pa.string())]
    fields += [("metadata", pa.string()), *vector]
    fields.append(("passages", pa.list_(pa.struct([*_SPAN, *vector]))))
    described = json.dumps(asdict(header), ensure_ascii=False)
    return pa.schema(fields, metadata={EXPORT: described})


def _as_row(record: Mapping[str, Any]) -> dict[str, Any]:
    row = {**record, "metadata": json.dumps(record["metadata"], ensure_ascii=False)}
    row |= _columns(row)
    if "passages" in row:
        row["passages"] = [{**one, **_columns(one)} for one in row["passages"]]
    return row


def _columns(record: Mapping[str, Any]) -> dict[str, Any]:
    """Vectors as columns; numbers of components are `indices` there, as other tools have it."""
    columns: dict[str, Any] = {}
    if "dense" in record:
        several = isinstance(record["dense"][0], list)
        columns["dense"] = record["dense"] if several else [record["dense"]]
    return columns | _sparse_columns(record.get("vector"))


def _sparse_columns(vector: Mapping[str, Any] | None) -> dict[str, Any]:
    if vector is None:
        return {}
    if isinstance(vector.get("components"), list):
        return {"indices": vector["components"], "values": vector["values"]}
    return {"terms": list(vector), "values": list(vector.values())}


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with _parquet(path) as file:
        row = 0
        for batch in file.iter_batches(batch_size=_ROWS):
            for record in batch.to_pylist():
                row += 1
                try:
                    yield row, _as_record(record)
                except (ValueError, TypeError, KeyError) as error:
                    raise InputError(f"{path}:{row}: no record of an export: {error}") from None


def _as_record(row: dict[str, Any]) -> dict[str, Any]:
    record = {name: row[name] for name in ("id", "title", "text") if row[name] is not None}
    record["metadata"] = json.loads(row["metadata"])
    if row["passages"] is not None:
        record["passages"] = [
            {"start": one["start"], "end": one["end"], **_vector(one)} for one in row["passages"]
        ]
        return record
    return record | _vector(row)


def _vector(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The vectors of a row, or of a passage in it, as records have them."""
    dense = columns.get("dense")
    found: dict[str, Any] = {} if dense is None else {"dense": dense}
    if columns.get("values") is None:
        return found
    if "terms" in columns:
        return found | {"vector": dict(zip(columns["terms"], columns["values"], strict=True))}
    return found | {"vector": {"components": columns["indices"], "values": columns["values"]}}


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{path}: not a readable Parquet file: {error}") from None
