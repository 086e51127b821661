"""Encoded texts as Parquet, the form in which vectors are exchanged: a row a text.

The columns are those of an export (docs/EXCHANGE.md). The file's own metadata tells which encoder
made the vectors, so that they are never mixed with another's. `lexidex encode` writes it, `lexidex
index` reads it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from lexidex.documents import Document
from lexidex.errors import CorruptFile, EncoderMismatch, InputError, UnsupportedVersion
from lexidex.index.storage.passages import Passages
from lexidex.index.vectors import Vectors

Side: TypeAlias = Literal["documents", "queries"]

_VECTOR = [
    pa.field("indices", pa.list_(pa.uint32())),
    pa.field("values", pa.list_(pa.float32())),
]

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("text", pa.string(), nullable=False),
        pa.field("metadata", pa.string(), nullable=False),
        *_VECTOR,
        pa.field(
            "passages",
            pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), *_VECTOR])),
        ),
    ]
)

VERSION = 0

ROW_GROUP = 8192
"""Rows that are compressed together in a whole file."""

ROW_GROUP_BYTES = 1 << 26
"""Bytes of rows, before compression, at which there are fewer."""

_KEY = b"lexidex"


@dataclass(frozen=True, slots=True)
class Described:
    """What a file of encoded texts, or a part of one, holds.

    Attributes:
        side: whether the vectors are documents' or queries'.
        encoder: kind, options and fingerprint, as a manifest has them.
        source: what identifies the texts, see `lexidex.encoding`.
        passages: what became of long documents, as `PassageParams` has it; of queries None.
        n_postings, n_tokens: of all rows; tokens are those that passed through a model.
    """

    side: Side
    encoder: Mapping[str, Any]
    source: str
    passages: Mapping[str, Any] | None = None
    n_postings: int = 0
    n_tokens: int = 0
    version: int = VERSION

    @property
    def origin(self) -> tuple[Any, ...]:
        """Equal for files that hold the same vectors of the same texts."""
        return self.side, self.encoder["fingerprint"], self.source, self.passages

    @classmethod
    def of(cls, schema: pa.Schema, where: str) -> Self | None:
        """What a Parquet file's schema says; None for one that was not written here.

        Raises:
            UnsupportedVersion: a later version wrote it.
            CorruptFile: it says so, but not what.
        """
        if not schema.metadata or _KEY not in schema.metadata:
            return None
        try:
            described = json.loads(schema.metadata[_KEY])
            if described["version"] != VERSION:
                raise UnsupportedVersion(
                    f"{where}: encoded texts of version {described['version']}; this Lexidex reads "
                    f"{VERSION}: use the release that wrote it, or encode anew"
                )
            return cls(**described)
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptFile(f"{where}: its metadata are unusable: {error!r}") from None

    def schema(self) -> pa.Schema:
        """The columns, with this beside them."""
        return SCHEMA.with_metadata({_KEY: json.dumps(asdict(self), sort_keys=True)})


def read_description(path: Path) -> tuple[Described, int] | None:
    """What a Parquet file holds, and its number of rows; None for one that was not written here.

    Raises:
        CorruptFile, UnsupportedVersion: it cannot be used.
    """
    try:
        with pq.ParquetFile(path) as file:
            described = Described.of(file.schema_arrow, str(path))
            return None if described is None else (described, file.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise CorruptFile(f"{path}: not a readable Parquet file: {error}") from None


def made_with(files: Iterable[Path]) -> tuple[Described, Path] | None:
    """What the first file with vectors holds, and that file; None where none has any.

    Raises:
        EncoderMismatch: two encoders did.
        InputError: they are queries' vectors.
    """
    found: tuple[Described, Path] | None = None
    for path in files:
        read = read_description(path) if path.suffix.lower() == ".parquet" else None
        if read is None:
            continue
        described = read[0]
        if described.side == "queries":
            raise InputError(f"{path}: holds queries, not documents")
        if found and found[0].encoder["fingerprint"] != described.encoder["fingerprint"]:
            raise EncoderMismatch(
                f"{path}: its vectors are by {named(described.encoder)}, those in {found[1]} by "
                f"{named(found[0].encoder)}; index files of one encoder together"
            )
        found = found or (described, path)
    return found


def named(encoder: Mapping[str, Any]) -> str:
    """An encoder, as a manifest describes it, for messages."""
    options = {name: value for name, value in encoder["options"].items() if value is not None}
    return f"{encoder['kind']} {options} (fingerprint {encoder['fingerprint']})"


def as_table(documents: Sequence[Document], vectors: Vectors, passages: Passages) -> pa.Table:
    """Documents, or queries, the passages they own and their vectors, as a table of SCHEMA."""
    starts, spans = passages.starts.tolist(), passages.spans.tolist()
    rows = []
    for document, (first, last) in zip(documents, pairwise(starts), strict=True):
        own = [_vector(vectors, passage) for passage in range(first, last)]
        if last - first == 1 and spans[first] == [0, len(document.text)]:
            row: dict[str, Any] = dict(own[0])
        else:
            places = [{"start": start, "end": end} for start, end in spans[first:last]]
            row = {"passages": [place | one for place, one in zip(places, own, strict=True)]}
        row |= {"id": document.id, "title": document.title, "text": document.text}
        row["metadata"] = json.dumps(document.metadata, ensure_ascii=False)
        rows.append(row)
    return pa.Table.from_pylist(rows, SCHEMA)


def _vector(vectors: Vectors, row: int) -> dict[str, Any]:
    start, end = vectors.indptr[row : row + 2].tolist()
    return {"indices": vectors.indices[start:end], "values": vectors.data[start:end]}


def write_rows(path: Path, tables: Iterable[pa.Table], described: Described) -> None:
    """Write a file whole or not at all: under another name, synced, then renamed.

    Args:
        tables: of SCHEMA, each a row group.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    options: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
    try:
        with pq.ParquetWriter(temporary, described.schema(), **options) as writer:
            for table in tables:
                writer.write_table(table.replace_schema_metadata(writer.schema.metadata))
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def row_groups(parts: Iterable[Path]) -> Iterator[pa.Table]:
    """The rows of files in order, in tables of one size, whatever that of the files is.

    Raises:
        CorruptFile: a file does not match its checksums; the message tells what to do.
    """
    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(_read(part))
        n_rows = sum(table.num_rows for table in waiting)
        if n_rows >= ROW_GROUP or sum(table.nbytes for table in waiting) >= ROW_GROUP_BYTES:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting.clear()
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _read(part: Path) -> pa.Table:
    try:
        table = pq.read_table(part, page_checksum_verification=True, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise CorruptFile(f"{part}: {error}; remove this file, and run again") from None
    return table.replace_schema_metadata(None)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
