"""Routes: how a search comes to the documents that it rates, and what that costs.

A filter makes search harder. The k best of a tenth of the documents lie as deep as the 10 k best of
all, where fewer of them stand in the posting lists, which keep only large values; and a block's
estimate, made for all its documents, says less of the few that are allowed. So as the share of
allowed documents falls, a search goes

1. by *estimates*, as without a filter, from more lists and with a lower heap_factor;
2. through all *blocks* of the chosen lists, without estimates, as soon as rating the few allowed
   documents of a list costs less than estimating its blocks;
3. through all allowed *documents*, and exactly, once the lists no longer hold enough of them, or
   when that is cheaper anyway.

What counts is the *depth*: allowed postings of a long list for each of the k results. The constants
were fitted on `lexidex.eval.synthetic.generate(n, seed=7)` with n = 100,000 and 200,000, k = 10 and
(query_cut, heap_factor) = (6, 1), (8, .9), (10, .9) and (12, .8), under filters of .001 to .999,
random ones and the documents nearest to a topic, so that accuracy@10 is nowhere below that of the
same parameters without a filter. Costs are CPU time on one core of an AMD EPYC (Zen 5).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..vectors import Int64s
from .params import SearchParams

NS_PER_DOCUMENT = 60.0
"""Rating an allowed document from its record."""

NS_PER_ESTIMATED_LIST = 4_000.0
"""Estimating a list's blocks and rating what they let through."""

NS_PER_LIST, NS_PER_POSTING = 300.0, 1.5
"""Going through a list without estimates, besides the rating of its allowed documents."""

_FEW_ALLOWED = 45
"""Allowed postings of a long list below which rating them all is cheaper than estimating."""

_DEMAND = 0.174
"""Depth that a search of query_cut 1 and heap_factor 1 needs; others need more in proportion to
query_cut / heap_factor**3, which grows with the accuracy that they reach. No search needs more than
half the depth that it has without a filter: for a large k, that is what bounds its accuracy."""

_AMPLE = 2.8
"""Times the needed depth at which the chosen lists are enough; below, more of them are visited."""

_EASE = 0.15
"""The power of the allowed share by which heap_factor is lowered."""


class Route(NamedTuple):
    """How a search finds documents; what it does to each is always the same."""

    query_cut: int
    """Lists to go through; 0 for all allowed documents instead."""
    heap_factor: float
    """As in SearchParams; 0 goes through all blocks without estimates."""
    n_rated: float
    """Allowed documents among those that the route leads to: of one list, or of all."""
    longest_list: int

    @property
    def is_exact(self) -> bool:
        """Whether every allowed document is rated."""
        return self.query_cut == 0

    def cost(self, n_lists: Int64s) -> NDArray[np.float64]:
        """Expected nanoseconds of queries by their numbers of lists."""
        if self.is_exact:
            return np.full(n_lists.shape, NS_PER_DOCUMENT * self.n_rated)
        each = NS_PER_ESTIMATED_LIST
        if self.heap_factor == 0:
            each = NS_PER_LIST + NS_PER_POSTING * self.longest_list
            each += NS_PER_DOCUMENT * self.n_rated
        return each * np.minimum(n_lists, self.query_cut)


def choose_route(
    params: SearchParams, k: int, longest_list: int, n_documents: int, n_allowed: int
) -> Route:
    """The cheapest route that is expected to be as accurate as `params` without a filter.

    Args:
        longest_list: postings of the index's longest list.
    """
    if n_allowed == n_documents and not params.rank_safe:
        return Route(int(params.query_cut), float(params.heap_factor), longest_list, longest_list)
    scan = Route(0, 0.0, n_allowed, longest_list)
    if params.rank_safe:
        return scan
    share = n_allowed / n_documents
    depth = share * longest_list / k
    needed = _DEMAND * params.query_cut / max(params.heap_factor, 0.5) ** 3
    needed = min(needed, 0.5 * longest_list / k)
    few = n_allowed * NS_PER_DOCUMENT <= params.query_cut * NS_PER_ESTIMATED_LIST
    if few or depth <= needed:
        return scan
    cut = params.query_cut * min(1 / share, max(1.0, _AMPLE * needed / depth))
    estimated = params.heap_factor > 0 and share * longest_list > _FEW_ALLOWED
    factor = params.heap_factor * share**_EASE if estimated else 0.0
    return Route(round(cut), float(factor), share * longest_list, longest_list)
