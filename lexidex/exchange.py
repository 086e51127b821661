"""Encoded texts as Parquet, the form in which vectors are exchanged: a row a text.

Columns `id`, `title`, `text`, `metadata` (JSON, or null), `indices` (list of uint32, ascending) and
`values` (list of float32, parallel). These two are null where a document has several vectors, or
one of a part of its text: then `passages` has them, a list of `start`, `end` (places in the text,
in code points), `indices` and `values`. Where an encoder's vocabulary grows, so that numbers mean
nothing elsewhere, `terms` (list of string, ascending) stands in the place of `indices`. The file's
own metadata tells which encoder made the vectors, so that they are never mixed with another's.
`lexidex encode` writes it, `lexidex index` reads it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lexidex.documents import Document
from lexidex.encoder_names import told_apart
from lexidex.errors import CorruptFile, EncoderMismatch, InputError, UnsupportedVersion
from lexidex.index.by_names import by_names
from lexidex.index.storage.passages import Passages
from lexidex.index.vectors import Vectors

Side: TypeAlias = Literal["documents", "queries"]

VectorForm: TypeAlias = Literal["components", "terms"]
"""Whether vectors are written by numbers of components, or by the terms that these stand for."""

_KEYS = {
    "components": pa.field("indices", pa.list_(pa.uint32())),
    "terms": pa.field("terms", pa.list_(pa.string())),
}
_VALUES = pa.field("values", pa.list_(pa.float32()))


def schema_of(form: VectorForm) -> pa.Schema:
    """The columns of a file."""
    vector = [_KEYS[form], _VALUES]
    span = [pa.field("start", pa.int64()), pa.field("end", pa.int64())]
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("title", pa.string()),
            pa.field("text", pa.string(), nullable=False),
            pa.field("metadata", pa.string()),
            *vector,
            pa.field("passages", pa.list_(pa.struct([*span, *vector]))),
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
        passages: what becomes of long documents, as text; empty for queries.
        n_postings, n_tokens: of all rows; tokens are those that passed through a model.
        vectors: how they are written.
    """

    side: Side
    encoder: Mapping[str, Any]
    source: str
    n_postings: int = 0
    n_tokens: int = 0
    passages: str = ""
    vectors: VectorForm = "components"
    version: int = VERSION

    @property
    def origin(self) -> tuple[str, str, str, str]:
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
        described = json.dumps(asdict(self), sort_keys=True)
        return schema_of(self.vectors).with_metadata({_KEY: described})


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


def encoder_of(files: Iterable[Path]) -> tuple[Mapping[str, Any], Path] | None:
    """The encoder that made the vectors in files, and the first of these; None where none has any.

    Raises:
        EncoderMismatch: two encoders did.
        InputError: they are queries' vectors.
    """
    found: tuple[Mapping[str, Any], Path] | None = None
    for path in files:
        read = read_description(path) if path.suffix.lower() == ".parquet" else None
        if read is None:
            continue
        described = read[0]
        if described.side == "queries":
            raise InputError(f"{path}: holds queries, not documents")
        if found and found[0]["fingerprint"] != described.encoder["fingerprint"]:
            raise EncoderMismatch(
                f"{path}: its vectors are by {told_apart(described.encoder, found[0])} as those in "
                f"{found[1]}; index files of one encoder together"
            )
        found = found or (described.encoder, path)
    return found


def as_table(
    documents: Sequence[Document],
    vectors: Vectors,
    passages: Passages,
    terms: Sequence[str] | None = None,
) -> pa.Table:
    """Documents, or queries, and the vectors of their passages as a table.

    Args:
        terms: what components stand for, where vectors are to be written by that.
    """
    schema = schema_of("components" if terms is None else "terms")
    if terms is None:
        components = pa.array(vectors.indices.astype(np.uint32))
    else:
        vectors, names = by_names(vectors, terms)
        components = pa.array(names, pa.string()).take(pa.array(vectors.indices))
    offsets = pa.array(vectors.indptr.astype(np.int32))
    keys = pa.ListArray.from_arrays(offsets, components)
    values = pa.ListArray.from_arrays(offsets, pa.array(vectors.data))
    places = [pa.array(column) for column in passages.spans.T]
    fields = list(schema.field("passages").type.value_type)
    each = pa.StructArray.from_arrays([*places, keys, values], fields=fields)
    lengths = np.array([len(document.text) for document in documents], dtype=np.int64)
    starts, counts = passages.starts, passages.counts
    is_whole = (counts == 1) & (
        passages.spans[starts[:-1]] == np.array([0, 1]) * lengths[:, None]
    ).all(axis=1)
    whole = pa.array(np.where(is_whole, starts[:-1], 0), mask=~is_whole)
    parts = np.flatnonzero(~is_whole)
    ends = np.concatenate([[0], np.cumsum(np.where(is_whole, 0, counts))])
    metadata = (
        json.dumps(document.metadata, ensure_ascii=False) if document.metadata else None
        for document in documents
    )
    columns = [
        [document.id for document in documents],
        [document.title for document in documents],
        [document.text for document in documents],
        list(metadata),
        keys.take(whole),
        values.take(whole),
        pa.ListArray.from_arrays(
            pa.array(ends.astype(np.int32)),
            each.take(pa.array(passages.of(parts))),
            mask=pa.array(is_whole),
        ),
    ]
    return pa.table(columns, schema=schema)


def write_rows(path: Path, tables: Iterable[pa.Table], described: Described) -> None:
    """Write a file whole or not at all: under another name, synced, then renamed.

    Args:
        tables: of the columns that `described` tells, each a row group.
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
