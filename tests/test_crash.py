"""A crash at any storage operation leaves the old generation or the new one, never a mixture."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from lexidex import Collection
from lexidex.errors import StorageFull

from .faults import Crash, FaultyStorage, full_disk
from .lettered import DENSE, by_letters, letters

OLD = {"a": "old sea", "b": "old sky", "c": "old land"}
NEW = {"b": "new sky", "d": "new fire"}


def documents(texts):
    return [{"id": doc_id, "text": text, "dense": letters(text)} for doc_id, text in texts.items()]


def content(collection):
    """Every document's text, which both sides find."""
    hits = collection.search("old new", k=100).hits
    assert collection.check().problems == []
    assert len(hits) == len(collection)
    found = {hit.doc_id: hit.text for hit in hits}
    assert by_letters(collection) == found
    return found


WRITES = {
    "upsert": (lambda c: c.upsert(documents(NEW)), {**OLD, **NEW}),
    "delete": (lambda c: c.delete(["a", "c"]), {"b": "old sky"}),
    "replace": (lambda c: c.replace(documents(NEW)), NEW),
    "empty": (lambda c: c.delete(list(OLD)), {}),
}


@pytest.fixture(scope="module")
def old_files():
    storage = FaultyStorage()
    # Each document is two passages.
    made = Collection.create(storage, passages="split,tokens=1,overlap=0", dense=DENSE)
    made.upsert(documents(OLD))
    return storage.files


@pytest.mark.parametrize("name", WRITES)
def test_a_crash_at_any_operation_leaves_old_or_new(old_files, name):
    write, new = WRITES[name]
    complete = FaultyStorage(old_files)
    write(Collection.open(complete))
    assert complete.operations > 3
    outcomes = []
    for at in range(complete.operations):
        storage = FaultyStorage(old_files, fail_at=at)
        with pytest.raises(Crash):
            write(Collection.open(storage))
        survived = FaultyStorage(storage.files)
        found = content(Collection.open(survived))
        assert found in (OLD, new)
        outcomes.append(found == new)
        write(Collection.open(survived))
        assert content(Collection.open(survived)) == new
        assert set(survived.files) == set(clean(survived.files)), "nothing is left behind"
    assert outcomes == sorted(outcomes), "once it is new, it stays new"
    assert not outcomes[0]


def clean(files):
    """The files that the newest generation names."""
    from lexidex.index.storage import layout
    from lexidex.index.storage.manifest import read_manifest

    manifest = read_manifest(FaultyStorage(files))
    named = {layout.manifest(manifest.number), manifest.log}
    return {entry.name for entry in manifest.files()} | named


LIFE = {
    "upsert": lambda c: c.upsert(documents({"a": "old sea", "b": "old sky", "c": "old land"})),
    "replace one": lambda c: c.upsert(documents({"b": "new sky", "d": "new fire"})),
    "delete": lambda c: c.delete(["a", "unknown"]),
    "flush": lambda c: c.flush(),
    "write segments": lambda c: c.upsert(documents({f"m{i}": f"old m{i}" for i in range(8)})),
    "delete stored": lambda c: c.delete(["m0", "m1", "c"]),
    "put one back": lambda c: c.upsert(documents({"m1": "new m1"})),
    "flush and merge": lambda c: c.flush(),
    "update": lambda c: c.update([{"id": "d", "metadata": {"seen": 1}}]),
    "delete from memory": lambda c: c.delete(["m1", "m2"]),
    "compact": lambda c: c.compact(),
    "delete after": lambda c: c.delete(["d"]),
    "close": lambda c: c.close(),
}


@pytest.fixture
def small(monkeypatch):
    """Sizes at which a short life has everything in it."""
    monkeypatch.setattr("lexidex.writer.SMALL_WRITE", 4)
    monkeypatch.setattr("lexidex.merging.FAN_IN", 3)
    monkeypatch.setattr("lexidex.merging.FEW_DEAD", 1)
    monkeypatch.setattr("lexidex.index.dense.rows.INDEX_FROM", 8)


def acknowledged(storage, steps=LIFE):
    """Open and do the steps; gives the collection after each."""
    collection = Collection.open(storage, merge="inline")
    for step in steps:
        LIFE[step](collection)
        yield collection


def live(storage, steps=LIFE):
    """The content after each step."""
    return map(content, acknowledged(storage, steps))


@pytest.mark.parametrize("n_losses", [1, pytest.param(25, marks=pytest.mark.slow)])
def test_a_crash_at_any_operation_of_a_life_loses_nothing_acknowledged(small, n_losses):
    born = FaultyStorage()
    Collection.create(born, dense=DENSE)
    complete = FaultyStorage(born.files)
    states = [{}, *live(complete)]
    assert complete.operations > 100
    assert set(complete.files) == set(clean(complete.files))
    rng = np.random.default_rng(0)
    for at in range(complete.operations):
        storage = FaultyStorage(born.files, fail_at=at)
        n_acknowledged = 0
        with pytest.raises(Crash):
            for n_acknowledged, _ in enumerate(acknowledged(storage), 1):  # noqa: B007
                pass
        legal = states[n_acknowledged : n_acknowledged + 2]
        losses = [storage.after_power_loss(rng) for _ in range(n_losses)]
        for number, survived in enumerate([storage.files, *losses]):
            again = FaultyStorage(survived)
            found = content(Collection.open(again))
            assert found in legal, (at, n_acknowledged)
            if (at + number) % 8 == 0:
                rest = list(LIFE)[n_acknowledged + (found != legal[0]) :]
                assert [found, *live(again, rest)][-1] == states[-1]


def test_what_the_next_process_acknowledges_survives_a_power_loss(small):
    """It goes on from what a killed one left, of which some had not reached the disk."""
    born = FaultyStorage()
    Collection.create(born, dense=DENSE)
    complete = FaultyStorage(born.files)
    steps = ["upsert", "write segments", "replace one", "compact"]
    states = [{}, *live(complete, steps)]
    rng = np.random.default_rng(1)
    for at in range(complete.operations):
        storage = FaultyStorage(born.files, fail_at=at)
        with pytest.raises(Crash):
            list(acknowledged(storage, steps))
        storage.fail_at = None
        Collection.open(storage, merge="off").upsert(documents({"z": "old z"}))
        seen = content(Collection.open(storage))
        assert seen in [{**state, "z": "old z"} for state in states]
        for _ in range(3):
            survived = FaultyStorage(storage.after_power_loss(rng))
            assert content(Collection.open(survived)) == seen, at


def test_a_crash_while_creating_leaves_nothing_or_an_empty_collection():
    complete = FaultyStorage()
    Collection.create(complete, dense=DENSE)
    for at in range(complete.operations):
        storage = FaultyStorage(fail_at=at)
        with pytest.raises(Crash):
            Collection.create(storage, dense=DENSE)
        survived = FaultyStorage(storage.files)
        try:
            assert len(Collection.open(survived)) == 0
        except LookupError:
            assert len(Collection.create(survived, dense=DENSE)) == 0


@pytest.mark.parametrize("name", WRITES)
def test_a_full_disk_is_an_error_and_changes_nothing(old_files, name):
    write, new = WRITES[name]
    complete = FaultyStorage(old_files)
    write(Collection.open(complete))
    for at in range(complete.operations):
        storage = full_disk(old_files, at)
        collection = Collection.open(storage)
        legal = (OLD, new)
        try:
            write(collection)
            legal = (new,)  # all was written; only what is not needed any more could not be removed
        except StorageFull:
            pass
        assert content(collection) in legal, "reads go on"
        storage.fail_at = None
        write(collection)
        assert content(collection) == new


@pytest.mark.parametrize("once", [True, False])
def test_a_disk_that_is_full_at_any_operation_of_a_life_stops_nothing(small, once):
    """The same collection goes on when there is space again."""
    born = FaultyStorage()
    Collection.create(born, dense=DENSE)
    complete = FaultyStorage(born.files)
    states = [{}, *live(complete)]
    for at in range(complete.operations):
        storage = full_disk(born.files, at, once)
        collection = Collection.open(storage, merge="inline")
        for number, step in enumerate(LIFE):
            try:
                LIFE[step](collection)
            except StorageFull:
                assert content(collection) in states[number : number + 2], (at, step)
                assert content(Collection.open(storage)) in states[number : number + 2], (at, step)
                storage.fail_at = None
                LIFE[step](collection)
            if step in ("write segments", "compact"):
                assert content(collection) == states[number + 1], (at, step)
        storage.fail_at = None
        assert content(collection) == states[-1]
        collection.upsert(documents({"last": "new last"}))
        assert content(Collection.open(storage)) == {**states[-1], "last": "new last"}


REPLACE = """
import sys
from lexidex.cli import main
print("started", flush=True)
sys.argv = ["lexidex", "index", *sys.argv[1:], "--replace", "--quiet"]
main()
"""


def test_killing_a_replace_leaves_the_old_collection(tmp_path):
    source = tmp_path / "new.jsonl"
    lines = (f'{{"id": "{i}", "text": "new words {i % 977}"}}\n' for i in range(30_000))
    source.write_text("".join(lines))
    target = tmp_path / "collection"
    made = Collection.create(target, dense=DENSE)
    made.upsert(documents(OLD))
    for delay in (0.3, 0.9):
        process = subprocess.Popen(
            [sys.executable, "-c", REPLACE, str(source), "--to", str(target)],
            stdout=subprocess.PIPE,
        )
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        reopened = Collection.open(target)
        assert reopened.check().problems == []
        assert len(reopened) in (len(OLD), 30_000)
        if len(reopened) == len(OLD):
            assert content(reopened) == OLD
    Collection.open(target).upsert(documents(NEW))
    assert Collection.open(target).get("b").text == "new sky"
