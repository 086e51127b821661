"""The projection in tiles against the array [batch, length, vocabulary] that it avoids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import pad

from lexidex.encoders.activations import (
    LOGARITHMS,
    activate,
    activate_in_place,
    activate_tensor,
    check_activation,
)
from lexidex.encoders.heads import head_of, whole_head
from lexidex.encoders.projection import (
    POOLINGS,
    Pooling,
    TiledHead,
    WholeHead,
    check_pooling,
)
from lexidex.errors import ParameterError

from .checkpoints import random_model

WIDTH = 5

FORMULAS = {
    "relu": lambda z: torch.log1p(z.clamp(min=0)),
    "log1p_relu": lambda z: torch.log1p(torch.log1p(z.clamp(min=0))),
    "linear": lambda z: z.clamp(min=0),
    "softplus": lambda z: torch.log1p(torch.log1p(torch.exp(z))),
}


def full(texts: list[torch.Tensor], weight: torch.Tensor, bias: torch.Tensor, pooling: Pooling):
    """Weights by the book: all scores, activated, masked, then pooled."""
    longest = max(len(text) for text in texts)
    states = torch.stack([pad(text, (0, 0, 0, longest - len(text))) for text in texts])
    mask = torch.tensor([[i < len(text) for i in range(longest)] for text in texts])
    scores = torch.einsum("blh,vh->blv", states, weight) + bias
    weights = FORMULAS[pooling.activation](scores) * mask[..., None]
    if pooling.strategy == "cls":
        return weights[:, 0].numpy()
    return (weights.sum(1) if pooling.strategy == "sum" else weights.amax(1)).numpy()


@settings(deadline=None, max_examples=150)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    vocabulary=st.integers(1, 40),
    step=st.integers(1, 45),
    strategy=st.sampled_from(POOLINGS),
    activation=st.sampled_from(sorted(LOGARITHMS)),
    seed=st.integers(0, 10),
)
def test_tiles_and_chunks_give_what_the_full_array_gives(
    lengths, vocabulary, step, strategy, activation, seed
):
    generator = torch.Generator().manual_seed(seed)
    texts = [torch.randn(length, WIDTH, generator=generator) for length in lengths]
    weight = torch.randn(vocabulary, WIDTH, generator=generator)
    bias = torch.randn(vocabulary, generator=generator)
    pooling = Pooling(strategy, activation)
    heads = [
        TiledHead(lambda states: states, weight, bias, tile=step),
        WholeHead(lambda states: states @ weight.T + bias, vocabulary, chunk=step),
    ]

    expected = full(texts, weight, bias, pooling)
    states = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
    mask = torch.tensor([[i < length for i in range(max(lengths))] for length in lengths])
    counted = pooling.counted(torch.zeros_like(mask, dtype=torch.int64), mask)
    for head in heads:
        pooled = head.pool(states[counted], counted.sum(1).tolist(), pooling).numpy()
        np.testing.assert_allclose(pooling.finish(pooled), expected, rtol=1e-5, atol=1e-5)
        trained = head.weights(states, counted, pooling).numpy()
        np.testing.assert_allclose(trained, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta"])
def test_known_heads_give_what_the_models_own_head_gives(architecture):
    model = random_model(architecture, vocabulary=50).eval()
    states = torch.randn(9, 32, generator=torch.Generator().manual_seed(1))

    with torch.inference_mode():
        known = head_of(model)
        assert isinstance(known, TiledHead)
        for pooling in (Pooling("max"), Pooling("sum")):
            pooled = [head.pool(states, [4, 5], pooling) for head in (known, whole_head(model))]
            np.testing.assert_allclose(*pooled, rtol=1e-5, atol=1e-5)


def test_taking_the_head_apart_leaves_the_model_whole():
    model = random_model("electra", vocabulary=50).eval()
    ids = torch.arange(6)[None]

    with torch.inference_mode():
        before = model(input_ids=ids).logits
        head = head_of(model)
        after = model(input_ids=ids).logits
        pooled = head.pool(model.base_model(input_ids=ids).last_hidden_state[0], [6], Pooling())

    assert torch.equal(before, after)
    np.testing.assert_allclose(pooled[0], before[0].amax(0), rtol=1e-5, atol=1e-5)


def test_a_backbone_alone_has_no_head():
    with pytest.raises(ParameterError, match="BertModel: no backbone 'bert'"):
        head_of(random_model("bert", vocabulary=50).bert)


@pytest.mark.parametrize("head", ["tiled", "whole"])
def test_no_array_of_batch_length_and_vocabulary_is_made(head):
    texts, length, vocabulary = 8, 64, 4096
    states = torch.randn(texts * length, WIDTH)
    weight = torch.randn(vocabulary, WIDTH)
    heads = {
        "tiled": TiledHead(lambda states: states, weight, torch.zeros(vocabulary), tile=128),
        "whole": WholeHead(lambda states: states @ weight.T, vocabulary, chunk=8),
    }

    with torch.profiler.profile(profile_memory=True) as profile:
        heads[head].pool(states, [length] * texts, Pooling())

    largest = max(event.cpu_memory_usage for event in profile.events())
    assert 0 < largest < texts * length * vocabulary * 4 / 10


@pytest.mark.parametrize("activation", sorted(LOGARITHMS))
def test_both_forms_of_an_activation_agree(activation):
    scores = np.array([-2.0, -0.0, 0.0, 1e-7, 0.5, 30.0], dtype=np.float32)
    expected = FORMULAS[activation](torch.tensor(scores))

    np.testing.assert_allclose(activate(scores, activation), expected, rtol=1e-6)
    for activated in (activate_tensor, activate_in_place):
        tensor = activated(torch.tensor(scores), activation)
        np.testing.assert_allclose(tensor, expected, rtol=1e-6)
    assert scores[0] == -2


def test_unknown_names_are_refused():
    with pytest.raises(
        ParameterError, match="activation: 'gelu'; known are relu, log1p_relu, linear, softplus"
    ):
        check_activation("gelu")
    with pytest.raises(ParameterError, match="pooling: 'mean'; known are max, sum, cls"):
        check_pooling("mean")
