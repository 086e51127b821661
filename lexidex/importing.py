"""A file of records -> documents with vectors that are ready to be written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lexidex.dense_side import JOINT, VECTORS, DenseSide, joint_side
from lexidex.documents import Document, SparseInput, TermWeights, check_document, is_numbered
from lexidex.encoder_names import told_apart
from lexidex.encoders import Encoder
from lexidex.encoders.loading import DENSE_OF_JOINT
from lexidex.errors import EncoderMismatch, InputError, ParameterError
from lexidex.index.dense import DenseRows
from lexidex.index.storage.passages import Passages
from lexidex.index.vectors import Components, Float32s, Vectors, as_vector, build_vectors

from .drafting import Drafted
from .export_file import Header, read_header, read_records
from .sparse_input import adopt
from .write import describe

_BATCH = 512


class Export:
    """An export that is read.

    Attributes:
        header: what it says of the collection.
    """

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            InputError, UnsupportedVersion: the file is missing, or no export that can be read.
        """
        self.path = path
        self.header: Header = read_header(path)

    def check(
        self, encoder: Encoder, by_words: bool | None, dense: DenseSide | None = None
    ) -> None:
        """Whether its vectors may stand in a collection.

        Args:
            by_words: how the collection's documents name components; None while nothing tells.
            dense: the collection's dense side.

        Raises:
            EncoderMismatch: they were made by another encoder, or dense side.
            InputError: there are none; or components are named otherwise.
        """
        of_export = self.header.encoder
        if of_export.get("fingerprint") != encoder.fingerprint:
            apart = told_apart(of_export, describe(encoder))
            raise EncoderMismatch(
                f"{self.path}: its vectors are by encoder {apart} as the collection's; encode the "
                "texts anew (--encoder)"
            )
        self._check_dense(dense)
        if self.header.vectors == "none":
            raise InputError(f"{self.path}: has no vectors; encode the texts anew (--encoder)")
        if encoder.vocabulary is not None and by_words not in (None, self._by_words):
            forms = ("numbers", "words")
            raise InputError(
                f"{self.path}: names components by {forms[self._by_words]}, the collection by "
                f"{forms[by_words]}; import it into one of its own"
            )

    def check_anew(self, dense: DenseSide | None) -> None:
        """Whether its documents may stand in a collection that encodes their texts anew.

        Args:
            dense: the collection's dense side.

        Raises:
            EncoderMismatch: they bring dense vectors, which the collection does not take.
        """
        if self._brings_dense:
            self._check_dense(dense)

    def dense_side(self, encoder: Encoder) -> DenseSide | None:
        """The dense side of a collection made of it, beside an encoder: the one it was made with.

        Raises:
            EncoderMismatch, EncoderNotFound: its model is another one now, or gone.
        """
        described = dict(self.header.dense)
        if described.get("kind") == JOINT and not _has_joint(encoder, described["fingerprint"]):
            path = self.header.encoder["options"]["path"]
            described |= {"kind": DENSE_OF_JOINT, "options": {"path": path}}
        return DenseSide.from_manifest(described, None, str(self.path), encoder)

    def documents(self) -> Iterator[Document]:
        """The documents without their vectors, and without passages of their own.

        Dense vectors that no model made are kept, as the document's.

        Raises:
            InputError: a document has a vector and no text that another could be made of.
        """
        brought = self._brings_dense
        for document in self._documents():
            if not document.full_text and any(map(_is_laden, _vectors_of(document))):
                raise InputError(
                    f"{self.path}: document {document.id!r} brought its own vector, and has no "
                    "text to make another of; give it one, or import it without --encoder"
                )
            own = [document.dense, *(one.dense for one in document.passages)]
            some = [vectors for vectors in own if vectors is not None]
            dense = np.concatenate(some) if brought and some else None
            described = document.id, document.text, document.title, document.metadata
            yield Document(*described, dense=dense)

    def ready(
        self, encoder: Encoder, dense: DenseSide | None = None, dim: int | None = None
    ) -> Iterator[Drafted]:
        """The documents batch by batch, with the vectors that they had, as an encoder numbers them.

        A vocabulary that grows takes up the export's terms, in their order.

        Args:
            dense: the collection's dense side.
            dim: dimensions of its dense vectors; None while there are none.
        """
        vectors = _Vectors(encoder, self.header.vocabulary)
        documents = self._documents()
        while batch := list(islice(documents, _BATCH)):
            drafted = self._batch(batch, vectors)
            if dense is not None:
                rows = self._dense(batch, dense, dim)
                dim = rows.vectors.shape[1] if rows else dim
                drafted = replace(drafted, passages=drafted.passages.with_dense(rows))
            yield drafted

    @property
    def _brings_dense(self) -> bool:
        """Whether its dense vectors came with the documents, so that nothing can make them anew."""
        return self.header.dense.get("kind") == VECTORS

    def _check_dense(self, dense: DenseSide | None) -> None:
        described = {} if dense is None else dense.describe()
        if dict(self.header.dense) != described:
            apart = told_apart(_dense_named(self.header.dense), _dense_named(described))
            raise EncoderMismatch(
                f"{self.path}: its dense side is {apart} as the collection's; import it into a "
                "collection of its own"
            )

    @property
    def _by_words(self) -> bool:
        return bool(self.header.vocabulary)

    def _batch(self, documents: list[Document], vectors: _Vectors) -> Drafted:
        rows, counts, spans = [], [], []
        for document in documents:
            pieces = [(one.vector, one.start, one.end) for one in document.passages]
            pieces = pieces or [(document.vector, 0, len(document.text))]
            for vector, start, end in pieces:
                if vector is None:
                    raise InputError(f"{self.path}: document {document.id!r} has no vector")
                try:
                    rows.append(vectors.numbered(vector))
                except (InputError, ParameterError) as error:
                    raise InputError(f"{self.path}: document {document.id!r}: {error}") from None
                spans.append((start, end))
            counts.append(len(pieces))
        dim = 1 + max((int(ids[-1]) for ids, _ in rows if ids.size), default=0)
        matrix: Vectors = build_vectors(rows, dim)
        return Drafted(documents, matrix, Passages.of_each(counts, spans))

    def _dense(
        self, documents: list[Document], side: DenseSide, dim: int | None
    ) -> DenseRows | None:
        """The dense vectors of the documents' passages, to the last bit."""
        brought: list[Float32s | None] = []
        for document in documents:
            own = [one.dense for one in document.passages] or [document.dense]
            for vectors in own:
                try:
                    brought.append(None if vectors is None else side.ready_rows(vectors, dim))
                except ParameterError as error:
                    raise InputError(f"{self.path}: document {document.id!r}: {error}") from None
                dim = dim if vectors is None else vectors.shape[1]
        some = [vectors for vectors in brought if vectors is not None]
        if not some:
            return None
        counts = [0 if vectors is None else vectors.shape[0] for vectors in brought]
        return DenseRows.of_each(side.params, counts, np.concatenate(some))

    def _documents(self) -> Iterator[Document]:
        n_read = 0
        for line, record in read_records(self.path):
            try:
                document = check_document(record)
            except InputError as error:
                raise InputError(f"{self.path}:{line}: {error}") from None
            n_read += 1
            yield document
        if n_read != self.header.n_documents:
            raise InputError(
                f"{self.path}: ends after {n_read:,} of {self.header.n_documents:,} documents; it "
                "is not complete"
            )


def _has_joint(encoder: Encoder, fingerprint: str) -> bool:
    """Whether an encoder's own dense side is the one of that fingerprint."""
    try:
        return joint_side(encoder).fingerprint == fingerprint
    except ParameterError:
        return False


def _dense_named(described: Mapping[str, Any]) -> dict[str, Any]:
    """A dense side as `told_apart` takes it."""
    if not described:
        return {"kind": "none"}
    options = {**described.get("options", {}), **described["params"]}
    return {**described, "options": options}


def _vectors_of(document: Document) -> list[SparseInput | None]:
    return [document.vector, *(one.vector for one in document.passages)]


def _is_laden(vector: SparseInput | None) -> bool:
    if vector is None:
        return False
    return len(vector["components"] if is_numbered(vector) else vector) > 0


class _Vectors:
    """Vectors of records as an encoder numbers their components."""

    def __init__(self, encoder: Encoder, vocabulary: list[str] | None) -> None:
        self._encoder = encoder
        self._numbers: Components | None = None
        own = encoder.vocabulary
        if own is not None and vocabulary:
            self._numbers = np.array([own.add(term) for term in vocabulary], dtype=np.int32)

    def numbered(self, vector: SparseInput) -> tuple[Components, Float32s]:
        """Components and values in canonical form."""
        if not is_numbered(vector):
            return adopt(TermWeights(vector), self._encoder)
        if self._numbers is None:
            return adopt(vector, self._encoder)
        ids, values = as_vector(vector["components"], vector["values"])
        if ids.size and int(ids[-1]) >= self._numbers.size:
            raise InputError(f"vector: component {ids[-1]} is not in the export's vocabulary")
        return as_vector(self._numbers[ids], values)
