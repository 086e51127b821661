"""A file system that is full: writes fail, reads go on, and nothing is left half-written."""

import os
import subprocess
from collections import deque
from contextlib import suppress

import pytest

from lexidex import Collection
from lexidex.errors import StorageFull

from .lettered import DENSE


@pytest.fixture
def disk(tmp_path):
    """A file system of 4 MB, of which a file takes one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    (folder / "ballast").write_bytes(bytes(1 << 20))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def batch(number):
    for place in range(20):
        vectors = {"vector": {"x": 1.0, f"y{number}": 2.0}, "dense": [1.0, number]}
        yield {"id": f"d{number}-{place}", "text": f"{number} " * 1000, **vectors}


def ids(collection):
    """Those of the documents that both sides find."""
    found = {hit.doc_id for hit in collection.search(sparse={"x": 1.0}, k=10_000, fields=())}
    near = collection.search(mode="dense", dense=[0.0, 1.0], k=10_000, fields=())
    assert {hit.doc_id for hit in near} == found
    assert all(hit.doc_id.startswith(f"d{hit.score:.0f}-") for hit in near)
    return found


def written(folder):
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_writes_fail_and_reads_go_on_until_there_is_space_again(disk, monkeypatch):
    monkeypatch.setattr("lexidex.index.dense.rows.INDEX_FROM", 100)
    collection = Collection.create(disk / "c", "vectors", dense=DENSE, merge="inline")
    acknowledged = set()

    def write(number):
        collection.upsert(batch(number))
        acknowledged.update(document["id"] for document in batch(number))
        if number % 10 == 9:
            collection.flush()

    with pytest.raises(StorageFull, match="no space left on the device"):
        deque(map(write, range(1000)), maxlen=0)
    assert len(acknowledged) > 100
    assert ids(collection) == ids(Collection.open(disk / "c", merge="off")) == acknowledged
    filler = (disk / "filler").open("wb", buffering=0)
    with filler, suppress(OSError):
        while True:
            filler.write(bytes(1 << 12))
    before = written(disk)
    for fail in (
        lambda: collection.snapshot(disk / "s.tar"),
        lambda: collection.export(disk / "e.ndjson"),
        lambda: collection.export(disk / "e.parquet"),
        collection.compact,
        lambda: collection.upsert(batch(1000)),
    ):
        with pytest.raises(StorageFull):
            fail()
        assert written(disk) <= before
        assert ids(collection) == acknowledged
    for name in ("ballast", "filler"):
        (disk / name).unlink()
    collection.upsert(batch(1000))
    acknowledged |= {document["id"] for document in batch(1000)}
    assert ids(collection) == ids(Collection.open(disk / "c", merge="off")) == acknowledged
    assert collection.check().problems == []
