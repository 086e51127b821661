"""Building within a memory budget: the same bytes, little memory, nothing left behind."""

import errno
import json
import os
import subprocess
import sys
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lexidex.errors import LexidexError, ParameterError, StorageFull
from lexidex.eval.synthetic import generate
from lexidex.index import BuildParams, SeismicBuilder, SeismicIndex
from lexidex.index.memory_size import as_bytes, in_words
from lexidex.index.seismic import builder as builder_module
from lexidex.index.seismic import chunks, memory
from lexidex.index.seismic.scratch import Scratch, Spool

from .collections import batches, random_batch

# Sizes


@pytest.mark.parametrize(
    ("size", "n_bytes"),
    [
        ("2GB", 2 * 10**9),
        ("512MB", 512 * 10**6),
        ("1.5GiB", 3 * 2**29),
        (" 1 kib ", 1024),
        ("3tb", 3 * 10**12),
        ("70", 70),
        (123, 123),
        ("7B", 7),
    ],
)
def test_sizes_are_read_as_written(size, n_bytes):
    assert as_bytes(size) == n_bytes


@pytest.mark.parametrize(
    "size", ["", "GB", "2 XB", "-1", "0", 0, -5, True, None, 2.5, "1e3", "1,5GB"]
)
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ParameterError, match=r"^budget: .*expected a size such as 2GB"):
        as_bytes(size, name="budget")


@given(st.integers(1, 2**50))
def test_sizes_in_words_are_read_again(n_bytes):
    assert n_bytes <= as_bytes(in_words(n_bytes)) < n_bytes + 2**20


# The same bytes


@pytest.fixture(scope="module", autouse=True)
def small_costs():
    """Budgets down to one byte, and chunks of a few entries, so that small collections spill."""
    costs = {"FIXED": 0, "A_THREAD": 0, "A_COMPONENT": 0, "A_TABLE_ENTRY": 0}
    with (
        mock.patch.multiple(memory, **costs),
        mock.patch.object(chunks, "_ENTRIES", 40),
        mock.patch.object(chunks, "_PIECES", 3),
        mock.patch.object(builder_module, "_CHUNK", 7),
    ):
        yield


@given(
    batches(max_rows=60),
    st.sampled_from([1, 300, 2000, 10**9]),
    st.lists(st.integers(0, 60), max_size=4),
    st.integers(1, 2),
    st.sampled_from(["u8", "u16", "f32"]),
)
@settings(max_examples=60)
def test_no_budget_changes_a_byte(documents, budget, cuts, n_threads, value_type):
    params = BuildParams(n_postings=5, value_type=value_type)
    wanted = saved(SeismicIndex.build(documents, params, seed=3))
    builder = SeismicBuilder(params, memory=budget)
    bounds = [0, *sorted(min(cut, documents.shape[0]) for cut in cuts), documents.shape[0]]
    for first, last in pairwise(bounds):
        builder.add(documents[first:last])
    assert saved(builder.finish(n_threads=n_threads, seed=3)) == wanted


def saved(index):
    parts = []

    class Sink:
        def write(self, data):
            parts.append(bytes(data))
            return len(data)

    index.write(Sink())
    return b"".join(parts)


@pytest.mark.compiled_only
def test_more_components_than_16_bits_number():
    components = np.arange(70_000) * 7
    documents = sparse.csr_array(
        (np.ones(70_000, np.float32), components, np.arange(0, 70_001, 50)), shape=(1400, 500_000)
    )
    wanted = saved(SeismicIndex.build(documents))
    builder = SeismicBuilder(memory=1).add(documents[:1]).add(documents[1:1399])
    assert saved(builder.add(documents[1399:]).finish()) == wanted


def test_an_index_on_files_searches_and_saves(tmp_path):
    documents = random_batch(np.random.default_rng(1), 50, 20)
    index = SeismicBuilder(memory=1, folder=tmp_path).add(documents).finish()
    assert os.listdir(tmp_path) == []
    plain = SeismicIndex.build(documents)
    found, wanted = index.search(documents, 5), plain.search(documents, 5)
    np.testing.assert_array_equal(found.ordinals, wanted.ordinals)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    index.save(tmp_path / "index.lxd")
    del index
    again = SeismicIndex.open(tmp_path / "index.lxd")
    np.testing.assert_array_equal(again.search(documents, 5).ordinals, wanted.ordinals)


@given(st.lists(st.integers(0, 50), max_size=12), st.sampled_from([None, 0, 200, 600]))
def test_a_spool_holds_what_was_appended(sizes, limit):
    spool = Spool(Scratch(limit), np.uint32, 8)
    pieces = [np.arange(size, dtype=np.uint32) + i for i, size in enumerate(sizes)]
    for piece in pieces:
        spool.append(piece)
    np.testing.assert_array_equal(spool.array(), np.concatenate([np.empty(0, np.uint32), *pieces]))


def test_room_is_given_back_with_the_array():
    scratch = Scratch(1000)
    first = scratch.zeros(100, np.uint8)
    assert not scratch.has_room(900)
    view = first[10:].view(np.uint16)
    del first
    assert not scratch.has_room(900)
    del view
    assert scratch.has_room(900)


# Failures


def test_a_budget_below_the_least_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "FIXED", 50 << 20)
    monkeypatch.setattr(memory, "A_THREAD", 10 << 20)
    with pytest.raises(ParameterError, match=r"memory: 59MiB; .* at least 60MiB"):
        SeismicBuilder(memory="59MiB")
    documents = random_batch(np.random.default_rng(2), 30, 9)
    builder = SeismicBuilder(memory="65MiB").add(documents)
    with pytest.raises(ParameterError, match=r"9 components and 2 threads .* least 70MiB"):
        builder.finish(n_threads=2)
    assert saved(builder.finish()) == saved(SeismicIndex.build(documents))


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="files are reserved on POSIX")
def test_a_full_disk_is_an_error_and_no_crash(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    builder = SeismicBuilder(memory=1).add(random_batch(np.random.default_rng(3), 30, 9))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageFull, match="no space left for a build's temporary files"):
        builder.finish()
    assert builder.n_documents == 0


def test_a_folder_that_is_not_there_is_named(tmp_path):
    builder = SeismicBuilder(memory=1, folder=tmp_path / "none")
    with pytest.raises(LexidexError, match="none: no temporary files here: No such file"):
        builder.add(random_batch(np.random.default_rng(4), 30, 9)).finish()


def test_an_interrupted_build_leaves_no_file(tmp_path):
    def interrupt(progress):
        if progress.stage == "summaries":
            raise KeyboardInterrupt

    builder = SeismicBuilder(memory=1, folder=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        builder.add(random_batch(np.random.default_rng(5), 30, 9)).finish(progress=interrupt)
    assert os.listdir(tmp_path) == []
    assert builder.n_documents == 0


# Memory

_MEASURED = """
import json, sys, threading
import numpy as np
from lexidex.index import SeismicBuilder
from lexidex.index.vectors import csr

def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("RssAnon"))

def build(documents):
    builder = SeismicBuilder(memory="72MiB", folder=sys.argv[1]).add(documents)
    return builder.finish(n_threads=1)

names = ("data", "indices", "indptr")
arrays = [np.load(f"{sys.argv[1]}/{name}.npy", mmap_mode="r") for name in names]
documents = csr(*arrays, 30522)
build(csr(*arrays[:2], arrays[2][:100], 30522))  # compiles
peak = before = anonymous()
done = threading.Event()

def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, anonymous())

threading.Thread(target=watch, daemon=True).start()
index = build(documents)
done.set()
print(json.dumps([peak - before, index.nbytes]))
"""


@pytest.mark.compiled_only
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_a_build_keeps_to_its_budget(tmp_path):
    documents = generate(60_000, n_queries=1).documents
    for name in ("data", "indices", "indptr"):
        np.save(tmp_path / f"{name}.npy", getattr(documents, name))
    printed = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    taken, index_bytes = json.loads(printed.stdout)
    assert index_bytes > 72 << 20  # which the budget does not hold
    assert taken < (72 + 8) << 20
