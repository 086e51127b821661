"""Every release reads what earlier ones wrote, and refuses what later ones write."""

import json
import shutil

import pytest

from lexidex import Collection, export_file
from lexidex.errors import UnsupportedVersion
from lexidex.index.dense import rows
from lexidex.index.storage import archive, arrays, checksums, log, manifest
from lexidex.index.storage.arrays import FORMAT_VERSION

from . import golden_collections as golden

NEWER = FORMAT_VERSION + 1
BOTH = rf"format version {NEWER}; this Lexidex reads version {FORMAT_VERSION}"


def keep_sizes(patch):
    """Put back in the end what writing sets."""
    patch.setattr(checksums, "LARGE", checksums.LARGE)
    patch.setattr(rows, "INDEX_FROM", rows.INDEX_FROM)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """What the present version writes."""
    keep_sizes(monkeypatch)
    golden.write(tmp_path / "written")
    return tmp_path / "written"


def check(folder, work):
    expected = json.loads((folder / golden.ANSWERS).read_text(encoding="utf-8"))
    shutil.copytree(folder / golden.COLLECTION, work / "copy")
    made = {
        "opened": Collection.open(work / "copy", merge="off"),
        "restored": Collection.restore(folder / golden.SNAPSHOT, work / "restored", merge="off"),
    }
    for name in golden.EXPORTS:
        made[name] = Collection.from_export(folder / name, work / f"of-{name}", merge="off")
    for name, collection in made.items():
        assert collection.check().problems == [], name
        assert golden.answers(collection) == expected, name
        collection.upsert(golden.documents(30, 33))
        collection.delete(["d30", "d31", "d32"])
        collection.compact()
        assert golden.answers(collection) == expected, f"{name}, after it was written to"


def test_what_this_version_writes_it_reads(written, tmp_path):
    names = {path.name.split("-")[0] for path in written.rglob("*") if path.is_file()}
    assert names >= {
        *("manifest", "log", "vocabulary", "deleted", "documents.arrow", "documents.lxd"),
        *("metadata.arrow", "vectors.lxd", "dense.lxd", "exact.lxd", "checksums.lxd"),
    }
    check(written, tmp_path)


FROZEN = sorted(path for path in golden.FOLDER.glob("*") if path.is_dir())


@pytest.mark.parametrize("folder", FROZEN, ids=[path.name for path in FROZEN])
def test_what_a_released_version_wrote_is_read(folder, tmp_path):
    check(folder, tmp_path)


def test_every_frozen_version_has_a_golden_collection():
    assert [path.name for path in FROZEN] == [str(n) for n in range(1, FORMAT_VERSION + 1)]


@pytest.fixture
def newer(tmp_path, monkeypatch):
    """What a release of the next version would write."""
    with monkeypatch.context() as patched:
        keep_sizes(patched)
        for module in (archive, arrays, export_file, log, manifest):
            patched.setattr(module, "FORMAT_VERSION", NEWER)
        golden.write(tmp_path / "newer")
    return tmp_path / "newer"


def test_a_newer_format_is_refused_and_both_versions_are_named(newer, tmp_path):
    path = newer / golden.COLLECTION
    with pytest.raises(UnsupportedVersion, match=rf"manifest-.*: {BOTH}"):
        Collection.open(path)
    with pytest.raises(UnsupportedVersion, match=rf"snapshot\.tar: {BOTH}"):
        Collection.restore(newer / golden.SNAPSHOT, tmp_path / "c")
    for name in golden.EXPORTS:
        with pytest.raises(UnsupportedVersion, match=rf"{name}: {BOTH}"):
            Collection.from_export(newer / name, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_file_of_a_newer_format_behind_an_older_manifest_is_refused(newer, monkeypatch):
    """Whichever is read first."""
    path = newer / golden.COLLECTION
    (described,) = path.glob("manifest-*")
    data = described.read_bytes()
    before, after = f'"format": {NEWER}'.encode(), f'"format": {FORMAT_VERSION}'.encode()
    described.write_bytes(data.replace(before, after, 1))
    with pytest.raises(UnsupportedVersion, match=rf"log-.*\.lxl: {BOTH}"):
        Collection.open(path)
    monkeypatch.setattr(log, "FORMAT_VERSION", NEWER)
    with pytest.raises(UnsupportedVersion, match=rf"\.lxd: {BOTH}"):
        Collection.open(path)
