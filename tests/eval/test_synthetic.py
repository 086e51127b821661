"""The synthetic collections: statistics like SPLADE's, the same bytes from the same seed."""

import gzip
import hashlib
import json
from collections import Counter

import numpy as np
import pytest
from scipy import sparse

from lexidex.errors import ParameterError
from lexidex.eval.synthetic import generate
from lexidex.eval.synthetic_universe import DIM, RandomWords, quantiles
from lexidex.eval.vector_statistics import statistics
from lexidex.index import ExactIndex
from lexidex.index.vectors import build_vectors

QUERY_SETS = ["tuning_queries", "test_queries", "short_tuning_queries", "short_test_queries"]


@pytest.fixture(scope="module")
def collection():
    return generate(5_000, n_queries=500)


def bytes_of(collection):
    digest = hashlib.sha256()
    for name in ["documents", *QUERY_SETS]:
        vectors = getattr(collection, name)
        for array in (vectors.indptr, vectors.indices, vectors.data):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def test_documents_have_the_statistics_of_splade_on_ms_marco(collection):
    found = statistics(collection.documents)
    assert found.n_vectors == 5_000
    assert 117 < found.nnz_mean < 121
    assert 36 < found.nnz_deviation < 41
    assert 3.4 < found.largest_value <= 3.5
    assert 2.4 < found.top_value_mean < 2.9
    assert 0.75 < found.top_50_mass < 0.79
    frequencies = found.document_frequencies
    assert 0.25 < frequencies[1] < 0.30
    assert 0.19 < frequencies[10] < 0.25
    assert 0.09 < frequencies[100] < 0.13
    assert 0.02 < frequencies[1000] < 0.03
    assert 0.002 < frequencies[5000] < 0.006


def test_queries_have_the_statistics_of_splade_on_ms_marco(collection):
    for queries in (collection.tuning_queries, collection.test_queries):
        found = statistics(queries)
        assert 41 < found.nnz_mean < 45
        assert 13 < found.nnz_deviation < 17
        assert 0.71 < found.top_10_mass < 0.77
        assert 2.4 < found.top_value_mean < 2.9


def test_short_queries_have_five_to_ten_terms_of_the_long_ones(collection):
    for name in ("tuning", "test"):
        short = getattr(collection, f"short_{name}_queries")
        long = getattr(collection, f"{name}_queries")
        assert set(np.diff(short.indptr).tolist()) == {5, 6, 7, 8, 9, 10}
        shared = short.astype(bool).multiply(long.astype(bool))
        assert shared.nnz == short.nnz


@pytest.mark.parametrize("name", ["documents", *QUERY_SETS])
def test_batches_are_canonical(collection, name):
    vectors = getattr(collection, name)
    assert vectors.shape[1] == DIM
    assert vectors.data.dtype == np.float32
    assert (vectors.data > 0).all()
    assert np.isfinite(vectors.data).all()
    # A fresh array looks for itself; the generator's only says so.
    fresh = sparse.csr_array((vectors.data, vectors.indices, vectors.indptr), shape=vectors.shape)
    assert fresh.has_canonical_format


def test_targets_are_found(collection):
    index = ExactIndex.build(collection.documents)
    for name in ("tuning", "test"):
        targets = getattr(collection, f"{name}_targets")
        for queries, share in ((f"{name}_queries", 0.8), (f"short_{name}_queries", 0.5)):
            found = index.search(getattr(collection, queries), 10).ordinals
            assert (found == targets[:, None]).any(axis=1).mean() > share, queries


def test_neighbours_are_near_by_degrees(collection):
    scores = ExactIndex.build(collection.documents).search(collection.test_queries, 100).scores
    assert 0.4 < (scores[:, 9] / scores[:, 0]).mean() < 0.7
    assert 0.15 < (scores[:, 99] / scores[:, 0]).mean() < 0.45


def test_some_documents_nearly_repeat_an_earlier_one():
    def share_of_copies(duplicate_share):
        documents = generate(1_500, n_queries=0, duplicate_share=duplicate_share).documents
        products = (documents @ documents.T).toarray()
        lengths = np.sqrt(products.diagonal())
        cosines = np.triu(products / lengths / lengths[:, None], 1)
        return (cosines.max(axis=0) > 0.9).mean()

    assert share_of_copies(0.0) < 0.002
    assert 0.02 < share_of_copies(0.03) < 0.05
    assert share_of_copies(0.5) > 0.4


def test_a_seed_gives_the_same_bytes_on_every_machine(collection):
    known = "00ea28a8ea93e81666f20d6e2ed3036a233d8ebc13b4ab68cdbd8b00b7dbd2ef"
    assert bytes_of(generate(5_000, n_queries=500)) == bytes_of(collection) == known


def test_another_seed_gives_another_collection(collection):
    assert bytes_of(generate(5_000, n_queries=500, seed=8)) != bytes_of(collection)


def test_a_larger_collection_is_denser(collection):
    """The universe is fixed, so that more documents stand near the best one."""
    larger = generate(20_000, n_queries=200)
    ratios = []
    for one in (collection, larger):
        scores = ExactIndex.build(one.documents).search(one.test_queries, 100).scores
        ratios.append((scores[:, 99] / scores[:, 0]).mean())
    assert ratios[0] + 0.03 < ratios[1]


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_documents": 0},
        {"n_documents": 2.0},
        {"n_documents": 10, "seed": -1},
        {"n_documents": 10, "n_queries": -1},
        {"n_documents": 10, "duplicate_share": 1.5},
    ],
)
def test_arguments_out_of_range_are_named(arguments):
    name, value = list(arguments.items())[-1]
    with pytest.raises(ParameterError, match=f"{name}: {value}"):
        generate(**arguments)


def test_one_document_is_enough():
    collection = generate(1, n_queries=1)
    assert collection.documents.shape == (1, DIM)
    assert collection.test_targets.tolist() == [0]


def test_quantiles_come_in_proportion():
    counts = np.bincount(quantiles([1.0, 0.0, 3.0], 4096))
    assert counts.tolist() == [1024, 0, 3072]


def test_random_words_are_pcg64_s_and_independent_of_the_portions():
    words = RandomWords(7, 0).words(6)
    assert words[0] == np.random.PCG64(np.random.SeedSequence([7, 0])).random_raw()
    portions = RandomWords(7, 0)
    assert np.concatenate([portions.words(2), portions.words(4)]).tolist() == words.tolist()


def test_statistics_of_a_known_batch():
    found = statistics(build_vectors([([0, 1], [3.0, 1.0]), ([0], [2.0]), ([], [])], 4))
    assert (found.n_vectors, found.n_components) == (3, 2)
    assert found.nnz_mean == 1.0
    assert found.largest_value == 3.0
    assert found.top_value_mean == 2.5
    assert found.top_10_mass == 1.0
    assert found.document_frequencies == {1: pytest.approx(2 / 3)}
    assert found.common_components == pytest.approx(4 / 9 + 1 / 9)
    assert "rank 1: 0.6667" in str(found)


def as_batch(weights):
    numbers = {}
    rows = []
    for one in weights:
        row = sorted(
            (numbers.setdefault(term, len(numbers)), weight) for term, weight in one.items()
        )
        rows.append(([number for number, _ in row], [weight / 100 for _, weight in row]))
    return build_vectors(rows, len(numbers))


@pytest.mark.parametrize("model", ["splade-v3", "splade_distil_cocodenser_medium"])
def test_queries_are_about_as_skewed_as_real_ones(collection, data_folder, model):
    folder = data_folder / "vectors"
    path = folder / f"topics.msmarco-passage.dev-subset.{model}.tsv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        real = statistics(as_batch(Counter(line.split("\t")[1].split()) for line in file))
    ours = statistics(collection.test_queries)
    assert 0.5 < ours.nnz_mean / real.nnz_mean < 2
    assert abs(ours.top_10_mass - real.top_10_mass) < 0.12
    assert 0.3 < ours.document_frequencies[100] / real.document_frequencies[100] < 3


def test_documents_share_about_as_many_components_as_real_ones(collection, data_folder):
    """A mean over pairs, by the square of the length: real ones here are longer."""
    path = data_folder / "vectors" / "nfcorpus.splade-v3.docs.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        real = statistics(as_batch(json.loads(line)["vector"] for line in file))
    ours = statistics(collection.documents)
    shares = [s.common_components / s.nnz_mean**2 for s in (ours, real)]
    assert 0.5 < shares[0] / shares[1] < 1.5
