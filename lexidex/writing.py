"""What changes a collection: documents, their metadata, the encoder, segments and tuning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any, Self

from lexidex.arguments import Filter, check_documents, check_ids
from lexidex.documents import Document, SparseInput
from lexidex.encoders import DEFAULT_ENCODER, Encoder, load_encoder
from lexidex.encoders.loading import load_stored_encoder
from lexidex.errors import ParameterError
from lexidex.index.batch import check_k
from lexidex.index.filters import parse_filter
from lexidex.index.seismic.frontier import check_accuracy
from lexidex.index.storage.building import Building
from lexidex.index.storage.files import Memory, Storage
from lexidex.opening import NO_TRUST, Trusted
from lexidex.passages import PassageParams, passages_for
from lexidex.reading import Reading
from lexidex.results import WriteResult
from lexidex.searching import sample_vectors
from lexidex.snapshot import EVERYTHING
from lexidex.tidying import Merging
from lexidex.tuning import TuningReport, tune_segments
from lexidex.write import Progress
from lexidex.writer import Writer


class Writing(Reading):
    """A collection that this process writes to. Safe to use from many threads."""

    def __init__(
        self,
        storage: Storage,
        memory: Memory = "map",
        merge: Merging = "background",
        trusted: Trusted = NO_TRUST,
    ) -> None:
        """Open the newest generation in `storage`; use `Collection.create` or `open`."""
        super().__init__(storage, memory, trusted)
        self._writer = Writer(self._newest, merge)

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
            as_encoder(encoder)
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
        chosen = as_encoder(encoder)
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


def as_encoder(given: str | Encoder | None) -> Encoder:
    """The encoder of a name or folder, or as it is; None is DEFAULT_ENCODER."""
    if isinstance(given, Encoder):
        return given
    if not isinstance(given, str | PathLike | None):
        raise ParameterError(f"encoder: {given!r}; expected a name, a folder or an Encoder")
    return load_encoder(DEFAULT_ENCODER if given is None else given)
