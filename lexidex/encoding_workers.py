"""Processes that encode: each has the encoder, takes a part, and writes its file."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

from .documents import Document
from .drafting import Drafter
from .encoders import Encoder
from .encoders.loading import load_stored_encoder
from .errors import LexidexError
from .exchange import Described, as_table, write_rows
from .index.storage.passages import Passages
from .passages import PassageParams

Done: TypeAlias = Callable[[Described, int], None]
"""Called with what a part holds, and its number of texts."""


class PartEncoder:
    """Encodes and writes one part after the other."""

    def __init__(self, encoder: Encoder, described: Described) -> None:
        """Encode texts of the side that `described` names, long documents as it says."""
        self._encoder = encoder
        self._described = described
        self._params = PassageParams.parse(described.passages) if described.passages else None

    def __call__(self, path: Path, documents: Sequence[Document]) -> tuple[Described, int]:
        """Make a part; what it holds, and its number of texts."""
        texts = [document.full_text for document in documents]
        if self._params is None:
            vectors = self._encoder.encode_queries(texts)
            passages = Passages.whole([document.text for document in documents])
        else:
            # One batch: a part has fewer documents, and all of them can be encoded.
            [drafted] = Drafter(self._encoder, self._params, by_words=None).draft(documents)
            vectors, passages = drafted.vectors, drafted.passages
        described = replace(
            self._described,
            n_postings=int(vectors.nnz),
            n_tokens=sum(self._n_tokens(text) for text in texts),
        )
        vocabulary = self._encoder.vocabulary
        terms = None if vocabulary is None else vocabulary.terms
        write_rows(path, [as_table(documents, vectors, passages, terms)], described)
        return described, len(texts)

    def _n_tokens(self, text: str) -> int:
        """Tokens of a text that are read, those that passages repeat not counted."""
        n_tokens = len(self._encoder.token_spans(text))
        limit = self._encoder.max_tokens
        if limit is None or (self._params and self._params.mode != "truncate"):
            return n_tokens
        return min(n_tokens, limit)


class Here:
    """Encodes in this process."""

    def __init__(self, encode: PartEncoder, done: Done) -> None:
        """Call `done` for each part that is complete."""
        self._encode = encode
        self._done = done

    def submit(self, path: Path, documents: Sequence[Document]) -> None:
        """Encode a part."""
        self._done(*self._encode(path, documents))


class Pool:
    """Encodes in several processes."""

    def __init__(self, pool: ProcessPoolExecutor, n_processes: int, done: Done) -> None:
        """Call `done`, in this thread, for each part that is complete."""
        self._pool = pool
        self._most = 2 * n_processes  # so that none waits for the next part, and few are in memory
        self._done = done
        self._running: set[Future[tuple[Described, int]]] = set()

    def submit(self, path: Path, documents: Sequence[Document]) -> None:
        """Encode a part soon; returns when not too many wait for it."""
        self._take(self._most - 1)
        self._running.add(self._pool.submit(_encode, path, documents))

    def finish(self) -> None:
        """Return when every part is complete."""
        self._take(0)

    def _take(self, left: int) -> None:
        while len(self._running) > left:
            complete, self._running = wait(self._running, return_when=FIRST_COMPLETED)
            for part in complete:
                self._done(*part.result())


@contextmanager
def in_this_process(
    encoder: Encoder, described: Described, device: str, n_threads: int, done: Done
) -> Iterator[Here]:
    """What encodes here; complete when the block ends."""
    _use(encoder, device, n_threads)
    yield Here(PartEncoder(encoder, described), done)


@contextmanager
def in_processes(
    described: Described,
    devices: Sequence[str],
    n_processes: int,
    n_threads: int,
    done: Done,
    trust_remote_code: bool = False,
) -> Iterator[Pool]:
    """What encodes in processes of their own; complete when the block ends without an error.

    They end at once when the block fails, and when this process dies.

    Args:
        devices: where they compute, in turn.
        trust_remote_code: whether code of the model's repository may run, which no description
            of an encoder tells.
    """
    context = get_context("spawn")
    places = context.SimpleQueue()
    for device in islice(cycle(devices), n_processes):
        places.put(device)
    theirs, ours = context.Pipe(duplex=False)
    with ours:
        executor = ProcessPoolExecutor(
            n_processes,
            context,
            initializer=_begin,
            initargs=(theirs, places, described, n_threads, trust_remote_code),
        )
        try:
            pool = Pool(executor, n_processes, done)
            yield pool
            pool.finish()
        except BrokenProcessPool:
            raise LexidexError(
                "a process that encodes has died, perhaps for want of memory; what is encoded is "
                "kept: run it again, with fewer processes"
            ) from None
        except BaseException:
            ours.close()
            raise
        finally:
            executor.shutdown(cancel_futures=True)


_part_encoder: PartEncoder


def _begin(
    parent: Connection,
    places: Any,
    described: Described,
    n_threads: int,
    trust_remote_code: bool,
) -> None:
    """What a process does first."""
    global _part_encoder
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    kind, options = described.encoder["kind"], described.encoder["options"]
    loaded = load_stored_encoder(kind, options, trust_remote_code)
    _use(loaded, places.get(), n_threads)
    _part_encoder = PartEncoder(loaded, described)


def _end_with(parent: Connection) -> None:
    """End this process when the other end of a pipe is closed, or its process is dead."""
    try:
        parent.recv()
    except (EOFError, OSError):
        os._exit(1)


def _encode(path: Path, documents: Sequence[Document]) -> tuple[Described, int]:
    return _part_encoder(path, documents)


def _use(encoder: Encoder, device: str, n_threads: int) -> None:
    """Compute on a device, with so many threads."""
    encoder.use_device(device)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(n_threads)  # for libraries that load with the model
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(n_threads)
