"""The plan: which example stands where, whatever else happens."""

import numpy as np
import pytest

from lexidex.encoders.training.candidates import Candidates
from lexidex.encoders.training.plan import Plan, cluster
from lexidex.errors import ParameterError

N = 20


@pytest.fixture
def candidates():
    """Lists of 1 + 5 documents; that of query 3 has one negative only."""
    documents = [np.concatenate([[row], (row + np.arange(1, 6)) % N]) for row in range(N)]
    documents[3] = documents[3][:2]
    return Candidates(np.arange(N), documents)


def test_every_list_stands_once_in_an_epoch(candidates):
    plan = Plan(candidates, N, 3 * N, negatives=2)
    epochs = [[plan[place].query for place in range(first, first + N)] for first in (0, N, 2 * N)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(N))] * 3
    assert epochs[0] != epochs[1]
    assert len(plan) == 3 * N
    with pytest.raises(IndexError):
        plan[3 * N]


def test_negatives_are_drawn_from_the_list_and_filled_up_at_random(candidates):
    plan = Plan(candidates, N, 10 * N, negatives=3)
    drawn = {}
    for place in range(len(plan)):
        example = plan[place]
        positive, *negatives = example.documents.tolist()
        assert positive == example.query
        assert len({positive, *negatives}) == 4
        if positive == 3:
            assert 4 in negatives
        else:
            assert set(negatives) <= set(candidates.documents[positive].tolist())
        drawn.setdefault(positive, set()).add(tuple(negatives))
    assert len(drawn[0]) > 3


def test_short_lists_are_filled_up_with_their_own_negatives(candidates):
    plan = Plan(candidates, N, 4 * N, negatives=3, repeats=True)
    for place in range(len(plan)):
        positive, *negatives = plan[place].documents.tolist()
        listed = candidates.documents[positive].tolist()
        assert len(negatives) == 3
        assert set(negatives) <= set(listed[1:])
        assert len(set(negatives)) == min(3, len(listed) - 1)
    alone = Candidates(np.arange(2), [np.array([0, 1]), np.array([1])])
    with pytest.raises(ParameterError, match="lists without negatives"):
        Plan(alone, N, 4, negatives=1, repeats=True)
    whole = alone.with_negatives()
    assert (whole.queries.tolist(), [each.tolist() for each in whole.documents]) == ([0], [[0, 1]])


def test_an_example_depends_on_seed_and_place_alone(candidates):
    one, other = (Plan(candidates, N, 100, negatives=2, seed=5) for _ in range(2))
    for place in (70, 3, 99, 41):
        assert one[place].query == other[place].query
        assert one[place].documents.tolist() == other[place].documents.tolist()
    third = Plan(candidates, N, 100, negatives=2, seed=6)
    assert [third[place].query for place in range(N)] != [one[place].query for place in range(N)]


def test_like_queries_stand_together(candidates):
    clusters = np.arange(N) % 3  # of 7, 7 and 6 lists
    plan = Plan(candidates, N, N, clusters=clusters, block=3)
    order = [plan[place].query for place in range(N)]
    assert sorted(order) == list(range(N))
    for first in range(0, 18, 3):
        assert len({clusters[query] for query in order[first : first + 3]}) == 1


def test_clusters_are_those_of_the_vectors():
    rng = np.random.default_rng(0)
    directions = np.eye(4)[rng.integers(0, 4, 60)]
    vectors = (directions + 0.05 * rng.normal(size=directions.shape)).astype(np.float32)
    found = cluster(vectors * rng.uniform(1, 9, (60, 1)).astype(np.float32), 8, seed=0)
    wanted = directions.argmax(1)
    assert all(len(set(wanted[found == number])) <= 1 for number in range(8))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"negatives": N}, f"negatives: {N}"), ({"block": 2}, "block: 2")],
)
def test_what_cannot_be_planned_is_refused(candidates, options, message):
    with pytest.raises(ParameterError, match=message):
        Plan(candidates, N, 10, **options)
