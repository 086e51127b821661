"""Staged vectors: found by their texts, not trusted when damaged, swept when nobody wants them."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from lexidex.errors import StorageFull
from lexidex.index.storage import staging as module
from lexidex.index.storage.files import FileStorage, MemoryStorage
from lexidex.index.storage.staging import Staging, keys_of, open_staging, sweep_staging
from lexidex.index.vectors import as_vectors

from ...faults import full_disk


def vectors(n, seed=0):
    return as_vectors(sparse.random_array((n, 50), density=0.2, dtype=np.float32, rng=seed))


def texts(n, what="text"):
    return [f"{what} {number}" for number in range(n)]


def staged(storage, names, rows, fingerprint="one"):
    writing = Staging(storage, fingerprint)
    writing.put(keys_of(names), rows)
    writing.write()
    return writing


def found(storage, names, fingerprint="one"):
    return Staging(storage, fingerprint).find(keys_of(names))


def assert_rows(rows, expected):
    for row, (start, end) in zip(rows, pairwise(expected.indptr), strict=True):
        np.testing.assert_array_equal(row[0], expected.indices[start:end])
        np.testing.assert_array_equal(row[1], expected.data[start:end])


@pytest.mark.parametrize("kind", ["files", "memory"])
def test_vectors_are_found_by_text_in_any_order(tmp_path, kind):
    storage = FileStorage(tmp_path) if kind == "files" else MemoryStorage()
    everything = vectors(60)
    names = texts(60)
    for first in range(0, 60, 20):
        staged(storage, names[first : first + 20], everything[first : first + 20])
    order = np.random.default_rng(0).permutation(60)
    assert_rows(found(storage, [names[place] for place in order]), everything[order])
    assert found(storage, ["unknown", "", "text  1"]) == [None] * 3
    assert found(storage, names[:3], "other") == [None] * 3
    assert Staging(storage, "one").find(keys_of([])) == []


def test_equal_texts_and_odd_ones():
    storage = MemoryStorage()
    names = ["same", "same", "", "\ud800", "nul\0"]
    rows = vectors(5)[[0, 0, 2, 3, 4]]
    staged(storage, names, rows)
    assert_rows(found(storage, names), rows)


def test_parts_are_written_when_it_is_time(monkeypatch):
    storage = MemoryStorage()
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    writing = Staging(storage, "one")
    counts = []
    for second in (0.1, 0.9, 1.0, 1.5, 2.0, 1800, 1809, 1811):
        clock[0] = second
        writing.put(keys_of([f"at {second}"]), vectors(1))
        counts.append(len(storage.files))
    assert counts == [0, 0, 1, 1, 2, 3, 3, 4]
    names = [f"at {second}" for second in (0.1, 0.9, 1.0, 1800)]
    assert all(row is not None for row in found(storage, names))


def test_damage_costs_only_the_part_that_has_it():
    storage = MemoryStorage()
    everything = vectors(30)
    for first in (0, 10, 20):
        staged(storage, texts(30)[first : first + 10], everything[first : first + 10])
    names = storage.list("staging/one")
    content = dict(storage.files)
    rng = np.random.default_rng(0)
    for _ in range(100):
        storage.files = dict(content)
        damaged = f"staging/one/{names[rng.integers(3)]}"
        data = bytearray(content[damaged])
        if rng.random() < 0.3:
            del data[rng.integers(len(data)) :]
        else:
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        storage.files[damaged] = bytes(data)
        rows = found(storage, texts(30))
        missing = sum(row is None for row in rows)
        assert missing in (0, 10), "padding between arrays may be altered, nothing else"
        assert (damaged in storage.files) == (missing == 0)
        kept = [place for place, row in enumerate(rows) if row is not None]
        assert_rows([rows[place] for place in kept], everything[kept])


def test_what_another_run_has_removed_is_not_there():
    storage = MemoryStorage()
    staged(storage, texts(5), vectors(5))
    reading = Staging(storage, "one")
    Staging(storage, "one").remove()
    assert reading.find(keys_of(texts(5))) == [None] * 5
    assert storage.files == {}


def test_two_runs_of_one_encoder_do_each_other_no_harm():
    storage = MemoryStorage()
    one, other = Staging(storage, "one"), Staging(storage, "one")
    one.put(keys_of(texts(5)), vectors(5))
    other.put(keys_of(texts(5, "other")), vectors(5, seed=1))
    one.write()
    other.write()
    assert_rows(found(storage, texts(5)), vectors(5))
    assert_rows(found(storage, texts(5, "other")), vectors(5, seed=1))


def test_what_nobody_wants_is_swept(monkeypatch):
    storage = MemoryStorage()
    for fingerprint in ("current", "next", "given up"):
        staged(storage, texts(5), vectors(5), fingerprint)
    open_staging(storage, "next", "current")
    assert storage.list("staging") == ["current", "next"]
    monkeypatch.setattr(module, "STALE_SECONDS", -1)
    sweep_staging(storage, {"current"})
    assert storage.list("staging") == []


def test_a_full_disk_is_told_and_leaves_whole_parts():
    for at in range(6):
        storage = full_disk({}, at)
        try:
            for number in range(2):
                name = texts(1, f"batch {number}")
                staged(storage, name, vectors(1, seed=number))
        except StorageFull:
            storage.fail_at = None
        for number in range(2):
            (row,) = found(storage, texts(1, f"batch {number}"))
            if row is not None:
                assert_rows([row], vectors(1, seed=number))
