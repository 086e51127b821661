"""Fusion against its formulas written out, and the properties that fusions should have."""

import math
import re
import statistics

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lexidex.errors import ParameterError
from lexidex.index.fusion import METHODS, FusionParams, Leg, fuse

NAN = math.nan
BOUNDED = ("convex", "min-max", "max", "rrf")


@st.composite
def cases(draw, least=1):
    """Legs of equal length, some with a lower bound, and parameters with weights for some."""
    columns = draw(st.integers(1, 10))
    cell = st.one_of(st.just(NAN), st.integers(0, 12).map(lambda n: n / 4))
    legs = []
    for number in range(draw(st.integers(least, 4))):
        scores = np.array(draw(st.lists(cell, min_size=columns, max_size=columns)))
        legs.append(Leg(f"leg{number}", scores, draw(st.sampled_from([None, 0.0, -1.0]))))
    weighed = draw(st.dictionaries(st.sampled_from([leg.name for leg in legs]), st.integers(0, 5)))
    assume(any(weighed.get(leg.name, 1) for leg in legs))
    return legs, FusionParams(draw(st.sampled_from(METHODS)), weighed)


def formula(leg, params):
    """The normalised scores by the documented formulas, in plain Python."""
    s = [x for x in leg.scores.tolist() if not math.isnan(x)]
    equal = len(set(s)) == 1

    def one(x):
        if params.method == "rrf":
            return 1 / (params.rrf_k + 1 + sum(y > x for y in s))
        if params.method == "l2":
            norm = math.sqrt(sum(y * y for y in s))
            return x / norm if norm else 0.0
        if params.method == "z-score":
            return 0.0 if equal else (x - statistics.fmean(s)) / statistics.pstdev(s)
        if params.method == "dbsf":
            if equal:
                return 0.5
            mean, sd = statistics.fmean(s), statistics.stdev(s)
            return (x - (mean - 3 * sd)) / (6 * sd)
        theoretical = params.method in ("convex", "max") and leg.lower is not None
        low = leg.lower if theoretical else min(s)
        if max(s) == low:
            return 0.0 if theoretical else 1.0
        return (x - low) / (max(s) - low)

    return [0.0 if math.isnan(x) else one(x) for x in leg.scores.tolist()]


@given(cases())
def test_scores_are_those_of_the_formulas(case):
    legs, params = case
    fused = fuse(legs, params)
    weights = [params.weights.get(leg.name, 1) for leg in legs]
    if params.method == "max":
        weights = [w / max(weights) for w in weights]
    elif params.method != "rrf":
        weights = [w / sum(weights) for w in weights]
    columns = [
        [weight * x for x in formula(leg, params)]
        for weight, leg in zip(weights, legs, strict=True)
    ]
    expected = np.array(columns)
    total = expected.max(axis=0) if params.method == "max" else expected.sum(axis=0)
    np.testing.assert_allclose(fused.scores, total, atol=1e-12)
    np.testing.assert_allclose(fused.weights, weights)
    assert (fused.normalised[np.isnan([leg.scores for leg in legs])] == 0).all()


@given(cases())
def test_contributions_add_up_and_the_order_is_by_score_then_place(case):
    legs, params = case
    fused = fuse(legs, params)
    np.testing.assert_allclose(fused.contributions.sum(axis=0), fused.scores, atol=1e-12)
    places = range(fused.scores.size)
    assert fused.order.tolist() == sorted(places, key=lambda p: (-fused.scores[p], p))


@given(cases(least=2), st.randoms())
def test_the_order_of_the_legs_is_of_no_account(case, random):
    legs, params = case
    shuffled = random.sample(legs, len(legs))
    fused, again = fuse(legs, params), fuse(shuffled, params)
    assert fused.scores.tolist() == again.scores.tolist()
    assert fused.order.tolist() == again.order.tolist()
    for number, leg in enumerate(legs):
        other = shuffled.index(leg)
        assert fused.contributions[number].tolist() == again.contributions[other].tolist()


@given(cases())
def test_scores_are_bounded(case):
    legs, params = case
    assume(params.method in BOUNDED)
    fused = fuse(legs, params)
    most = fused.weights.sum() / (params.rrf_k + 1) if params.method == "rrf" else 1
    assert (fused.scores >= 0).all()
    assert (fused.scores <= most + 1e-12).all()


@given(cases(), st.data())
def test_a_higher_score_in_one_leg_never_lowers_the_fused_score(case, data):
    legs, params = case
    number = data.draw(st.integers(0, len(legs) - 1))
    place = data.draw(st.integers(0, legs[0].scores.size - 1))
    assume(not math.isnan(legs[number].scores[place]))
    before = fuse(legs, params).scores[place]
    raised = legs[number].scores.copy()
    raised[place] += data.draw(st.integers(1, 20)) / 4
    legs[number] = Leg(legs[number].name, raised, legs[number].lower)
    assert fuse(legs, params).scores[place] >= before - 1e-12


@given(cases(), st.sampled_from([0.25, 3.0, 1024.0]))
def test_the_unit_of_a_leg_is_of_no_account(case, factor):
    legs, params = case
    scaled = [
        Leg(leg.name, leg.scores * factor, None if leg.lower is None else leg.lower * factor)
        for leg in legs
    ]
    np.testing.assert_allclose(fuse(scaled, params).scores, fuse(legs, params).scores, atol=1e-12)


@pytest.mark.parametrize(
    ("legs", "method", "weights"),
    [
        ({"sparse": 0.0, "dense": -1.0}, "convex", [0.2, 0.8]),
        ({"dense": -1.0, "sparse": 0.0}, "convex", [0.8, 0.2]),
        ({"sparse": 0.0, "dense": -1.0}, "min-max", [0.5, 0.5]),
        ({"sparse": 0.0, "dense": -1.0}, "rrf", [1, 1]),
        ({"sparse": 0.0, "bm25": 0.0}, "convex", [0.5, 0.5]),
        ({"sparse": 0.0, "dense": 0.0}, "convex", [0.5, 0.5]),
        ({"sparse": -1.0, "dense": -1.0}, "convex", [0.5, 0.5]),
        ({"sparse": 0.0, "dense": None}, "convex", [0.5, 0.5]),
        ({"sparse": 0.0, "dense": -1.0, "bm25": 0.0}, "convex", [1 / 3] * 3),
        ({"dense": -1.0}, "convex", [1]),
        ({"first": 0.0, "rerank": -1.0}, "convex", [0.5, 0.5]),
    ],
)
def test_only_sparse_vectors_and_cosines_have_the_published_weights(legs, method, weights):
    given_ = [Leg(name, np.array([0.5, 1.0]), lower) for name, lower in legs.items()]
    assert fuse(given_, FusionParams(method)).weights.tolist() == pytest.approx(weights)
    weighed = FusionParams(method, {next(iter(legs)): 1})
    assert len(set(fuse(given_, weighed).weights.tolist())) == 1  # 1 for those not named


def test_ranks_count_from_one_and_equal_scores_share_the_best():
    leg = Leg("a", np.array([1.0, 3.0, NAN, 3.0, 2.0]))
    fused = fuse([leg], FusionParams("rrf"))
    assert fused.ranks().tolist() == [[4, 1, 0, 1, 3]]
    assert fused.ranks(np.array([2, 4])).tolist() == [[0, 3]]
    assert fused.scores[1] == 1 / 61
    assert fused.order.tolist() == [1, 3, 4, 0, 2]


def test_a_leg_without_any_score_adds_nothing_and_takes_nothing():
    scores = np.array([1.0, 2.0])
    alone = fuse([Leg("a", scores, 0.0)])
    beside = fuse([Leg("a", scores, 0.0), Leg("b", np.full(2, NAN), -1.0)])
    assert beside.order.tolist() == alone.order.tolist()
    assert beside.scores.tolist() == (alone.scores / 2).tolist()


def test_no_candidates_are_an_empty_ranking():
    fused = fuse([Leg("a", np.empty(0)), Leg("b", np.empty(0), 0.0)])
    assert fused.order.size == fused.scores.size == 0
    assert fused.contributions.shape == (2, 0)


def test_scores_next_to_each_other_keep_their_order_in_every_method():
    """Single precision, far from 0: differences of a unit in the last place."""
    scores = np.float32(1000.0) + np.arange(4, dtype=np.float32) * np.float32(2**-14)
    for method in METHODS:
        assert fuse([Leg("a", scores)], FusionParams(method)).order.tolist() == [3, 2, 1, 0]


def test_parameters_are_read_from_one_word_and_settings():
    assert FusionParams.parse("rrf") == FusionParams("rrf")
    parsed = FusionParams.parse("convex, dense=2,sparse=0.5 ,depth=50,rrf_k=10")
    assert parsed == FusionParams("convex", {"dense": 2.0, "sparse": 0.5}, 50, 10.0)
    for text, message in (
        ("rrf,dense", "fusion: 'dense' in 'rrf,dense'; expected LEG=WEIGHT"),
        ("rrf,depth=2.5", "depth: 2.5; expected an integer"),
        ("borda", "method: 'borda'"),
    ):
        with pytest.raises(ParameterError, match=message):
            FusionParams.parse(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "borda"}, "method: 'borda'; expected one of 'convex', 'min-max'"),
        ({"depth": 0}, "depth: 0; expected an integer of at least 1"),
        ({"depth": True}, "depth: True; expected an integer"),
        ({"rrf_k": -1}, "rrf_k: -1; expected a number of at least 0"),
        ({"weights": {"dense": -0.5}}, "weights: -0.5 for 'dense'; expected a finite number"),
        ({"weights": {"dense": NAN}}, "weights: nan for 'dense'"),
        ({"weights": [1, 2]}, "weights: [1, 2]; expected a weight by leg, as a dict"),
    ],
)
def test_parameters_out_of_their_range_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=re.escape(message)):
        FusionParams(**arguments)


@pytest.mark.parametrize(
    ("legs", "weights", "message"),
    [
        ([], {}, r"legs: \[\]; expected at least one"),
        ([Leg("a", np.ones(2)), Leg("a", np.ones(2))], {}, "each of another name"),
        ([Leg("a", np.ones(2)), Leg("b", np.ones(3))], {}, r"leg 'b': scores of shape \(3,\)"),
        ([Leg("a", np.ones(2))], {"b": 1}, "weights: no leg 'b' here; there are a"),
        ([Leg("a", np.ones(2))], {"a": 0}, "at least one must be above 0"),
        ([Leg("a", np.array([1, math.inf]))], {}, "leg 'a': an infinite score"),
        ([Leg("a", np.array([1, -0.5]), 0.0)], {}, "leg 'a': score -0.5, below its least, 0.0"),
    ],
)
def test_legs_that_do_not_fit_are_refused(legs, weights, message):
    with pytest.raises(ParameterError, match=message):
        fuse(legs, FusionParams(weights=weights))
