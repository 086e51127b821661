"""The facade: a folder of documents that can be searched.

collection = Collection.create("papers")
collection.upsert([{"id": "1", "text": "Sparse vectors are searched by inverted indexes."}])
for hit in collection.search("inverted index"):
    print(hit.doc_id, hit.score)
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Self

import numpy as np

from lexidex.documents import Document, SparseInput, check_sparse
from lexidex.encoders import DEFAULT_ENCODER, Encoder, load_encoder
from lexidex.errors import (
    DocumentNotFound,
    InputError,
    ParameterError,
)
from lexidex.index import SearchParams
from lexidex.index.batch import check_k
from lexidex.index.storage import integrity
from lexidex.index.storage.files import FileStorage, Memory, Storage
from lexidex.index.storage.manifest import newest_manifest
from lexidex.index.vectors import Vectors, build_vectors
from lexidex.opening import Newest, create_empty
from lexidex.results import (
    Explanation,
    Hit,
    SearchResult,
    TermContribution,
    Timings,
    WriteResult,
)
from lexidex.snapshot import Located, Snapshot
from lexidex.sparse_input import resolve
from lexidex.write import Progress
from lexidex.writer import Merging, Writer

ALL_FIELDS = ("title", "text", "metadata")


class Collection:
    """Documents, their vectors and an index in one folder. Safe to use from many threads."""

    def __init__(
        self, storage: Storage, memory: Memory = "map", merge: Merging = "background"
    ) -> None:
        """Open the newest generation in `storage`; use `create` or `open` instead."""
        self._storage = storage
        self._newest = Newest(storage, memory)
        self._writer = Writer(self._newest, merge)

    @classmethod
    def create(
        cls,
        path: str | PathLike[str] | Storage,
        encoder: str | Encoder | None = None,
        merge: Merging = "background",
    ) -> Self:
        """Make an empty collection.

        Args:
            path: a folder that does not exist or is empty.
            encoder: a name or folder for `load_encoder`, an Encoder, or "vectors" for documents
                that bring their own; None takes DEFAULT_ENCODER.
            merge: see `open`.

        Raises:
            CollectionExists: the folder holds a collection, or other files.
            EncoderNotFound: no such encoder.
        """
        storage = _storage(path)
        chosen = _encoder(encoder)
        create_empty(storage, chosen)
        return cls(storage, merge=merge)

    @classmethod
    def open(
        cls,
        path: str | PathLike[str] | Storage,
        memory: Memory = "map",
        merge: Merging = "background",
    ) -> Self:
        """Open a collection.

        Args:
            path: its folder.
            memory: "map" its index, or "load" it.
            merge: when this object's writes merge segments: in a thread of their own, at the end
                of each write ("inline"), or never ("off"). A collection that is only read merges
                nothing.

        Raises:
            CollectionNotFound: there is none.
            CorruptFile, UnsupportedVersion: it cannot be used.
        """
        return cls(_storage(path), memory, merge)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop merging in the background, and put what was written to the log into a segment.

        What was written is safe without it. A merge that is copying is abandoned; one that is
        building its index is waited for.
        """
        self._writer.close()

    @property
    def encoder(self) -> Encoder:
        """The encoder, weighing queries by the collection's statistics where it does so."""
        return self._snapshot.encoder

    @property
    def generation(self) -> int:
        """The number of the last commit that searches see; grows with every write."""
        return self._snapshot.generation

    def __len__(self) -> int:
        """Number of documents."""
        return self._snapshot.n_documents

    def refresh(self) -> int:
        """Follow writes of other processes; the generation that searches see from now on."""
        return self._newest.refresh().generation

    def warm_up(self) -> None:
        """Load what searches need, so that none waits for it: the query's encoder, the kernels."""
        self.encoder.warm_up()
        self._snapshot.warm_up()

    def upsert(
        self,
        documents: Iterable[Mapping[str, Any] | Document],
        progress: Progress | None = None,
    ) -> WriteResult:
        """Add documents; one whose id is known replaces that document.

        Up to 1,000 documents are one record in the log; small writes of many threads share the
        time that the disk needs. More make segments at once, and are one commit all the same.

        Args:
            documents: mappings with "id" and "text", and perhaps "title", "metadata" and
                "vector" ({term: weight} or {"components": [...], "values": [...]}). Taken one
                by one, so an iterator over more than memory holds is welcome.
            progress: called now and then with the number of documents taken in.

        Returns:
            Counts, and for each document left out its id and the reason. When this returns, the
            documents are on disk and searches see them; all of them at once.

        Raises:
            Locked: another process is writing.
            StorageFull: no space left; the collection is as before.
        """
        return self._writer.upsert(documents, progress)

    def delete(self, ids: Iterable[str]) -> WriteResult:
        """Remove the documents with these ids; ids that are not there are passed over."""
        return self._writer.delete(_check_ids(ids))

    def update(self, updates: Iterable[Mapping[str, Any]]) -> WriteResult:
        """Put other metadata in the place of documents' own, without encoding them again.

        Args:
            updates: mappings with "id" and "metadata"; for others, and ids that are not there,
                the result's `failed` has the reason.
        """
        return self._writer.update(list(updates))

    def flush(self) -> None:
        """Put what the log holds into a segment now; happens by itself when there is much of it."""
        self._writer.flush()

    def settle(self) -> None:
        """Wait until merging in the background has nothing left to do."""
        self._writer.settle()

    def compact(self, progress: Progress | None = None) -> None:
        """Make one segment of everything, without what was deleted; its space becomes free.

        Searches and writes go on meanwhile.

        Args:
            progress: called now and then with the number of documents copied.
        """
        self._writer.compact(progress)

    def replace(
        self,
        documents: Iterable[Mapping[str, Any] | Document],
        encoder: str | Encoder | None = None,
        progress: Progress | None = None,
    ) -> WriteResult:
        """Put `documents` in the place of everything, in one step, perhaps by another encoder.

        Until it is done, and if it fails or the process dies, the old content stays.
        """
        known = self.encoder
        fresh = (
            _encoder(encoder) if encoder is not None else load_encoder(known.kind, **known.options)
        )
        return self._writer.replace(documents, fresh, progress)

    def search(
        self,
        query: str | None = None,
        k: int = 10,
        *,
        sparse: SparseInput | None = None,
        exact: bool = False,
        params: SearchParams | None = None,
        fields: Sequence[str] = ALL_FIELDS,
    ) -> SearchResult:
        """The k best documents for a text, or for a sparse vector instead.

        Large segments may be searched approximately, where that is cheaper; the result's `plan`
        tells which were.

        Args:
            query: text, for the collection's encoder.
            k: hits at most, at least 1. Documents that share no term with the query are no hits.
            sparse: {term: weight} or {"components": [...], "values": [...]}.
            exact: approximate nothing.
            params: how approximate search is done; None takes the defaults.
            fields: what to fetch of each hit, among title, text and metadata.
        """
        texts = [query] if sparse is None else None
        return self._search(texts, sparse, k, fields, exact=exact, params=params)[0]

    def search_batch(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        exact: bool = False,
        params: SearchParams | None = None,
        n_threads: int = 1,
        fields: Sequence[str] = (),
    ) -> list[SearchResult]:
        """`search` for many texts at once.

        Every result shares the timings and counters of the whole batch.
        """
        options = {"exact": exact, "params": params, "n_threads": n_threads}
        return self._search(list(queries), None, k, fields, **options)

    def explain(self, query: str | SparseInput, doc_id: str) -> Explanation:
        """Which terms give a document its score for a query: the best passage's inner product.

        Raises:
            DocumentNotFound: there is no document with that id.
        """
        snapshot = self._snapshot
        vectors, ignored = self._query_vectors(snapshot, query)
        place = snapshot.find(doc_id)
        if place is None:
            raise self._unknown(doc_id)
        passages = snapshot.passage_vectors(*place)
        weights = dict(zip(vectors.indices.tolist(), vectors.data.tolist(), strict=True))
        best, best_terms = 0, _contributions(passages[[0]], weights, snapshot.encoder)
        for number in range(1, passages.shape[0]):
            terms = _contributions(passages[[number]], weights, snapshot.encoder)
            if sum(t.product for t in terms) > sum(t.product for t in best_terms):
                best, best_terms = number, terms
        score = sum(term.product for term in best_terms)
        return Explanation(doc_id, score, best_terms, best, ignored)

    def get(self, doc_id: str) -> Document:
        """The stored document with that id.

        Raises:
            DocumentNotFound: there is none.
        """
        place = self._snapshot.find(_check_ids([doc_id])[0])
        if place is None:
            raise self._unknown(doc_id)
        found = self._snapshot.segments[place[0]].documents.fetch(place[1], ALL_FIELDS)
        return Document(doc_id, found["text"], found["title"], found["metadata"])

    def __contains__(self, doc_id: str) -> bool:
        return self._snapshot.find(doc_id) is not None

    def check(self) -> integrity.Report:
        """Verify every byte of the newest generation against its checksums."""
        return integrity.check(self._storage)

    @property
    def _snapshot(self) -> Snapshot:
        return self._newest.snapshot

    def _search(
        self,
        texts: Sequence[str | None] | None,
        sparse: SparseInput | None,
        k: int,
        fields: Sequence[str],
        **options: Any,
    ) -> list[SearchResult]:
        check_k(k)
        _check_fields(fields)
        snapshot = self._snapshot
        clock = [time.perf_counter()]
        if texts is None:
            vectors, unknown = self._query_vectors(snapshot, sparse or {})
            ignored = [unknown]
        else:
            vectors, ignored = self._encode_queries(snapshot, texts)
        clock.append(time.perf_counter())
        found, plans, counters = snapshot.search(vectors, k, **options)
        clock.append(time.perf_counter())
        hits = [[_hit(snapshot, located, fields) for located in one] for one in found]
        clock.append(time.perf_counter())
        timings = Timings(*(round(1e6 * float(t), 1) for t in np.diff(clock)))
        return [
            SearchResult(one, timings, snapshot.generation, counters, plan, terms)
            for one, plan, terms in zip(hits, plans, ignored, strict=True)
        ]

    def _encode_queries(
        self, snapshot: Snapshot, texts: Sequence[str | None]
    ) -> tuple[Vectors, list[list[str]]]:
        checked = []
        for text in texts:
            if not isinstance(text, str):
                raise ParameterError(f"query: {text!r}; expected a text, or a vector as sparse=")
            checked.append(text)
        vectors = snapshot.encoder.encode_queries(checked)
        return vectors, [snapshot.encoder.ignored_terms(text) for text in checked]

    def _query_vectors(
        self, snapshot: Snapshot, query: str | SparseInput
    ) -> tuple[Vectors, list[str]]:
        if isinstance(query, str):
            vectors, ignored = self._encode_queries(snapshot, [query])
            return vectors, ignored[0]
        try:
            ids, values, unknown = resolve(check_sparse(query), snapshot.encoder)
        except InputError as error:
            raise ParameterError(f"sparse: {error}") from None
        return build_vectors([(ids, values)], snapshot.encoder.dim), unknown

    def _unknown(self, doc_id: str) -> DocumentNotFound:
        return DocumentNotFound(f"{self._storage.location}: no document with id {doc_id!r}")


def exists(path: str | PathLike[str]) -> bool:
    """Whether there is a collection at `path`."""
    return newest_manifest(FileStorage(path)) is not None


def _storage(path: str | PathLike[str] | Storage) -> Storage:
    return FileStorage(path) if isinstance(path, str | PathLike) else path


def _encoder(given: str | Encoder | None) -> Encoder:
    return given if isinstance(given, Encoder) else load_encoder(given or DEFAULT_ENCODER)


def _check_ids(ids: Iterable[str]) -> list[str]:
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        raise ParameterError(f"ids: {ids!r}; expected a list of ids")
    named = list(ids)
    for doc_id in named:
        if not isinstance(doc_id, str):
            raise ParameterError(f"ids: {doc_id!r}; an id is a string")
    return named


def _check_fields(fields: Sequence[str]) -> None:
    for name in fields:
        if name not in ALL_FIELDS:
            raise ParameterError(f"fields: {name!r}; choose among {', '.join(ALL_FIELDS)}")


def _hit(snapshot: Snapshot, located: Located, fields: Sequence[str]) -> Hit:
    documents = snapshot.segments[located.segment].documents
    found = documents.fetch(located.document, ("id", *fields))
    return Hit(found.pop("id"), located.score, passage=located.passage, **found)


def _contributions(
    passage: Vectors, weights: Mapping[int, float], encoder: Encoder
) -> list[TermContribution]:
    """What each shared term adds, largest first."""
    shared = [
        TermContribution(encoder.term(c), weights[c], value, weights[c] * value)
        for c, value in zip(passage.indices.tolist(), passage.data.tolist(), strict=True)
        if c in weights
    ]
    return sorted(shared, key=lambda term: (-term.product, term.term))
