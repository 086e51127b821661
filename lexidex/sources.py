"""Files -> documents: BEIR folders, JSON lines, TSV, CSV, Parquet, text and Markdown.

Every record keeps its place (file and line), so that a bad one can be named; nothing is dropped
without a word.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Literal

from lexidex.documents import Document, SparseInput, TermWeights, check_document
from lexidex.errors import DuplicateId, InputError

JSON_LINES = (".jsonl", ".ndjson")
TEXTS = (".txt", ".md", ".markdown")
KNOWN = (*JSON_LINES, ".tsv", ".csv", ".parquet", *TEXTS)
"""File types that are read; JSON lines, TSV and CSV also with .gz."""

EXPORT = "lexidex_export"
"""What names the header of a collection's export, which is no source."""

_TSV_COLUMNS = {2: ("id", "text"), 3: ("id", "title", "text"), 4: ("id", "url", "title", "text")}
_SAME_AS = {"_id": "id", "body": "text", "contents": "text", "passage": "text"}
_IDS = {"id", "_id"}
_BODIES = {"text", *_SAME_AS} - _IDS
_CSV_LIMIT = 1 << 30


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands; `line` counts from 1, rows and whole files have theirs too."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that is no document, and why."""

    place: Place
    reason: str


@dataclass
class Reader:
    """Reads sources into documents and keeps account of what was wrong.

    Attributes:
        on_duplicate: "error" stops at an id that was seen before and names both places; "last"
            lets the later document replace the earlier.
        bad: records left out so far.
    """

    sources: Sequence[Path]
    on_duplicate: Literal["error", "last"] = "error"
    bad: list[BadRecord] = field(default_factory=list)

    def __iter__(self) -> Iterator[Document]:
        """The documents of all sources, in order.

        Raises:
            InputError: a source does not exist, is of no known type, or is damaged as a whole.
            DuplicateId: see `on_duplicate`.
        """
        files = find_files(self.sources)
        seen: dict[str, tuple[int, int]] = {}
        for number, (path, root) in enumerate(files):
            for line, record in _records(path, root):
                place = Place(path, line)
                try:
                    if isinstance(record, InputError):
                        raise record
                    document = check_document(_renamed(record), others_to_metadata=True)
                except InputError as error:
                    self.bad.append(BadRecord(place, str(error)))
                    continue
                if self.on_duplicate == "error":
                    if document.id in seen:
                        former, at = seen[document.id]
                        raise DuplicateId(
                            f"{place}: id {document.id!r} stands already at "
                            f"{Place(files[former][0], at)}; make ids unique, or let the later "
                            "one win with --on-duplicate last"
                        )
                    seen[document.id] = (number, line)
                yield document


def find_files(sources: Iterable[Path]) -> list[tuple[Path, Path]]:
    """The files of all sources, each with the folder that its name is told from.

    A BEIR folder stands for its corpus, another folder for every file of a known type below it.
    """
    files: list[tuple[Path, Path]] = []
    for source in sources:
        if source.is_dir():
            found = _in_folder(source)
            if not found:
                raise InputError(f"{source}: no file of a known type in it ({', '.join(KNOWN)})")
            files += [(path, source) for path in found]
        elif not source.exists():
            raise InputError(f"{source}: no such file or folder")
        elif _kind(source) not in KNOWN:
            raise InputError(
                f"{source}: files of type {source.suffix or '(none)'} are not read; known are "
                f"{', '.join(KNOWN)}"
            )
        else:
            files.append((source, source.parent))
    return files


def count_records(files: Iterable[tuple[Path, Path]]) -> int:
    """About how many records there are in files that `find_files` found: their lines or rows."""
    return sum(_count(path) for path, _ in files)


def _count(path: Path) -> int:
    kind = _kind(path)
    with readable(path):
        if kind in TEXTS:
            return 1
        if kind == ".parquet":
            return _parquet_rows(path)
        with _open(path) as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def beir_file(folder: Path, name: str) -> Path | None:
    """folder/name or folder/name.gz, whichever there is."""
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | InputError]]:
    """(line number, object) of a JSON lines file; an InputError stands for a bad line.

    Raises:
        InputError: the file is missing or damaged as a whole.
    """
    with readable(path):
        for line, text in _lines(path):
            if isinstance(text, InputError):
                yield line, text
            elif text.strip():
                yield line, _json_object(text)


def _json_records(path: Path) -> Iterator[tuple[int, dict[str, Any] | InputError]]:
    for line, record in json_lines(path):
        if line == 1 and isinstance(record, dict) and EXPORT in record:
            raise _is_export(path)
        yield line, record


def _is_export(path: Path) -> InputError:
    return InputError(
        f"{path}: an export of a collection; use 'lexidex import', with --encoder to encode its "
        "texts anew"
    )


def document_of_line(text: str) -> Document:
    """The document that one line of a JSON lines file holds; InputError if it holds none."""
    record = _json_object(text)
    if isinstance(record, InputError):
        raise record
    return check_document(_renamed(record), others_to_metadata=True)


def _json_object(text: str) -> dict[str, Any] | InputError:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        return InputError(f"not JSON: {error}")
    if isinstance(record, dict):
        return record
    return InputError(f"expected a JSON object, got {type(record).__name__}")


def _in_folder(folder: Path) -> list[Path]:
    corpus = beir_file(folder, "corpus.jsonl")
    if corpus:
        return [corpus]
    found = (path for path in folder.rglob("*") if path.is_file() and _kind(path) in KNOWN)
    return sorted(path for path in found if not _hidden(path.relative_to(folder)))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _kind(path: Path) -> str:
    name = path.name.lower()
    plain = name[:-3] if name.endswith(".gz") else name
    suffix = Path(plain).suffix
    compressible = suffix in (*JSON_LINES, ".tsv", ".csv")
    return suffix if plain == name or compressible else ".gz"


def _records(path: Path, root: Path) -> Iterator[tuple[int, Mapping[str, Any] | InputError]]:
    kind = _kind(path)
    with readable(path):
        if kind in JSON_LINES:
            yield from _json_records(path)
        elif kind == ".tsv":
            yield from _tsv(path)
        elif kind == ".csv":
            yield from _csv(path)
        elif kind == ".parquet":
            yield from _parquet(path)
        else:
            yield _text(path, root)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what the system and gzip say about a file into an InputError."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _open(path: Path) -> IO[bytes]:
    compressed = path.suffix.lower() == ".gz"
    return gzip.open(path) if compressed else open(path, "rb")  # type: ignore[return-value]


def _lines(path: Path) -> Iterator[tuple[int, str | InputError]]:
    """Numbered lines without their ends; one that is not UTF-8 becomes an InputError."""
    with _open(path) as file:
        for line, raw in enumerate(file, start=1):
            try:
                text = raw.decode("utf-8-sig" if line == 1 else "utf-8")
                yield line, text.rstrip("\r\n")
            except UnicodeDecodeError as error:
                yield line, InputError(f"not UTF-8: {error.reason} at byte {error.start}")


def _tsv(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | InputError]]:
    """MS MARCO's form: id and text; id, title and text; or id, url, title and text.

    A first line that names its columns (id and text among them) sets them instead.
    """
    columns: tuple[str, ...] | None = None
    for line, text in _lines(path):
        if isinstance(text, InputError):
            yield line, text
            continue
        if not text:
            continue
        cells = text.split("\t")
        if line == 1 and _IDS & set(cells) and _BODIES & set(cells):
            columns = _columns(cells, path)
            continue
        names = columns or _TSV_COLUMNS.get(len(cells))
        if names is None or len(names) != len(cells):
            expected = str(len(columns)) if columns else "2, 3 or 4"
            yield line, InputError(f"{len(cells)} tab-separated columns; expected {expected}")
            continue
        yield line, dict(zip(names, cells, strict=True))


def _csv(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | InputError]]:
    """CSV with a header line that names an id and a text column; others become metadata."""
    csv.field_size_limit(_CSV_LIMIT)
    # What is not UTF-8 comes as surrogates, so that it spoils its own row alone.
    with io.TextIOWrapper(
        _open(path), encoding="utf-8-sig", errors="surrogateescape", newline=""
    ) as file:
        rows = csv.reader(file, strict=True)
        line = 1
        try:
            header = _columns(next(rows, []), path)
            if not _IDS & set(header):
                raise InputError(
                    f"{path}:1: the header {list(header)} names no column 'id'; "
                    "expected at least id and text"
                )
            line = rows.line_num + 1
            for cells in rows:
                if cells:
                    yield line, _csv_row(header, cells)
                line = rows.line_num + 1
        except csv.Error as error:
            raise InputError(f"{path}:{line}: not CSV: {error}") from None


def _csv_row(header: Sequence[str], cells: list[str]) -> Mapping[str, Any] | InputError:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return InputError("not UTF-8")
    if len(cells) != len(header):
        return InputError(f"{len(cells)} columns; the header has {len(header)}")
    return dict(zip(header, cells, strict=True))


def _columns(names: list[str], path: Path) -> tuple[str, ...]:
    """The column names of a file's first line; none may come twice."""
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}:1: two columns are named {name!r}; name each differently")
    return tuple(names)


def _parquet(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | InputError]]:
    """Columns id and text, or id, indices and values; others become metadata.

    What `lexidex encode` wrote has metadata as JSON.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from .exchange import Described

    try:
        with pq.ParquetFile(path) as file:
            if EXPORT.encode() in (file.schema_arrow.metadata or {}):
                raise _is_export(path)
            ours = Described.of(file.schema_arrow, str(path))
            by_terms = ours is not None and ours.vectors == "terms"
            _columns(file.schema_arrow.names, path)
            maps = [field.name for field in file.schema_arrow if pa.types.is_map(field.type)]
            row = 0
            for batch in file.iter_batches(batch_size=1024):
                for record in batch.to_pylist():
                    row += 1
                    record |= {name: _object(record[name]) for name in maps}
                    if ours and record["metadata"] is not None:
                        record["metadata"] = json.loads(record["metadata"])
                    yield row, _with_vector(record, by_terms)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: not a readable Parquet file: {error}") from None


def _parquet_rows(path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except pa.ArrowException as error:
        raise InputError(f"{path}: not a readable Parquet file: {error}") from None


def _with_vector(record: dict[str, Any], by_terms: bool) -> dict[str, Any]:
    """A Parquet row, its columns indices and values, and those of passages, taken as vectors.

    Args:
        by_terms: take terms in the place of indices, as what an encoder has made of words.
    """
    vector: SparseInput | None = None
    keys = "terms" if by_terms else "indices"
    if record.get(keys) is not None and record.get("values") is not None:
        components, values = record.pop(keys), record.pop("values")
        vector = {"components": components, "values": values}
        if by_terms:
            vector = TermWeights(zip(components, values, strict=True))
    if isinstance(record.get("passages"), list):
        record["passages"] = [
            _with_vector(one, by_terms) if isinstance(one, dict) else one
            for one in record["passages"]
        ]
    given = {name: _plain(value) for name, value in record.items() if value is not None}
    return given if vector is None else {**given, "vector": vector}


def _object(pairs: list[tuple[Any, Any]] | None) -> Any:
    """A Parquet map as an object, unless a key comes twice in it."""
    made = dict(pairs or [])
    return made if pairs is not None and len(made) == len(pairs) else pairs


def _plain(value: Any) -> Any:
    """A Parquet value as JSON can hold it: dates and times as ISO 8601, decimals as floats."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _text(path: Path, root: Path) -> tuple[int, Mapping[str, Any] | InputError]:
    """One file, one document: named by its path below `root`, titled by its first heading."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return 1, InputError(f"not UTF-8: {error.reason} at byte {error.start}")
    title = path.stem
    if path.suffix.lower() != ".txt":
        headings = (line.lstrip("#").strip() for line in text.splitlines() if line.startswith("#"))
        title = next(headings, title)
    return 1, {"id": path.relative_to(root).as_posix(), "title": title, "text": text}


def _renamed(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record with the names that other tools use for our fields."""
    names: dict[str, str] = {}
    for old, new in _SAME_AS.items():
        if old in record and new not in record and new not in names.values():
            names[old] = new
    return {names.get(key, key): value for key, value in record.items()} if names else record
