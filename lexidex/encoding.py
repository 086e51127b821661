"""Files -> encoded texts in one Parquet file: streaming, on several processes, resumable.

The texts are cut into parts, always at the same places; a part is encoded by one process and
written whole or not at all. Parts that are there are not encoded again. Joined in order they are
the output: the same bytes however often the run was killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from .documents import Document
from .encoders import Encoder
from .encoding_parts import already_made, held
from .encoding_workers import Here, Pool, in_processes, in_this_process
from .errors import InputError, ParameterError
from .exchange import Described, Side
from .passages import PassageParams, passages_for
from .sources import BadRecord, Reader, beir_file, count_records, find_files
from .write import describe

PART_TEXTS = 256
"""Texts of a part: what one process encodes together, and what a kill costs it at most."""

PART_CHARACTERS = 1 << 20
"""Characters from which a part has fewer texts."""


@dataclass(frozen=True, slots=True)
class State:
    """How far a run is, or what it has done.

    Attributes:
        n_expected: about how many texts there are.
        n_encoded, n_resumed: texts that this run has encoded, and those it found encoded.
        n_postings: of both.
        n_tokens: of what this run has encoded.
        seconds: since it began.
    """

    n_expected: int
    n_encoded: int = 0
    n_resumed: int = 0
    n_postings: int = 0
    n_tokens: int = 0
    seconds: float = 0.0

    @property
    def n_texts(self) -> int:
        """Texts that are encoded."""
        return self.n_encoded + self.n_resumed

    @property
    def rate(self) -> float:
        """Texts a second that this run encodes."""
        return self.n_encoded / max(self.seconds, 1e-9)

    @property
    def token_rate(self) -> float:
        """Tokens a second that this run encodes."""
        return self.n_tokens / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """About how long it will take; None while nothing tells."""
        left = max(self.n_expected - self.n_texts, 0)
        return left / self.rate if self.n_encoded else None

    @property
    def nnz(self) -> float:
        """Postings a text."""
        return self.n_postings / max(self.n_texts, 1)


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has done.

    Attributes:
        bad: records that are no documents.
        failed: (id, reason) of documents that cannot be encoded.
    """

    state: State
    bad: Sequence[BadRecord]
    failed: Sequence[tuple[str, str]]


Progress: TypeAlias = Callable[[State], None]


@dataclass(frozen=True, slots=True)
class Workforce:
    """Who encodes.

    Attributes:
        n_processes: with one, the process that calls.
        n_threads: threads of each; None shares the processors among them.
        devices: "cpu", "cuda" or "cuda:1", for the processes in turn; none takes every GPU, or
            the CPU where there is none.
    """

    n_processes: int | None = None
    n_threads: int | None = None
    devices: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("n_processes", "n_threads"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ParameterError(f"{name}: {number!r}; expected at least 1")


def encode_files(
    sources: Sequence[Path],
    target: Path,
    encoder: Encoder,
    *,
    side: Side = "documents",
    passages: PassageParams | str | None = None,
    workforce: Workforce | None = None,
    progress: Progress | None = None,
) -> Report:
    """Encode the documents, or queries, in files into the Parquet file `target`.

    Memory holds some parts, whatever the size of the input; texts of one id are all encoded. A run
    that was killed, or failed, is gone on with by the same call. Where `target` is complete
    already, nothing is encoded.

    Args:
        sources: what `Reader` reads; of a BEIR folder its corpus, or its queries.
        target: named .parquet. Beside it, while it is made, stands a folder named .parquet.parts.
        encoder: one of which vectors take long and depend on the text alone, see `Encoder.costly`.
            What a collection adds to documents, `index` adds. Queries have to be all that the
            encoder needs: none whose vocabulary grows, or that weighs them by the collection.
        passages: what becomes of long documents, see `Collection.create`.
        progress: called now and then.

    Raises:
        ParameterError: the encoder has no model, or needs more than queries; or `target` has
            another name.
        InputError: a source cannot be read, has changed since the run began, or `target` holds
            something else.
        EncoderMismatch: the run was begun with another encoder.
        Locked: another process is encoding into `target`.
    """
    if not encoder.costly:
        raise ParameterError(
            f"encoder {encoder.kind}: no model, so that there is nothing to do before indexing; "
            "choose a model with --encoder, or index the documents themselves"
        )
    if side == "queries":
        _check_queries(encoder)
    if target.suffix != ".parquet":
        raise ParameterError(f"{target}: expected a name that ends in .parquet")
    chosen = [_queries_of(source) for source in sources] if side == "queries" else sources
    files = find_files(chosen)
    params = passages_for(passages, encoder)
    described = Described(
        side,
        describe(encoder),
        content_of(files),
        passages=str(params) if side == "documents" else "",
        vectors="components" if encoder.vocabulary is None else "terms",
    )
    one_each = params.mode == "truncate"
    run = _Run(
        described, one_each, Reader(chosen, on_duplicate="last"), count_records(files), progress
    )
    complete = already_made(target, described)
    if complete is None:
        run.encode(target, encoder, workforce or Workforce())
    else:
        run.take_over(*complete)
    return Report(run.state, run.reader.bad, run.failed)


def _check_queries(encoder: Encoder) -> None:
    """Raise ParameterError where queries need more than an encoder and their text."""
    if encoder.vocabulary is not None:
        raise ParameterError(
            f"encoder {encoder.name}: queries consist of the words that a collection has; search "
            "the collection by their texts"
        )
    if encoder.idf_exponent:
        raise ParameterError(
            f"encoder {encoder.name}: weights of queries depend on the collection searched; give "
            "--encoder-option collection_idf=0 for weights that do not"
        )


def content_of(files: Sequence[tuple[Path, Path]]) -> str:
    """What identifies the texts in files: a hash of names, below their root, and bytes."""
    whole = hashlib.blake2b(digest_size=16)
    for path, root in files:
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
        whole.update(json.dumps([path.relative_to(root).as_posix(), content.hexdigest()]).encode())
    return whole.hexdigest()


def parts_of(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents, part by part."""
    part: list[Document] = []
    n_characters = 0
    for document in documents:
        part.append(document)
        n_characters += len(document.text)
        if len(part) == PART_TEXTS or n_characters >= PART_CHARACTERS:
            yield part
            part, n_characters = [], 0
    if part:
        yield part


class _Run:
    """Encodes what is not encoded yet, and keeps account."""

    def __init__(
        self,
        described: Described,
        one_each: bool,
        reader: Reader,
        n_expected: int,
        progress: Progress | None,
    ) -> None:
        self._one_each = one_each
        self.reader = reader
        self.failed: list[tuple[str, str]] = []
        self._n_records = n_expected
        self.state = State(n_expected)
        self._described = described
        self._progress = progress
        self._began = time.perf_counter()

    def encode(self, target: Path, encoder: Encoder, workforce: Workforce) -> None:
        working = self._workers(encoder, workforce)
        with held(target, self._described) as parts:
            n_parts = 0
            with working as workers:
                for documents in parts_of(self._documents()):
                    known = parts.known(n_parts, len(documents))
                    if known is None:
                        workers.submit(parts.path(n_parts), documents)
                    else:
                        self._add(known, n_resumed=len(documents))
                    n_parts += 1
            parts.join(n_parts, self._described)

    def take_over(self, described: Described, n_texts: int) -> None:
        """Everything is encoded; what is left out is told all the same."""
        for _ in self._documents():
            pass
        self._add(described, n_resumed=n_texts)

    def _documents(self) -> Iterator[Document]:
        """Those that can be encoded."""
        for document in self.reader:
            vectors = [document.vector, *(one.vector for one in document.passages)]
            if any(vector is not None for vector in vectors):
                self.failed.append((document.id, "brings its own vector: nothing to encode"))
            elif self._one_each and len(document.passages) > 1:
                self.failed.append((document.id, "has several passages, which truncate leaves out"))
            else:
                yield document

    def _workers(
        self, encoder: Encoder, workforce: Workforce
    ) -> AbstractContextManager[Here | Pool]:
        devices = list(workforce.devices) or encoder.devices()
        for device in devices:
            encoder.use_device(device)
        n_processes = workforce.n_processes or len(devices)
        n_threads = workforce.n_threads or max(1, (os.cpu_count() or 1) // n_processes)
        if n_processes == 1:
            return in_this_process(encoder, self._described, devices[0], n_threads, self._encoded)
        trusted = encoder.trusts_remote_code
        return in_processes(
            self._described, devices, n_processes, n_threads, self._encoded, trusted
        )

    def _encoded(self, part: Described, n_texts: int) -> None:
        self._add(part, n_encoded=n_texts, n_tokens=part.n_tokens)

    def _add(
        self, part: Described, *, n_encoded: int = 0, n_resumed: int = 0, n_tokens: int = 0
    ) -> None:
        state = self.state
        self._described = replace(
            self._described,
            n_postings=self._described.n_postings + part.n_postings,
            n_tokens=self._described.n_tokens + part.n_tokens,
        )
        self.state = State(
            self._n_records - len(self.reader.bad) - len(self.failed),
            state.n_encoded + n_encoded,
            state.n_resumed + n_resumed,
            self._described.n_postings,
            state.n_tokens + n_tokens,
            time.perf_counter() - self._began,
        )
        if self._progress:
            self._progress(self.state)


def _queries_of(source: Path) -> Path:
    """The queries of a BEIR folder; a file itself."""
    if not source.is_dir():
        return source
    found = beir_file(source, "queries.jsonl")
    if found is None:
        raise InputError(f"{source}: no queries.jsonl in it; expected a BEIR folder, or a file")
    return found
