"""Repairs: what is sound stays, what is lost is told, and the collection can be used again."""

from dataclasses import replace

import numpy as np
import pytest

from lexidex import Collection
from lexidex.errors import CorruptFile, FormatError
from lexidex.index.seismic.frontier import Frontier
from lexidex.index.storage.arrays import array_spans
from lexidex.index.storage.files import MemoryStorage
from lexidex.index.storage.manifest import read_manifest, write_manifest
from lexidex.index.storage.repair import Repair, repair
from lexidex.index.storage.tuned import record_tuning

from ...lettered import DENSE, by_letters, letters


def documents(*ids):
    for i in ids:
        vectors = {"vector": {"x": 1.0, i: 1.0}, "dense": letters(f"text of {i}")}
        yield {"id": i, "text": f"text of {i}", **vectors}


@pytest.fixture
def files(monkeypatch):
    """A segment with deletions, a second, a vocabulary, and a log of three commits."""
    monkeypatch.setattr("lexidex.index.dense.rows.INDEX_FROM", 3)
    made = Collection.create(MemoryStorage(), "vectors", dense=DENSE, merge="off")
    made.upsert(documents("a", "b", "c"))
    made.flush()
    made.upsert(documents("b", "d"))
    made.flush()
    made.upsert(documents("e"))
    made.delete(["a"])
    made.upsert(documents("f"))
    return {name: bytes(data) for name, data in made._storage.files.items()}


def damaged(files, name, at=-10, bit=4):
    storage = MemoryStorage()
    data = bytearray(files[name])
    data[at] ^= bit
    storage.files = {**files, name: bytes(data)}
    return storage


def ids(storage):
    collection = Collection.open(storage)
    assert collection.check().problems == []
    hits = collection.search(sparse={"x": 1.0}, k=100).hits
    assert len(hits) == len(collection)
    assert by_letters(collection) == {hit.doc_id: hit.text for hit in hits}
    return sorted(hit.doc_id for hit in hits)


def named(files, what):
    return next(name for name in files if what in name)


def test_nothing_is_done_to_a_sound_collection(files):
    storage = MemoryStorage()
    storage.files = dict(files)
    assert repair(storage) == Repair()
    assert storage.files == files


@pytest.mark.parametrize(
    "file", ["s000000/exact.lxd", "s000001/exact.lxd", "s000000/metadata.arrow"]
)
def test_an_index_is_made_anew(files, file):
    storage = damaged(files, named(files, file))
    done = repair(storage)
    assert (done.lost_ids, done.n_unnamed) == ([], 0)
    assert "made anew from the vectors, as m00000" in done.actions[0]
    assert ids(storage) == ["b", "c", "d", "e", "f"]
    assert repair(storage) == Repair()


@pytest.mark.parametrize(("array", "lost"), [("faiss", []), ("vectors", ["a", "c"])])
def test_an_index_over_dense_vectors_is_made_anew_and_these_are_not(files, array, lost):
    name = named(files, "s000000/dense.lxd")
    start, _ = array_spans(memoryview(files[name]), name)[array]
    storage = damaged(files, name, start + 6)
    done = repair(storage)
    assert (done.lost_ids, done.n_unnamed) == (lost, 0)
    assert ids(storage) == sorted({*"bcdef"} - {*lost})
    assert repair(storage) == Repair()


@pytest.mark.parametrize("file", ["vectors.lxd", "documents.lxd", "deleted-", "dense.lxd"])
def test_a_segment_that_cannot_be_saved_is_dropped_and_its_documents_named(files, file):
    storage = damaged(files, named(files, file))
    done = repair(storage)
    assert set(done.lost_ids) in ({"a", "c"}, {"a", "b", "c"})
    assert ids(storage) == ["b", "d", "e", "f"], "b is the newer one, a stays deleted"


def test_a_damaged_table_of_points_is_dropped_alone(files):
    storage = MemoryStorage()
    storage.files = dict(files)
    manifest = read_manifest(storage)
    first = record_tuning(storage, manifest.segments[0], Frontier(), manifest.number + 1)
    segments = (first, *manifest.segments[1:])
    write_manifest(storage, replace(manifest, number=manifest.number + 1, segments=segments))
    storage.files[first.tuning.name] = b"{}"
    with pytest.raises(CorruptFile, match="tuned-"):
        Collection.open(storage)
    done = repair(storage)
    assert done.actions == [f"{first.tuning.name}: damaged and dropped; tune again"]
    assert [s.name for s in read_manifest(storage).segments] == [s.name for s in segments]
    assert ids(storage) == ["b", "c", "d", "e", "f"]
    assert repair(storage) == Repair()


def test_documents_that_cannot_be_read_are_counted(files):
    done = repair(damaged(files, named(files, "s000001/documents.arrow")))
    assert (done.lost_ids, done.n_unnamed) == ([], 2)


def test_a_log_is_cut_at_the_damage_and_what_follows_is_named(files):
    name = named(files, "log-")
    marks = [at for at in range(len(files[name])) if files[name][at : at + 4] == b"\xe7LXR"]
    assert len(marks) == 3
    for number, (kept, lost) in enumerate([([], ["a", "f"]), (["e"], ["f"]), (["e"], [])]):
        storage = damaged(files, name, marks[number] + 30)
        done = repair(storage)
        assert done.lost_ids == lost
        assert f"at byte {marks[number]}, behind commit {3 + number}" in done.actions[0]
        deleted = ["a"] if number < 2 else []
        assert ids(storage) == sorted([*deleted, "b", "c", "d", *kept])
        Collection.open(storage).upsert(documents("g"))
        assert "g" in ids(storage)


def test_a_log_s_head_is_written_anew_from_what_its_records_tell(files):
    name = named(files, "log-")
    for at in (0, 9, 20, 37):
        storage = damaged(files, name, at)
        with pytest.raises(FormatError):
            Collection.open(storage)
        assert repair(storage).actions[0].endswith("wrote its head anew")
        assert storage.files[name] == files[name]
    for storage in (damaged(files, name, 13), MemoryStorage()):
        storage.files = storage.files or {n: d for n, d in files.items() if n != name}
        assert "started an empty log" in repair(storage).actions[0]
        assert ids(storage) == ["a", "b", "c", "d"]


def test_a_manifest_or_a_vocabulary_cannot_be_repaired(files):
    for what in ("manifest-", "vocabulary-"):
        storage = damaged(files, named(files, what))
        before = dict(storage.files)
        with pytest.raises(CorruptFile):
            repair(storage)
        assert storage.files == before


def test_any_flipped_bit_leaves_a_collection_that_can_be_used(files):
    """Never a document that was not there, never one back that was deleted and flushed."""
    rng = np.random.default_rng(0)
    for name in files:
        if name.startswith(("manifest-", "vocabulary-")):
            continue
        for _ in range(12):
            at, bit = int(rng.integers(len(files[name]))), 1 << int(rng.integers(8))
            storage = damaged(files, name, at, bit)
            done = repair(storage)
            found = set(ids(storage))
            assert found <= {"a", "b", "c", "d", "e", "f"}
            assert done.actions
            assert done.n_unnamed or found | {"a", *done.lost_ids} >= {"b", "c", "d"}
