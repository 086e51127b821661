"""Small writes: searchable at once, in few fresh segments, many of them on one sync."""

import threading
import time

import numpy as np
import pytest

from lexidex import Collection
from lexidex.encoders import load_encoder
from lexidex.errors import CorruptFile, StorageFull
from lexidex.group_commit import GroupCommit
from lexidex.index.storage import layout
from lexidex.index.storage.files import MemoryStorage

from .faults import full_disk


def worded(doc_id, **weights):
    return {"id": doc_id, "text": f"text of {doc_id}", "vector": weights}


def made(**options):
    return Collection.create(MemoryStorage(), encoder="vectors", **{"merge": "off", **options})


def ids(collection, **query):
    return [hit.doc_id for hit in collection.search(sparse=query or {"x": 1.0}, k=1000)]


def segments_on_disk(collection):
    return collection._storage.list(layout.SEGMENTS)


def test_a_small_write_is_searchable_at_once_and_makes_no_segment():
    collection = made()
    for number in range(1, 40):
        result = collection.upsert([worded(f"d{number}", x=float(number))])
        assert (result.upserted, result.generation) == (1, number + 1)
        assert ids(collection)[0] == f"d{number}"
        assert collection.search(sparse={"x": 1.0}).generation == number + 1
    assert segments_on_disk(collection) == []
    reopened = Collection.open(collection._storage)
    assert reopened.generation == 40
    assert ids(reopened) == ids(collection) == [f"d{n}" for n in range(39, 0, -1)]


def test_a_thousand_single_writes_leave_few_segments():
    collection = made()
    most = 0
    for number in range(1000):
        collection.upsert([worded(f"d{number % 700}", x=1.0 + number)])
        most = max(most, len(collection._snapshot.fresh))
    assert most <= 10
    assert len(collection) == 700
    assert ids(collection) == [f"d{n % 700}" for n in range(999, 299, -1)]


def test_equal_scores_are_ordered_by_age_wherever_documents_are():
    collection = made()
    expected = []
    for number in range(60):
        collection.upsert([worded(f"d{number % 23}", x=1.0)])
        expected = [i for i in expected if i != f"d{number % 23}"] + [f"d{number % 23}"]
        if number in (20, 50):
            collection.flush()
    assert ids(collection) == expected
    collection.compact()
    assert ids(collection) == expected


def test_the_log_is_flushed_when_it_is_large(monkeypatch):
    monkeypatch.setattr("lexidex.writer.LOG_DOCUMENTS", 10)
    collection = made()
    for number in range(25):
        collection.upsert([worded(f"d{number}", x=1.0)])
    assert len(segments_on_disk(collection)) == 2
    assert sum(s.entry.n_documents for s in collection._snapshot.fresh) == 5
    for limit, name in enumerate(["LOG_BYTES", "LOG_COMMITS"]):
        with monkeypatch.context() as patched:
            patched.setattr(f"lexidex.writer.{name}", 1)
            collection.upsert([worded(f"more{limit}", x=1.0)])
        assert len(segments_on_disk(collection)) == 3 + limit
        assert collection._snapshot.fresh == []
    assert len(Collection.open(collection._storage)) == 27


def test_few_documents_of_much_text_make_a_segment(monkeypatch):
    monkeypatch.setattr("lexidex.writer.SMALL_CHARACTERS", 100)
    collection = made()
    collection.upsert([{**worded(f"d{i}", x=1.0), "text": "x" * 60} for i in range(3)])
    assert len(segments_on_disk(collection)) == 1
    assert len(collection) == 3


def test_closing_flushes_what_was_written_here_and_nothing_else():
    with made() as collection:
        collection.upsert([worded("a", x=1.0)])
    assert len(segments_on_disk(collection)) == 1
    collection.upsert([worded("b", x=2.0)])
    with Collection.open(collection._storage) as reader:
        assert ids(reader) == ["b", "a"]
    assert len(segments_on_disk(collection)) == 1
    assert collection.generation == 3


def test_an_upsert_of_an_id_twice_keeps_the_last():
    collection = made()
    result = collection.upsert([worded("a", x=1.0), worded("b", x=1.0), worded("a", x=5.0)])
    assert result.upserted == 3
    hits = collection.search(sparse={"x": 1.0}).hits
    assert [(h.doc_id, h.score) for h in hits] == [("a", 5.0), ("b", 1.0)]


def test_deletions_count_what_was_there():
    collection = made()
    collection.upsert([worded(i, x=1.0) for i in "abcd"])
    collection.flush()
    collection.upsert([worded("e", x=1.0)])
    before = collection.generation
    assert collection.delete(["a", "a", "e", "none"]).deleted == 2
    assert collection.delete(["a", "none"]).deleted == 0
    assert collection.generation == before + 1, "what changes nothing is no commit"
    assert ids(collection) == ["b", "c", "d"]


def test_metadata_is_changed_without_encoding(monkeypatch):
    collection = Collection.create(MemoryStorage(), merge="off")
    collection.upsert([{"id": "a", "title": "T", "text": "the deep sea", "metadata": {"n": 1}}])
    collection.flush()
    collection.upsert([{"id": "b", "text": "the sky"}])
    before = collection.explain("sea", "a").terms[0].document
    monkeypatch.setattr(type(collection.encoder), "draft_documents", None)
    result = collection.update(
        [
            {"id": "a", "metadata": {"n": 2}},
            {"id": "b", "metadata": {"m": [1]}},
            {"id": "c", "metadata": {}},
            {"id": "a", "text": "other"},
            {"id": "b", "metadata": 5},
        ]
    )
    assert result.upserted == 2
    assert [doc_id for doc_id, _ in result.failed] == ["c", "a", "b"]
    assert result.failed[0][1] == "no document with that id"
    for one in (collection, Collection.open(collection._storage)):
        document = one.get("a")
        assert (document.title, document.text, document.metadata) == ("T", "the deep sea", {"n": 2})
        assert one.get("b").metadata == {"m": [1]}
        assert one.explain("sea", "a").terms[0].document == before
        assert len(one) == 2


def test_bm25_statistics_follow_the_log():
    """Document frequencies as in a collection that never held the deleted ones."""
    texts = {f"d{i}": f"sea {'sky ' * (i % 3)} w{i % 5}" for i in range(40)}
    collection = Collection.create(MemoryStorage(), merge="off")
    for number, (doc_id, text) in enumerate(texts.items()):
        collection.upsert([{"id": doc_id, "text": text}])
        if number in (10, 25):
            collection.flush()
    collection.delete([f"d{i}" for i in range(0, 40, 2)])
    fresh = Collection.create(MemoryStorage())
    fresh.upsert([{"id": i, "text": t} for i, t in texts.items() if int(i[1:]) % 2])
    for query in ("sea", "sky", "w1 w3"):
        for one in (collection, Collection.open(collection._storage)):
            found = {t.term: t.query for t in one.explain(query, "d1").terms}
            expected = {t.term: t.query for t in fresh.explain(query, "d1").terms}
            assert found == pytest.approx(expected)


def test_two_processes_that_name_new_words_differently():
    """Words that one has in memory only, and whose numbers the other gives to other words."""
    one = made()
    other = Collection.open(one._storage, merge="off")
    one.encoder.vocabulary.add("only in memory")
    other.upsert([worded("theirs", sea=2.0, sky=1.0)])
    one.upsert([worded("ours", sky=3.0, fire=1.0)])
    other.refresh()
    for collection in (one, other, Collection.open(one._storage)):
        assert ids(collection, sky=1.0) == ["ours", "theirs"]
        assert ids(collection, fire=1.0) == ["ours"]
        assert ids(collection, sea=1.0) == ["theirs"]


def test_a_document_drafted_before_another_process_commits_is_drafted_again():
    one = made()
    other = Collection.open(one._storage, merge="off")

    def late():
        yield worded("ours", sky=3.0, fire=1.0)
        other.upsert([worded("theirs", sea=2.0, sky=1.0)])

    one.upsert(late())
    other.refresh()
    for collection in (one, other, Collection.open(one._storage)):
        assert ids(collection, sky=1.0) == ["ours", "theirs"]
        assert ids(collection, fire=1.0) == ["ours"]


def test_a_replace_by_another_encoder_is_followed_by_writers():
    one = Collection.create(MemoryStorage(), merge="off")
    other = Collection.open(one._storage, merge="off")
    other.replace([{"id": "a", "text": "les oiseaux"}], load_encoder("bm25", language="french"))
    one.upsert([{"id": "b", "text": "deux oiseaux"}])
    assert one.encoder.options["language"] == "french"
    assert {h.doc_id for h in one.search("oiseau")} == {"a", "b"}


def test_refreshing_costs_no_reading_when_nothing_changed(monkeypatch):
    collection = made()
    collection.upsert([worded("a", x=1.0)])
    snapshot = collection._snapshot
    monkeypatch.setattr(MemoryStorage, "read", None)
    monkeypatch.setattr(MemoryStorage, "view", None)
    assert collection.refresh() == 2
    assert collection._snapshot is snapshot


def test_a_reader_follows_the_log_the_flush_and_the_merge():
    writer = made()
    reader = Collection.open(writer._storage)
    held = []
    for number in range(12):
        writer.upsert([worded(f"d{number}", x=1.0 + number)])
        if number % 4 == 3:
            writer.flush()
        if number == 9:
            writer.compact()
        assert reader.refresh() == writer.generation
        assert ids(reader) == ids(writer)
        held.append((reader._snapshot, len(ids(reader))))
    query = writer.encoder.vocabulary.find("x")
    assert query == 0
    assert [snapshot.n_documents for snapshot, _ in held] == [n for _, n in held]


class Overtaken(MemoryStorage):
    """Lets a writer commit right after a chosen listing of the folder."""

    def __init__(self, files, commit, after):
        super().__init__()
        self.files = files
        self.commit = commit
        self.after = after

    def list(self, folder=""):
        names = super().list(folder)
        self.after -= 1
        if self.after == -1:
            self.commit()
        return names


@pytest.mark.parametrize("after", range(6))
def test_a_reader_that_a_writer_overtakes_tries_again(after):
    writer = made()
    writer.upsert([worded("a", x=1.0)])

    def commit():
        writer.upsert([worded("b", x=2.0)])
        writer.compact()

    storage = Overtaken(writer._storage.files, commit, after)
    reader = Collection.open(storage)
    assert ids(reader) in (["a"], ["b", "a"])
    writer.flush()
    reader.refresh()
    storage.after = -1
    reader.refresh()
    assert ids(reader) == ids(writer)
    assert reader.check().problems == []


def test_a_log_that_is_missing_is_an_error():
    collection = made()
    collection.upsert([worded("a", x=1.0)])
    collection._storage.remove(collection._snapshot.place.name)
    with pytest.raises(CorruptFile, match=r"log-0000000001.lxl: the file is missing"):
        Collection.open(collection._storage)
    with pytest.raises(CorruptFile):
        collection.upsert([worded("b", x=1.0)])


def test_a_write_that_finds_the_disk_full_is_not_there_and_the_next_one_is():
    storage = made()._storage
    full = full_disk(storage.files, None)
    collection = Collection.open(full, merge="off")
    collection.upsert([worded("a", x=1.0)])
    full.fail_at = full.operations
    with pytest.raises(StorageFull):
        collection.upsert([worded("b", x=1.0)])
    full.fail_at = None
    collection.upsert([worded("c", x=1.0)])
    for one in (collection, Collection.open(full)):
        assert ids(one) == ["a", "c"]


def wait_for_queue(group, length):
    deadline = time.monotonic() + 60
    while len(group._queue) < length:
        assert time.monotonic() < deadline
        time.sleep(0.001)


class SlowSync(MemoryStorage):
    """Waits in `sync` until it is let go."""

    def __init__(self):
        super().__init__()
        self.go = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.n_syncs = 0

    def sync(self, name):
        self.n_syncs += 1
        self.begun.release()
        assert self.go.acquire(timeout=30)


def test_writes_that_come_during_a_sync_share_the_next():
    storage = SlowSync()
    storage.go.release(2)
    collection = Collection.create(storage, encoder="vectors", merge="off")
    collection.upsert([worded("first", x=0.5)])  # syncs what was there, then its own
    results = {}

    def write(number):
        results[number] = collection.upsert([worded(f"d{number}", x=1.0 + number)])

    storage.begun = threading.Semaphore(0)
    before = storage.n_syncs
    threads = [threading.Thread(target=write, args=(0,))]
    threads[0].start()
    assert storage.begun.acquire(timeout=30)
    for number in range(1, 9):
        threads.append(threading.Thread(target=write, args=(number,)))
        threads[-1].start()
    wait_for_queue(collection._writer._group, 8)
    assert ids(collection) == ["first"], "nothing shows before it is durable"
    assert results == {}
    storage.go.release(2)
    for thread in threads:
        thread.join(30)
    assert storage.n_syncs - before == 2
    assert {result.generation for n, result in results.items() if n} == {4}
    assert ids(collection) == [f"d{n}" for n in range(8, -1, -1)] + ["first"]
    assert ids(Collection.open(storage)) == ids(collection)


def test_many_threads_lose_nothing():
    collection = Collection.create(MemoryStorage(), encoder="vectors", merge="background")
    kept = [{} for _ in range(6)]

    def write(mine):
        rng = np.random.default_rng(mine)
        for step in range(40):
            doc_id = f"t{mine}-{rng.integers(12)}"
            if rng.random() < 0.3:
                there = collection.delete([doc_id]).deleted
                assert there == (kept[mine].pop(doc_id, None) is not None)
            else:
                weight = float(step + 1)
                collection.upsert([worded(doc_id, x=weight, **{f"w{mine}-{step}": 1.0})])
                kept[mine][doc_id] = weight
            assert (doc_id in collection) == (doc_id in kept[mine])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    expected = {doc_id: weight for one in kept for doc_id, weight in one.items()}
    for one in (collection, Collection.open(collection._storage)):
        found = {h.doc_id: h.score for h in one.search(sparse={"x": 1.0}, k=1000)}
        assert found == expected
    collection.close()
    assert collection.check().problems == []


def test_an_error_reaches_every_write_of_its_group():
    entered, go = threading.Event(), threading.Event()

    def commit(items):
        entered.set()
        assert go.wait(30)
        if 1 in items:
            raise StorageFull("full")
        return items

    group = GroupCommit(commit)
    outcomes = {}

    def submit(item):
        try:
            outcomes[item] = group.submit(item)
        except StorageFull:
            outcomes[item] = "full"

    threads = [threading.Thread(target=submit, args=(0,))]
    threads[0].start()
    assert entered.wait(30)
    for item in (1, 2):
        threads.append(threading.Thread(target=submit, args=(item,)))
        threads[-1].start()
    wait_for_queue(group, 2)
    go.set()
    for thread in threads:
        thread.join(30)
    assert outcomes == {0: 0, 1: "full", 2: "full"}
