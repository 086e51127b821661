"""Small writes: what each asks for, and what it changes once its turn has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from lexidex.documents import Document, check_document
from lexidex.encoders import Encoder
from lexidex.errors import InputError
from lexidex.index.storage.change import Change, combine, keep, last_of_each
from lexidex.index.storage.documents import StoredDocument
from lexidex.index.storage.passages import Passages
from lexidex.index.vectors import stack
from lexidex.results import WriteResult

from .drafting import Drafter, Given
from .snapshot import Snapshot
from .write import average_length, named_by_words


class SmallWrite(Protocol):
    """One write that goes into the log."""

    def change(self, state: GroupState) -> tuple[Change, WriteResult]:
        """What it changes, after the writes of its group that came before."""


@dataclass
class GroupState:
    """The collection as the next write of a group finds it.

    Attributes:
        changed: ids that the group has put (True) or taken away (False).
        by_words: how documents name components, None while nothing tells.
    """

    snapshot: Snapshot
    by_words: bool | None
    changed: dict[str, bool] = field(default_factory=dict)

    def present(self, ids: Sequence[str]) -> list[str]:
        """Those of the ids that documents have, each once."""
        distinct = dict.fromkeys(ids)
        stored = self.snapshot.present([i for i in distinct if i not in self.changed])
        return [i for i in distinct if self.changed.get(i, i in stored)]


class Upsert:
    """Documents, encoded before the write has its turn."""

    def __init__(self, given: Sequence[Given], snapshot: Snapshot) -> None:
        """Check and encode documents by the encoder of `snapshot`."""
        self._given = given
        self._draft(snapshot, named_by_words(snapshot))

    def change(self, state: GroupState) -> tuple[Change, WriteResult]:
        forms = {state.by_words, self._by_words} - {None}
        if len(forms) > 1 or not _same(state.snapshot.encoder, self._encoder):
            self._draft(state.snapshot, state.by_words)
        state.by_words = self._by_words if state.by_words is None else state.by_words
        result = WriteResult(upserted=self._upserted, failed=self._failed)
        return self._change, result

    def _draft(self, snapshot: Snapshot, by_words: bool | None) -> None:
        self._encoder = encoder = snapshot.encoder
        dense = snapshot.dense_drafter(encoder)
        drafter = Drafter(encoder, snapshot.passage_params, by_words, dense=dense)
        batches = list(drafter.draft(self._given))
        documents = [document for batch in batches for document in batch.documents]
        dim = max((batch.vectors.shape[1] for batch in batches), default=0)
        drafts = stack([batch.vectors for batch in batches], dim)
        length = float(drafts.data.sum(dtype=np.float64))
        average = average_length(snapshot, length, drafts.shape[0])
        everything = Change(
            documents=documents,
            vectors=encoder.finish_documents(drafts, average) if documents else drafts,
            passages=Passages.join([batch.passages for batch in batches]),
            total_length=length,
        )
        self._change = keep(everything, last_of_each([document.id for document in documents]))
        self._by_words = drafter.by_words
        self._upserted, self._failed = len(documents), drafter.failed


class Delete:
    """Ids whose documents go."""

    def __init__(self, ids: Sequence[str]) -> None:
        """Delete these; those that are not there are passed over."""
        self._ids = ids

    def change(self, state: GroupState) -> tuple[Change, WriteResult]:
        there = state.present(self._ids)
        return Change(deleted=tuple(there)), WriteResult(deleted=len(there))


class Update:
    """Other metadata for documents that stay as they are otherwise. It has a group of its own."""

    def __init__(self, updates: Sequence[Mapping[str, Any]]) -> None:
        """Take {"id", "metadata"} mappings."""
        self._updates = updates

    def change(self, state: GroupState) -> tuple[Change, WriteResult]:
        failed: list[tuple[str, str]] = []
        changes = []
        for place, given in enumerate(self._updates):
            try:
                changes.append(_updated(state.snapshot, given))
            except InputError as error:
                named = given.get("id") if isinstance(given, Mapping) else None
                failed.append((named if isinstance(named, str) else f"#{place}", str(error)))
        result = WriteResult(upserted=len(changes), failed=failed)
        return combine(changes) if changes else Change(), result


def combined(changes: Sequence[Change], snapshot: Snapshot) -> Change:
    """One record of a group's changes, with what the vocabulary has grown by since the last."""
    vocabulary = snapshot.encoder.vocabulary
    terms = () if vocabulary is None else tuple(vocabulary.terms[snapshot.n_terms :])
    return replace(combine(changes), first_term=snapshot.n_terms, terms=terms)


def _same(one: Encoder, other: Encoder) -> bool:
    """Whether vectors drafted by one encoder are also the other's."""
    return one.vocabulary is other.vocabulary and one.fingerprint == other.fingerprint


def check_update(given: object) -> Document:
    """An update, {"id", "metadata"}, as a document without text; InputError where it is none."""
    if not isinstance(given, Mapping) or given.keys() != {"id", "metadata"}:
        raise InputError("expected an object with id and metadata")
    return check_document({**given, "text": ""})


def _updated(snapshot: Snapshot, given: Mapping[str, Any]) -> Change:
    wanted = check_update(given)
    place = snapshot.find(wanted.id)
    if place is None:
        raise InputError("no document with that id")
    segment, document = snapshot.segments[place[0]], place[1]
    stored = segment.documents.fetch(document, ("title", "text"))
    vectors = snapshot.passage_vectors(*place)
    entry = segment.entry
    return Change(
        documents=[StoredDocument(wanted.id, stored["title"], stored["text"], wanted.metadata)],
        vectors=vectors,
        passages=segment.laden_passages.between(document, document + 1),
        total_length=entry.total_length / max(entry.n_passages, 1) * vectors.shape[0],
    )
