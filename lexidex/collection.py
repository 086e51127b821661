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
from os.path import abspath, split
from pathlib import Path
from typing import Any, Self

from numpy.typing import ArrayLike

from lexidex.arguments import (
    ALL_FIELDS,
    Filter,
    as_expression,
    as_fusion,
    check_documents,
    check_facets,
    check_ids,
    check_texts,
)
from lexidex.dense_side import DenseSide
from lexidex.documents import Document, SparseInput
from lexidex.encoders import DEFAULT_ENCODER, Encoder, load_encoder
from lexidex.encoders.dense import DenseEncoder
from lexidex.encoders.loading import load_stored_encoder
from lexidex.encoders.locating import check_trust
from lexidex.errors import DocumentNotFound, ParameterError
from lexidex.explaining import best_row, contributions
from lexidex.export_file import VectorForm
from lexidex.exporting import ExportReport, write_export
from lexidex.importing import Export
from lexidex.index import SearchParams
from lexidex.index.batch import check_k
from lexidex.index.filters import FacetCount, parse_filter
from lexidex.index.fusion import FusionParams
from lexidex.index.seismic.frontier import check_accuracy
from lexidex.index.storage import integrity
from lexidex.index.storage.archive import SnapshotReport, write_snapshot
from lexidex.index.storage.building import Building
from lexidex.index.storage.files import FileStorage, Memory, Storage
from lexidex.index.storage.manifest import newest_manifest
from lexidex.index.storage.restoring import restore_snapshot
from lexidex.index.vectors import Float32s
from lexidex.opening import NO_TRUST, Newest, Trusted, create_empty, remove_unwritten
from lexidex.passages import PassageParams, passages_for
from lexidex.rerankers import Rerankers
from lexidex.reranking import Reranking, RerankParams
from lexidex.results import (
    Explanation,
    SearchResult,
    WriteResult,
)
from lexidex.searching import (
    FACET_VALUES,
    Asked,
    Mode,
    answer,
    encode,
    query_vectors,
    sample_vectors,
)
from lexidex.snapshot import EVERYTHING, Snapshot
from lexidex.tuning import TuningReport, tune_segments
from lexidex.write import Progress
from lexidex.writer import Merging, Writer


class Collection:
    """Documents, their vectors and an index in one folder. Safe to use from many threads."""

    def __init__(
        self,
        storage: Storage,
        memory: Memory = "map",
        merge: Merging = "background",
        trusted: Trusted = NO_TRUST,
    ) -> None:
        """Open the newest generation in `storage`; use `create` or `open` instead."""
        self._storage = storage
        self._newest = Newest(storage, memory, trusted)
        self._writer = Writer(self._newest, merge)
        self._rerankers = Rerankers()

    @classmethod
    def create(
        cls,
        path: str | PathLike[str] | Storage,
        encoder: str | Encoder | None = None,
        merge: Merging = "background",
        *,
        dense: str | PathLike[str] | DenseEncoder | DenseSide | None = None,
        passages: PassageParams | str | None = None,
    ) -> Self:
        """Make an empty collection.

        Args:
            path: a folder that does not exist or is empty.
            encoder: a name or folder for `load_encoder`, an Encoder, or "vectors" for documents
                that bring their own; None takes DEFAULT_ENCODER.
            merge: see `open`.
            dense: a folder or hub id of a dense model, a DenseEncoder, "joint" for the encoder's
                own dense side, or "vectors" for documents that bring their dense vectors; a
                DenseSide to say how they are compared and indexed; None for a collection without a
                dense side.
            passages: what becomes of long documents: PassageParams, or a text such as
                "split,tokens=200". None splits those that the encoder would cut off, and leaves
                whole what an encoder without a limit reads, such as bm25.

        Raises:
            CollectionExists: the folder holds a collection, or other files.
            EncoderNotFound: no such encoder.
            ParameterError: passages are wrong, or do not fit the encoder; or there is no such index
                of dense vectors.
        """
        storage = _storage(path)
        chosen = _encoder(encoder)
        side = DenseSide.of(dense, chosen)
        if side is not None:
            side.check()
        create_empty(storage, chosen, passages_for(passages, chosen), side)
        trusted = Trusted(chosen.trusts_remote_code, side is not None and side.trusts_remote_code)
        return cls(storage, merge=merge, trusted=trusted)

    @classmethod
    def open(
        cls,
        path: str | PathLike[str] | Storage,
        memory: Memory = "map",
        merge: Merging = "background",
        *,
        trust_remote_code: bool = False,
    ) -> Self:
        """Open a collection.

        Args:
            path: its folder.
            memory: "map" its index, or "load" it.
            merge: when this object's writes merge segments: in a thread of their own, at the end
                of each write ("inline"), or never ("off"). A collection that is only read merges
                nothing.
            trust_remote_code: run code that the repositories of its models bring, which such a
                model needs to encode anything. The collection does not keep it.

        Raises:
            CollectionNotFound: there is none.
            CorruptFile, UnsupportedVersion: it cannot be used.
        """
        trust = check_trust(trust_remote_code)
        return cls(_storage(path), memory, merge, Trusted(sparse=trust, dense=trust))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop merging in the background, and put what was written to the log into a segment.

        What was written is safe without it. A merge under way is abandoned; one that is tuning its
        index is waited for.
        """
        self._writer.close()

    @property
    def encoder(self) -> Encoder:
        """The encoder, weighing queries by the collection's statistics where it does so."""
        return self._snapshot.encoder

    @property
    def passages(self) -> PassageParams:
        """What becomes of long documents."""
        return self._snapshot.passage_params

    @property
    def dense_lower_bound(self) -> float | None:
        """The least score of a dense search: -1 for cosines; None where there is no such bound."""
        return self._snapshot.dense_lower_bound

    @property
    def dense_side(self) -> DenseSide | None:
        """How the collection comes by dense vectors; None where it has none."""
        return self._snapshot.dense_side

    @property
    def dense_dim(self) -> int | None:
        """Dimensions of the dense vectors; None where there are none yet."""
        return self._snapshot.dense_dim

    @property
    def generation(self) -> int:
        """The number of the last commit that searches see; grows with every write."""
        return self._snapshot.generation

    def __len__(self) -> int:
        """Number of documents."""
        return self._snapshot.n_documents

    @property
    def n_passages(self) -> int:
        """Number of passages of these."""
        return self._snapshot.n_passages

    def refresh(self) -> int:
        """Follow writes of other processes; the generation that searches see from now on."""
        return self._newest.refresh().generation

    def warm_up(self) -> None:
        """Load what searches need, so that none waits for it: the query's encoder, the kernels."""
        self.encoder.warm_up()
        side = self._snapshot.dense_side
        if side is not None and side.encoder is not None:
            side.encoder.warm_up()
        self._snapshot.warm_up()

    def upsert(
        self,
        documents: Iterable[Mapping[str, Any] | Document],
        progress: Progress | None = None,
        building: Building | None = None,
        resumable: bool = False,
    ) -> WriteResult:
        """Add documents; one whose id is known replaces that document.

        Up to 1,000 documents are one record in the log; small writes of many threads share the
        time that the disk needs. More make segments at once, and are one commit all the same.
        Where encoding them takes long, their vectors are kept on disk meanwhile: when this fails
        or the process dies, the next such call takes those of the same texts over.

        Args:
            documents: mappings with "id" and "text", and perhaps "title", "metadata" and
                "vector" ({term: weight} or {"components": [...], "values": [...]}). Instead of one
                vector, "passages" may have several, as objects of "start", "end" (places in the
                text, in code points; all of it when left out) and "vector" (encoded when left
                out). Taken one by one, so an iterator over more than memory holds is welcome.
            progress: called now and then with the number of documents taken in.
            building: within how much memory, here and when segments are merged from then on, and
                who is told how far the index is.
            resumable: keep vectors on disk meanwhile however few documents there are.

        Returns:
            Counts, and for each document left out its id and the reason. When this returns, the
            documents are on disk and searches see them; all of them at once.

        Raises:
            ParameterError: documents are no list, but one document, say.
            Locked: another process is writing.
            StorageFull: no space left; the collection is as before.
        """
        return self._writer.upsert(check_documents(documents), progress, building, resumable)

    def delete(
        self, ids: Iterable[str] | None = None, *, filter: Filter | None = None
    ) -> WriteResult:
        """Remove the documents with these ids, or those that pass a filter: one of the two.

        Ids that are not there are passed over. A filter without any condition is refused.
        """
        if (ids is None) == (filter is None):
            raise ParameterError("ids: give a list of ids or a filter, one of the two")
        if ids is not None:
            return self._writer.delete(check_ids(ids))
        expression = parse_filter(filter)
        if expression == EVERYTHING:
            raise ParameterError(
                "filter: no condition, which would delete every document; replace([]) does that"
            )
        return self._writer.delete_matching(expression)

    def update(self, updates: Iterable[Mapping[str, Any]]) -> WriteResult:
        """Put other metadata in the place of documents' own, without encoding them again.

        Args:
            updates: mappings with "id" and "metadata"; for others, and ids that are not there,
                the result's `failed` has the reason.
        """
        return self._writer.update(list(check_documents(updates, "updates")))

    def flush(self) -> None:
        """Put what the log holds into a segment now; happens by itself when there is much of it."""
        self._writer.flush()

    def settle(self) -> None:
        """Wait until merging in the background has nothing left to do."""
        self._writer.settle()

    def compact(self, progress: Progress | None = None, building: Building | None = None) -> None:
        """Make one segment of everything, without what was deleted; its space becomes free.

        Searches and writes go on meanwhile.

        Args:
            progress: called now and then with the number of documents copied.
            building: within how much memory the approximate index is built, and who is told how
                far it is.
        """
        self._writer.compact(progress, building)

    def replace(
        self,
        documents: Iterable[Mapping[str, Any] | Document],
        encoder: str | Encoder | None = None,
        progress: Progress | None = None,
        building: Building | None = None,
        *,
        passages: PassageParams | str | None = None,
    ) -> WriteResult:
        """Put `documents` in the place of everything, in one step, perhaps by another encoder.

        Until it is done, and if it fails or the process dies, the old content stays; what was
        encoded is taken over by the next call, as in `upsert`.

        Args:
            passages: see `create`; None goes on as before, where the encoder stays the same.

        Raises:
            NothingTaken: documents were given and none can be taken; the old content stays, and
                the error's `failed` has the reasons. `replace([])` is what empties a collection.
        """
        check_documents(documents)
        known = self.encoder
        fresh = (
            _encoder(encoder)
            if encoder is not None
            else load_stored_encoder(known.kind, known.options, known.trusts_remote_code)
        )
        same = passages is None and fresh.fingerprint == known.fingerprint
        params = self.passages if same else passages_for(passages, fresh)
        return self._writer.replace(documents, fresh, params, progress, building)

    def reencode(
        self,
        encoder: str | Encoder,
        progress: Progress | None = None,
        building: Building | None = None,
        *,
        passages: PassageParams | str | None = None,
    ) -> WriteResult:
        """Encode every document anew by another encoder, and change to it in one step.

        Searches and writes go on meanwhile, by the old encoder; documents that are written then
        are encoded, too, before the change. When this fails, or the process dies, the collection
        stays as it is, and what was encoded is taken over by the next call with that encoder.
        Dense vectors are kept. Where the collection has this encoder already, nothing is done.

        Args:
            encoder: see `create`.
            progress: called often with the number of documents encoded so far, which grows beyond
                `len` by those that are written meanwhile; what it raises ends the work.
            building: see `upsert`.
            passages: see `create`.

        Returns:
            How many documents were encoded, those that changed meanwhile again.

        Raises:
            InputError: a document brought its own vector, and has no text.
            ParameterError: the encoder is "vectors", which encodes nothing.
            Locked: another call or process is encoding the collection anew.
            StorageFull: no space left; the collection is as before.
        """
        if encoder is None:
            raise ParameterError("encoder: None; name the one to encode by")
        chosen = _encoder(encoder)
        if chosen.kind == "vectors":
            raise ParameterError(
                'encoder: "vectors" encodes nothing; replace documents by some that bring theirs'
            )
        if self._snapshot.dense_side is not None:
            self._snapshot.dense_side.beside(chosen)
        params = passages_for(passages, chosen)
        same = chosen.fingerprint == self.encoder.fingerprint
        if same and chosen.idf_exponent != self.encoder.idf_exponent:
            raise ParameterError(
                f"encoder: collection_idf {chosen.idf_exponent:g}; this collection has "
                f"{self.encoder.idf_exponent:g}, for good; make a new one for another"
            )
        if same and (passages is None or params == self.passages):
            return WriteResult(generation=self.generation)
        return self._writer.reencode(chosen, params, progress, building)

    def search(
        self,
        query: str | None = None,
        k: int = 10,
        *,
        mode: Mode = "sparse",
        sparse: SparseInput | None = None,
        dense: ArrayLike | None = None,
        exact: bool = False,
        params: SearchParams | None = None,
        accuracy: float | None = None,
        fusion: FusionParams | str | None = None,
        fields: Sequence[str] = ALL_FIELDS,
        filter: Filter | None = None,
        facets: Sequence[str] = (),
        rerank: RerankParams | str | None = None,
        offset: int = 0,
    ) -> SearchResult:
        """The k best documents for a text, or for vectors instead.

        Large segments may be searched approximately, where that is cheaper; the result's `plan`
        tells which were.

        Args:
            query: text, for the collection's encoders.
            k: hits at most, at least 1. Documents that share no term with the query are no hits of
                a sparse search, nor those without a dense vector of a dense one.
            mode: "sparse", "dense", or "hybrid", which fuses both; docs/FUSION.md tells how.
            sparse: {term: weight} or {"components": [...], "values": [...]}.
            dense: numbers (d,); in hybrid mode beside a text, or beside `sparse`, and so in sparse
                mode if reranked by attention.
            exact: approximate nothing.
            params: how approximate search is done; None takes the defaults.
            accuracy: instead of params and exact: above 0, at most 1, the share of the k best
                passages that approximate search is to find. Segments for which tuning knows of
                nothing that reaches it for this k are searched exactly; 1 is that everywhere. In
                hybrid mode it is about the sparse leg; dense search knows but 1.
            fusion: how hybrid search fuses, as FusionParams or a text such as "rrf,depth=500"; None
                takes the defaults. Its depth is how many documents of each leg are ranked, so k is
                at most twice that.
            fields: what to fetch of each hit, among title, text, metadata, and passage: the text of
                the passage alone, for which "text" need not be fetched.
            filter: conditions on metadata that documents must meet, such as
                {"year": {"gte": 2000}}.
            facets: metadata fields whose most frequent values to count, over all documents that
                pass the filter.
            rerank: order the first documents anew: "attention", over the stored dense vectors of
                each; the folder of trained attention; the folder or hub id of a cross-encoder; or
                RerankParams for depth and fusion. docs/RERANKING.md tells how.
            offset: leave out so many of the best, as later pages do; they are not fetched.
        """
        only, reranking = as_expression(filter), Reranking.of(rerank, self._rerankers)
        manner = k, mode, exact, params, accuracy, as_fusion(fusion)
        asked = Asked(*manner, fields, only, facets, reranking=reranking, offset=offset)
        return self._search([query], asked, sparse, dense)[0]

    def search_batch(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        mode: Mode = "sparse",
        exact: bool = False,
        params: SearchParams | None = None,
        accuracy: float | None = None,
        fusion: FusionParams | str | None = None,
        n_threads: int = 1,
        fields: Sequence[str] = (),
        filter: Filter | None = None,
        rerank: RerankParams | str | None = None,
    ) -> list[SearchResult]:
        """`search` for many texts at once.

        Every result shares the timings and counters of the whole batch.
        """
        only, reranking = as_expression(filter), Reranking.of(rerank, self._rerankers)
        manner = k, mode, exact, params, accuracy, as_fusion(fusion)
        asked = Asked(*manner, fields, only, (), n_threads, reranking)
        return self._search(check_texts(queries), asked)

    def count(self, filter: Filter | None = None) -> int:
        """How many documents pass a filter; all of them without one."""
        return self._snapshot.count(as_expression(filter) or EVERYTHING)

    def facets(
        self, fields: Sequence[str], filter: Filter | None = None, n: int = FACET_VALUES
    ) -> dict[str, list[FacetCount]]:
        """The most frequent values of metadata fields, over the documents that pass a filter.

        Args:
            fields: names of fields, as filters name them.
            n: values of each field at most; of equally frequent ones the lower first.

        Returns:
            For each field its values with their counts, most frequent first. A document counts
            once for each of its values.
        """
        expression = as_expression(filter) or EVERYTHING
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ParameterError(f"n: {n!r}; expected an integer of at least 1")
        return self._snapshot.facets(check_facets(fields), expression, n)

    def tune(
        self,
        queries: Iterable[str | SparseInput] | None = None,
        k: int = 10,
        accuracy: float = 0.95,
        *,
        n_threads: int = 1,
    ) -> TuningReport:
        """Find out which search parameters reach which accuracy, for queries like these.

        Every segment with an approximate index was tuned when it was written, for k up to 100, by
        queries made from its documents; real queries tell better. What is found is committed with
        the collection, in the place of what was known for this k, and serves
        `search(..., accuracy=...)`. Others may write meanwhile.

        Args:
            queries: texts or sparse vectors; at least 10 that match something, a few hundred are
                better. None makes some from documents.
            k: results a query.
            accuracy: what the report chooses a point for.

        Raises:
            ParameterError: an argument is out of its range, or there are too few queries.
            Locked: another process is writing.
        """
        check_k(k)
        check_accuracy(accuracy)
        snapshot = self._snapshot
        vectors = None if queries is None else sample_vectors(snapshot, queries)
        found = tune_segments(snapshot, vectors, k, n_threads)
        if found:
            self._writer.keep_tuning(found)
        return TuningReport(k, accuracy, self.generation, tuple(found))

    def explain(
        self, query: str | SparseInput, doc_id: str, passage: int | None = None
    ) -> Explanation:
        """Which terms give a document its score for a query: the best passage's inner product.

        Args:
            passage: the number of the passage to explain, as a hit names it; None for the best.

        Raises:
            DocumentNotFound: there is no document with that id, or no such passage of it.
        """
        snapshot = self._snapshot
        vectors, ignored = query_vectors(snapshot, query)
        place = snapshot.find(check_ids([doc_id])[0])
        if place is None:
            raise self._unknown(doc_id)
        passages = snapshot.passage_vectors(*place)
        if passage is not None and not 0 <= passage < passages.shape[0]:
            raise DocumentNotFound(
                f"{self._storage.location}: document {doc_id!r} has {passages.shape[0]} passages, "
                f"and no passage {passage}"
            )
        number = best_row(passages, vectors) if passage is None else passage
        terms = contributions(passages[[number]], vectors, snapshot.encoder)
        score = sum(term.product for term in terms)
        return Explanation(doc_id, score, terms, number, ignored)

    def get(self, doc_id: str) -> Document:
        """The stored document with that id.

        Raises:
            DocumentNotFound: there is none.
        """
        place = self._snapshot.find(check_ids([doc_id])[0])
        if place is None:
            raise self._unknown(doc_id)
        found = self._snapshot.segments[place[0]].documents.fetch(place[1], ALL_FIELDS)
        return Document(doc_id, found["text"], found["title"], found["metadata"])

    def dense_vectors(self, doc_id: str) -> Float32s:
        """The stored dense vectors of a document's passages, float32 (n, d), in their order.

        Raises:
            DocumentNotFound: there is no document with that id.
            ParameterError: the collection holds no dense vectors.
        """
        snapshot = self._snapshot
        place = snapshot.find(check_ids([doc_id])[0])
        if place is None:
            raise self._unknown(doc_id)
        dim = snapshot.dense_dim
        if dim is None:
            raise ParameterError(f"{self._storage.location}: no dense vectors are stored here")
        return snapshot.dense_vectors(*place, dim)

    def __contains__(self, doc_id: object) -> bool:
        return isinstance(doc_id, str) and self._snapshot.find(doc_id) is not None

    def snapshot(
        self, to: str | PathLike[str], *, replace: bool = False, progress: Progress | None = None
    ) -> SnapshotReport:
        """Keep the collection as it is now in one file, while writes and merges go on.

        Everything that was written before is in it. An encoder that has a model is named in it,
        and its model is not.

        Args:
            to: the file, a tar archive; docs/FORMAT.md describes it.
            replace: put it in the place of a file of that name, once it is complete.
            progress: called now and then with the number of bytes copied.

        Raises:
            ParameterError: there is such a file.
            CorruptFile: the collection is damaged; nothing is left of the snapshot.
            StorageFull: no space left; the same.
        """
        target, name = _file(to)
        return write_snapshot(self._storage, target, name, over=replace, done=progress)

    @classmethod
    def restore(
        cls,
        snapshot: str | PathLike[str],
        to: str | PathLike[str] | Storage,
        *,
        replace: bool = False,
        merge: Merging = "background",
        progress: Progress | None = None,
    ) -> Self:
        """Make a collection of a snapshot, and open it.

        Args:
            snapshot: a file that `snapshot` wrote.
            to: a folder that does not exist or is empty.
            replace: a collection there, damaged as it may be, gives way in one step; processes
                that have it open follow.
            merge: see `open`.
            progress: called now and then with the number of bytes copied.

        Raises:
            NotFound: there is no such snapshot.
            CorruptFile, UnsupportedVersion: the snapshot cannot be used; nothing was changed.
            CollectionExists: the folder holds a collection, or other files.
            Locked: another process is writing to it.
            StorageFull: no space left; what was there is untouched.
        """
        storage = _storage(to)
        restore_snapshot(*_file(snapshot), storage, over=replace, done=progress)
        return cls(storage, merge=merge)

    def export(
        self,
        to: str | PathLike[str],
        vectors: VectorForm | None = None,
        *,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> ExportReport:
        """Write every document with its vectors to a file that other tools read, too.

        Args:
            to: a name that ends in .ndjson or .jsonl, either perhaps with .gz, or in .parquet;
                docs/EXCHANGE.md describes them.
            vectors: by "terms" or by numbers of "components", or "none"; None takes terms where
                the vocabulary grows with the documents.
            replace: put it in the place of a file of that name, once it is complete.
            progress: called now and then with the number of documents written.

        Raises:
            ParameterError: an argument is wrong, or there is such a file.
            StorageFull: no space left; nothing is left of the export.
        """
        target, name = _file(to)
        snapshot = self._snapshot
        return write_export(snapshot, target, name, vectors, over=replace, progress=progress)

    def import_from(
        self,
        source: str | PathLike[str],
        *,
        replace: bool = False,
        progress: Progress | None = None,
        building: Building | None = None,
    ) -> WriteResult:
        """Add the documents of an export with the vectors that they have there, in one commit.

        Nothing is encoded. In an empty collection, or with `replace`, the exact search finds the
        same documents with the same scores, to the last bit, as in the collection that was
        exported.

        Args:
            replace: put them, and the export's encoder, in the place of everything.
            progress: called now and then with the number of documents taken in.
            building: see `upsert`.

        Raises:
            InputError: the file is missing, damaged or incomplete, or has no vectors; nothing
                was changed.
            EncoderMismatch: its vectors are those of another encoder than the collection's.
            Locked: another process is writing.
        """
        export = Export(Path(source))
        encoder = export.header.load_encoder() if replace else None
        return self._writer.take(export, encoder, progress, building)

    @classmethod
    def from_export(
        cls,
        source: str | PathLike[str],
        to: str | PathLike[str] | Storage,
        *,
        merge: Merging = "background",
        progress: Progress | None = None,
        building: Building | None = None,
    ) -> Self:
        """Make a collection of an export; see `create` and `import_from`.

        Where the export cannot be taken, none is left.
        """
        export, storage = Export(Path(source)), _storage(to)
        encoder = export.header.load_encoder()
        made = cls.create(
            storage,
            encoder,
            merge,
            dense=export.dense_side(encoder),
            passages=PassageParams(**export.header.passages),
        )
        try:
            made.import_from(source, progress=progress, building=building)
        except BaseException:
            remove_unwritten(storage)
            raise
        return made

    def check(self) -> integrity.Report:
        """Verify every byte of the newest generation against its checksums."""
        return integrity.check(self._storage)

    @property
    def _snapshot(self) -> Snapshot:
        return self._newest.snapshot

    def _search(
        self,
        texts: Sequence[str | None],
        asked: Asked,
        sparse: SparseInput | None = None,
        dense: object = None,
    ) -> list[SearchResult]:
        snapshot, started = self._snapshot, time.perf_counter()
        queries = encode(snapshot, asked, texts, sparse, dense)
        return answer(snapshot, queries, asked, started)

    def _unknown(self, doc_id: str) -> DocumentNotFound:
        return DocumentNotFound(f"{self._storage.location}: no document with id {doc_id!r}")


def exists(path: str | PathLike[str]) -> bool:
    """Whether there is a collection at `path`."""
    return newest_manifest(FileStorage(path)) is not None


def _storage(path: str | PathLike[str] | Storage) -> Storage:
    if isinstance(path, Storage):
        return path
    if not isinstance(path, str | PathLike):
        raise ParameterError(f"path: {path!r}; expected a folder")
    return FileStorage(path)


def _file(path: str | PathLike[str]) -> tuple[Storage, str]:
    """A file as a storage has it."""
    folder, name = split(abspath(path))
    return FileStorage(folder), name


def _encoder(given: str | Encoder | None) -> Encoder:
    if isinstance(given, Encoder):
        return given
    if not isinstance(given, str | PathLike | None):
        raise ParameterError(f"encoder: {given!r}; expected a name, a folder or an Encoder")
    return load_encoder(DEFAULT_ENCODER if given is None else given)
