"""A collection against a dict and brute force, over random lives."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lexidex import Collection
from lexidex.index.storage.archive import write_snapshot
from lexidex.index.storage.files import MemoryStorage
from lexidex.index.storage.restoring import restore_snapshot

IDS = [f"d{i}" for i in range(8)]
WORDS = ["sea", "sky", "land", "fire"]

vectors = st.dictionaries(st.sampled_from(WORDS), st.integers(1, 3).map(float), max_size=3)
notes = st.integers(0, 2)
documents = st.lists(st.tuples(st.sampled_from(IDS), vectors, notes), max_size=6)


class Life(RuleBasedStateMachine):
    """Weights are small integers, so that float32 sums are exact and ties are many."""

    def __init__(self):
        super().__init__()
        self.patched = pytest.MonkeyPatch()
        self.patched.setattr("lexidex.writer.SMALL_WRITE", 4)
        self.patched.setattr("lexidex.writer.LOG_DOCUMENTS", 12)
        self.patched.setattr("lexidex.writer.SMALL_DELETE", 1)
        self.patched.setattr("lexidex.merging.FAN_IN", 3)
        self.patched.setattr("lexidex.merging.FEW_DEAD", 2)
        self.storage = MemoryStorage()
        Collection.create(self.storage, encoder="vectors")
        self.kept = {}
        self.snapshots, self.of_snapshot = MemoryStorage(), None
        self.reopen("inline")

    def teardown(self):
        self.patched.undo()

    @rule(merge=st.sampled_from(["inline", "off"]))
    def reopen(self, merge):
        self.collection = Collection.open(self.storage, merge=merge)
        self.reader = Collection.open(self.storage)

    @rule(given=documents)
    def upsert(self, given):
        before = self.collection.generation
        result = self.collection.upsert([self.document(*one) for one in given])
        assert (result.upserted, result.failed) == (len(given), [])
        assert (result.generation > before) == bool(given)
        self.put(given)

    @rule(given=documents)
    def replace(self, given):
        self.collection.replace([self.document(*one) for one in given])
        self.kept = {}
        self.put(given)

    @rule(gone=st.lists(st.sampled_from(IDS), max_size=3))
    def delete(self, gone):
        assert self.collection.delete(gone).deleted == len(set(gone) & set(self.kept))
        self.kept = {i: v for i, v in self.kept.items() if i not in gone}

    @rule(note=notes)
    def delete_by_filter(self, note):
        gone = self.having(note)
        assert self.collection.delete(filter={"note": note}).deleted == len(gone)
        self.kept = {i: v for i, v in self.kept.items() if i not in gone}

    @rule(doc_id=st.sampled_from(IDS), note=notes)
    def update(self, doc_id, note):
        result = self.collection.update([{"id": doc_id, "metadata": {"note": note}}])
        assert result.upserted == (doc_id in self.kept)
        if doc_id in self.kept:
            self.kept[doc_id] = (self.kept.pop(doc_id)[0], {"note": note})

    @rule()
    def flush(self):
        self.collection.flush()
        assert self.collection._snapshot.fresh == []

    @rule()
    def compact(self):
        self.collection.compact()
        assert len(self.collection._snapshot.stored) <= 1
        assert all(segment.deleted is None for segment in self.collection._snapshot.stored)

    @rule()
    def snapshot(self):
        write_snapshot(self.storage, self.snapshots, "kept.tar", over=True)
        self.of_snapshot = dict(self.kept)

    @rule()
    def restore(self):
        if self.of_snapshot is not None:
            before = self.collection.generation
            restore_snapshot(self.snapshots, "kept.tar", self.storage, over=True)
            assert self.collection.refresh() > before
            self.kept = dict(self.of_snapshot)

    @rule(suffix=st.sampled_from(["ndjson", "parquet"]), replace=st.booleans())
    def export_and_import(self, suffix, replace):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"kept.{suffix}"
            assert self.collection.export(path).n_documents == len(self.kept)
            self.collection.import_from(path, replace=replace)

    @rule()
    def close(self):
        self.collection.close()

    @rule()
    def follow(self):
        self.reader.refresh()
        self.compare(self.reader)

    @invariant()
    def same(self):
        self.compare(self.collection)

    def document(self, doc_id, vector, note):
        return {"id": doc_id, "text": str(vector), "vector": vector, "metadata": {"note": note}}

    def put(self, given):
        for doc_id, vector, note in given:
            self.kept.pop(doc_id, None)
            self.kept[doc_id] = (vector, {"note": note})

    def having(self, note):
        return {i for i, (_, metadata) in self.kept.items() if metadata["note"] == note}

    def compare(self, collection):
        query = dict(zip(WORDS, (1.0, 2.0, 4.0, 8.0), strict=True))
        scores = {i: sum(query[w] * x for w, x in v.items()) for i, (v, _) in self.kept.items()}
        order = np.argsort([-score for score in scores.values()], kind="stable")
        named = list(scores)
        expected = [
            (named[at], scores[named[at]], str(self.kept[named[at]][0]), self.kept[named[at]][1])
            for at in order
            if scores[named[at]]
        ]
        found = collection.search(sparse=query, k=20).hits
        assert [(h.doc_id, h.score, h.text, h.metadata) for h in found] == expected
        assert len(collection) == len(self.kept)
        counts = {note: len(self.having(note)) for note in range(3)}
        facets = {one.value: one.count for one in collection.facets(["note"])["note"]}
        assert facets == {note: n for note, n in counts.items() if n}
        for note in range(3):
            only = {"note": note}
            assert collection.search(sparse=query, k=20, filter=only).hits == [
                hit for hit in found if hit.metadata == only
            ]
            assert collection.count(only) == counts[note]
        assert [i for i in IDS if i in collection] == [i for i in IDS if i in self.kept]


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40, stateful_step_count=25)
TestLongLife = pytest.mark.slow(type("TestLongLife", (Life.TestCase,), {}))
TestLongLife.settings = settings(max_examples=1000, stateful_step_count=50)
