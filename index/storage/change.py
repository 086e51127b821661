"""A change: documents put and ids taken away together. What a record of the log holds."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lexidex.errors import CorruptFile

from ..vectors import Vectors, build_vectors, csr, stack
from .arrays import read_arrays, write_arrays
from .documents import SCHEMA, StorableDocument, as_batch, stored_documents
from .passages import Passages

_KIND = "change"
_TERMS = pa.schema([pa.field("term", pa.large_string(), nullable=False)])


@dataclass(frozen=True)
class Change:
    """Everything that applying it needs, so that no text model is called again.

    Attributes:
        documents: they replace those of the same ids; ids do not repeat.
        vectors: csr_array, one row a passage, in order of the documents; ready to be searched.
        passages: which of them the documents own.
        total_length: sum of the documents' lengths in terms, 0 where the encoder counts none.
        deleted: ids to take away, before the documents are put.
        terms: what the encoder's vocabulary has grown by, from component `first_term` on.
    """

    documents: Sequence[StorableDocument] = ()
    vectors: Vectors = field(default_factory=lambda: build_vectors([], 0))
    passages: Passages = field(default_factory=Passages)
    total_length: float = 0.0
    deleted: tuple[str, ...] = ()
    first_term: int = 0
    terms: tuple[str, ...] = ()

    @property
    def ids(self) -> list[str]:
        """Every id whose older document goes away."""
        return [*self.deleted, *(document.id for document in self.documents)]


def encode_change(change: Change) -> bytes:
    """A change as bytes: an array file, see docs/FORMAT.md."""
    arrays = {
        "documents": _arrow(as_batch(change.documents)),
        **change.passages.arrays(),
        "indptr": change.vectors.indptr.astype(np.int64),
        "components": change.vectors.indices.astype(np.int32, copy=False),
        "values": change.vectors.data,
        "deleted": _arrow(_strings(change.deleted)),
        "terms": _arrow(_strings(change.terms)),
    }
    meta = {
        "dim": change.vectors.shape[1],
        "n_documents": len(change.documents),
        "total_length": change.total_length,
        "first_term": change.first_term,
    }
    file = io.BytesIO()
    write_arrays(file, _KIND, arrays, meta)
    return file.getvalue()


def decode_change(payload: bytes, where: str) -> Change:
    """What `encode_change` made bytes of; the log has compared them with their checksum.

    Raises:
        CorruptFile, UnsupportedVersion: it is not that.
    """
    arrays, meta = read_arrays(memoryview(payload), _KIND, where)
    try:
        batch = pa.ipc.read_record_batch(pa.py_buffer(arrays["documents"]), SCHEMA)
        deleted, terms = (
            pa.ipc.read_record_batch(pa.py_buffer(arrays[name]), _TERMS).column("term")
            for name in ("deleted", "terms")
        )
    except (pa.ArrowException, OSError) as error:
        raise CorruptFile(f"{where}: {error}") from None
    return Change(
        documents=stored_documents(batch),
        vectors=csr(arrays["values"], arrays["components"], arrays["indptr"], meta["dim"]),
        passages=Passages.from_arrays(arrays),
        total_length=meta["total_length"],
        deleted=tuple(deleted.to_pylist()),
        first_term=meta["first_term"],
        terms=tuple(terms.to_pylist()),
    )


def combine(changes: Sequence[Change]) -> Change:
    """One change that does what these do one after the other."""
    if len(changes) == 1:
        return changes[0]
    owner: dict[str, int] = {}
    deleted: dict[str, None] = {}
    for number, change in enumerate(changes):
        for doc_id in change.deleted:
            owner.pop(doc_id, None)
            deleted[doc_id] = None
        for document in change.documents:
            owner[document.id] = number
    kept = [
        keep(change, [owner.get(document.id) == number for document in change.documents])
        for number, change in enumerate(changes)
    ]
    dim = max(change.vectors.shape[1] for change in kept)
    terms = _consecutive(changes)
    return Change(
        documents=[document for change in kept for document in change.documents],
        vectors=stack([change.vectors for change in kept], dim),
        passages=Passages.join([change.passages for change in kept]),
        total_length=sum(change.total_length for change in kept),
        deleted=tuple(deleted),
        first_term=changes[0].first_term,
        terms=terms,
    )


def keep(change: Change, wanted: Sequence[bool]) -> Change:
    """The documents at the places marked True, nothing deleted; lengths by their share."""
    if all(wanted):
        return change
    chosen = np.flatnonzero(wanted)
    passages = change.passages.take(chosen)
    share = passages.n_passages / max(change.passages.n_passages, 1)
    return Change(
        documents=[d for d, stays in zip(change.documents, wanted, strict=True) if stays],
        vectors=change.vectors[change.passages.of(chosen)],
        passages=passages,
        total_length=float(change.total_length * share),
    )


def last_of_each(ids: Sequence[str]) -> list[bool]:
    """For each place, whether its id does not come again later."""
    last = {doc_id: place for place, doc_id in enumerate(ids)}
    return [last[doc_id] == place for place, doc_id in enumerate(ids)]


def _consecutive(changes: Sequence[Change]) -> tuple[str, ...]:
    """The terms of all; each change tells those from its `first_term` on."""
    terms: list[str] = []
    first = changes[0].first_term
    for change in changes:
        if change.terms:
            terms[change.first_term - first :] = change.terms
    return tuple(terms)


def _strings(values: Iterable[str]) -> pa.RecordBatch:
    return pa.record_batch([pa.array(values, pa.large_string())], schema=_TERMS)


def _arrow(batch: pa.RecordBatch) -> NDArray[np.uint8]:
    return np.frombuffer(batch.serialize(), dtype=np.uint8)
