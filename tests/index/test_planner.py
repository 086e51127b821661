"""The planner's choice follows the work: small and rare goes exact, large and frequent does not."""

import numpy as np

from lexidex.index import SearchParams
from lexidex.index.planner import never_exact, prefers_exact
from lexidex.index.seismic.route import choose_route


def chosen(postings, lists, documents, n_allowed=None):
    allowed = documents if n_allowed is None else n_allowed
    route = choose_route(SearchParams(), 10, int(1.35e-3 * documents), documents, allowed)
    return prefers_exact(np.array([postings]), np.array([lists]), documents, 10, route)[0]


def test_large_segments_and_frequent_terms_go_to_approximate_search():
    assert not chosen(postings=660_000, lists=43, documents=1_000_000)
    assert chosen(postings=6_600, lists=43, documents=10_000)


def test_more_work_never_turns_the_choice_to_exact():
    choices = [chosen(p, 43, 100_000) for p in range(0, 200_000, 1_000)]
    assert choices == sorted(choices, reverse=True)
    assert choices[0] != choices[-1]


def test_each_query_has_its_own_choice():
    route = choose_route(SearchParams(), 10, 192, 100_000, 100_000)
    picks = prefers_exact(np.array([10, 10**7]), np.array([5, 5]), 100_000, 10, route)
    assert picks.tolist() == [True, False]


def test_under_a_filter_exact_search_is_chosen_where_the_others_would_rate_too_many():
    million = {"postings": 660_000, "lists": 43, "documents": 1_000_000}
    assert not chosen(**million, n_allowed=999_000)  # by estimates
    assert not chosen(**million, n_allowed=30_000)  # through all blocks of some lists
    assert not chosen(**million, n_allowed=1_000)  # one by one
    rare = {**million, "postings": 20_000}
    assert chosen(**{**million, "documents": 100_000, "postings": 66_000}, n_allowed=4_000)
    assert not chosen(**{**million, "documents": 100_000, "postings": 66_000}, n_allowed=700)
    assert not chosen(**rare, n_allowed=1_000)


def test_what_is_never_exact_is_not_chosen_for_any_query():
    for documents in (10_000, 300_000, 640_000, 700_000, 5_000_000):
        for n_allowed in (documents, documents // 2, documents // 50, 700):
            route = choose_route(SearchParams(), 10, 1_350, documents, n_allowed)
            picks = [prefers_exact(np.array([p]), np.array([n]), documents, 10, route)[0]
                     for p, n in ((0, 0), (10, 1), (1_000, 8), (50_000, 40))]  # fmt: skip
            assert not (never_exact(documents, route) and any(picks[1:]))
    assert never_exact(1_000_000, choose_route(SearchParams(), 10, 1_350, 10**6, 10**6))
