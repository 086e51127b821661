"""Building a Seismic index: what is kept, how it is laid out, and that nothing else matters."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lexidex.errors import CorruptFile, ParameterError, UnsupportedVersion
from lexidex.index import BuildParams, SearchParams, SeismicBuilder, SeismicIndex
from lexidex.index.seismic.buckets import bucket_of, sort_bucket
from lexidex.index.seismic.crew import STAGES, Crew, Stopped
from lexidex.index.seismic.pruning import least_kept
from lexidex.index.storage.arrays import read_arrays, verify_arrays, write_arrays

from .collections import batches, random_batch

EVERYTHING = BuildParams(n_postings=10_000, value_type="f32")


def arrays_of(index):
    return read_arrays(memoryview(written(index)), "seismic-index", "test")[0]


def written(index):
    file = io.BytesIO()
    index.write(file)
    return file.getvalue()


def lists_of(index):
    """By component: the ordinals of its blocks, as lists."""
    arrays = arrays_of(index)
    starts = arrays["block_starts"]
    first = arrays["lists"][:, 0]
    return {
        component: [
            arrays["ordinals"][starts[b] : starts[b + 1]].tolist()
            for b in range(first[i], first[i + 1])
        ]
        for i, component in enumerate(arrays["components"].tolist())
    }


def float_batch(rng, rows, dim, density=0.4):
    """A csr_array of distinct random weights."""
    weights = rng.permutation(rows * dim).reshape(rows, dim) + 1
    return sparse.csr_array((weights * (rng.random((rows, dim)) < density)).astype(np.float32))


# Same input, same bytes


@given(batches(), st.lists(st.integers(0, 40), max_size=4), st.integers(1, 3), st.data())
@settings(max_examples=25)
def test_neither_threads_nor_batches_change_a_byte(documents, cuts, n_threads, data):
    params = BuildParams(
        n_postings=data.draw(st.integers(1, 8)),
        centroid_fraction=data.draw(st.sampled_from([0.1, 0.5, 1.0])),
        value_type=data.draw(st.sampled_from(["u8", "u16", "f32"])),
    )
    whole = SeismicIndex.build(documents, params, seed=5)
    builder = SeismicBuilder(params)
    bounds = sorted({0, documents.shape[0], *(c for c in cuts if c < documents.shape[0])})
    for first, last in pairwise(bounds):
        builder.add(documents[first:last])
    pieces = builder.finish(n_threads=n_threads, seed=5)
    if documents.shape[0]:
        assert written(pieces) == written(whole)
    assert builder.n_documents == 0


def test_a_builder_starts_anew_after_it_has_finished():
    rng = np.random.default_rng(0)
    first, second = random_batch(rng, 9, 6), random_batch(rng, 5, 4)
    builder = SeismicBuilder()
    builder.add(first).finish()
    assert written(builder.add(second).finish()) == written(SeismicIndex.build(second))


def test_a_refused_batch_leaves_the_builder_as_it_was():
    good = sparse.csr_array(np.eye(3, dtype=np.float32))
    builder = SeismicBuilder().add(good)
    with pytest.raises(ParameterError, match=r"value -1\.0 in row 1, component 1"):
        builder.add(sparse.csr_array(np.diag([1.0, -1.0]).astype(np.float32)))
    assert written(builder.finish()) == written(SeismicIndex.build(good))


def test_another_seed_makes_other_blocks_of_the_same_lists():
    documents = random_batch(np.random.default_rng(1), 60, 5, 0.8)
    one, other = (SeismicIndex.build(documents, seed=seed) for seed in (0, 1))
    assert lists_of(one) != lists_of(other)
    flat = [{c: sorted(chain(*blocks)) for c, blocks in lists_of(i).items()} for i in (one, other)]
    assert flat[0] == flat[1]


@pytest.mark.parametrize("seed", [-1, 2**31, 0.5, True, None])
def test_a_bad_seed_is_refused(seed):
    with pytest.raises(ParameterError, match=r"seed: .*expected an integer from 0"):
        SeismicIndex.build(sparse.csr_array(np.eye(2, dtype=np.float32)), seed=seed)


def test_a_bad_number_of_threads_is_refused():
    with pytest.raises(ParameterError, match="n_threads"):
        SeismicIndex.build(sparse.csr_array(np.eye(2, dtype=np.float32)), n_threads=0)


# Pruning


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from([1.0, 1.5, 4.0]))
@settings(max_examples=25)
def test_the_largest_postings_of_all_are_kept_up_to_a_limit_a_list(seed, n_postings, max_fraction):
    documents = float_batch(np.random.default_rng(seed), 30, 8)
    params = BuildParams(n_postings=n_postings, max_fraction=max_fraction, value_type="f32")
    index = SeismicIndex.build(documents, params)
    dense = documents.toarray()
    components = np.unique(documents.indices)
    budget = n_postings * components.size
    cap = round(n_postings * max_fraction)
    ranked = np.sort(dense[dense > 0])[::-1]
    least = ranked[budget - 1] if ranked.size > budget else 0
    for component, blocks in lists_of(index).items():
        column = dense[:, component]
        wanted = [o for o in np.argsort(-column) if column[o] > 0 and column[o] >= least][:cap]
        assert sorted(chain(*blocks)) == sorted(wanted)


def test_equal_values_are_kept_evenly_over_the_documents():
    documents = sparse.csr_array(np.ones((400, 12), dtype=np.float32))
    index = SeismicIndex.build(documents, BuildParams(n_postings=100))
    kept = np.bincount(arrays_of(index)["ordinals"], minlength=400).reshape(4, 100)
    assert 0.95 * 1200 <= kept.sum() <= 1.1 * 1200
    np.testing.assert_allclose(kept.sum(axis=1), 300, rtol=0.2)


def test_lists_hold_more_postings_in_a_larger_collection():
    rng = np.random.default_rng(2)
    documents = random_batch(rng, 300, 4, 0.9)
    kept = [
        SeismicIndex.build(documents, BuildParams(n_postings=5, posting_fraction=f)).n_postings
        for f in (0.0, 0.05, 0.1, 1.0)
    ]
    assert kept[0] <= 4 * 5 * 1.2
    assert kept[1] == pytest.approx(4 * 15, rel=0.2)
    assert kept[2] == pytest.approx(4 * 30, rel=0.2)
    assert kept[3] == documents.nnz


# Blocks


@given(
    batches(max_rows=30, max_dim=6),
    st.sampled_from([0.05, 0.3, 0.6, 1.0]),
    st.integers(1, 4),
    st.integers(1, 6),
)
@settings(max_examples=40)
def test_blocks_part_each_list_and_none_stays_too_small(documents, fraction, smallest, doc_cut):
    params = BuildParams(
        n_postings=1000, centroid_fraction=fraction, min_cluster_size=smallest, doc_cut=doc_cut
    )
    dense = documents.toarray()
    for component, blocks in lists_of(SeismicIndex.build(documents, params)).items():
        size = np.count_nonzero(dense[:, component])
        assert sorted(chain(*blocks)) == np.flatnonzero(dense[:, component]).tolist()
        assert all(block == sorted(block) and block for block in blocks)
        assert len(blocks) <= max(1, int(fraction * size + 0.5))
        assert len(blocks) == 1 or min(map(len, blocks)) >= smallest


def test_similar_documents_share_a_block():
    rng = np.random.default_rng(3)
    topic = np.arange(60) % 3
    dense = np.zeros((60, 31), dtype=np.float32)
    for document in range(60):
        own = 10 * topic[document] + rng.choice(10, 6, replace=False)
        dense[document, own] = rng.integers(3, 6, 6)
    dense[:, 30] = 1
    index = SeismicIndex.build(sparse.csr_array(dense), BuildParams(min_cluster_size=1))
    for block in lists_of(index)[30]:
        assert len(set(topic[block].tolist())) == 1


@pytest.mark.parametrize(
    ("name", "values", "measure"),
    [
        ("n_postings", [2, 10, 40], lambda index: index.n_postings),
        ("max_fraction", [1.0, 2.0, 8.0], lambda index: index.n_postings),
        ("centroid_fraction", [0.05, 0.2, 0.9], lambda index: index.n_blocks),
        ("min_cluster_size", [8, 3, 1], lambda index: index.n_blocks),
        ("summary_energy", [0.0, 0.3, 1.0], lambda index: arrays_of(index)["entries"].size),
        ("value_type", ["u8", "u16", "f32"], lambda index: index.nbytes),
    ],
)
def test_each_parameter_points_where_it_says(name, values, measure):
    rng = np.random.default_rng(4)
    documents = random_batch(rng, 120, 40, 0.3, max_weight=9)
    documents = sparse.csr_array(documents.multiply(rng.random(40) ** 3 + 0.01), dtype=np.float32)
    plain = {"n_postings": 20, "posting_fraction": 0.0}
    found = [
        measure(SeismicIndex.build(documents, BuildParams(**{**plain, name: value})))
        for value in values
    ]
    assert found[0] < found[1] < found[2]


# Summaries


def summaries_of(index):
    """By component: float (n_blocks, n_components), what the entries say, and the impacts."""
    arrays = arrays_of(index)
    n_components = arrays["components"].size
    decoded = []
    for number in range(n_components):
        first, bucket, unit, bits = arrays["lists"][number]
        n_blocks = int(arrays["lists"][number + 1, 0]) - int(first)
        unit = np.array([unit], dtype=np.uint32).view(np.float32)[0]
        block_bits, bucket_bits = int(bits) & 255, int(bits) >> 8 & 255
        code_bits = 16 - block_bits
        summary = np.zeros((n_blocks, n_components))
        for place in range(int(bucket), int(arrays["lists"][number + 1, 1])):
            begin, end = arrays["buckets"][place : place + 2]
            entries = arrays["entries"][begin:end].astype(np.int64)
            assert np.all(np.diff(entries) > 0)
            for entry in entries.tolist():
                component, block = entry >> 16, (entry & 65535) >> code_bits
                assert bucket_of(component, bucket_bits) == place - int(bucket)
                summary[block, component] = (entry & ((1 << code_bits) - 1)) * unit
        impacts = arrays["impacts"][first : first + n_blocks] * unit * ((1 << code_bits) - 1) / 255
        decoded.append((summary, impacts))
    return decoded


def maxima_of(documents, blocks):
    return np.stack([documents.toarray()[block].max(axis=0) for block in blocks])


@given(batches(max_rows=30, max_dim=9, max_weight=9), st.sampled_from([0.1, 0.4, 1.0]))
@settings(max_examples=30)
def test_a_whole_summary_is_the_maximum_of_its_block(documents, fraction):
    params = BuildParams(n_postings=1000, centroid_fraction=fraction, summary_energy=1.0)
    index = SeismicIndex.build(documents, params)
    lists = lists_of(index)
    for (component, blocks), (summary, impacts) in zip(
        lists.items(), summaries_of(index), strict=True
    ):
        maxima = maxima_of(documents, blocks)[:, list(lists)]
        own = list(lists).index(component)
        step = maxima.max() / 250  # codes count in steps of the list's largest value
        np.testing.assert_allclose(impacts, maxima[:, own], rtol=0, atol=step)
        maxima[:, own] = 0
        np.testing.assert_allclose(summary, maxima, rtol=0, atol=step)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.5, 0.8]))
@settings(max_examples=20)
def test_a_cut_summary_holds_the_largest_coordinates_up_to_its_energy(seed, energy):
    documents = float_batch(np.random.default_rng(seed), 24, 10, 0.6)
    params = BuildParams(n_postings=1000, value_type="f32", summary_energy=energy)
    index = SeismicIndex.build(documents, params)
    for (component, blocks), (summary, _) in zip(
        lists_of(index).items(), summaries_of(index), strict=True
    ):
        maxima = maxima_of(documents, blocks)
        maxima[:, component] = 0
        step = documents.data.max() / 100
        for kept, row in zip(summary > 0, maxima, strict=True):
            if not row.any():
                continue
            assert row[kept].sum() >= energy * row.sum() - step
            assert row[kept].sum() - row[kept].min() < energy * row.sum() + step
            dropped = row[~kept].max(initial=0.0)
            assert row[kept].min() >= dropped - step


# Files


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("seismic") / "index.lxd"
    documents = random_batch(np.random.default_rng(6), 20, 9)
    SeismicIndex.build(documents, BuildParams(n_postings=3)).save(path)
    return path


def padding(content):
    """bool (len(content),): the bytes between sections, which carry nothing."""
    arrays, _ = read_arrays(memoryview(content), "seismic-index", "saved")
    unused = np.zeros(len(content), dtype=np.bool_)
    end = 16
    whole = np.frombuffer(content, np.uint8)
    for array in arrays.values():
        begin = array.ctypes.data - whole.ctypes.data
        unused[end:begin] = True
        end = begin + array.nbytes
    return unused


@given(st.data())
@settings(max_examples=60)
def test_a_flipped_bit_is_found(saved, tmp_path_factory, data):
    content = bytearray(saved.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flipped") / "index.lxd"
    path.write_bytes(content)
    if padding(saved.read_bytes())[place]:
        return
    with pytest.raises((CorruptFile, UnsupportedVersion), match=r"index\.lxd: "):
        verify_arrays(memoryview(bytes(content)), str(path))


@given(st.data())
@settings(max_examples=30)
def test_a_truncated_file_is_refused(saved, tmp_path_factory, data):
    content = saved.read_bytes()
    path = tmp_path_factory.mktemp("truncated") / "index.lxd"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(CorruptFile, match=r"index\.lxd: "):
        SeismicIndex.open(path)


@pytest.mark.parametrize(
    "name", ["documents", "records", "lists", "block_starts", "impacts", "ordinals", "entries"]
)
@pytest.mark.parametrize("damage", ["missing", "short"])
def test_arrays_that_do_not_fit_together_are_refused(saved, tmp_path, name, damage):
    arrays, meta = read_arrays(memoryview(saved.read_bytes()), "seismic-index", "saved")
    if damage == "missing":
        del arrays[name]
    else:
        arrays[name] = arrays[name][:-1]
    with open(tmp_path / "damaged.lxd", "wb") as file:
        write_arrays(file, "seismic-index", arrays, meta)
    with pytest.raises(CorruptFile, match=r"damaged.lxd: not a whole seismic-index: array '"):
        SeismicIndex.open(tmp_path / "damaged.lxd")


def test_unknown_parameters_in_a_file_are_refused(saved, tmp_path):
    arrays, meta = read_arrays(memoryview(saved.read_bytes()), "seismic-index", "saved")
    for change in ({"params": {"beams": 3}}, {"params": {"n_postings": 0}}, {"seed": None}):
        with open(tmp_path / "x.lxd", "wb") as file:
            write_arrays(file, "seismic-index", arrays, {**meta, **change})
        with pytest.raises(CorruptFile, match=r"x.lxd: not a whole seismic-index"):
            SeismicIndex.open(tmp_path / "x.lxd")


def test_a_file_of_another_kind_is_refused(tmp_path):
    with open(tmp_path / "x.lxd", "wb") as file:
        write_arrays(file, "exact-index", {}, {})
    with pytest.raises(CorruptFile, match="holds a exact-index, expected a seismic-index"):
        SeismicIndex.open(tmp_path / "x.lxd")


@pytest.mark.parametrize("memory", ["map", "load"])
def test_a_saved_index_is_the_same_index(saved, memory):
    documents = random_batch(np.random.default_rng(6), 20, 9)
    index = SeismicIndex.build(documents, BuildParams(n_postings=3))
    reopened = SeismicIndex.open(saved, memory=memory)
    assert written(reopened) == written(index) == saved.read_bytes()
    assert reopened.params == index.params
    assert (reopened.n_documents, reopened.dim, reopened.seed) == (20, 9, 0)
    assert reopened.nbytes == index.nbytes <= saved.stat().st_size
    found, again = index.search(documents, 3), reopened.search(documents, 3)
    np.testing.assert_array_equal(found.ordinals, again.ordinals)
    np.testing.assert_array_equal(found.scores, again.scores)
    assert found.counters == again.counters
    assert index.search(documents, 3, SearchParams(heap_factor=0)).counters.blocks_skipped == 0


# Progress and interruption


def test_progress_goes_through_every_stage_to_its_end():
    seen = []
    documents = random_batch(np.random.default_rng(7), 300, 40)
    SeismicIndex.build(documents, n_threads=2, progress=seen.append)
    assert list(dict.fromkeys(p.stage for p in seen)) == list(STAGES)
    for stage in STAGES:
        steps = [(p.done, p.total) for p in seen if p.stage == stage]
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1] == steps[0][1] > 0


def test_an_empty_build_reports_progress_too():
    seen = []
    SeismicIndex.build(sparse.csr_array((0, 5), dtype=np.float32), progress=seen.append)
    assert all(p.done == p.total for p in seen if p.stage != "pruning")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_interrupt_at_any_stage_leaves_an_empty_builder(stage, n_threads):
    def interrupt(progress):
        if progress.stage == stage and progress.done:
            raise KeyboardInterrupt

    documents = random_batch(np.random.default_rng(8), 200, 30)
    builder = SeismicBuilder()
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        builder.add(documents, progress=interrupt).finish(n_threads=n_threads, progress=interrupt)
    assert threading.active_count() == before
    assert builder.n_documents == 0
    assert written(builder.add(documents).finish()) == written(SeismicIndex.build(documents))


def test_a_refused_seed_leaves_the_documents_in_the_builder():
    documents = random_batch(np.random.default_rng(9), 20, 8)
    builder = SeismicBuilder().add(documents)
    for wrong in ({"seed": -1}, {"n_threads": 0}):
        with pytest.raises(ParameterError):
            builder.finish(**wrong)
    assert written(builder.finish()) == written(SeismicIndex.build(documents))


_INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np
from scipy import sparse
from lexidex.index import SeismicBuilder

signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have it ignored
rng = np.random.default_rng(0)
dense = rng.random((4000, 200), dtype=np.float32) * (rng.random((4000, 200)) < 0.3)
documents = sparse.csr_array(dense.astype(np.float32))
builder = SeismicBuilder(folder=sys.argv[1])
index = builder.add(documents).finish(n_threads=2)
print("building", flush=True)
try:
    while True:
        builder.add(documents).finish(n_threads=2)
except KeyboardInterrupt:
    for _ in range(1000):  # an interrupt while a thread starts leaves it unjoined, though ending
        if threading.active_count() > 1:
            time.sleep(0.01)
    print(builder.n_documents in (0, 4000), threading.active_count(), os.listdir(sys.argv[1]))
"""


@pytest.mark.compiled_only
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_a_signal_ends_a_build_and_its_threads(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "building\n"
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        rest, _ = child.communicate(timeout=30)
    finally:
        child.kill()
    assert rest == "True 1 []\n"
    assert child.returncode == 0


def test_what_a_share_raises_ends_the_crew():
    def share(first, _last):
        if first == 3:
            raise ZeroDivisionError
        return first

    taken = []
    for n_threads in (1, 3):
        crew = Crew(n_threads)
        with pytest.raises(ZeroDivisionError):
            crew.run(share, range(9), taken.append)
    assert taken == [0, 1, 2, 0, 1, 2]
    with pytest.raises(Stopped):
        crew.check()


@given(st.integers(0, 2**32 - 1), st.integers(2, 400), st.sampled_from([3, 1000, 2**31]))
@settings(max_examples=40)
def test_the_least_key_kept_is_that_of_a_sorted_list(seed, size, limit):
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, limit, size).astype(np.uint32)
    room = int(rng.integers(1, size))
    least, equal = least_kept(keys, room, np.empty(2048, np.int64))
    largest = np.sort(keys)[::-1][:room]
    assert least == largest[-1]
    assert equal == np.count_nonzero(largest == largest[-1])


@given(st.lists(st.integers(0, 2**32 - 1), max_size=60), st.integers(0, 5), st.integers(0, 5))
def test_a_bucket_is_sorted_and_nothing_beside_it(values, before, after):
    entries = np.array(values, dtype=np.uint32)
    end = max(before, entries.size - after)
    wanted = entries.copy()
    wanted[before:end].sort()
    sort_bucket(entries, before, min(end, entries.size))
    np.testing.assert_array_equal(entries, wanted)
