"""Documents as they are given -> documents and vectors as they can be stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from lexidex.documents import Document, SparseInput, check_document, is_numbered
from lexidex.encoders import Encoder
from lexidex.encoders.base import Texts
from lexidex.errors import InputError
from lexidex.index.vectors import Vectors, build_vectors
from lexidex.sparse_input import adopt

ENCODE_BATCH = 512
"""Documents encoded together."""

Given = Document | Mapping[str, object]


class Drafter:
    """Checks and encodes documents; what cannot be stored is left out, with the reason."""

    def __init__(
        self,
        encoder: Encoder,
        by_words: bool | None,
        draft: Callable[[Texts], Vectors] | None = None,
    ) -> None:
        """Encode by `encoder`.

        Args:
            by_words: whether the collection's documents name components by words; None while
                nothing tells, then the first vector does.
            draft: in the place of the encoder's `draft_documents`.
        """
        self._encoder = encoder
        self._draft = draft or encoder.draft_documents
        self.by_words = by_words
        self.failed: list[tuple[str, str]] = []

    def draft(self, documents: Iterable[Given]) -> Iterable[tuple[list[Document], Vectors]]:
        """Documents batch by batch, with their vectors, one passage each; drafts, see `Encoder`."""
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
        document = check_document(given)
        if document.vector is None:
            if self._encoder.kind == "vectors":
                raise InputError("field 'vector' is missing; this collection has no text encoder")
            return document
        if self._encoder.needs_statistics:
            raise InputError(
                f"vector: a collection with encoder {self._encoder.kind} makes its own; leave it "
                'out, or create the collection with encoder "vectors"'
            )
        if self._encoder.vocabulary is not None:
            self._check_form(document.vector)
        return document

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

    def _encoded(self, batch: list[Document]) -> tuple[list[Document], Vectors]:
        """The documents that have a vector now, and their vectors."""
        texts = [document.full_text for document in batch if document.vector is None]
        drafts = self._draft(texts) if texts else None
        if drafts is not None and len(texts) == len(batch):
            return batch, drafts
        kept, rows, encoded = [], [], 0
        for document in batch:
            if document.vector is None and drafts is not None:
                row = drafts[encoded]
                rows.append((row.indices, row.data))
                encoded += 1
            elif document.vector is not None:
                try:
                    rows.append(adopt(document.vector, self._encoder))
                except InputError as error:
                    self.failed.append((document.id, str(error)))
                    continue
            kept.append(document)
        # No wider than needed: SciPy doubles the indices of batches that are 2**31 wide.
        dim = 1 + max((int(ids[-1]) for ids, _ in rows if ids.size), default=0)
        return kept, build_vectors(rows, dim)


def text_length(given: Given) -> int:
    """Characters of a document's text, 0 where it has none."""
    text = given.get("text") if isinstance(given, Mapping) else getattr(given, "text", None)
    return len(text) if isinstance(text, str) else 0


def _name_of(given: object, place: int) -> str:
    if isinstance(given, Document):
        return given.id
    identifier = given.get("id") if isinstance(given, Mapping) else None
    return identifier if isinstance(identifier, str) and identifier else f"#{place}"
