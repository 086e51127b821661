"""Damage in any file of a collection is an error that names it, or it does not matter."""

from dataclasses import replace

import numpy as np
import pytest

from lexidex import Collection
from lexidex.dense_side import DenseSide
from lexidex.errors import FormatError, NotFound
from lexidex.index import DenseParams
from lexidex.index.seismic.frontier import Frontier
from lexidex.index.storage import checksums
from lexidex.index.storage.arrays import MAGIC, array_spans
from lexidex.index.storage.files import MemoryStorage
from lexidex.index.storage.manifest import read_manifest, write_manifest
from lexidex.index.storage.tuned import record_tuning

WORDS = [f"w{i}" for i in range(12)]
DIRECTION = [1.0, -2.0, 0.5, 3.0, 1.0, -1.0, 0.0, 2.0]
KINDS = [
    *("manifest-", "log-", "vocabulary-", "deleted-", "tuned-"),
    *("documents.arrow", "documents.lxd", "metadata.arrow", "vectors.lxd", "exact.lxd"),
    *("seismic.lxd", "dense.lxd", "checksums.lxd"),
]


def documents(first, last):
    rng = np.random.default_rng(first)
    for number in range(first, last):
        chosen = rng.choice(WORDS, 4, replace=False).tolist()
        vector = {word: float(rng.integers(1, 9)) for word in chosen}
        metadata = {"n": number % 3, "when": f"2024-01-{number % 28 + 1:02d}"}
        vectors = {"vector": vector, "dense": rng.normal(size=8)}
        yield {"id": f"d{number}", "text": f"text {number}", "metadata": metadata, **vectors}


@pytest.fixture(params=["all verified at opening", "large files verified when touched"])
def files(request, monkeypatch):
    """A collection that has a file of every kind, and three records in its log."""
    monkeypatch.setattr("lexidex.index.planner.SEISMIC_FROM", 1)
    monkeypatch.setattr("lexidex.index.dense.rows.INDEX_FROM", 20)
    monkeypatch.setattr("lexidex.index.storage.documents._BATCH_ROWS", 8)
    monkeypatch.setattr(checksums, "CHUNK", 128)
    monkeypatch.setattr(checksums, "LARGE", 512)
    storage = MemoryStorage()
    side = DenseSide(DenseParams(factory="HNSW4_SQ8"))
    made = Collection.create(storage, "vectors", dense=side, merge="off")
    made.upsert(documents(0, 24))
    made.delete(["d3", "d17"])
    made.flush()
    manifest = read_manifest(storage)
    tuned = record_tuning(storage, manifest.segments[0], Frontier(), manifest.number + 1)
    write_manifest(storage, replace(manifest, number=manifest.number + 1, segments=(tuned,)))
    made = Collection.open(storage, merge="off")
    made.delete(["d5"])
    made.flush()
    made.upsert(documents(24, 27))
    made.delete(["d24"])
    made.upsert([{"id": "new", "vector": {"unheard": 1.0, "w1": 3.0}}])
    if request.param == "all verified at opening":
        monkeypatch.setattr(checksums, "LARGE", 1 << 26)
    return {name: bytes(data) for name, data in storage.files.items()}


def answers(storage):
    """What reading tells, everything at least once."""
    opened = Collection.open(storage, merge="off")
    query = {word: 1.0 + place for place, word in enumerate(WORDS)}
    yield opened.generation, len(opened)
    yield [(h.doc_id, h.score) for h in opened.search(sparse=query, k=50, exact=True, fields=())]
    yield opened.search(sparse={"w1": 1.0, "w4": 2.0}, k=50, params=None).hits
    yield opened.search(sparse=query, k=50, filter={"n": {"gte": 1}}).hits
    for exact in (False, True):
        yield opened.search(mode="dense", dense=DIRECTION, k=10, exact=exact).hits
    yield opened.search(mode="hybrid", sparse={"w2": 1.0}, dense=DIRECTION, k=50).hits
    yield opened.facets(["when"], n=40)
    yield [opened.get(f"d{number}") for number in (0, 23, 25)]
    yield [opened.explain(query, doc_id) for doc_id in ("d0", "d22", "new")]


def compare(files, expected):
    """Whether reading fails with an error of ours; until then, everything is as it was."""
    storage = MemoryStorage()
    storage.files = files
    found = []
    try:
        found.extend(answers(storage))
    except FormatError as error:
        assert found == expected[: len(found)]
        return str(error)
    assert found == expected
    return None


def read(files):
    storage = MemoryStorage()
    storage.files = dict(files)
    return list(answers(storage))


def test_there_is_a_file_of_every_kind(files):
    for kind in KINDS:
        assert any(kind in name for name in files), kind
    assert b'"name": "faiss"' in next(files[name] for name in files if "dense.lxd" in name)


@pytest.mark.parametrize("n_flips", [60, pytest.param(1_000, marks=pytest.mark.slow)])
def test_a_flipped_bit_is_named_or_does_not_matter(files, n_flips):
    expected, rng = read(files), np.random.default_rng(0)
    for kind in KINDS:
        of_kind = [name for name in files if kind in name]
        n_named = 0
        for _ in range(n_flips):
            name = of_kind[rng.integers(len(of_kind))]
            bit = int(rng.integers(8 * len(files[name])))
            data = bytearray(files[name])
            data[bit // 8] ^= 1 << bit % 8
            error = compare({**files, name: bytes(data)}, expected)
            assert name in error if error else not holds(files[name], bit // 8), (name, bit)
            n_named += error is not None
        assert n_named > 0.8 * n_flips, kind


def holds(data, place):
    """Whether a byte is part of an array, rather than between arrays or of another file."""
    if not data.startswith(MAGIC):
        return False
    spans = array_spans(memoryview(data), "here").values()
    return any(start <= place < end for start, end in spans)


def boundaries(data):
    """Places where parts of a file meet, and their neighbours."""
    found = {0, 1, 8, 12, 16, 24, 28, 36, 40, len(data) // 2, len(data) - 24, len(data) - 10}
    if data.startswith(MAGIC):
        for span in array_spans(memoryview(data), "here").values():
            found |= set(span)
    at = data.find(b"\xe7LXR")
    while at >= 0:
        found |= {at, at + 20}
        at = data.find(b"\xe7LXR", at + 1)
    found.add(data.find(b"\n"))
    near = {place + more for place in found for more in (-1, 0, 1)}
    return sorted(place for place in {*near, len(data) - 1} if 0 <= place < len(data))


def test_a_file_cut_at_any_boundary_or_missing_is_named(files):
    expected = read(files)
    for name, data in files.items():
        for place in boundaries(data):
            error = compare({**files, name: data[:place]}, expected)
            assert error is not None, (name, place)
            assert name in error, (name, place)
        for more in (b"\0", b"more" * 20):
            error = compare({**files, name: data + more}, expected)
            if "log-" in name:
                assert error is None, "bytes that are no record are a torn tail"
            else:
                assert name in error
        rest = {other: kept for other, kept in files.items() if other != name}
        if "manifest-" in name:
            with pytest.raises(NotFound):
                compare(rest, expected)
        else:
            assert name in compare(rest, expected)


def test_files_of_another_collection_in_their_place_are_named(files):
    """Such as a backup that was put back in part."""
    expected = read(files)
    storage = MemoryStorage()
    storage.files = {name: bytearray(data) for name, data in files.items()}
    Collection.open(storage, merge="off").upsert(documents(50, 52))
    for name, data in files.items():
        if "log-" not in name and "manifest-" not in name:
            other = next(n for n in files if n != name and "manifest-" not in n)
            error = compare({**files, name: files[other]}, expected)
            assert error is not None or data == files[other], name
