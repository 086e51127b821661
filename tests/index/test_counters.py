"""Counters: what they count exactly, and the work of recorded searches, so that speed cannot be
lost unseen: a change that makes searches read or score more fails here, without a clock."""

from dataclasses import asdict

import numpy as np
import pytest
from scipy import sparse

from lexidex.eval.synthetic import generate
from lexidex.index import BuildParams, Counters, ExactIndex, SearchParams, SeismicIndex

TOLERANCE = 0.10

RECORDED = {
    "exact": Counters(8912884, 0, 0, 0, 0, 53477304),
    "coarse": Counters(2178370, 10086, 15996, 3459, 28289, 8096401),
    "fine": Counters(2975191, 13345, 23013, 5064, 46998, 11159990),
    "half of the documents": Counters(2799180, 15141, 13985, 8543, 33249, 10366652),
    "a fifth of the documents": Counters(8045112, 59880, 0, 57511, 0, 26713452),
}
"""Work of 200 queries on the collection below. To record anew, after a change whose price is worth
paying or that has made searches cheaper: `pytest tests/index/test_counters.py -k recorded` with
Counters() here, and copy what the messages show."""


@pytest.fixture(scope="module")
def indexes():
    """The queries and the indexes that RECORDED is about."""
    made = generate(20_000, seed=7, n_queries=200)
    return {
        "queries": made.test_queries,
        "exact": ExactIndex.build(made.documents),
        "seismic": SeismicIndex.build(made.documents),
    }


@pytest.mark.compiled_only
@pytest.mark.parametrize("case", RECORDED)
def test_searches_do_no_more_work_than_recorded(indexes, case):
    queries, exact, seismic = indexes["queries"], indexes["exact"], indexes["seismic"]
    ordinals = np.arange(seismic.n_documents)
    done = {
        "exact": lambda: exact.search(queries, 10),
        "coarse": lambda: seismic.search(queries, 10, SearchParams(6, 1.0)),
        "fine": lambda: seismic.search(queries, 10, SearchParams(10, 0.9)),
        "half of the documents": lambda: seismic.search(queries, 10, allowed=ordinals[::2]),
        "a fifth of the documents": lambda: seismic.search(queries, 10, allowed=ordinals[::5]),
    }[case]().counters
    for name, recorded in asdict(RECORDED[case]).items():
        if not name.endswith("_skipped"):
            work = getattr(done, name)
            assert work <= recorded * (1 + TOLERANCE), f"{name}: {work:,}; all in all {done}"


def test_exact_search_counts_postings_and_their_six_bytes():
    documents = sparse.csr_array(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=np.float32))
    query = sparse.csr_array(np.array([[1, 1, 0]], dtype=np.float32))
    assert ExactIndex.build(documents).search(query, 2).counters == Counters(
        postings_scored=3, bytes_touched=18
    )


@pytest.mark.parametrize(("value_type", "residue"), [("u8", 0), ("u16", 1), ("f32", 4)])
def test_a_scan_counts_the_bytes_of_records(value_type, residue):
    documents = sparse.csr_array(np.array([[1, 1, 2], [1, 0, 0], [0, 3, 1]], dtype=np.float32))
    index = SeismicIndex.build(documents, BuildParams(value_type=value_type))
    found = index.search_one([0, 1], [1.0, 1.0], 3, SearchParams(rank_safe=True))
    rated = 3 * 16 + 6 * 3  # rows of the documents table; entries of 2 bytes and a code
    assert found.counters == Counters(6, 3, bytes_touched=rated + 6 * residue)
    filtered = index.search_one([0, 1], [1.0, 1.0], 3, allowed=[2])
    assert filtered.counters == Counters(2, 1, bytes_touched=16 + 2 * 3 + 2 * residue)


def test_a_visit_of_blocks_counts_postings_and_entries_besides():
    documents = sparse.csr_array(np.array([[1, 1, 2], [1, 0, 0], [0, 3, 1]], dtype=np.float32))
    index = SeismicIndex.build(documents, BuildParams(value_type="u8"))
    walked = index.search_one([0], [1.0], 3, SearchParams(heap_factor=0)).counters
    records = 2 * 16 + 4 * 3
    blocks = walked.blocks_scored
    assert walked == Counters(4, 2, blocks_scored=blocks, bytes_touched=records + 2 * 4)
    estimated = index.search_one([0], [1.0], 3, SearchParams(heap_factor=1e-9)).counters
    n_entries = (estimated.bytes_touched - walked.bytes_touched) / 4
    assert n_entries == int(n_entries) >= 1


def test_work_adds_up_over_queries_and_threads():
    rng = np.random.default_rng(9)
    weights = rng.random((500, 40)) ** 3 * (rng.random((500, 40)) < 0.3)
    documents = sparse.csr_array(weights.astype(np.float32))
    queries = documents[:6]
    for index in (SeismicIndex.build(documents), ExactIndex.build(documents)):
        together = index.search(queries, 5).counters
        alone = [index.search(queries[[row]], 5).counters for row in range(6)]
        assert sum(alone, Counters()) == together == index.search(queries, 5, n_threads=2).counters
        assert together.bytes_touched > 0
