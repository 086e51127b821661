"""Which segments are merged, and that merging changes no result."""

import threading
import time

import numpy as np
import pytest

from lexidex import Collection, fresh, merging
from lexidex.background import Background, Stopped
from lexidex.errors import Locked
from lexidex.index.storage import layout
from lexidex.index.storage.building import Building
from lexidex.index.storage.files import FileStorage, MemoryStorage
from lexidex.index.storage.manifest import SegmentEntry, read_manifest

from .lettered import DENSE

SMALL = merging.SMALLEST_TIER


LARGEST = Building().segment_postings


def choose(entries):
    return merging.choose(entries, LARGEST)


def entry(n_postings, n_deleted=0, n_documents=10_000):
    return SegmentEntry("s", n_documents, n_documents, n_postings, n_deleted, 0.0, ())


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        ([], range(0)),
        ([1, 1, 1], range(0)),
        ([1, 1, 1, 1], range(4)),
        ([SMALL] * 5, range(5)),
        ([4 * SMALL, 1, 1, 1, 1], range(1, 5)),
        ([1, 1, 4 * SMALL, 1, 1], range(0)),
        ([4 * SMALL] * 3 + [1, 4 * SMALL], range(5)),
        ([16 * SMALL] * 4, range(4)),
        ([32 * SMALL] * 5, range(4)),
        ([33 * SMALL] * 5, range(0)),
        ([60 * SMALL] * 3 + [20 * SMALL] * 4, range(2, 6)),
    ],
)
def test_neighbours_of_a_tier_are_merged_up_to_a_limit(sizes, chosen):
    assert choose([entry(size) for size in sizes]) == chosen


def test_a_segment_that_lost_much_is_written_anew_with_the_smaller_ones_behind():
    lost = entry(9 * SMALL, n_deleted=1_500)
    assert choose([lost]) == range(1)
    assert choose([entry(9 * SMALL, n_deleted=1_499)]) == range(0)
    assert choose([entry(5 * SMALL), lost, entry(SMALL)]) == range(1, 3)
    assert choose([entry(SMALL, n_deleted=900, n_documents=1_000)]) == range(0)


def test_merges_of_merges_end():
    """Adding small segments for ever costs each document one copy a tier, and leaves few."""
    sizes, copied, added = [], 0, 2_000
    for _ in range(added):
        sizes.append(SMALL)
        while chosen := choose([entry(size) for size in sizes]):
            run = slice(chosen.start, chosen.stop)
            copied += sum(sizes[run])
            sizes[run] = [sum(sizes[run])]
    largest = [size for size in sizes if size > LARGEST // merging.FAN_IN]
    assert len(sizes) - len(largest) <= 3 * 5
    assert copied <= 5 * added * SMALL


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr("lexidex.writer.SMALL_WRITE", 10)
    monkeypatch.setattr("lexidex.merging.FEW_DEAD", 5)
    monkeypatch.setattr("lexidex.index.dense.rows.INDEX_FROM", 25)


def numbered(first, last, weight=1.0):
    return [
        {
            "id": f"d{i}",
            "text": f"t{i}",
            "vector": {"x": weight + i, f"own{i}": 1.0},
            "dense": [weight + i, 1.0],
        }
        for i in range(first, last)
    ]


def hits(collection):
    """What both sides find alike: they hold the same number."""
    sparse = collection.search(sparse={"x": 1.0}, k=500)
    dense = collection.search(mode="dense", dense=[1.0, 0.0], k=500)
    found = [(hit.doc_id, hit.score, hit.text) for hit in sparse]
    assert [(hit.doc_id, hit.score, hit.text) for hit in dense] == found
    return found


@pytest.mark.parametrize("merge", ["inline", "background"])
def test_merging_changes_no_result(small, merge):
    plain = Collection.create(MemoryStorage(), "vectors", dense=DENSE, merge="off")
    merged = Collection.create(MemoryStorage(), "vectors", dense=DENSE, merge=merge)
    rng = np.random.default_rng(0)
    for round_ in range(12):
        first = int(rng.integers(0, 60))
        gone = [f"d{i}" for i in rng.integers(0, 90, 4)]
        for collection in (plain, merged):
            collection.upsert(numbered(first, first + 30, float(round_)))
            collection.delete(gone)
        assert hits(merged) == hits(plain)
    merged._writer.settle()
    assert len(merged._snapshot.stored) < len(plain._snapshot.stored)
    assert "SQ8" in merged.search(mode="dense", dense=[1.0, 0.0]).plan
    assert hits(merged) == hits(plain)
    assert hits(Collection.open(merged._storage)) == hits(plain)
    assert merged.check().problems == []


def test_merges_make_no_larger_segments_than_memory_allows(small, monkeypatch):
    monkeypatch.setattr("lexidex.index.storage.building._SEGMENT_POSTINGS", 100)
    collection = Collection.create(MemoryStorage(), "vectors", dense=DENSE, merge="inline")
    for first in range(0, 480, 12):
        collection.upsert(numbered(first, first + 12))
    assert {segment.entry.n_postings for segment in collection._snapshot.stored} == {96}
    monkeypatch.undo()
    collection.flush()
    assert len(collection._snapshot.stored) == 1
    assert len(collection) == 480


def test_a_merge_that_builds_its_index_can_be_stopped(small, monkeypatch):
    monkeypatch.setattr("lexidex.index.planner.SEISMIC_FROM", 1)
    monkeypatch.setattr("lexidex.index.storage.building.TUNED_WITH", {})
    stopped = []

    def check(self, n_done=0):
        if not n_done:  # nothing is being copied
            stopped.append(n_done)
            raise Stopped

    monkeypatch.setattr(Background, "check", check)
    collection = Collection.create(MemoryStorage(), "vectors", dense=DENSE)
    for first in (0, 20, 40, 60):
        collection.upsert(numbered(first, first + 20))
    collection.settle()
    assert stopped
    assert [s.entry.name[0] for s in collection._snapshot.stored] == ["s"] * 4
    assert not [name for name in collection._storage.files if "/m0" in name]
    monkeypatch.undo()
    collection.flush()
    collection.settle()
    assert len(collection._snapshot.stored) == 1
    assert len(collection) == 80


def test_writes_during_a_merge_stay(small):
    """Deletions, replacements and a flush that come while the merged segment is being built."""
    collection = Collection.create(MemoryStorage(), "vectors", dense=DENSE, merge="off")
    for first in (0, 20, 40):
        collection.upsert(numbered(first, first + 20))

    meanwhile = []

    def progress(n_done):
        if not meanwhile:
            meanwhile.append(n_done)
            collection.delete(["d1", "d21"])
            collection.flush()
            collection.upsert(numbered(45, 47, 500.0))
            collection.delete(["d2"])
            collection.upsert(numbered(100, 120))

    collection.compact(progress)
    assert meanwhile
    expected = {f"d{i}" for i in [*range(60), *range(100, 120)]} - {"d1", "d2", "d21"}
    for one in (collection, Collection.open(collection._storage)):
        assert {hit[0] for hit in hits(one)} == expected
        assert one.get("d45").text == "t45"
        assert hits(one)[0][:2] == ("d46", 546.0)
    assert collection.check().problems == []


def test_a_merge_that_is_overtaken_is_abandoned(small):
    collection = Collection.create(MemoryStorage(), "vectors", dense=DENSE, merge="off")
    collection.upsert(numbered(0, 20))
    collection.upsert(numbered(20, 40))
    collection.compact(lambda n_done: collection.replace(numbered(0, 3)) if n_done == 20 else None)
    assert len(collection) == 3
    names = collection._storage.list(layout.SEGMENTS)
    assert names == [s.name for s in read_manifest(collection._storage).segments]


def test_a_merge_in_progress_survives_the_sweep_of_another_process(small, tmp_path):
    made = Collection.create(tmp_path, "vectors", dense=DENSE, merge="off")
    made.upsert(numbered(0, 20))
    made.upsert(numbered(20, 40))
    other = Collection.open(tmp_path, merge="off")
    made.compact(lambda n_done: other.upsert(numbered(50, 70)) if n_done == 20 else None)
    assert sorted(p.name for p in (tmp_path / "segments").iterdir()) == ["m000002", "s000002"]
    assert {hit[0] for hit in hits(Collection.open(tmp_path))} == {
        f"d{i}" for i in [*range(40), *range(50, 70)]
    }
    (tmp_path / "segments" / "m000009").mkdir()
    made.upsert(numbered(80, 95))
    assert not (tmp_path / "segments" / "m000009").exists(), "a merge that died is swept"


def test_two_merges_do_not_run_at_once(small, tmp_path):
    made = Collection.create(tmp_path, "vectors", dense=DENSE, merge="inline")
    for first in (0, 20, 40):
        made.upsert(numbered(first, first + 20))
    with FileStorage(tmp_path).lock(layout.MERGE_LOCK):
        made.upsert(numbered(60, 80))
        assert len(made._snapshot.stored) == 4
        with pytest.raises(Locked):
            made.compact()
    made.upsert(numbered(80, 100))
    assert len(made._snapshot.stored) == 1


def test_closing_stops_a_merge_and_leaves_nothing_of_it(small, monkeypatch):
    collection = Collection.create(MemoryStorage(), "vectors", dense=DENSE)
    for first in (0, 20, 40):
        collection.upsert(numbered(first, first + 20))
    reached = threading.Event()
    check = Background.check

    def slow(background, n_done=0):
        reached.set()
        background._stopping.wait(30)
        check(background)

    monkeypatch.setattr(Background, "check", slow)
    collection.upsert(numbered(60, 80))
    assert reached.wait(30)
    collection.close()
    assert len(collection._snapshot.stored) == 4
    assert not [n for n in collection._storage.list(layout.SEGMENTS) if layout.is_merged(n)]


def test_a_failed_merge_is_told_and_the_next_write_tries_again(small, caplog):
    runs = []

    def work():
        runs.append(1)
        if len(runs) == 1:
            raise RuntimeError("no luck")
        raise Stopped

    background = Background(work)
    background.wake()
    background.join()
    background.wake()
    background.join()
    assert len(runs) == 2
    assert "merging segments failed" in caplog.text


def test_fresh_segments_become_one_when_it_is_quiet(monkeypatch):
    monkeypatch.setattr("lexidex.tidying.QUIET_SECONDS", 0.01)
    collection = Collection.create(MemoryStorage(), "vectors", dense=DENSE)
    for sizes in ((64, 16, 4, 1), (32, 8, 2)):
        first = 0
        for size in sizes:
            collection.upsert(numbered(first, first + size, float(size)))
            first += size
        expected = hits(Collection.open(collection._storage))
        collection.settle()
        assert len(collection._snapshot.fresh) <= 2
        assert hits(collection) == expected
    assert collection._storage.list(layout.SEGMENTS) == []


def test_what_changes_while_fresh_segments_become_one_stays(monkeypatch):
    collection = Collection.create(MemoryStorage(), "vectors", dense=DENSE, merge="off")
    collection.upsert(numbered(0, 20))
    collection.upsert(numbered(20, 22))
    merge = fresh.merge

    def late(segments, change=None):
        merged = merge(segments, change)
        if change is None:
            collection.delete(["d3", "d21"])
            collection.upsert(numbered(4, 5, 100.0))
        return merged

    monkeypatch.setattr("lexidex.fresh.merge", late)
    collection._writer._tidying.merge_fresh()
    monkeypatch.undo()
    assert hits(collection) == hits(Collection.open(collection._storage))
    assert hits(collection)[0][0] == "d4"
    collection.delete([f"d{i}" for i in range(22)])
    collection._writer._tidying.merge_fresh()
    assert hits(collection) == []
    collection.upsert(numbered(0, 1))
    assert len(hits(collection)) == 1


def test_writes_without_a_pause_do_not_keep_segments_from_being_merged(small, monkeypatch):
    monkeypatch.setattr("lexidex.writer.LOG_DOCUMENTS", 40)
    collection = Collection.create(MemoryStorage(), "vectors", dense=DENSE)
    deadline = time.monotonic() + 60
    written = 0
    while not [s for s in collection._snapshot.stored if layout.is_merged(s.entry.name)]:
        assert time.monotonic() < deadline
        collection.upsert(numbered(written % 1000, written % 1000 + 3))
        written += 3
    collection.close()
