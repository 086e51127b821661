"""The two storages keep the same promises."""

import errno
import os
import threading

import pytest

from lexidex.errors import CorruptFile, Locked, StorageFull
from lexidex.index.storage.files import FileStorage, MemoryStorage, replacing


@pytest.fixture(params=["file", "memory"])
def storage(request, tmp_path):
    return FileStorage(tmp_path / "root") if request.param == "file" else MemoryStorage()


def put(storage, name, data):
    with storage.create(name) as file:
        file.write(data)


def put_wrongly(file):
    file.write(b"12")
    file.write(None)


def test_what_is_written_is_read(storage):
    put(storage, "a/b/c.bin", b"12345")
    for memory in ("map", "load"):
        view = storage.view("a/b/c.bin", memory)
        assert bytes(view) == b"12345"
        assert view.readonly
    assert storage.size("a/b/c.bin") == 5
    put(storage, "empty", b"")
    assert bytes(storage.view("empty")) == b""


def test_names_are_listed_by_folder(storage):
    put(storage, "x", b"1")
    put(storage, "f/y", b"1")
    put(storage, "f/g/z", b"1")
    assert storage.list() == ["f", "x"]
    assert storage.list("f") == ["g", "y"]
    assert storage.list("nowhere") == []


def test_a_failed_write_leaves_no_file(storage):
    with pytest.raises(TypeError), storage.create("half") as file:
        put_wrongly(file)
    assert storage.list() == []


def test_renaming_replaces_and_removing_takes_whole_folders(storage):
    put(storage, "old", b"old")
    put(storage, "new", b"new")
    storage.rename("new", "old")
    assert bytes(storage.view("old")) == b"new"
    assert storage.list() == ["old"]
    put(storage, "f/y", b"1")
    storage.remove("f")
    storage.remove("missing")
    storage.sync_folder()
    assert storage.list("f") == []


def test_a_missing_file_is_named(storage):
    with pytest.raises(CorruptFile, match="gone: the file is missing"):
        storage.view("gone")
    with pytest.raises(CorruptFile, match="gone: the file is missing"):
        storage.size("gone")


def test_a_removed_file_stays_readable_where_it_is_mapped(storage):
    put(storage, "a", b"1234")
    view = storage.view("a")
    storage.remove("a")
    assert bytes(view) == b"1234"


def test_one_writer_at_a_time(storage):
    refused = []

    def try_to_lock():
        try:
            with storage.lock():
                pass
        except Locked as error:
            refused.append(str(error))

    with storage.lock():
        thread = threading.Thread(target=try_to_lock)
        thread.start()
        thread.join()
    with storage.lock():
        pass
    assert len(refused) == 1
    if isinstance(storage, FileStorage):
        assert f"process {os.getpid()} on" in refused[0]


def test_a_full_disk_is_told_in_our_words(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    storage = FileStorage(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull, match="x: no space left on the device; free some"):
        put(storage, "x", b"1")
    assert storage.list() == []


def test_parts_of_a_file_are_read_and_overwritten(storage):
    put(storage, "a", b"0123456789")
    storage.overwrite("a", 3, b"xyz")
    storage.sync("a")
    assert storage.read("a", 2, 5) == b"2xyz6"
    assert storage.read("a", 8) == b"89"
    assert storage.read("a", 8, 100) == b"89"
    assert storage.size("a") == 10


def test_a_file_that_is_being_replaced_is_the_old_one_until_it_is_complete(storage):
    put(storage, "a", b"old")
    with pytest.raises(TypeError), replacing(storage, "a") as file:
        put_wrongly(file)
    assert bytes(storage.view("a")) == b"old"
    with replacing(storage, "a") as file:
        file.write(b"new")
        assert bytes(storage.view("a")) == b"old"
    assert bytes(storage.view("a")) == b"new"
    assert storage.list() == ["a"]
