"""Segments: what a writer was given is what a reader finds."""

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pytest

from lexidex.errors import CorruptFile, UnsupportedVersion
from lexidex.index.filters import parse_filter
from lexidex.index.storage import layout
from lexidex.index.storage.deletions import mark_deleted
from lexidex.index.storage.files import MemoryStorage
from lexidex.index.storage.passages import Passages
from lexidex.index.storage.segment import Segment
from lexidex.index.storage.segment_writer import SegmentWriter

from ..collections import random_batch


@dataclass
class Doc:
    id: str
    text: str = "text"
    title: str | None = None
    metadata: dict = field(default_factory=dict)


def segment_of(ids, vectors, counts=None, storage=None):
    storage = storage or MemoryStorage()
    writer = SegmentWriter(storage, "s000000")
    half = len(ids) // 2
    rows = sum(counts[:half]) if counts else half
    writer.add([Doc(i) for i in ids[:half]], vectors[:rows], counts and owned(counts[:half]))
    writer.add([Doc(i) for i in ids[half:]], vectors[rows:], counts and owned(counts[half:]))
    return storage, writer.finish(lambda drafts: drafts)


def owned(counts):
    """Passages of documents, each a character of the text behind the one before."""
    places = [place for count in counts for place in range(count)]
    return Passages.of_each(counts, [(place, place + 1) for place in places])


def test_vectors_and_index_hold_what_was_added():
    vectors = random_batch(np.random.default_rng(0), 20, 7)
    storage, entry = segment_of([f"d{i}" for i in range(20)], vectors)
    segment = Segment(storage, entry)
    np.testing.assert_array_equal(segment.vectors.toarray(), vectors.toarray())
    assert segment.exact.n_postings == entry.n_postings == vectors.nnz
    assert entry.total_length == vectors.sum()
    assert segment.n_live == 20
    assert segment.find("d7") == 7
    assert segment.find("d20") is None


def test_a_document_owns_its_passages():
    vectors = random_batch(np.random.default_rng(1), 6, 5)
    storage, entry = segment_of(["a", "b", "c"], vectors, counts=[2, 1, 3])
    segment = Segment(storage, entry)
    assert segment.passages.starts.tolist() == [0, 2, 3, 6]
    assert segment.passages.spans[:, 0].tolist() == [0, 1, 0, 0, 1, 2]
    assert segment.passages.documents_of(np.arange(6)).tolist() == [0, 0, 1, 2, 2, 2]


def test_passages_know_which_of_their_document_s_they_are():
    for counts, places in (([2, 1, 3], [0, 1, 0, 0, 1, 2]), ([1, 1, 1], [0, 0, 0])):
        passages = owned(counts)
        every = np.arange(passages.n_passages)
        assert passages.places_of(every, passages.documents_of(every)).tolist() == places


def test_of_documents_with_one_id_the_last_lives():
    vectors = random_batch(np.random.default_rng(2), 4, 5)
    storage, entry = segment_of(["a", "b", "a", "a"], vectors)
    segment = Segment(storage, entry)
    assert entry.n_deleted == 2
    assert segment.find("a") == 3
    assert segment.deleted.tolist() == [True, False, True, False]


def test_deleted_documents_are_neither_found_nor_named():
    vectors = random_batch(np.random.default_rng(3), 4, 5)
    storage, entry = segment_of(list("abcd"), vectors, counts=[1, 1, 1, 1])
    named = Segment(storage, entry).passages_with_ids(pa.array(["b", "x"], pa.large_string()))
    entry = mark_deleted(storage, entry, named, number=4)
    segment = Segment(storage, entry)
    assert segment.find("b") is None
    assert segment.live.ordinals.tolist() == [0, 2, 3]
    again = segment.passages_with_ids(pa.array(["b", "c"], pa.large_string()))
    assert again.tolist() == [False, False, True, False]


def test_a_selection_is_of_live_documents_and_all_their_passages():
    vectors = random_batch(np.random.default_rng(4), 6, 5)
    storage = MemoryStorage()
    writer = SegmentWriter(storage, "s000000")
    documents = [Doc(name, metadata={"n": n}) for n, name in enumerate("abca")]
    writer.add(documents, vectors, owned([2, 1, 2, 1]))
    segment = Segment(storage, writer.finish(lambda drafts: drafts))
    found = segment.select(parse_filter({"n": {"lte": 2}}))  # the first "a" is replaced
    assert found.documents.tolist() == [False, True, True, False]
    assert found.passages.ordinals.tolist() == [2, 3, 4]
    assert found.n_documents == 2


def test_a_segment_without_metadata_columns_says_that_filters_need_them():
    storage, entry = segment_of(["a"], random_batch(np.random.default_rng(5), 1, 5))
    entry = replace(entry, files=tuple(f for f in entry.files if layout.METADATA not in f.name))
    segment = Segment(storage, entry)
    assert segment.find("a") == 0
    with pytest.raises(UnsupportedVersion, match=r"s000000 has no metadata\.arrow"):
        segment.select(parse_filter({"x": 1}))


@pytest.mark.parametrize(
    "file",
    [layout.DOCUMENTS, layout.DOCUMENT_MAP, layout.METADATA, layout.VECTORS, layout.EXACT],
)
def test_a_file_of_another_length_is_named(file):
    storage, entry = segment_of(["a"], random_batch(np.random.default_rng(4), 1, 5))
    name = layout.segment_file("s000000", file)
    storage.files[name] = storage.files[name][:-1]
    with pytest.raises(CorruptFile, match=rf"{name}: \d+ bytes, the manifest says \d+"):
        Segment(storage, entry)


def test_an_abandoned_segment_leaves_nothing():
    storage = MemoryStorage()
    writer = SegmentWriter(storage, "s000000")
    writer.add([Doc("a")], random_batch(np.random.default_rng(5), 1, 5))
    writer.abandon()
    assert storage.files == {}
