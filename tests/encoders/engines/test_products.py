"""Integer kernels against NumPy's integers: compiled, and the plain loops that stand for them."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexidex.encoders.engines import products, sparse_products
from lexidex.encoders.engines.integers import OFFSET, grouped, rows_of
from lexidex.encoders.engines.lanes import LANES
from lexidex.encoders.engines.maps import BlockSparseMap, DenseMap, block_density
from lexidex.encoders.engines.products import GROUPS, ROWS
from lexidex.encoders.engines.quantisation import LARGEST, quantise
from lexidex.encoders.engines.sparse_products import BLOCK, ORDER, TILE

EXTREMES = [-127, -1, 0, 1, 127]


@numba.njit
def by_instructions(sums, weights, inputs, first, last, tokens, tile):
    sparse_products.sparse_products(sums, weights, inputs, first, last, tokens, tile)


def bytes_(rng, shape, extreme):
    drawn = rng.choice(EXTREMES, shape) if extreme else rng.integers(-127, 128, shape)
    return drawn.astype(np.int8)


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, GROUPS),
    quads=st.integers(1, 40),
    extreme=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_products_are_numpy_s(n, quads, extreme, seed):
    rng = np.random.default_rng(seed)
    inputs, group = 4 * quads, 1
    weights = bytes_(rng, (2 * ROWS, inputs), extreme)
    tokens = rng.integers(0, 256, ((n + group) * LANES, inputs)).astype(np.uint8)
    laid_out = tokens.reshape(-1, LANES, quads, 4).transpose(0, 2, 1, 3).copy()
    expected = weights[ROWS:].astype(np.int32) @ tokens[group * LANES :].astype(np.int32).T
    first = ROWS * inputs

    for compute in (products.products, lambda n, *rest: products._plain(n)(*rest)):
        sums = np.full(ROWS * GROUPS * LANES, -1, dtype=np.int32)
        compute(n, sums, weights.ravel(), first, inputs, laid_out, group, quads)
        np.testing.assert_array_equal(sums[: expected.size].reshape(expected.shape), expected)


@settings(deadline=None, max_examples=40)
@given(
    n_groups=st.integers(0, 12),
    n_inputs=st.integers(1, 50),
    extreme=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_sparse_products_are_numpy_s(n_groups, n_inputs, extreme, seed):
    rng = np.random.default_rng(seed)
    weights = bytes_(rng, (n_groups + 1, BLOCK, BLOCK), extreme)
    inputs = rng.integers(0, n_inputs, (n_groups + 1, BLOCK)).astype(np.int32)
    tokens = rng.integers(0, 256, (2, TILE, n_inputs)).astype(np.uint8)
    laid_out = np.empty((2, n_inputs, TILE), dtype=np.uint8)
    laid_out[:, :, ORDER] = tokens.transpose(0, 2, 1)
    dense = np.zeros((BLOCK, n_inputs), dtype=np.int32)
    for group in range(1, n_groups + 1):
        for place in range(BLOCK):
            dense[:, inputs[group, place]] += weights[group, :, place]
    expected = dense @ tokens[1].astype(np.int32).T

    for compute in (by_instructions, sparse_products._plain):
        sums = np.full(BLOCK * TILE, -1, dtype=np.int32)
        compute(sums, weights, inputs, 1, n_groups + 1, laid_out, 1)
        np.testing.assert_array_equal(sums.reshape(BLOCK, TILE), expected)


def block_sparse(rng, n_outputs, n_inputs, share):
    """A random map; that share of its blocks is kept."""
    kept = rng.random((n_outputs // BLOCK, 1, n_inputs)) < share
    blocks = rng.standard_normal((n_outputs // BLOCK, BLOCK, n_inputs))
    return (blocks * kept).reshape(n_outputs, n_inputs).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(
    n_tokens=st.integers(1, 150),
    n_outputs=st.integers(1, 120).map(lambda n: 4 * n),
    n_inputs=st.integers(1, 20).map(lambda n: 4 * n),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 1000),
)
def test_maps_dense_and_sparse_give_the_same(n_tokens, n_outputs, n_inputs, share, seed):
    rng = np.random.default_rng(seed)
    weight = block_sparse(rng, n_outputs, n_inputs, share)
    bias = rng.standard_normal(n_outputs).astype(np.float32)
    states = rng.standard_normal((n_tokens, n_inputs)).astype(np.float32)
    states[0] = 0

    integers, scales = quantise(weight.T)
    token_scales = np.abs(states).max(axis=1, keepdims=True) / np.float32(LARGEST)
    token_scales[token_scales == 0] = 1
    rounded = np.rint(states * (np.float32(1) / token_scales)).astype(np.int32)
    expected = (rounded @ integers.astype(np.int32)) * token_scales * scales + bias

    dense = DenseMap(weight, bias).apply(states)
    sparse = BlockSparseMap(weight, bias).apply(states)

    np.testing.assert_allclose(dense, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(sparse, dense)
    assert block_density(weight) <= share or share > 0


def test_integers_are_near_floats():
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((64, 96)).astype(np.float32)
    states = rng.standard_normal((40, 96)).astype(np.float32)
    found = DenseMap(weight, np.zeros(64, np.float32)).apply(states)
    difference = found - states @ weight.T
    assert np.abs(difference).max() < 0.05 * np.abs(states @ weight.T).max()


def test_a_row_of_weights_is_off_by_half_a_scale_at_most():
    weight = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    weight[:, 3] = 0
    integers, scales = quantise(weight)
    assert np.abs(integers).max() == LARGEST
    assert np.all(np.abs(integers * scales - weight) <= scales / 2 * 1.001)
    assert scales[3] == 1


@pytest.mark.parametrize("lengths", [[1], [16, 17], [3, 40, 1]])
def test_groups_belong_to_one_text_each(lengths):
    rng = np.random.default_rng(0)
    states = rng.standard_normal((sum(lengths), 8)).astype(np.float32)
    tokens = grouped(states, np.array(lengths, dtype=np.int64))

    position = 0
    for text, length in enumerate(lengths):
        groups = np.flatnonzero(tokens.texts == text)
        assert groups.size == -(-length // LANES)
        integers = tokens.integers[groups].transpose(0, 2, 1, 3).reshape(-1, 8).astype(int) - OFFSET
        scales = tokens.scales[groups].reshape(-1)
        known = integers[:length] * scales[:length, None]
        text_states = states[position : position + length]
        assert np.all(np.abs(known - text_states) <= scales[:length, None] * 0.501)
        norms = np.linalg.norm(known - text_states, axis=1)
        np.testing.assert_allclose(tokens.errors[groups].reshape(-1)[:length], norms, rtol=1e-3)
        assert not integers[length:].any()
        position += length


def test_rows_are_filled_up_with_nothing():
    weight = np.random.default_rng(0).standard_normal((ROWS + 1, 4)).astype(np.float32)
    rows = rows_of(weight)
    assert rows.scales.size == 2 * ROWS
    assert not rows.integers.reshape(-1, 4)[ROWS + 1 :].any()
