"""The names of a collection's files: the only module that knows them. docs/FORMAT.md explains each.

manifest-0000000007.json      generation 7: settings, and which segments it consists of
vocabulary-0000000007.arrow   terms by component, where the encoder's vocabulary grows
segments/s000003/             one segment: immutable but for deletions
    documents.arrow           id, title, text, metadata
    documents.lxd             order of the ids, batches, first passage of each document
    metadata.arrow            the metadata's values, by field and kind
    vectors.lxd               document vectors, by document
    exact.lxd                 document vectors, by component
    seismic.lxd               an approximate index, where the segment is large
    deleted-0000000007.lxd    which documents are deleted, as of generation 7
    tuned-0000000007.json     which search parameters reach which accuracy, tuned in generation 7
write.lock, writer.json       held, and described, by the writing process
"""

from __future__ import annotations

import re

SEGMENTS = "segments"
LOCK = "write.lock"
LOCK_HOLDER = "writer.json"

DOCUMENTS = "documents.arrow"
DOCUMENT_MAP = "documents.lxd"
METADATA = "metadata.arrow"
VECTORS = "vectors.lxd"
EXACT = "exact.lxd"
SEISMIC = "seismic.lxd"

_MANIFEST = re.compile(r"manifest-(\d{10})\.json")
_NUMBERED = re.compile(r"(?:manifest|vocabulary)-\d{10}\.(?:json|arrow)(?:\.tmp)?")


def manifest(generation: int) -> str:
    """The manifest of a generation."""
    return f"manifest-{generation:010d}.json"


def generation_of(name: str) -> int | None:
    """The generation whose manifest this is, or None for any other file."""
    match = _MANIFEST.fullmatch(name)
    return int(match[1]) if match else None


def is_numbered(name: str) -> bool:
    """Whether a file in the collection's folder belongs to one generation."""
    return _NUMBERED.fullmatch(name) is not None


def vocabulary(generation: int) -> str:
    """The vocabulary as of a generation."""
    return f"vocabulary-{generation:010d}.arrow"


def segment_file(segment: str, file: str) -> str:
    """A file of a segment."""
    return f"{SEGMENTS}/{segment}/{file}"


def deletions(segment: str, generation: int) -> str:
    """The deletions of a segment as of a generation."""
    return segment_file(segment, f"deleted-{generation:010d}.lxd")


def tuning(segment: str, generation: int) -> str:
    """What tuning in a generation has found for a segment."""
    return segment_file(segment, f"tuned-{generation:010d}.json")
