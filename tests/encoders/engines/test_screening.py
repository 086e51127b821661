"""Screening misses no term, and a screened head gives what the whole head gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lexidex.encoders import screened
from lexidex.encoders.engines.screening import Screen
from lexidex.encoders.projection import Pooling, TiledHead, WholeHead
from lexidex.encoders.screened import ScreenedHead, fastest


def head_of(vocabulary, inputs, bias, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(vocabulary, inputs, generator=generator)
    noise = torch.randn(vocabulary, generator=generator)
    return TiledHead(lambda states: states, weight, noise + bias)


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    vocabulary=st.integers(1, 300),
    inputs=st.integers(1, 12).map(lambda n: 4 * n),
    bias=st.floats(-30, 5),
    outlier=st.sampled_from([1, 50]),
    least=st.sampled_from([0.0, 2.0]),
    seed=st.integers(0, 100),
)
def test_no_term_is_missed(lengths, vocabulary, inputs, bias, outlier, least, seed):
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((vocabulary, inputs)).astype(np.float32)
    shift = np.full(vocabulary, bias, dtype=np.float32)
    states = rng.standard_normal((sum(lengths), inputs)).astype(np.float32)
    states[:, 0] *= outlier  # one large number makes the others of its token rough

    found = Screen(weight, shift).candidates(states, lengths, least)

    start = 0
    for length, terms in zip(lengths, found, strict=True):
        scores = states[start : start + length].astype(np.float64) @ weight.T + bias
        needed = np.flatnonzero(scores.max(axis=0) > least)
        assert np.all(np.diff(terms) > 0)
        assert np.isin(needed, terms).all()
        start += length


def test_few_terms_are_looked_at_in_vain():
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((3000, 128)).astype(np.float32)
    states = rng.standard_normal((50, 128)).astype(np.float32)
    shift = np.full(3000, -35, dtype=np.float32)
    [terms] = Screen(weight, shift).candidates(states, [50])
    needed = ((states @ weight.T).max(axis=0) > 35).sum()
    assert 0 < needed <= terms.size < 2 * needed


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_left_to_the_whole_head(value):
    head = ScreenedHead(head_of(50, 8, -100.0))
    states = torch.full((3, 8), float(value))
    pooled = head.pool(states, [3], Pooling())
    np.testing.assert_array_equal(pooled, head.whole.pool(states, [3], Pooling()))


@pytest.mark.parametrize("pooling", [Pooling(), Pooling("sum"), Pooling("sum", "log1p_relu")])
@pytest.mark.parametrize("bias", [-14.0, 0.0])
def test_a_screened_head_gives_the_same_weights(pooling, bias):
    whole = head_of(400, 32, bias)
    head = ScreenedHead(whole)
    states, lengths = torch.randn(70, 32, generator=torch.Generator().manual_seed(1)), [1, 40, 29]

    def weights():
        return [
            pooling.finish(each.pool(states, lengths, pooling).numpy()) for each in (head, whole)
        ]

    with torch.inference_mode():
        found, expected = weights()
    assert expected.any()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

    whole.weight.mul_(-1)  # as training changes weights: in place
    found, expected = weights()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_heads_are_screened_where_that_pays(monkeypatch):
    monkeypatch.setattr(screened, "has_wide_integer_products", lambda: True)
    assert isinstance(fastest(head_of(10, 8, 0.0)), ScreenedHead)
    odd, whole = head_of(10, 7, 0.0), WholeHead(lambda states: states, 8)
    assert fastest(odd) is odd
    assert fastest(whole) is whole
    monkeypatch.setattr(screened, "has_wide_integer_products", lambda: False)
    plain = head_of(10, 8, 0.0)
    assert fastest(plain) is plain
