"""The bounded heap against sorting."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lexidex.index import Counters
from lexidex.index.topk import empty_results, heap_push, heap_sort, is_worse


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 20))
def test_the_heap_keeps_the_best_in_order(values, k):
    scores, ordinals = (a[0] for a in empty_results(1, k))
    size = 0
    for ordinal in np.random.default_rng(0).permutation(len(values)).tolist():
        score = np.float32(values[ordinal])
        if size < k or is_worse(scores[0], ordinals[0], score, ordinal):
            size = heap_push(scores, ordinals, size, score, ordinal)
    heap_sort(scores, ordinals, size)
    best = sorted(range(len(values)), key=lambda o: (-values[o], o))[:k]
    assert ordinals[:size].tolist() == best
    assert scores[:size].tolist() == [values[o] for o in best]
    assert ordinals[size:].tolist() == [-1] * (k - len(best))


def test_counters_add_up():
    assert Counters(1, 2, 3, 4, 5) + Counters(10, 20, 30, 40, 50) == Counters(11, 22, 33, 44, 55)
