"""The planner's choice follows the work: small and rare goes exact, large and frequent does not."""

import numpy as np

from lexidex.index.planner import prefers_exact


def chosen(postings, lists, documents, query_cut=8):
    return prefers_exact(np.array([postings]), np.array([lists]), documents, query_cut)[0]


def test_large_segments_and_frequent_terms_go_to_approximate_search():
    assert not chosen(postings=660_000, lists=43, documents=1_000_000)
    assert chosen(postings=6_600, lists=43, documents=10_000)


def test_more_work_never_turns_the_choice_to_exact():
    choices = [chosen(p, 43, 100_000) for p in range(0, 200_000, 1_000)]
    assert choices == sorted(choices, reverse=True)
    assert choices[0] != choices[-1]


def test_each_query_has_its_own_choice():
    picks = prefers_exact(np.array([10, 10**7]), np.array([5, 5]), 100_000, 8)
    assert picks.tolist() == [True, False]
