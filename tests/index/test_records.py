"""Records: what goes in comes out, the largest entries stand in the head, and scores are sums."""

import numpy as np
import pytest
from scipy import sparse

from lexidex.index import BuildParams, SeismicIndex
from lexidex.index.seismic.records import LINE, part_of, read_entries, score

SIZES = (0, 1, 2, 23, 24, 25, 41, 42, 43, 84, 300)


def documents(dim, repeats, seed=0):
    """Documents of those sizes, each as often as said, over distinct random components."""
    rng = np.random.default_rng(seed)
    rows = [size for size in SIZES for _ in range(repeats)]
    matrix = sparse.lil_array((len(rows), dim), dtype=np.float32)
    for row, size in enumerate(rows):
        components = rng.choice(dim, size, replace=False)
        # Weights in steps, so that many are equal and the head's last place is contested.
        matrix[row, components] = np.ceil(rng.random(size) * 20) / 7
    return sparse.csr_array(matrix)


def indexed(wide, value_type):
    """An index whose component numbers take 2 bytes, or 4, and its documents."""
    vectors = documents(500, 3) if not wide else documents(66_000, 1)
    if wide:  # every component is some document's
        ends = np.arange(0, 66_001, 100)
        ones = np.ones(66_000, dtype=np.float32)
        every = sparse.csr_array((ones, np.arange(66_000), ends), shape=(660, 66_000))
        vectors = sparse.csr_array(sparse.vstack([vectors, every]))
    vectors.sort_indices()
    return SeismicIndex.build(vectors, BuildParams(value_type=value_type)), vectors


@pytest.mark.parametrize(
    ("wide", "value_type", "off"),
    [(False, "u8", 0.51 / 255), (False, "u16", 2e-5), (False, "f32", 0), (True, "u16", 2e-5)],
)
def test_entries_come_back_by_ascending_component(wide, value_type, off):
    index, vectors = indexed(wide, value_type)
    assert index.records.components.itemsize == (4 if wide else 2)
    numbers, values = np.empty(500, np.int64), np.empty(500, np.float32)
    for ordinal in range(vectors.shape[0]):
        row = vectors[[ordinal]]
        size = read_entries(index.records, ordinal, numbers, values)
        assert index.components[numbers[:size]].tolist() == row.indices.tolist()
        np.testing.assert_allclose(values[:size], row.data, atol=off * row.data.max(initial=1))


@pytest.mark.parametrize("wide", [False, True])
def test_the_head_holds_the_largest_entries_and_two_lines(wide):
    index, vectors = indexed(wide, "u16")
    records = index.records
    for ordinal in range(vectors.shape[0]):
        row = records.documents[ordinal]
        start, size = int(row["line"]) * LINE, int(row["size"])
        head, tail = (part_of(start, size, records.components, part) for part in (0, 1))
        codes = [records.codes[part.code : part.code + part.size] for part in (head, tail)]
        assert head.size + tail.size == size
        assert head.code + head.size <= start + 2 * LINE
        assert head.size == min(size, 24 if wide else 42)
        assert codes[0].min(initial=255) >= codes[1].max(initial=0)
        assert row["tail"] == codes[1].sum()


@pytest.mark.parametrize("value_type", ["u8", "u16", "f32"])
def test_a_score_is_the_sum_over_head_and_tail(value_type):
    index, vectors = indexed(False, value_type)
    query = np.random.default_rng(3).random(index.components.size).astype(np.float32)
    numbers, values = np.empty(500, np.int64), np.empty(500, np.float32)
    for ordinal in range(vectors.shape[0]):
        size = read_entries(index.records, ordinal, numbers, values)
        total = np.float32(0)
        for number, value in zip(numbers[:size], values[:size], strict=True):
            total = np.float32(total + np.float32(query[number] * value))
        assert score(index.records, query, ordinal) == pytest.approx(total, rel=1e-6)
