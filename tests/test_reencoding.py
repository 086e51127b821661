"""Another encoder while searches and writes go on: all or nothing, and nothing lost on the way."""

import json
import random
import threading

import numpy as np
import pytest

from lexidex import Collection
from lexidex.errors import InputError, Locked, ParameterError, StorageFull
from lexidex.index.storage import layout
from lexidex.index.storage.files import FileStorage, MemoryStorage
from lexidex.index.storage.manifest import read_manifest

from .counting_encoder import CountingEncoder, register
from .faults import Crash, FaultyStorage, full_disk

TOGETHER = 4


@pytest.fixture(autouse=True)
def small(monkeypatch):
    register()
    CountingEncoder.encoded.clear()
    monkeypatch.setattr("lexidex.drafting.ENCODE_BATCH", TOGETHER)
    monkeypatch.setattr("lexidex.resuming.TOGETHER", TOGETHER)
    monkeypatch.setattr("lexidex.index.storage.staging.PART_SECONDS", (0.0, 0.0))
    monkeypatch.setattr("lexidex.writer.SMALL_WRITE", 4)
    monkeypatch.setattr("lexidex.writer.SMALL_REST", 2)
    monkeypatch.setattr("lexidex.merging.FAN_IN", 3)


def document(number, what="sentence"):
    text = f"in {what} {number}"
    return {"id": f"d{number}", "text": text, "metadata": {"n": number}}


def documents(n, what="sentence"):
    return [document(number, what) for number in range(n)]


def states(collection):
    """Of every document its text, its metadata, and by which encoder a search finds it."""
    assert collection.check().problems == []
    query = collection.encoder.encode_queries(["in"]).data[0]
    hits = collection.search("in", k=1000).hits
    assert len(hits) == len(collection)
    lengths = {"one": 3, "other": 5}
    for hit in hits:
        assert int(hit.score / query) == lengths[collection.encoder.model]
    return {hit.doc_id: (hit.text, hit.metadata["n"]) for hit in hits}


def expected(given):
    return {one["id"]: (one["text"], one["metadata"]["n"]) for one in given}


def files_named(storage):
    manifest = read_manifest(storage)
    named = {layout.manifest(manifest.number), manifest.log}
    return named | {entry.name for entry in manifest.files()}


def grown(storage):
    """A collection with several segments, deletions, and documents in the log."""
    collection = Collection.create(storage, CountingEncoder(), merge="off")
    collection.upsert(documents(9, "old"))
    collection.upsert(documents(6))
    collection.delete(["d8"])
    collection.upsert([document(20)])
    return collection


GROWN = expected([*documents(6), document(6, "old"), document(7, "old"), document(20)])


def other():
    return CountingEncoder(model="other")


def test_every_document_is_encoded_anew_and_the_encoder_is_another():
    storage = FaultyStorage()
    collection = grown(storage)
    reader = Collection.open(storage)
    generation = collection.generation
    counts = []
    result = collection.reencode(other(), counts.append)
    assert (result.upserted, result.resumed, result.failed) == (len(GROWN), 0, [])
    assert result.generation == collection.generation == generation + 1
    assert counts == sorted(counts)
    assert counts[-1] == len(GROWN)
    assert collection.encoder.model == "other"
    assert states(collection) == GROWN
    assert states(reader) == GROWN
    assert reader.encoder.model == "one"
    assert reader.refresh() == generation + 1
    assert states(reader) == GROWN
    assert reader.encoder.model == "other"
    assert set(storage.files) == files_named(storage)
    collection.upsert([document(21)])
    collection.compact()
    assert states(Collection.open(storage)) == GROWN | expected([document(21)])
    assert set(storage.files) == files_named(storage)
    CountingEncoder.encoded.clear()
    assert collection.reencode(other()).upserted == 0
    assert CountingEncoder.encoded == []
    collection.reencode(CountingEncoder())
    assert states(collection) == GROWN | expected([document(21)])
    assert set(storage.files) == files_named(storage)


def test_bm25_there_and_back_scores_as_if_it_had_always_been():
    texts = documents(9)
    plain = Collection.create(MemoryStorage(), "bm25")
    plain.upsert(texts)
    changed = Collection.create(MemoryStorage(), CountingEncoder())
    changed.upsert(texts)
    changed.reencode("bm25")
    for query in ("sentence 3", "in 7", "nothing"):
        one, two = (
            [(hit.doc_id, round(hit.score, 5)) for hit in collection.search(query)]
            for collection in (plain, changed)
        )
        assert one == two
    changed.upsert([document(30)])
    assert changed.search("30").hits[0].doc_id == "d30"
    changed.reencode(other())
    assert len(states(changed)) == 10


@pytest.mark.parametrize("power_loss", [False, True])
def test_a_crash_at_any_operation_leaves_the_old_or_the_new(power_loss):
    born = FaultyStorage()
    grown(born)
    complete = FaultyStorage(born.files)
    CountingEncoder.encoded.clear()
    Collection.open(complete, merge="off").reencode(other())
    once = len(CountingEncoder.encoded)
    rng = np.random.default_rng(0)
    outcomes = []
    for at in range(complete.operations):
        CountingEncoder.encoded.clear()
        storage = FaultyStorage(born.files, fail_at=at)
        with pytest.raises(Crash):
            Collection.open(storage, merge="off").reencode(other())
        again = FaultyStorage(storage.after_power_loss(rng) if power_loss else storage.files)
        collection = Collection.open(again, merge="off")
        outcomes.append(collection.encoder.model)
        assert states(collection) == GROWN
        if at % 2:  # others may write before it is tried again
            collection.upsert([document(20)])
            collection.compact()
        collection.reencode(other())
        if not power_loss:
            assert len(CountingEncoder.encoded) <= once + TOGETHER + at % 2
        collection.upsert([document(21)])
        collection.flush()
        assert states(Collection.open(again)) == GROWN | expected([document(21)])
        left = set(again.files) - files_named(again)
        assert not left or outcomes[-1] == "other"
        assert all(name.startswith("staging/") for name in left), "of use, or swept in seven days"
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {"one", "other"} or power_loss


def test_a_full_disk_changes_nothing():
    born = FaultyStorage()
    grown(born)
    complete = FaultyStorage(born.files)
    Collection.open(complete, merge="off").reencode(other())
    for at in range(0, complete.operations, 3):
        storage = full_disk(born.files, at, once=at % 2 == 0)
        collection = Collection.open(storage, merge="off")
        try:
            collection.reencode(other())
        except StorageFull:
            assert collection.encoder.model == "one"
            assert states(collection) == GROWN
        storage.fail_at = None
        collection.reencode(other())
        assert states(Collection.open(storage)) == GROWN


def test_whatever_is_written_meanwhile_is_there_afterwards():
    """Every kind of write, at every place where it may come."""
    changes = [
        lambda c: c.upsert([document(40)]),
        lambda c: c.delete(["d0", "d6"]),
        lambda c: c.upsert(documents(12, "newer")),
        lambda c: c.flush(),
        lambda c: c.update([{"id": "d3", "metadata": {"n": 99}}]),
        lambda c: c.compact(),
        lambda c: c.upsert([document(0, "newest"), document(40, "newest")]),
        lambda c: c.delete(["d5"]),
        lambda c: c.upsert([document(5, "newer")]),
        lambda c: c.delete(["unknown"]),
    ]
    for begin in range(len(changes)):
        storage = FaultyStorage()
        collection = grown(storage)
        plain = grown(FaultyStorage())
        coming = iter(changes[begin:])

        def meanwhile(n_done, coming=coming, collection=collection, plain=plain):
            for change in coming:
                change(Collection.open(collection._storage, merge="off"))
                change(plain)
                break

        collection.reencode(other(), meanwhile)
        assert collection.encoder.model == "other"
        assert states(collection) == states(plain)
        assert states(Collection.open(storage)) == states(plain)


def test_writers_and_searches_beside_it(tmp_path):
    seed = random.randrange(2**32)
    print("seed", seed)
    collection = Collection.create(FileStorage(tmp_path), CountingEncoder())
    ledger = {one["id"]: one for one in documents(30)}
    collection.upsert(ledger.values())
    over = threading.Event()
    failures = []

    def guarded(work):
        def run():
            try:
                chance = random.Random(seed)
                while not over.is_set():
                    work(chance)
            except Exception as error:
                failures.append(repr(error))

        return run

    def write(chance):
        number = chance.randrange(60)
        if chance.random() < 0.3:
            collection.delete([f"d{number}"])
            ledger.pop(f"d{number}", None)
        else:
            one = document(number, f"sentence{chance.randrange(9)}")
            collection.upsert([one])
            ledger[one["id"]] = one

    def search(chance):
        hits = collection.search("in", k=100).hits
        assert len({hit.doc_id for hit in hits}) == len(hits)
        whole = {int(hit.score) // 5 for hit in hits}
        assert whole in (set(), {1}, {5}), "one encoder or the other"

    threads = [threading.Thread(target=guarded(work)) for work in (write, search)]
    for thread in threads:
        thread.start()
    for encoder in (CountingEncoder(seconds=0.01, model="other"), CountingEncoder()):
        collection.reencode(encoder)
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert states(collection) == expected(ledger.values())
    collection.close()
    assert states(Collection.open(tmp_path)) == expected(ledger.values())


def test_dense_vectors_are_carried_along():
    """Those that documents brought, of one passage and of several, and those written meanwhile."""
    random = np.random.default_rng(0)
    storage = MemoryStorage()
    collection = Collection.create(
        storage, CountingEncoder(), dense="vectors", merge="off", passages="split,tokens=4"
    )
    rows = random.random((12, 5)).astype(np.float32)
    given = [document(number) | {"dense": rows[number].tolist()} for number in range(9)]
    long = {"text": "in a sentence. In another sentence.", "metadata": {"n": 9}}
    spans = [{"start": 0, "end": 14}, {"start": 15}]
    given.append({"id": "d9", **long, "dense": rows[9].tolist()})
    given.append(
        {
            "id": "d10",
            **long,
            "passages": [s | {"dense": rows[10 + n].tolist()} for n, s in enumerate(spans)],
        }
    )
    collection.upsert(given)

    def found():
        hits = collection.search(None, k=100, mode="dense", dense=np.ones(5)).hits
        return {
            hit.doc_id: (hit.passage.start, hit.passage.end, round(hit.score, 4)) for hit in hits
        }

    before = found()
    assert len(before) == 11

    def meanwhile(n_done):
        if collection.encoder.model == "one" and "d3" in collection and n_done > 3:
            changed = [document(1) | {"dense": rows[2].tolist()}]
            other_writer = Collection.open(storage, merge="off")
            other_writer.upsert(changed)
            other_writer.delete(["d3"])
            collection.refresh()

    collection.reencode(other(), meanwhile, passages="split,tokens=4")
    assert collection.encoder.model == "other"
    after = found()
    assert after.pop("d1") == before["d2"]
    del before["d1"], before["d3"]
    assert after == before


def test_it_can_be_ended_and_gone_on_with():
    class Cancelled(Exception):
        pass

    def cancel(n_done):
        if n_done >= TOGETHER:
            raise Cancelled

    storage = FaultyStorage()
    collection = grown(storage)
    CountingEncoder.encoded.clear()
    with pytest.raises(Cancelled):
        collection.reencode(other(), cancel)
    assert states(collection) == GROWN
    assert collection.encoder.model == "one"
    n_encoded = len(CountingEncoder.encoded)
    assert n_encoded < len(GROWN)
    left = {name for name in storage.files if not name.startswith("staging/")}
    assert left == files_named(storage)
    assert collection.reencode(other()).resumed == n_encoded
    assert len(CountingEncoder.encoded) == len(GROWN)


def test_what_cannot_be_is_refused():
    storage = MemoryStorage()
    collection = Collection.create(storage, CountingEncoder())
    collection.upsert([document(1), {"id": "empty", "text": ""}])
    with pytest.raises(ParameterError, match="encodes nothing"):
        collection.reencode("vectors")
    with storage.lock(layout.REENCODE_LOCK), pytest.raises(Locked):
        collection.reencode(other())
    assert collection.reencode(other()).upserted == 2
    own = {"id": "own", "vector": {"components": [1], "values": [1.0]}}
    collection.upsert([own])
    with pytest.raises(InputError, match="'own': brought its own vector"):
        collection.reencode(CountingEncoder())
    assert collection.encoder.model == "other"

    def upsert_own(n_done):
        if own["id"] not in collection:
            collection.upsert([own])

    collection.delete(["own"])
    with pytest.raises(InputError, match="'own': brought its own vector"):
        collection.reencode(CountingEncoder(), upsert_own)
    assert collection.encoder.model == "other"
    assert collection.get("own").text == ""


def test_the_command(tmp_path, capsys, monkeypatch):
    from lexidex.cli import main

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["lexidex", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    path = tmp_path / "collection"
    Collection.create(path).upsert(documents(5))
    code, out, err = run("reencode", path, "--encoder", "counting", "--json")
    assert (code, err) == (0, "")
    assert {"encoded": 5, "resumed": 0, "documents": 5}.items() <= json.loads(out).items()
    assert Collection.open(path).encoder.kind == "counting"
    assert "5 documents encoded" in run("reencode", path, "--encoder", "bm25")[1]
    assert "has this encoder already" in run("reencode", path, "--encoder", "bm25")[1]
    Collection.create(tmp_path / "empty")
    assert "0 documents encoded" in run("reencode", tmp_path / "empty", "--encoder", "counting")[1]
    assert run("reencode", tmp_path / "none", "--encoder", "bm25")[0] == 3
    assert run("reencode", path, "--encoder", "unknown")[0] == 3
