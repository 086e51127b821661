"""Approximate search against exact search: equal where nothing is pruned, close on real vectors."""

import collections as counting
import csv
import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexidex.errors import CorruptFile, ParameterError
from lexidex.index import BuildParams, ExactIndex, SearchParams, SeismicBuilder, SeismicIndex
from lexidex.index.vectors import build_vectors

from .collections import batches, brute_force, random_batch

UNPRUNED = BuildParams(
    n_postings=10_000, centroid_fraction=0.3, min_cluster_size=1, summary_energy=1, value_type="f32"
)
EVERYTHING = SearchParams(query_cut=10_000, heap_factor=0.0)


@given(batches(), batches(max_rows=5), st.integers(1, 50), st.booleans())
@settings(max_examples=40)
def test_with_nothing_pruned_it_equals_brute_force(documents, queries, k, masked):
    mask = np.arange(documents.shape[0]) % 3 != 1 if masked else None
    index = SeismicIndex.build(documents, UNPRUNED)
    found = index.search(queries, k, EVERYTHING, allowed=mask)
    scores, ordinals = brute_force(queries, documents, k, mask)
    np.testing.assert_array_equal(found.ordinals, ordinals)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5)


@pytest.fixture(scope="module")
def collection():
    rng = np.random.default_rng(5)
    topics = random_batch(rng, 20, 120, 0.25, 9).toarray()
    documents = np.vstack([t * (rng.random((30, 120)) < 0.5) for t in topics])
    noise = random_batch(rng, 600, 120, 0.02, 3).toarray()
    batch = build_vectors([(np.flatnonzero(r), r[r > 0]) for r in documents + noise], 120)
    return batch, batch[rng.choice(600, 40, replace=False)]


def accuracy(found, exact):
    pairs = zip(found.ordinals.tolist(), exact.ordinals.tolist(), strict=True)
    return np.mean([len(set(one) & set(other)) / len(other) for one, other in pairs])


SMALL = BuildParams(n_postings=40, centroid_fraction=0.2, min_cluster_size=1, summary_energy=0.6)


def test_larger_query_cuts_never_lower_a_score(collection):
    documents, queries = collection
    index = SeismicIndex.build(documents, SMALL)
    former = None
    for cut in (1, 2, 4, 8, 40):
        found = index.search(queries, 10, SearchParams(query_cut=cut, heap_factor=0.0))
        assert former is None or (found.scores >= former.scores).all()
        former = found


def test_heap_factor_goes_from_every_block_to_none(collection):
    documents, queries = collection
    index = SeismicIndex.build(documents, SMALL)
    scored = [
        index.search(queries, 10, SearchParams(query_cut=6, heap_factor=factor)).counters
        for factor in (0.0, 0.7, 1.0, 1.5, 100.0)
    ]
    assert scored[0].blocks_skipped == 0
    blocks = [counters.blocks_scored for counters in scored]
    assert blocks == sorted(blocks, reverse=True)
    assert blocks[-1] < blocks[0] / 2
    assert all(c.blocks_scored + c.blocks_skipped == blocks[0] for c in scored)


@pytest.mark.parametrize(
    ("name", "small", "large"),
    [("n_postings", 5, 200), ("summary_energy", 0.1, 1.0), ("max_fraction", 1.0, 50.0)],
)
def test_building_with_more_is_more_accurate(collection, name, small, large):
    documents, queries = collection
    exact = ExactIndex.build(documents).search(queries, 10)
    params = SearchParams(query_cut=6, heap_factor=1.0)
    base = replace(SMALL, n_postings=8, posting_fraction=0.0, max_fraction=2.0)
    reached = [
        accuracy(
            SeismicIndex.build(documents, replace(base, **{name: value})).search(
                queries, 10, params
            ),
            exact,
        )
        for value in (small, large)
    ]
    assert reached[0] <= reached[1]


def test_the_bytes_do_not_depend_on_threads_or_portions(collection, tmp_path):
    documents, _ = collection
    paths = [tmp_path / name for name in ("one", "four", "portions", "seeded")]
    SeismicIndex.build(documents, SMALL, n_threads=1).save(paths[0])
    SeismicIndex.build(documents, SMALL, n_threads=4).save(paths[1])
    builder = SeismicBuilder(SMALL)
    for start in range(0, 600, 77):
        builder.add(documents[start : start + 77])
    builder.finish(n_threads=2).save(paths[2])
    SeismicIndex.build(documents, SMALL, seed=1).save(paths[3])
    first, *same, other = [path.read_bytes() for path in paths]
    assert same == [first, first]
    assert other != first


@pytest.mark.parametrize("memory", ["map", "load"])
def test_a_saved_index_finds_the_same(collection, tmp_path, memory):
    documents, queries = collection
    index = SeismicIndex.build(documents, SMALL)
    index.save(tmp_path / "i.lxd")
    found = SeismicIndex.open(tmp_path / "i.lxd", memory=memory).search(queries, 7)
    expected = index.search(queries, 7)
    np.testing.assert_array_equal(found.ordinals, expected.ordinals)
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert found.counters == expected.counters


def test_one_query_a_batch_and_threads_agree(collection):
    documents, queries = collection
    index = SeismicIndex.build(documents, SMALL)
    single, threaded = index.search(queries, 9), index.search(queries, 9, n_threads=4)
    alone = [index.search_one(q.indices, q.data, 9) for q in (queries[[i]] for i in range(40))]
    np.testing.assert_array_equal(single.ordinals, threaded.ordinals)
    np.testing.assert_array_equal(single.ordinals, np.vstack([a.ordinals for a in alone]))
    assert single.counters == threaded.counters


def test_a_truncated_file_is_refused(collection, tmp_path):
    path = tmp_path / "i.lxd"
    SeismicIndex.build(collection[0], SMALL).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorruptFile, match=r"i\.lxd: truncated"):
        SeismicIndex.open(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SearchParams(query_cut=0), "query_cut: 0; expected an integer, at least 1"),
        (lambda: SearchParams(heap_factor=-1.0), "heap_factor: -1.0; expected a number"),
        (lambda: BuildParams(centroid_fraction=0.0), "centroid_fraction: 0.0; expected"),
        (lambda: BuildParams(value_type="f8"), "value_type: 'f8'; expected one of"),
        (lambda: SeismicIndex.build(random_batch(np.random.default_rng(0), 2, 2), seed=-1), "seed"),
    ],
)
def test_parameters_out_of_range_are_named(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


@pytest.mark.compiled_only
def test_real_vectors_reach_the_promised_accuracy(data_folder):
    """SPLADE-v3's vectors of NFCorpus at the default parameters: at least .95 of the exact ten."""
    vectors = data_folder / "vectors"
    terms: dict[str, int] = {}

    def row(weights):
        pairs = sorted((terms.setdefault(t, len(terms)), float(w)) for t, w in weights.items())
        return [c for c, _ in pairs], [w for _, w in pairs]

    with gzip.open(vectors / "nfcorpus.splade-v3.docs.jsonl.gz", "rt") as file:
        rows = [row(json.loads(line)["vector"]) for line in file]
    topics = vectors / "topics.beir-v1.0.0-nfcorpus.test.splade-v3.tsv.gz"
    with gzip.open(topics, "rt", newline="") as file:
        lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        queries = [row(counting.Counter(text.split())) for _, text in lines]
    documents, asked = build_vectors(rows, len(terms)), build_vectors(queries, len(terms))
    exact = ExactIndex.build(documents).search(asked, 10)
    reached = accuracy(SeismicIndex.build(documents).search(asked, 10), exact)
    assert reached >= 0.95, f"accuracy@10 {reached:.4f}, promised 0.95"
