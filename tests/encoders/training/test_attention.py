"""Training attention: its loss next to the formula, its gradients, and what it learns."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from lexidex.encoders.attention import Attention
from lexidex.encoders.training.attention import (
    AttentionLists,
    AttentionTraining,
    attention_loss,
    attention_scores,
    scores_of,
    train_attention,
)
from lexidex.errors import ParameterError

D = 8


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def made(seed=0, n=60, width=6):
    """Queries and their documents agree in the first half of the dimensions; the rest is noise.

    Scores of vectors as they are drown in it, and maps that leave it out find every answer.
    """
    random = np.random.default_rng(seed)
    counts = random.integers(1, 5, n)
    starts = np.concatenate([[0], np.cumsum(counts)])
    meaning = random.standard_normal((n, D // 2))
    vectors = np.empty((starts[-1], D))
    for document, (first, end) in enumerate(pairwise(starts)):
        own = random.standard_normal((end - first, D // 2))
        own[random.integers(end - first)] = meaning[document]
        vectors[first:end] = np.hstack([own, 3 * random.standard_normal((end - first, D // 2))])
    queries = np.hstack([meaning, 3 * random.standard_normal((n, D // 2))])
    candidates = np.array(
        [
            [row, *random.choice(np.delete(np.arange(n), row), width - 1, replace=False)]
            for row in range(n)
        ]
    )
    candidates[::7, -1] = -1
    scores = random.random(candidates.shape).astype(np.float32)
    return AttentionLists(unit(queries), unit(vectors), starts, candidates, scores)


def learned(seed=0, width=3, temperature=0.3):
    random = np.random.default_rng(seed)
    maps = {n: random.standard_normal((D, width)) for n in ("query_map", "key_map")}
    values = {"log_temperature": np.log(temperature)} | maps
    return {name: torch.tensor(one, requires_grad=True) for name, one in values.items()}


def in_double(lists):
    return replace(
        lists, queries=lists.queries.astype(np.float64), vectors=lists.vectors.astype(np.float64)
    )


@pytest.mark.parametrize("width", [0, 3, D])
def test_scores_are_those_of_the_attention_that_searches(width):
    lists = made()
    given = learned(width=width)
    maps = {}
    if not width:
        given = {"log_temperature": given["log_temperature"]}
    else:
        maps = {n: given[n].detach().numpy().astype(np.float32) for n in ("query_map", "key_map")}
    found = attention_scores(in_double(lists), given).detach().numpy()
    expected = scores_of(Attention(0.3, **maps), lists)
    known = lists.candidates >= 0
    np.testing.assert_allclose(found[known], expected[known], atol=1e-5)
    assert (found[~known] == 0).all()
    assert np.isneginf(expected[~known]).all()


def test_the_loss_is_its_formula():
    lists = in_double(made())
    given = learned()
    scores = attention_scores(lists, given).detach().numpy() / 0.25
    expected = []
    for row, candidates in zip(scores, lists.candidates, strict=True):
        some = row[candidates >= 0]
        expected.append(np.log(np.exp(some).sum()) - some[0])
    found = attention_loss(lists, given, 0.25)
    assert float(found.detach()) == pytest.approx(np.mean(expected))


def test_gradients_are_the_differences_of_the_loss():
    lists = in_double(made(n=12, width=4))
    given = learned()
    attention_loss(lists, given, 0.5).backward()
    random, step = np.random.default_rng(1), 1e-5
    for name, one in given.items():
        for _ in range(5):
            place = tuple(random.integers(size) for size in one.shape)
            losses = []
            for sign in (1, -1):
                moved = {n: each.detach().clone() for n, each in given.items()}
                moved[name][place] += sign * step
                losses.append(float(attention_loss(lists, moved, 0.5)))
            difference = (losses[0] - losses[1]) / (2 * step)
            assert float(one.grad[place]) == pytest.approx(difference, rel=1e-4, abs=1e-7), name


def test_training_beats_the_untrained_start_on_queries_that_it_has_not_seen():
    lists, other = made(seed=1, n=300), made(seed=2, n=200)
    training = AttentionTraining(steps=200, learning_rate=3e-2, temperature=0.2)
    steps = []
    result = train_attention(lists, training, encoder="abc", progress=steps.append)
    assert steps == list(range(1, 201))
    assert result.losses[-1] < result.losses[0]
    assert result.after > result.before + 0.1
    assert result.fused >= max(result.after, result.first)
    assert result.attention.encoder == "abc"
    assert result.attention.fusion.weights["rerank"] > 0.5

    def found(attention):
        return float((scores_of(attention, other).argmax(1) == 0).mean())

    assert found(result.attention) > found(Attention(0.2)) + 0.2
    again = train_attention(lists, training)
    assert again.attention.query_map.tobytes() == result.attention.query_map.tobytes()


def test_without_maps_the_temperature_learns_and_noise_leaves_the_start():
    lists = made(seed=1, n=100)
    plain = train_attention(lists, AttentionTraining(0, 40, learning_rate=0.1, temperature=1.0))
    assert plain.attention.query_map is None
    assert plain.after >= plain.before
    random = np.random.default_rng(3)
    noise = replace(lists, queries=unit(random.standard_normal(lists.queries.shape)))
    result = train_attention(noise, AttentionTraining(steps=40))
    assert result.after >= result.before


def test_documents_that_are_kept_back_are_in_no_list_that_is_learned_from():
    from lexidex.encoders.training.attention import _divided

    held_out, rest = _divided(made(), np.random.default_rng(0))
    kept_back = set(held_out.candidates[:, 0].tolist())
    assert len(kept_back) == 12
    assert not kept_back & set(rest.candidates.ravel().tolist())
    assert len(held_out) + len(rest) == 60


def test_what_cannot_be_trained_is_refused():
    for settings, message in (
        ({"steps": 0}, "steps: 0"),
        ({"batch": 0}, "batch: 0"),
        ({"learning_rate": 0}, "learning_rate: 0"),
        ({"temperature": -1}, "temperature: -1"),
        ({"width": -1}, "width: -1"),
    ):
        with pytest.raises(ParameterError, match=message):
            AttentionTraining(**settings)
    lists = made()
    with pytest.raises(ParameterError, match="lists of 1 relevant documents"):
        train_attention(lists.take(np.array([0])))
