"""Attention next to its formula, written out document by document."""

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import softmax

from lexidex.encoders.attention import DESCRIPTION, WEIGHTS, Attention, is_attention
from lexidex.errors import CorruptFile, ParameterError, UnsupportedVersion
from lexidex.index.fusion import FusionParams

D = 6


def written_out(query, keys, temperature, query_map=None, key_map=None):
    """softmax(s / T) over the vectors of one document, and the product with their weighted sum."""
    query = np.asarray(query, dtype=np.float64)
    keys = np.asarray(keys, dtype=np.float64)
    if query_map is not None:
        query, keys = query @ query_map, keys @ key_map
    weights = softmax(keys @ query / temperature)
    return float(query @ (weights[:, None] * keys).sum(0)), int(np.argmax(weights))


def drawn(seed, counts):
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((sum(counts), D)).astype(np.float32)
    query = random.standard_normal(D).astype(np.float32)
    return random, query, vectors, np.concatenate([[0], np.cumsum(counts)])


@pytest.mark.parametrize("temperature", [0.02, 0.5, 1, 100])
@pytest.mark.parametrize("width", [None, 2, D])
def test_scores_are_those_of_the_formula(temperature, width):
    counts = [3, 0, 1, 5, 2, 0]
    random, query, vectors, starts = drawn(0, counts)
    maps = {}
    if width:
        maps = {
            name: random.standard_normal((D, width)).astype(np.float32)
            for name in ("query_map", "key_map")
        }
    found = Attention(temperature, **maps).scores(query, vectors, starts)
    for place, count in enumerate(counts):
        if not count:
            assert np.isnan(found.scores[place])
            assert found.best[place] == -1
            continue
        own = vectors[starts[place] : starts[place + 1]]
        score, best = written_out(query, own, temperature, **maps)
        assert found.scores[place] == pytest.approx(score, rel=1e-4, abs=1e-5)
        assert found.best[place] == starts[place] + best


def test_it_lies_between_the_mean_and_the_best_passage():
    _, query, vectors, starts = drawn(1, [4, 7])
    products = [vectors[a:b] @ query for a, b in pairwise(starts)]
    cold = Attention(1e-6).scores(query, vectors, starts).scores
    hot = Attention(1e6).scores(query, vectors, starts).scores
    np.testing.assert_allclose(cold, [each.max() for each in products], rtol=1e-5)
    np.testing.assert_allclose(hot, [each.mean() for each in products], atol=1e-4)
    between = Attention(1.0).scores(query, vectors, starts).scores
    assert (hot < between).all()
    assert (between < cold).all()


def test_nothing_to_attend_to_is_no_score():
    found = Attention().scores(
        np.ones(D, dtype=np.float32), np.zeros((0, D), dtype=np.float32), np.zeros(3, dtype=int)
    )
    assert np.isnan(found.scores).all()


@pytest.mark.parametrize("width", [None, 3])
def test_what_is_saved_comes_back(tmp_path, width):
    random, query, vectors, starts = drawn(2, [4, 7])
    maps = {}
    if width:
        maps = {n: random.standard_normal((D, width)) for n in ("query_map", "key_map")}
        maps = {name: one.astype(np.float32) for name, one in maps.items()}
    fusion = FusionParams("rrf", {"first": 0.25, "rerank": 0.75}, rrf_k=10.0)
    made = Attention(0.25, **maps, fusion=fusion, encoder="abc")
    made.save(tmp_path / "a")
    assert is_attention(tmp_path / "a")
    assert not is_attention(tmp_path)
    again = Attention.load(tmp_path / "a")
    assert (again.temperature, again.fusion, again.encoder) == (0.25, fusion, "abc")
    assert again.dim == (D if width else None)
    found = [one.scores(query, vectors, starts).scores for one in (made, again)]
    assert found[0].tobytes() == found[1].tobytes()


def test_folders_that_do_not_fit_are_refused(tmp_path):
    made = Attention(0.25, np.eye(D, dtype=np.float32), np.eye(D, dtype=np.float32))
    made.save(tmp_path)
    described = json.loads((tmp_path / DESCRIPTION).read_text())
    for changes, error in (
        ({"version": 7}, UnsupportedVersion),
        ({"temperature": -1}, CorruptFile),
        ({"temperature": "x"}, CorruptFile),
        ({"fusion": {"method": "x"}}, CorruptFile),
        ({"fusion": None}, CorruptFile),
    ):
        (tmp_path / DESCRIPTION).write_text(json.dumps(described | changes))
        with pytest.raises(error):
            Attention.load(tmp_path)
    (tmp_path / DESCRIPTION).write_text(json.dumps(described))
    (tmp_path / WEIGHTS).write_bytes((tmp_path / WEIGHTS).read_bytes()[:-8])
    with pytest.raises(CorruptFile, match="truncated"):
        Attention.load(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(CorruptFile):
        Attention.load(tmp_path)


def test_parameters_out_of_their_range_are_named():
    eye, small = np.eye(D, dtype=np.float32), np.eye(D, 2, dtype=np.float32)
    for given, message in (
        ((0,), "temperature: 0; expected"),
        ((float("inf"),), "temperature: inf; expected"),
        ((True,), "temperature: True; expected"),
        ((1.0, eye), "maps of shapes"),
        ((1.0, eye, small), "maps of shapes"),
        ((1.0, eye * np.nan, eye), "not finite"),
    ):
        with pytest.raises(ParameterError, match=message):
            Attention(*given)
