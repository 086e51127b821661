"""Documents as they are given -> documents and vectors as they can be stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from lexidex.documents import Document, GivenPassage, SparseInput, check_document, is_numbered
from lexidex.encoders import Encoder
from lexidex.encoders.base import Texts
from lexidex.errors import InputError
from lexidex.index.dense import DenseRows
from lexidex.index.storage.passages import Passages
from lexidex.index.vectors import Float32s, Vectors, build_vectors, stack
from lexidex.sparse_input import adopt

from .dense_side import DenseDrafter
from .passages import PassageParams, Piece, Splitter, Vector, row_maxima

ENCODE_BATCH = 512
"""Documents taken in together, and passages encoded together."""

Given = Document | Mapping[str, object]


@dataclass(frozen=True)
class Drafted:
    """Documents that can be stored, the passages they own, and the drafts of these; see `Encoder`.

    Attributes:
        vectors: csr_array (passages, dim), in order of the documents.
    """

    documents: list[Document]
    vectors: Vectors
    passages: Passages


class Drafter:
    """Checks, splits and encodes documents; what cannot be stored is left out, with the reason."""

    def __init__(
        self,
        encoder: Encoder,
        params: PassageParams,
        by_words: bool | None,
        draft: Callable[[Texts], Vectors] | None = None,
        dense: DenseDrafter | None = None,
    ) -> None:
        """Encode by `encoder`.

        Args:
            params: what becomes of long documents.
            by_words: whether the collection's documents name components by words; None while
                nothing tells, then the first vector does.
            draft: in the place of the encoder's `draft_documents`.
            dense: drafts the dense vectors; None where the collection has none.
        """
        self._encoder = encoder
        self._draft = draft or encoder.draft_documents
        self._mode = params.mode
        self._splitter = Splitter(params, encoder)
        self._dense = dense
        self.by_words = by_words
        self.failed: list[tuple[str, str]] = []

    def draft(self, documents: Iterable[Given]) -> Iterator[Drafted]:
        """Documents batch by batch, with their passages and vectors."""
        numbered = enumerate(documents)
        while batch := list(islice(numbered, ENCODE_BATCH)):
            yield self._encoded([kept for kept in map(self._checked, batch) if kept is not None])

    def _checked(self, numbered: tuple[int, Given]) -> Document | None:
        place, given = numbered
        try:
            return self._check(given)
        except InputError as error:
            self.failed.append((_name_of(given, place), str(error)))
            return None

    def _check(self, given: Given) -> Document:
        document = self._check_dense(check_document(given))
        if self._encoder.kind == "vectors":
            document = _with_vectors(document)
        vectors = [one.vector for one in document.passages] or [document.vector]
        if self._encoder.kind == "vectors" and None in vectors:
            missing = "field 'vector' is missing"
            if document.passages:
                missing = f"passages[{vectors.index(None)}]: {missing}"
            raise InputError(f"{missing}; this collection has no text encoder")
        if len(document.passages) > 1 and self._mode == "truncate":
            raise InputError(
                f"passages: {len(document.passages)}; this collection's documents are one passage "
                'each; create it with passages "split" or "max"'
            )
        for vector in vectors:
            if vector is not None:
                self._check_vector(vector)
        return document

    def _check_dense(self, document: Document) -> Document:
        """The document, its dense vectors as the collection has them."""
        brought = [document.dense, *(one.dense for one in document.passages)]
        if all(vectors is None for vectors in brought):
            return document
        if self._dense is None:
            raise InputError(
                'dense: this collection has no dense side; create it with dense="vectors"'
            )
        whole, *parts = [None if one is None else self._dense.check(one) for one in brought]
        passages = zip(document.passages, parts, strict=True)
        return replace(
            document,
            dense=whole,
            passages=tuple(replace(one, dense=vectors) for one, vectors in passages),
        )

    def _check_vector(self, vector: SparseInput) -> None:
        if self._encoder.needs_statistics and not self._encoder.takes_weights:
            raise InputError(
                f"vector: a collection with encoder {self._encoder.kind} makes its own; leave it "
                'out, or create the collection with encoder "vectors"'
            )
        if self._encoder.vocabulary is not None:
            self._check_form(vector)

    def _check_form(self, vector: SparseInput) -> None:
        """Hold every vector to the form of the first; an empty one has both."""
        words = not is_numbered(vector)
        if not len(vector if words else vector["components"]):
            return
        if self.by_words is None:
            self.by_words = words
        if words != self.by_words:
            forms = ("{term: weight}", '{"components": [...], "values": [...]}')
            raise InputError(
                f"vector: this collection's vectors are {forms[not self.by_words]}, "
                f"this one is {forms[not words]}; keep to one form"
            )

    def _encoded(self, batch: list[Document]) -> Drafted:
        """The documents that have vectors now."""
        kept, pieces = [], []
        for document in batch:
            try:
                pieces.append(self._pieces(document))
                kept.append(document)
            except InputError as error:
                self.failed.append((document.id, str(error)))
        passages = Passages.of_each(
            [len(own) for own in pieces],
            [(piece.start, piece.end) for own in pieces for piece in own],
        )
        with nullcontext() if self._dense is None else self._dense.keeping():
            drafts = self._drafts([piece.content for own in pieces for piece in own])
            dense = self._dense_rows(kept, pieces)
        if self._mode == "max":
            drafts = row_maxima(drafts, passages.starts)
            dense = None if dense is None else dense.grouped(passages.starts)
            passages = Passages.whole([document.text for document in kept])
        return Drafted(kept, drafts, passages.with_dense(dense))

    def _dense_rows(self, documents: list[Document], pieces: list[list[Piece]]) -> DenseRows | None:
        if self._dense is None:
            return None
        texts: list[str] = []
        brought: list[Float32s | None] = []
        for document, own in zip(documents, pieces, strict=True):
            for piece in own:
                whole = document.read(document.text[piece.start : piece.end])
                texts.append(piece.content if isinstance(piece.content, str) else whole)
            brought += _dense_of(document, len(own))
        return self._dense.rows(texts, brought)

    def _pieces(self, document: Document) -> list[Piece]:
        """The passages of a document: its own, or those that it is split into."""
        own = document.passages
        if document.vector is not None:
            own = (GivenPassage(0, len(document.text), document.vector, document.dense),)
        if not own:
            return list(self._splitter.split(document))
        return [Piece(one.start, one.end, self._content(document, one)) for one in own]

    def _content(self, document: Document, passage: GivenPassage) -> str | Vector:
        if passage.vector is not None:
            return adopt(passage.vector, self._encoder)
        return document.read(document.text[passage.start : passage.end])

    def _drafts(self, contents: list[str | Vector]) -> Vectors:
        """One row for each content: encoded, or the vector that it is."""
        texts = [content for content in contents if isinstance(content, str)]
        batches = [
            self._draft(texts[first : first + ENCODE_BATCH])
            for first in range(0, len(texts), ENCODE_BATCH)
        ]
        # No wider than needed: SciPy doubles the indices of batches that are 2**31 wide.
        encoded = stack(batches, max((batch.shape[1] for batch in batches), default=1))
        if len(texts) == len(contents):
            return encoded
        rows, place = [], 0
        for content in contents:
            if isinstance(content, str):
                row = encoded[[place]]
                rows.append((row.indices, row.data))
                place += 1
            else:
                rows.append(content)
        dim = 1 + max((int(ids[-1]) for ids, _ in rows if ids.size), default=0)
        return build_vectors(rows, dim)


def _with_vectors(document: Document) -> Document:
    """The document with an empty sparse vector where it brings a dense one alone."""
    if document.dense is not None and document.vector is None:
        return replace(document, vector={})
    passages = [
        one if one.dense is None or one.vector is not None else replace(one, vector={})
        for one in document.passages
    ]
    return replace(document, passages=tuple(passages))


def _dense_of(document: Document, n_passages: int) -> list[Float32s | None]:
    """The dense vectors that each passage of a document brings; None for one to be encoded."""
    if document.passages:
        return [one.dense for one in document.passages]
    if document.dense is None:
        return [None] * n_passages
    # Where in a document that is split its own vectors belong is not known.
    nothing = np.empty((0, document.dense.shape[1]), dtype=np.float32)
    return [document.dense, *([nothing] * (n_passages - 1))]


def text_length(given: Given) -> int:
    """Characters of a document's text, 0 where it has none."""
    text = given.get("text") if isinstance(given, Mapping) else getattr(given, "text", None)
    return len(text) if isinstance(text, str) else 0


def _name_of(given: object, place: int) -> str:
    if isinstance(given, Document):
        return given.id
    identifier = given.get("id") if isinstance(given, Mapping) else None
    return identifier if isinstance(identifier, str) and identifier else f"#{place}"
