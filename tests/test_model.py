"""A collection against a dict and brute force, over random lives."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lexidex import Collection
from lexidex.index.storage.files import MemoryStorage

IDS = [f"d{i}" for i in range(8)]
WORDS = ["sea", "sky", "land", "fire"]

vectors = st.dictionaries(st.sampled_from(WORDS), st.integers(1, 3).map(float), max_size=3)
documents = st.lists(st.tuples(st.sampled_from(IDS), vectors), max_size=6)


class Life(RuleBasedStateMachine):
    """Weights are small integers, so that float32 sums are exact and ties are many."""

    def __init__(self):
        super().__init__()
        self.patched = pytest.MonkeyPatch()
        self.patched.setattr("lexidex.writer.SMALL_WRITE", 4)
        self.patched.setattr("lexidex.writer.LOG_DOCUMENTS", 12)
        self.patched.setattr("lexidex.merging.FAN_IN", 3)
        self.patched.setattr("lexidex.merging.FEW_DEAD", 2)
        self.storage = MemoryStorage()
        Collection.create(self.storage, encoder="vectors")
        self.kept = {}
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
        result = self.collection.upsert([self.document(i, v) for i, v in given])
        assert (result.upserted, result.failed) == (len(given), [])
        assert (result.generation > before) == bool(given)
        self.put(given)

    @rule(given=documents)
    def replace(self, given):
        self.collection.replace([self.document(i, v) for i, v in given])
        self.kept = {}
        self.put(given)

    @rule(gone=st.lists(st.sampled_from(IDS), max_size=3))
    def delete(self, gone):
        assert self.collection.delete(gone).deleted == len(set(gone) & set(self.kept))
        self.kept = {i: v for i, v in self.kept.items() if i not in gone}

    @rule(doc_id=st.sampled_from(IDS), note=st.integers())
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
    def close(self):
        self.collection.close()

    @rule()
    def follow(self):
        self.reader.refresh()
        self.compare(self.reader)

    @invariant()
    def same(self):
        self.compare(self.collection)

    def document(self, doc_id, vector):
        return {"id": doc_id, "text": str(vector), "vector": vector}

    def put(self, given):
        for doc_id, vector in given:
            self.kept.pop(doc_id, None)
            self.kept[doc_id] = (vector, {})

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
        assert [i for i in IDS if i in collection] == [i for i in IDS if i in self.kept]


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40, stateful_step_count=25)
TestLongLife = pytest.mark.slow(type("TestLongLife", (Life.TestCase,), {}))
TestLongLife.settings = settings(max_examples=1000, stateful_step_count=50)
