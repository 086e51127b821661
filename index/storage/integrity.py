"""Verifying a collection on disk, byte by byte."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from lexidex.errors import LexidexError

from .arrays import MAGIC, verify_arrays
from .files import Storage
from .manifest import FileEntry, read_manifest
from .segment import Segment

_PIECE = 1 << 24


@dataclass(frozen=True)
class Report:
    """What a check found; `problems` is empty when all is well."""

    generation: int
    n_files: int
    n_bytes: int
    problems: list[str] = field(default_factory=list)


def check(storage: Storage) -> Report:
    """Compare every file of the newest generation with its manifest.

    Raises:
        CollectionNotFound, CorruptFile, UnsupportedVersion: the manifest itself cannot be read.
    """
    manifest = read_manifest(storage)
    files = list(manifest.files())
    problems = [problem for file in files for problem in _check_file(storage, file)]
    for entry in manifest.segments:
        if not any(f"/{entry.name}/" in problem for problem in problems):
            problems += _check_segment(Segment(storage, entry))
    return Report(manifest.generation, len(files), sum(f.size for f in files), problems)


def _check_file(storage: Storage, file: FileEntry) -> Iterator[str]:
    """What is wrong with one file, as precisely as can be told."""
    where = f"{storage.location}/{file.name}"
    try:
        data = storage.view(file.name)
        if len(data) != file.size:
            yield f"{where}: {len(data)} bytes, the manifest says {file.size}"
            return
        crc = 0
        for start in range(0, len(data), _PIECE):
            crc = zlib.crc32(data[start : start + _PIECE], crc)
        if crc == file.crc32:
            return
        if bytes(data[: len(MAGIC)]) == MAGIC:
            verify_arrays(data, where)
        yield f"{where}: does not match its checksum"
    except LexidexError as error:
        yield str(error)


def _check_segment(segment: Segment) -> Iterator[str]:
    """Whether the parts of a segment fit together."""
    entry = segment.entry
    counts = {
        "documents": (len(segment.documents.ids()), entry.n_documents),
        "documents with metadata": (segment.metadata.n_documents, entry.n_documents),
        "passages": (segment.vectors.shape[0], entry.n_passages),
        "postings": (int(segment.vectors.nnz), entry.n_postings),
        "postings by component": (segment.exact.n_postings, entry.n_postings),
        "passage starts": (int(segment.passage_starts[-1]), entry.n_passages),
    }
    for what, (found, expected) in counts.items():
        if found != expected:
            yield f"segment {entry.name}: {found} {what}, the manifest says {expected}"
