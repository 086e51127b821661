"""Snapshots hold one generation, whole, and restoring one is all or nothing."""

import json
import tarfile
import threading

import numpy as np
import pytest

from lexidex import Collection
from lexidex.errors import (
    CollectionExists,
    CorruptFile,
    FormatError,
    Locked,
    NotFound,
    ParameterError,
    StorageFull,
    UnsupportedVersion,
)
from lexidex.index.storage.archive import write_snapshot
from lexidex.index.storage.arrays import FORMAT_VERSION
from lexidex.index.storage.files import FileStorage, MemoryStorage
from lexidex.index.storage.restoring import restore_snapshot

from .faults import Crash, FaultyStorage, full_disk
from .lettered import DENSE, by_letters, letters
from .test_crash import clean, content, documents

QUERY = {"w0": 1.0, "w1": 2.0, "w4": 0.25}


def given(first, last, text="text"):
    rng = np.random.default_rng(first)
    for number in range(first, last):
        chosen = rng.choice(6, 3, replace=False).tolist()
        yield {
            "id": f"d{number}",
            "title": f"title {number}" if number % 2 else None,
            "text": f"{text} {number}",
            "vector": {f"w{c}": float(w) for c, w in zip(chosen, rng.random(3), strict=True)},
            "dense": letters(f"{text} {number}"),
            "metadata": {"n": number % 3, "deep": {"x": [1, 2.5, None, "y"]}},
        }


@pytest.fixture
def source(monkeypatch):
    """Two segments, deletions on disk and in the log, a vocabulary that has grown in it."""
    monkeypatch.setattr("lexidex.index.dense.rows.INDEX_FROM", 16)
    made = Collection.create(MemoryStorage(), "vectors", dense=DENSE, merge="off")
    made.upsert(given(0, 20))
    made.flush()
    made.upsert(given(15, 30, "other"))
    made.delete(["d3"])
    made.flush()
    made.upsert([{"id": "new", "vector": {"w1": 1.0, "unheard": 2.0}}])
    made.delete(["d4", "d29"])
    return made


def everything(collection):
    assert collection.check().problems == []
    hits = collection.search(sparse=QUERY, k=100, exact=True).hits
    new = collection.search(sparse={"unheard": 1.0}).hits
    near = by_letters(collection)
    assert len(near) == len(collection) - 1, "of all but the new one"
    counts = [collection.count({"n": n}) for n in range(3)]
    return hits, new, near, counts, len(collection)


def copied(storage):
    other = MemoryStorage()
    other.files = {name: bytes(data) for name, data in storage.files.items()}
    return other


def test_a_restored_collection_answers_alike_and_goes_on(source, tmp_path):
    made = source.snapshot(tmp_path / "s.tar")
    assert made.generation == source.generation
    assert made.n_bytes == (tmp_path / "s.tar").stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["s.tar"]
    restored = Collection.restore(tmp_path / "s.tar", tmp_path / "c", merge="off")
    assert everything(restored) == everything(source)
    assert restored.generation == source.generation
    for collection in (restored, source):
        collection.upsert(given(40, 45))
        collection.delete(["d0"])
        collection.compact()
    assert everything(restored) == everything(source)
    assert everything(Collection.open(tmp_path / "c")) == everything(source)


def test_any_tar_reads_a_snapshot_and_what_it_unpacks_is_the_collection(source, tmp_path):
    source.snapshot(tmp_path / "s.tar")
    with tarfile.open(tmp_path / "s.tar") as archive:
        assert archive.getnames()[0] == "snapshot.json"
        archive.extractall(tmp_path / "c", filter="data")
    assert everything(Collection.open(tmp_path / "c", merge="off")) == everything(source)


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(source, tmp_path):
    source.snapshot(tmp_path / "s.tar")
    source.delete(["d7"])
    with pytest.raises(ParameterError, match=r"s\.tar: exists"):
        source.snapshot(tmp_path / "s.tar")
    source.snapshot(tmp_path / "s.tar", replace=True)
    assert "d7" not in Collection.restore(tmp_path / "s.tar", tmp_path / "c")


def test_restoring_goes_where_nothing_is_or_where_it_is_told_to(source, tmp_path):
    source.snapshot(tmp_path / "s.tar")
    with pytest.raises(NotFound, match=r"none\.tar: no such file"):
        Collection.restore(tmp_path / "none.tar", tmp_path / "c")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    for over in (False, True):
        with pytest.raises(CollectionExists, match=r"holds other files \(file\)"):
            Collection.restore(tmp_path / "s.tar", tmp_path / "other", replace=over)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["file"]
    Collection.create(tmp_path / "c").upsert([{"id": "a", "text": "sea"}])
    with pytest.raises(CollectionExists, match="replace it"):
        Collection.restore(tmp_path / "s.tar", tmp_path / "c")
    with FileStorage(tmp_path / "c").lock(), pytest.raises(Locked):
        Collection.restore(tmp_path / "s.tar", tmp_path / "c", replace=True)
    assert Collection.open(tmp_path / "c").get("a").text == "sea"


def test_a_collection_that_is_open_follows_what_replaces_it(source, tmp_path):
    """Another encoder's, too; generations go on growing."""
    source.snapshot(tmp_path / "s.tar")
    target = MemoryStorage()
    open_before = Collection.create(target, "bm25", merge="off")
    for number in range(20):
        open_before.upsert([{"id": f"a{number}", "text": "sea and sky"}])
    seen = open_before.generation
    restored = Collection.restore(tmp_path / "s.tar", target, replace=True, merge="off")
    assert open_before.refresh() == restored.generation > seen
    assert everything(open_before) == everything(restored) == everything(source)
    assert set(target.files) == set(clean(target.files)), "nothing of the old is left"
    open_before.upsert([{"id": "b", "vector": {"w1": 9.0}}])
    restored.refresh()
    assert "b" in restored


@pytest.mark.parametrize("what", ["manifest-", "log-", "vocabulary-", "exact.lxd"])
def test_what_replaces_a_damaged_collection_is_above_all_that_it_may_have_held(source, what):
    kept = MemoryStorage()
    write_snapshot(source._storage, kept, "s.tar")
    storage = copied(source._storage)
    (name, *_) = (name for name in storage.files if what in name)
    storage.files[name] = storage.files[name][:45] + b"?" + storage.files[name][46:]
    with pytest.raises(FormatError):
        Collection.open(storage)
    restore_snapshot(kept, "s.tar", storage, over=True)
    restored = Collection.open(storage, merge="off")
    assert restored.generation > source.generation
    assert everything(restored) == everything(source)
    assert set(storage.files) == set(clean(storage.files))


def test_a_damaged_collection_gives_no_snapshot(source, tmp_path):
    for name in source._storage.files:
        if name.endswith(("json", "lxl")):
            continue
        storage = copied(source._storage)
        data = storage.files[name]
        storage.files[name] = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
        with pytest.raises(CorruptFile, match=name):
            write_snapshot(storage, FileStorage(tmp_path), "s.tar")
        assert list(tmp_path.iterdir()) == []


@pytest.fixture
def archive(source):
    kept = MemoryStorage()
    write_snapshot(source._storage, kept, "s.tar")
    return bytes(kept.files["s.tar"])


def restored_from(data):
    kept, target = MemoryStorage(), FaultyStorage()
    kept.files["s.tar"] = data
    try:
        restore_snapshot(kept, "s.tar", target)
    except FormatError:
        assert target.files == {}, "nothing is written before all is verified"
        return None
    return everything(Collection.open(target, merge="off"))


@pytest.mark.parametrize("n_flips", [1_000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_a_flipped_bit_in_a_snapshot_is_refused_or_does_not_matter(source, archive, n_flips):
    expected, rng = everything(source), np.random.default_rng(2)
    refused = 0
    for bit in rng.integers(8 * len(archive), size=n_flips).tolist():
        data = bytearray(archive)
        data[bit // 8] ^= 1 << bit % 8
        found = restored_from(bytes(data))
        assert found in (None, expected), bit
        refused += found is None
    assert refused > n_flips / 2, "but for padding, every bit counts"


def test_a_truncated_snapshot_is_refused(source, archive):
    end = len(archive.rstrip(b"\0")) + 1  # the last file ends in a zero byte
    headers = [at for at in range(0, end, 512) if archive[at + 257 : at + 262] == b"ustar"]
    assert len(headers) == 17
    cuts = {at + more for at in headers for more in (0, 1, 100, 511, 512, 513)}
    for cut in sorted({*cuts, end - 1, *range(0, end, 997)}):
        if cut < end:
            assert restored_from(archive[:cut]) is None, cut
    assert restored_from(archive[:end]) == everything(source), "the end mark can be missing"


def test_a_newer_format_is_refused_and_both_versions_are_named(archive):
    newer = FORMAT_VERSION + 1
    before, after = f'"format": {FORMAT_VERSION}'.encode(), f'"format": {newer}'.encode()
    kept = MemoryStorage()
    kept.files["s.tar"] = archive.replace(before, after, 1)
    with pytest.raises(UnsupportedVersion, match=rf"version {newer}.* version {FORMAT_VERSION}"):
        restore_snapshot(kept, "s.tar", MemoryStorage())


def test_something_else_than_a_snapshot_is_refused(tmp_path):
    (tmp_path / "text").write_text("no tar archive " * 100)
    (tmp_path / "empty").touch()
    (tmp_path / "snapshot.json").write_text(json.dumps({"magic": "other"}))
    with tarfile.open(tmp_path / "tar", "w") as made:
        made.add(tmp_path / "snapshot.json", "snapshot.json")
    for name in ("text", "empty", "tar"):
        with pytest.raises(CorruptFile, match=f"/{name}: "):
            Collection.restore(tmp_path / name, tmp_path / "c")
        assert not (tmp_path / "c").exists()


def test_snapshots_that_are_made_while_others_write_hold_whole_commits(tmp_path):
    """A writer adds and compacts meanwhile, so that files go while they are copied."""
    path = tmp_path / "c"
    with Collection.create(path, "vectors", merge="off") as writer:
        done = threading.Event()

        def write():
            for version in range(1, 10**6):
                writer.upsert(
                    [
                        {"id": i, "text": str(version), "vector": {"x": 1.0, f"v{version}": 1.0}}
                        for i in "abc"
                    ]
                )
                if version % 3 == 0:
                    writer.compact()
                if done.is_set():
                    return

        thread = threading.Thread(target=write)
        thread.start()
        try:
            last = 0
            for number in range(12):
                floor = writer.generation
                made = Collection.open(path, merge="off").snapshot(tmp_path / f"{number}.tar")
                assert made.generation >= floor
                restored = Collection.restore(tmp_path / f"{number}.tar", tmp_path / f"c{number}")
                assert restored.generation == made.generation
                versions = {int(h.text) for h in restored.search(sparse={"x": 1.0})}
                assert len(versions) <= 1
                assert len(restored) in (0, 3)
                assert restored.check().problems == []
                version = max(versions, default=0)
                assert version >= last
                if version:
                    assert len(restored.search(sparse={f"v{version}": 1.0})) == 3
                last = version
        finally:
            done.set()
            thread.join()


LIFE = {
    "upsert": lambda c: c.upsert(documents({"a": "old sea", "b": "old sky"})),
    "write segments": lambda c: c.upsert(documents({f"m{i}": f"old m{i}" for i in range(6)})),
    "delete stored": lambda c: c.delete(["m0", "a"]),
    "snapshot": lambda c: write_snapshot(c._storage, c._storage, "kept.tar", over=True),
    "replace one": lambda c: c.upsert(documents({"b": "new sky", "d": "new fire"})),
    "compact": lambda c: c.compact(),
    "snapshot again": lambda c: write_snapshot(c._storage, c._storage, "kept.tar", over=True),
    "delete": lambda c: c.delete(["d", "m1"]),
    "restore": lambda c: restore(c),
    "go on": lambda c: c.upsert(documents({"e": "new earth"})),
    "flush": lambda c: c.flush(),
}


def restore(collection):
    storage = collection._storage
    restore_snapshot(storage, "kept.tar", storage, over=True)
    collection.refresh()


@pytest.fixture
def born(monkeypatch):
    """An empty collection, at sizes at which a short life has everything in it."""
    monkeypatch.setattr("lexidex.writer.SMALL_WRITE", 4)
    monkeypatch.setattr("lexidex.merging.FEW_DEAD", 1)
    monkeypatch.setattr("lexidex.index.dense.rows.INDEX_FROM", 6)
    storage = FaultyStorage()
    Collection.create(storage, dense=DENSE)
    return storage.files


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
def test_a_crash_at_any_operation_of_a_life_with_snapshots_loses_nothing(born, n_losses):
    """Killed, or without power: then any legal part of what was not synced is lost."""
    complete = FaultyStorage(born)
    states = [{}, *live(complete)]
    assert states[9] == states[6] != states[8], "restoring brings back what was deleted"
    assert set(complete.files) == {*clean(complete.files), "kept.tar"}
    rng = np.random.default_rng(0)
    for at in range(complete.operations):
        storage = FaultyStorage(born, fail_at=at)
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
            if at % 4 == 0 and n_acknowledged >= list(LIFE).index("snapshot again") + 1:
                apart = MemoryStorage()
                restore_snapshot(again, "kept.tar", apart)
                assert content(Collection.open(apart)) == states[6], "an old snapshot stays whole"
            if (at + number) % 12 == 0:
                rest = list(LIFE)[n_acknowledged + (found != legal[0]) :]
                assert [found, *live(again, rest)][-1] == states[-1]


@pytest.mark.parametrize("once", [True, False])
def test_a_full_disk_stops_a_snapshot_or_a_restore_and_nothing_else(born, once):
    before = FaultyStorage(born)
    *_, now = live(before, list(LIFE)[:8])
    for step, at_least in (("snapshot again", 4), ("restore", 10)):
        complete = FaultyStorage(before.files)
        LIFE[step](Collection.open(complete))
        after = content(Collection.open(complete))
        assert complete.operations >= at_least
        for at in range(complete.operations):
            storage = full_disk(before.files, at, once)
            collection = Collection.open(storage, merge="off")
            legal = (now, after)
            try:
                LIFE[step](collection)
                legal = (after,)  # only what is not needed any more could not be removed
            except StorageFull:
                collection.refresh()
            assert content(collection) in legal
            storage.fail_at = None
            LIFE[step](collection)
            assert content(collection) == after
            collection.upsert(documents({"z": "new z"}))
            assert set(storage.files) == {*clean(storage.files), "kept.tar"}


def test_a_crash_while_restoring_to_a_new_folder_leaves_nothing_or_all(source):
    kept = MemoryStorage()
    write_snapshot(source._storage, kept, "s.tar")
    complete = FaultyStorage()
    restore_snapshot(kept, "s.tar", complete)
    for at in range(complete.operations):
        storage = FaultyStorage(fail_at=at)
        with pytest.raises(Crash):
            restore_snapshot(kept, "s.tar", storage)
        survived = FaultyStorage(storage.files)
        try:
            opened = Collection.open(survived, merge="off")
        except LookupError:
            restore_snapshot(kept, "s.tar", survived)
            opened = Collection.open(survived, merge="off")
            assert set(survived.files) == set(clean(survived.files))
        assert everything(opened) == everything(source)
