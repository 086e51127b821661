"""Large files: what is touched is verified first, and what is not touched is not read."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zlib_ng.zlib_ng import crc32

from lexidex import Collection
from lexidex.errors import CorruptFile, FormatError
from lexidex.index import SearchParams
from lexidex.index.storage import checksums
from lexidex.index.storage.arrays import array_spans
from lexidex.index.storage.checksums import ChunkSums
from lexidex.index.storage.files import FileStorage, MemoryStorage
from lexidex.index.storage.integrity import check
from lexidex.index.storage.manifest import read_manifest, write_manifest
from lexidex.index.storage.repair import repair
from lexidex.index.storage.verification import Guard

from ...lettered import DENSE, PROBE, letters

CHUNK = 128
LARGE = [
    *("documents.arrow", "vectors.lxd", "exact.lxd", "seismic.lxd", "dense.lxd"),
    "metadata.arrow",
]


@pytest.fixture
def small(monkeypatch):
    """Sizes at which files of a few kilobytes are large."""
    monkeypatch.setattr(checksums, "LARGE", 512)
    monkeypatch.setattr(checksums, "CHUNK", CHUNK)
    monkeypatch.setattr("lexidex.index.planner.SEISMIC_FROM", 1)
    monkeypatch.setattr("lexidex.index.dense.rows.INDEX_FROM", 30)
    monkeypatch.setattr("lexidex.index.storage.documents._BATCH_ROWS", 8)


@given(st.binary(max_size=1000), st.lists(st.integers(0, 300)))
def test_chunks_have_the_same_checksums_however_they_are_written(data, pieces):
    rest = memoryview(data)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checksums, "CHUNK", CHUNK)
        sums = ChunkSums()
        for size in [*pieces, len(data)]:
            sums.add(rest[:size])
            rest = rest[size:]
        found = sums.all().tolist()
    assert found == [crc32(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK)]


spans = st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)), min_size=1, max_size=5)


@given(st.integers(0, 999), spans, st.booleans())
def test_a_guard_refuses_the_damaged_chunk_and_nothing_else(damaged, spans, one_by_one):
    sound = bytes(range(250)) * 4
    sums = [crc32(sound[at : at + CHUNK]) for at in range(0, 1000, CHUNK)]
    data = bytearray(sound)
    data[damaged] ^= 1
    guard = Guard(memoryview(bytes(data)), sums, CHUNK, "here")
    starts, ends = np.sort(np.array(spans), axis=1).T
    pairs = list(zip(starts.tolist(), ends.tolist(), strict=True))

    def verify():
        for start, end in pairs if one_by_one else []:
            guard.verify(start, end)
        guard.verify_spans(starts, ends)

    chunk = damaged // CHUNK
    if any(start < end and start // CHUNK <= chunk <= (end - 1) // CHUNK for start, end in pairs):
        with pytest.raises(CorruptFile, match=f"here: bytes {chunk * CHUNK} to "):
            verify()
        assert not guard.is_done
    else:
        verify()
    whole = Guard(memoryview(sound), sums, CHUNK, "here")
    whole.verify_spans([0], [1])
    assert whole.is_done == (len(sums) == 1)
    whole.verify()
    assert whole.is_done


def documents(n):
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(12)]
    for number in range(n):
        chosen = rng.choice(words, 4, replace=False).tolist()
        vector = {word: float(rng.integers(1, 9)) for word in chosen}
        yield {
            "id": f"d{number}",
            "text": f"text {number} " * 3,
            "vector": vector,
            "dense": letters(f"text {number}"),
            "metadata": {"n": number % 3},
        }


@pytest.fixture
def files(small):
    storage = MemoryStorage()
    with Collection.create(storage, "vectors", dense=DENSE, merge="off") as made:
        made.upsert(documents(40))
        made.flush()
        made.delete(["d3", "d17"])
    return dict(storage.files)


QUERY = {"w1": 1.0, "w5": 2.0, "w7": 0.5}


def answers(storage, memory="map"):
    """Everything that reading a collection tells."""
    opened = Collection.open(storage, memory, merge="off")
    for options in ({"exact": True}, {"params": SearchParams(rank_safe=True)}, {}):
        hits = opened.search(sparse=QUERY, k=5, **options).hits
        yield [(hit.doc_id, hit.score, hit.text) for hit in hits]
    searched = opened._snapshot.segments[0].seismic.search(
        opened._snapshot.passage_vectors(0, 20), k=3, params=SearchParams()
    )
    yield searched.scores.tolist(), searched.ordinals.tolist()
    for exact in (False, True):
        hits = opened.search(mode="dense", dense=PROBE, k=5, exact=exact).hits
        yield [(hit.doc_id, hit.score) for hit in hits]
    yield opened.search(sparse=QUERY, filter={"n": 1}, k=3).hits
    yield [opened.explain(QUERY, doc_id) for doc_id in ("d0", "d39")]
    yield [opened.get(doc_id) for doc_id in ("d1", "d38")]
    opened.compact()
    yield opened.check().problems, len(opened)
    yield [(hit.doc_id, hit.score) for hit in opened.search(sparse=QUERY, exact=True).hits]


def test_large_files_have_checksums_of_chunks(files):
    (name,) = (name for name in files if name.endswith("checksums.lxd"))
    folder = name.rpartition("/")[0]
    arrays, chunk = checksums.read_checksums(memoryview(files[name]), "here")
    assert chunk == CHUNK
    large = {
        file
        for file, data in ((n.rpartition("/")[2], d) for n, d in files.items() if folder in n)
        if len(data) > checksums.LARGE
    }
    assert set(arrays) == large - {"checksums.lxd"}
    assert set(LARGE) <= set(arrays)


@pytest.mark.parametrize("file", LARGE)
@pytest.mark.parametrize("with_sums", [True, False])
def test_damage_anywhere_in_a_large_file_is_named_or_does_not_matter(files, file, with_sums):
    """Without checksums of chunks, as of segments written before there were any, too."""
    storage = MemoryStorage()
    storage.files = dict(files)
    expected = list(answers(storage))
    storage.files = dict(files)
    if not with_sums:
        manifest = read_manifest(storage)
        (entry,) = manifest.segments
        kept = tuple(file for file in entry.files if not file.name.endswith("checksums.lxd"))
        segments = (replace(entry, files=kept),)
        write_manifest(storage, replace(manifest, number=manifest.number + 1, segments=segments))
    sound = dict(storage.files)
    (name,) = (name for name in files if name.endswith(f"/{file}"))
    rng = np.random.default_rng(1)
    for _ in range(12):
        data = bytearray(sound[name])
        bit = int(rng.integers(8 * len(data)))
        data[bit // 8] ^= 1 << bit % 8
        storage.files = {**sound, name: bytes(data)}
        given = []
        with pytest.raises(FormatError, match=file):  # answers touch all of every file
            given.extend(answers(storage))
        assert given == expected[: len(given)], bit


def test_what_is_not_touched_is_not_read(files):
    """Damage in one document's batch leaves the others, and all of searching, as they are."""
    (name,) = (name for name in files if name.endswith("documents.arrow"))
    data = bytearray(files[name])
    at = data.index(b"text 39 text 39")
    data[at] ^= 2
    storage = MemoryStorage()
    storage.files = {**files, name: bytes(data)}
    opened = Collection.open(storage, merge="off")
    assert opened.get("d0").text.startswith("text 0 ")
    with pytest.raises(CorruptFile, match=r"documents.arrow: bytes \d+ to \d+ do not match"):
        opened.get("d39")
    with pytest.raises(CorruptFile):
        opened.get("d39")
    assert opened.get("d0").text.startswith("text 0 ")
    assert "documents.arrow" in check(storage).problems[0]


@pytest.mark.parametrize("array", ["components", "lists", "block_starts"])
def test_what_opening_follows_in_an_approximate_index_is_verified_first(files, array):
    (name,) = (name for name in files if name.endswith("seismic.lxd"))
    start, end = array_spans(memoryview(files[name]), name)[array]
    for at in range(start, end, 4):
        data = bytearray(files[name])
        data[at : at + 4] = b"\xff" * 4
        storage = MemoryStorage()
        storage.files = {**files, name: bytes(data)}
        with pytest.raises(CorruptFile, match=r"seismic\.lxd: bytes \d+ to \d+ do not match"):
            Collection.open(storage, merge="off")


def test_a_damaged_file_of_checksums_is_refused_and_repaired(files):
    (name,) = (name for name in files if name.endswith("checksums.lxd"))
    data = bytearray(files[name])
    data[70] ^= 1
    storage = MemoryStorage()
    storage.files = {**files, name: bytes(data)}
    with pytest.raises(CorruptFile, match=r"checksums\.lxd"):
        Collection.open(storage)
    assert "made anew" in repair(storage).actions[0]
    assert len(Collection.open(storage)) == 38


@pytest.mark.parametrize("memory", ["map", "load"])
def test_files_on_disk_are_guarded_alike(files, tmp_path, memory):
    storage = FileStorage(tmp_path / "c")
    for name, data in files.items():
        with storage.create(name) as file:
            file.write(data)
    held = MemoryStorage()
    held.files = dict(files)
    assert list(answers(storage, memory)) == list(answers(held))
