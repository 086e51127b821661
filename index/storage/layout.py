"""The names of a collection's files: the only module that knows them. docs/FORMAT.md explains each.

manifest-0000000007.json      the seventh manifest: settings, and which segments there are
vocabulary-0000000007.arrow   terms by component, where the encoder's vocabulary grows
log-0000000042.lxl            the small writes since generation 42, one record a commit
segments/s000003/             one segment: immutable but for deletions (m000004: from a merge,
                              r000005: by another encoder)
    documents.arrow           id, title, text, metadata
    documents.lxd             order of the ids, batches, first passage of each document
    metadata.arrow            the metadata's values, by field and kind
    vectors.lxd               document vectors, by document
    dense.lxd                 dense vectors, and an index over them, where documents have any
    exact.lxd                 document vectors, by component
    seismic.lxd               an approximate index, where the segment is large
    checksums.lxd             of the chunks of files above 64 MiB, where there are any
    deleted-0000000007.lxd    which documents are deleted, as of the seventh manifest
    tuned-0000000007.json     which search parameters reach which accuracy, as of that manifest
staging/7d4be0.../            vectors that a long run has made so far, by the encoder's fingerprint
    4f0c5a9e1b2d3c68.lxd      a part of them
write.lock, write.json        held, and described, by the writing process
merge.lock, merge.json        held, and described, by the process that merges segments
reencode.lock, reencode.json  held, and described, by the process that encodes everything anew
"""

from __future__ import annotations

import re

SEGMENTS = "segments"
STAGING = "staging"
LOCK = "write.lock"
MERGE_LOCK = "merge.lock"
REENCODE_LOCK = "reencode.lock"

DOCUMENTS = "documents.arrow"
DOCUMENT_MAP = "documents.lxd"
METADATA = "metadata.arrow"
VECTORS = "vectors.lxd"
DENSE = "dense.lxd"
EXACT = "exact.lxd"
SEISMIC = "seismic.lxd"
CHECKSUMS = "checksums.lxd"

SNAPSHOT = "snapshot.json"
"""What a snapshot holds, first in it."""

_LOG = re.compile(r"log-(\d{10})\.lxl")
_SEGMENT = re.compile(r"[smr](\d{6,})")
_MANIFEST = re.compile(r"manifest-(\d{10})\.json")
_LOCK = re.compile(r"(?:write|merge|reencode)\.(?:lock|json)")
_NUMBERED = re.compile(r"(?:manifest|vocabulary|log)-\d{10}\.(?:json|arrow|lxl)(?:\.tmp)?")


def manifest(number: int) -> str:
    """A manifest's file."""
    return f"manifest-{number:010d}.json"


def manifest_number(name: str) -> int | None:
    """The number of the manifest that this file is, or None for any other file."""
    match = _MANIFEST.fullmatch(name)
    return int(match[1]) if match else None


def log_generation(name: str) -> int | None:
    """The generation that this file goes on from as a log, or None for any other file."""
    match = _LOG.fullmatch(name)
    return int(match[1]) if match else None


def segment_number(name: str) -> int | None:
    """The number of the segment of that name, or None for anything else."""
    match = _SEGMENT.fullmatch(name)
    return int(match[1]) if match else None


def is_numbered(name: str) -> bool:
    """Whether a file in the collection's folder belongs to one manifest."""
    return _NUMBERED.fullmatch(name) is not None


def is_ours(name: str) -> bool:
    """Whether a file in a folder may be what an unfinished creation left."""
    return is_numbered(name) or name == STAGING or _LOCK.fullmatch(name) is not None


def vocabulary(number: int) -> str:
    """The vocabulary as of a manifest."""
    return f"vocabulary-{number:010d}.arrow"


def log(generation: int) -> str:
    """The log of the commits after a generation."""
    return f"log-{generation:010d}.lxl"


def holder_of(lock: str) -> str:
    """The file that describes who holds a lock."""
    return lock.replace(".lock", ".json")


def new_segment(number: int) -> str:
    """A segment of new documents."""
    return f"s{number:06d}"


def merged_segment(number: int) -> str:
    """A segment made of others."""
    return f"m{number:06d}"


def is_merged(segment: str) -> bool:
    """Whether a segment was made of others."""
    return segment.startswith("m")


def staging(fingerprint: str) -> str:
    """The folder of vectors that an encoder has made for a commit to come."""
    return f"{STAGING}/{fingerprint}"


def staged_part(token: str) -> str:
    """A file in that folder."""
    return f"{token}.lxd"


def reencoded_segment(number: int) -> str:
    """A segment of documents that were there before, by another encoder."""
    return f"r{number:06d}"


def is_reencoded(segment: str) -> bool:
    """Whether a segment is of documents that were there before."""
    return segment.startswith("r")


def maker_lock(segment: str) -> str | None:
    """The lock that is held while a segment is made; None for that of writing."""
    if is_merged(segment):
        return MERGE_LOCK
    return REENCODE_LOCK if is_reencoded(segment) else None


def segment_file(segment: str, file: str) -> str:
    """A file of a segment."""
    return f"{SEGMENTS}/{segment}/{file}"


def deletions(segment: str, number: int) -> str:
    """The deletions of a segment as of a manifest."""
    return segment_file(segment, f"deleted-{number:010d}.lxd")


def tuning(segment: str, number: int) -> str:
    """What tuning has found for a segment, as of a manifest."""
    return segment_file(segment, f"tuned-{number:010d}.json")
