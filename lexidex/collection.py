"""The facade: a folder of documents that can be searched.

collection = Collection.create("papers")
collection.upsert([{"id": "1", "text": "Sparse vectors are searched by inverted indexes."}])
for hit in collection.search("inverted index"):
    print(hit.doc_id, hit.score)
"""

from __future__ import annotations

from os import PathLike
from os.path import abspath, split
from pathlib import Path
from typing import Self

from lexidex.dense_side import DenseSide
from lexidex.encoders import Encoder
from lexidex.encoders.dense import DenseEncoder
from lexidex.encoders.locating import check_trust
from lexidex.errors import ParameterError
from lexidex.export_file import VectorForm
from lexidex.exporting import ExportReport, write_export
from lexidex.importing import Export
from lexidex.index.storage.archive import SnapshotReport, write_snapshot
from lexidex.index.storage.building import Building
from lexidex.index.storage.files import FileStorage, Memory, Storage
from lexidex.index.storage.manifest import newest_manifest
from lexidex.index.storage.restoring import restore_snapshot
from lexidex.opening import Trusted, create_empty, remove_unwritten
from lexidex.passages import PassageParams, passages_for
from lexidex.results import WriteResult
from lexidex.tidying import Merging
from lexidex.write import Progress
from lexidex.writing import Writing, as_encoder


class Collection(Writing):
    """Documents, their vectors and an index in one folder. Safe to use from many threads.

    How it comes to be, and how it is moved: `Writing` has what changes it, `Reading` what asks.
    """

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
        chosen = as_encoder(encoder)
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
