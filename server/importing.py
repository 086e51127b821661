"""JSON lines as they come in, of any number -> documents, batch by batch, and what was wrong.

The answer is kept, in a temporary file once it is long, and sent when all lines are read: a client
that sends everything before it reads anything would otherwise wait for a server that waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import NotRequired, TypeAlias

import msgspec
from typing_extensions import TypedDict

from lexidex.documents import Document
from lexidex.errors import InputError, LexidexError, Locked
from lexidex.results import WriteResult
from lexidex.sources import document_of_line

from .limits import LINE_BYTES

BATCH_LINES = 4096
BATCH_BYTES = 1 << 23
"""Lines, and their bytes, that are written together."""

PATIENCE = 10.0
"""Seconds that an import waits for another process that writes."""

_IN_MEMORY = 1 << 20
_CHUNK = 1 << 16

Line: TypeAlias = tuple[int, bytes | None]
"""Its number, from 1, and what stands on it; None for more than one line may hold."""


class BadLine(TypedDict):
    """A line of an import that was left out, its document's id if it has one, and why."""

    line: int
    id: NotRequired[str]
    reason: str


class ImportSummary(TypedDict):
    """What became of an import; the last line of the answer.

    `lines`: lines read, empty ones among them. `generation`: that of the last write, null without.
    """

    lines: int
    upserted: int
    failed: int
    generation: int | None
    request_id: str


class ImportStopped(Exception):
    """An import that could not go on: why, and what is done."""

    def __init__(self, error: LexidexError, done: ImportSummary) -> None:
        """Stop because of `error`; the lines that `done` counts are dealt with for good."""
        super().__init__(error, done)
        self.error = error
        self.done = done


class Lines:
    """Splits a stream into lines; holds what came of the last one and no more."""

    def __init__(self, limit: int = LINE_BYTES) -> None:
        """Give up lines of more than `limit` bytes."""
        self._limit = limit
        self._number = 0
        self._begun = bytearray()
        self._too_long = False

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that `chunk` completes."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._hold(chunk[start:end])
            yield self._complete()
            start = end + 1
        self._hold(chunk[start:])

    def end(self) -> Iterator[Line]:
        """The last line, where the stream does not end with one's end."""
        if self._begun or self._too_long:
            yield self._complete()

    def _hold(self, part: bytes) -> None:
        if len(self._begun) + len(part) > self._limit:
            self._too_long = True
            self._begun.clear()
        elif not self._too_long:
            self._begun += part

    def _complete(self) -> Line:
        self._number += 1
        content = None if self._too_long else bytes(self._begun)
        self._begun.clear()
        self._too_long = False
        return self._number, content


class Import:
    """An import under way. For one thread at a time."""

    def __init__(
        self, upsert: Callable[[Sequence[Document]], WriteResult], request_id: str
    ) -> None:
        """Write documents by `upsert`."""
        self._upsert = upsert
        self._report = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (`answer` closes it)
        self.summary: ImportSummary = {
            "lines": 0,
            "upserted": 0,
            "failed": 0,
            "generation": None,
            "request_id": request_id,
        }

    def take(self, lines: Sequence[Line]) -> None:
        """Write the documents on these lines.

        Raises:
            ImportStopped: they cannot be written, or not all of them.
        """
        bad: list[BadLine] = []
        documents: dict[str, tuple[int, Document]] = {}
        try:
            for number, content in lines:
                try:
                    document = _document(number, content)
                except InputError as error:
                    bad.append({"line": number, "reason": str(error)})
                    continue
                if document is None:
                    continue
                if document.id in documents:  # apart, so that every failure has its line
                    bad += self._write(documents)
                    documents.clear()
                documents[document.id] = number, document
            bad += self._write(documents)
        except LexidexError as error:
            raise ImportStopped(error, self.summary) from error
        self.summary["lines"] = lines[-1][0]
        self.summary["failed"] += len(bad)
        for line in sorted(bad, key=lambda one: one["line"]):
            self._report.write(msgspec.json.encode(line) + b"\n")

    def answer(self) -> Iterator[bytes]:
        """The bad lines and the summary, in chunks of JSON lines."""
        with self._report as report:
            report.write(msgspec.json.encode(self.summary) + b"\n")
            report.seek(0)
            while chunk := report.read(_CHUNK):
                yield chunk

    def close(self) -> None:
        """Forget the answer."""
        self._report.close()

    def _write(self, documents: dict[str, tuple[int, Document]]) -> list[BadLine]:
        """Write documents of different ids; those that were left out."""
        if not documents:
            return []
        result = self._patiently([document for _, document in documents.values()])
        self.summary["upserted"] += result.upserted
        self.summary["generation"] = result.generation
        return [
            {"line": documents[doc_id][0], "id": doc_id, "reason": reason}
            for doc_id, reason in result.failed
        ]

    def _patiently(self, documents: Sequence[Document]) -> WriteResult:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self._upsert(documents)
            except Locked:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(0.05)


def _document(number: int, content: bytes | None) -> Document | None:
    """The document on a line; None for an empty line, InputError for a bad one."""
    if content is None:
        raise InputError(f"longer than {LINE_BYTES:,} bytes")
    try:
        text = content.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8: {error.reason} at byte {error.start}") from None
    return document_of_line(text) if text else None
