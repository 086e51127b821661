"""Every error that Lexidex raises on purpose: what is wrong, where, which value, what to do.

    LexidexError
    ├── ParameterError            a parameter, query or vector out of its range (also a ValueError)
    ├── InputError                a document or an input file that cannot be read
    │   ├── DuplicateId           two documents of one input share an id
    │   └── NothingTaken          none of the documents given can be taken
    ├── NotFound                  (also a LookupError)
    │   ├── CollectionNotFound
    │   ├── DocumentNotFound
    │   ├── EncoderNotFound
    │   ├── SnapshotNotFound
    │   └── TaskNotFound
    ├── CollectionExists          a collection stands where a new one was to be made
    ├── CollectionsFixed          one collection is served, so none can be made or removed
    ├── EncoderMismatch           the collection was made with another encoder
    ├── FormatError               a file on disk that cannot be used
    │   ├── CorruptCollection     one of several that are served cannot be opened
    │   ├── CorruptFile           truncated, altered or missing
    │   └── UnsupportedVersion    written by a version with another format
    ├── Locked                    another process is writing to the collection
    ├── StorageFull               no space is left
    ├── TrainingCollapsed         a training was stopped, because nothing could come of it
    ├── WriterLost                the process that writes for others ended before it answered
    └── MissingDependency         an optional package is needed

Each class carries `code`, the stable name that programs match on (in JSON and over HTTP), and
`exit_code`, the status of the command line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class LexidexError(Exception):
    """Base of all errors of this package; catch it to catch them all."""

    code: ClassVar[str] = "internal_error"
    exit_code: ClassVar[int] = 1


class ParameterError(LexidexError, ValueError):
    """A parameter, query or vector is out of its range."""

    code = "invalid_parameter"
    exit_code = 2


class InputError(LexidexError):
    """A document or an input file cannot be read; says the file, the line and the reason."""

    code = "invalid_input"
    exit_code = 4


class DuplicateId(InputError):
    """Two documents of one input share an id; names both places."""

    code = "duplicate_id"


class NothingTaken(InputError):
    """None of the documents that were to replace everything can be taken.

    Attributes:
        failed: the id and the reason of each.
    """

    def __init__(self, message: str, failed: Iterable[tuple[str, str]] = ()) -> None:
        """Say it in one line; `failed` has the rest."""
        super().__init__(message)
        self.failed = list(failed)


class NotFound(LexidexError, LookupError):
    """Something that was named does not exist."""

    code = "not_found"
    exit_code = 3


class CollectionNotFound(NotFound):
    """There is no collection at that path."""

    code = "collection_not_found"


class DocumentNotFound(NotFound):
    """The collection has no document with that id."""

    code = "document_not_found"


class EncoderNotFound(NotFound):
    """No encoder has that name, and nothing loadable is at that path."""

    code = "encoder_not_found"


class SnapshotNotFound(NotFound):
    """The collection has no snapshot of that name."""

    code = "snapshot_not_found"


class TaskNotFound(NotFound):
    """No task has that id, or so many came after it that it is forgotten."""

    code = "task_not_found"


class CollectionExists(LexidexError):
    """A collection stands where a new one was to be created."""

    code = "collection_exists"
    exit_code = 2


class CollectionsFixed(LexidexError):
    """One collection is served, not a folder of them, so none can be made or removed."""

    code = "collections_fixed"
    exit_code = 2


class EncoderMismatch(LexidexError):
    """The collection was made with another encoder than the one given."""

    code = "encoder_mismatch"
    exit_code = 2


class FormatError(LexidexError):
    """A file on disk cannot be used."""

    code = "format_error"
    exit_code = 5


class CorruptCollection(FormatError):
    """A collection cannot be opened, for whatever reason; others beside it are served."""

    code = "corrupt_collection"


class CorruptFile(FormatError):
    """A file is truncated, altered or missing; says which, and where in it."""

    code = "corrupt_file"


class UnsupportedVersion(FormatError):
    """A file was written by a version of Lexidex with another format."""

    code = "unsupported_version"


class Locked(LexidexError):
    """Another process is writing to the collection; names the holder."""

    code = "locked"
    exit_code = 75


class StorageFull(LexidexError):
    """No space is left where the collection is stored; nothing half-written was kept."""

    code = "storage_full"


class TrainingCollapsed(LexidexError):
    """Training was stopped: vectors of everything, vectors of nothing, or no finite loss."""

    code = "training_collapsed"


class WriterLost(LexidexError):
    """The process that writes for others ended before it answered; the write may be done or not."""

    code = "writer_lost"
    exit_code = 75


class MissingDependency(LexidexError):
    """An optional package is needed; says which and how to install it."""

    code = "missing_dependency"
