"""Verifying a collection on disk, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from zlib_ng.zlib_ng import crc32

from lexidex.errors import LexidexError

from .arrays import MAGIC, verify_arrays
from .change import decode_change
from .files import Storage
from .log import open_log, read_log
from .manifest import FileEntry, Manifest, SegmentEntry, newest_manifest, read_manifest
from .segment import Segment

_PIECE = 1 << 24


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        generation: number of the last commit.
        problems: empty when all is well.
        notes: what is no damage, but worth knowing.
    """

    generation: int
    n_files: int
    n_bytes: int
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check(storage: Storage) -> Report:
    """Compare every file with the newest manifest, and every record of the log with its checksum.

    Raises:
        CollectionNotFound, CorruptFile, UnsupportedVersion: the manifest itself cannot be read.
    """
    while True:
        manifest = read_manifest(storage)
        report = _report(storage, manifest)
        if not report.problems or newest_manifest(storage) == manifest.number:
            return report  # else a writer has removed files meanwhile


def _report(storage: Storage, manifest: Manifest) -> Report:
    problems = list(check_vocabulary(storage, manifest))
    for entry in manifest.segments:
        problems += check_segment(storage, entry)
    notes: list[str] = []
    generation = manifest.generation
    try:
        generation += _check_log(storage, manifest, notes)
        n_bytes = storage.size(manifest.log)
    except LexidexError as error:
        problems.append(str(error))
        n_bytes = 0
    files = list(manifest.files())
    n_bytes += sum(file.size for file in files)
    return Report(generation, len(files) + 1, n_bytes, problems, notes)


def check_vocabulary(storage: Storage, manifest: Manifest) -> Iterator[str]:
    """What is wrong with the file of terms."""
    if manifest.vocabulary:
        yield from check_file(storage, manifest.vocabulary)


def check_segment(storage: Storage, entry: SegmentEntry) -> list[str]:
    """What is wrong with a segment: its files, and whether they fit together."""
    files = (*entry.files, *entry.beside())
    problems = [problem for file in files for problem in check_file(storage, file)]
    return problems or list(_compare_counts(Segment(storage, entry, verify=False)))


def check_file(storage: Storage, file: FileEntry) -> Iterator[str]:
    """What is wrong with one file, as precisely as can be told."""
    where = f"{storage.location}/{file.name}"
    try:
        data = storage.view(file.name)
        if len(data) != file.size:
            yield f"{where}: {len(data)} bytes, the manifest says {file.size}"
            return
        crc = 0
        for start in range(0, len(data), _PIECE):
            crc = crc32(data[start : start + _PIECE], crc)
        if crc == file.crc32:
            return
        if bytes(data[: len(MAGIC)]) == MAGIC:
            verify_arrays(data, where)
        yield f"{where}: does not match its checksum"
    except LexidexError as error:
        yield str(error)


def _check_log(storage: Storage, manifest: Manifest, notes: list[str]) -> int:
    """Read every record; how many there are."""
    where = f"{storage.location}/{manifest.log}"
    payloads, last = read_log(storage, open_log(storage, manifest.generation))
    for payload in payloads:
        decode_change(payload, where)
    torn = storage.size(manifest.log) - last.end
    if torn > 0:
        notes.append(
            f"{where}: ends in {torn} bytes of a record that is not complete, as a writer leaves "
            "that died before it was acknowledged; the next write cuts them off"
        )
    return len(payloads)


def _compare_counts(segment: Segment) -> Iterator[str]:
    entry = segment.entry
    counts = {
        "documents": (len(segment.documents.ids()), entry.n_documents),
        "documents with metadata": (segment.metadata.n_documents, entry.n_documents),
        "passages": (segment.vectors.shape[0], entry.n_passages),
        "postings": (int(segment.vectors.nnz), entry.n_postings),
        "postings by component": (segment.exact.n_postings, entry.n_postings),
        "passages of documents": (segment.passages.n_passages, entry.n_passages),
        "places of passages": (segment.passages.spans.shape[0], entry.n_passages),
    }
    if segment.dense is not None:
        counts["passages of dense vectors"] = (segment.dense.n_passages, entry.n_passages)
    for what, (found, expected) in counts.items():
        if found != expected:
            yield f"segment {entry.name}: {found} {what}, the manifest says {expected}"
