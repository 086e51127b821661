import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexidex.encoders.batching import token_batches
from lexidex.errors import ParameterError

lengths_of_texts = st.lists(st.integers(0, 40), max_size=60).map(
    lambda lengths: np.array(lengths, dtype=np.int64)
)


@given(lengths=lengths_of_texts, budget=st.integers(1, 200), most=st.none() | st.integers(1, 9))
def test_every_text_is_in_one_batch_and_no_batch_exceeds_the_budget(lengths, budget, most):
    batches = token_batches(lengths, budget, most)

    rows = [row for batch in batches for row in batch.tolist()]
    assert sorted(rows) == np.flatnonzero(lengths).tolist()
    for batch in batches:
        assert batch.size
        assert batch.size == 1 or batch.size * lengths[batch].max() <= budget
        assert most is None or batch.size <= most


@given(lengths=lengths_of_texts, budget=st.integers(1, 200))
def test_longest_texts_come_first_and_equal_ones_stay_in_order(lengths, budget):
    order = [row for batch in token_batches(lengths, budget) for row in batch.tolist()]

    assert order == sorted(np.flatnonzero(lengths).tolist(), key=lambda row: (-lengths[row], row))


def test_batches_are_filled():
    batches = token_batches(np.array([10, 10, 3, 3, 3, 30]), 20)

    assert [batch.tolist() for batch in batches] == [[5], [0, 1], [2, 3, 4]]


def test_a_budget_below_one_is_refused():
    with pytest.raises(ParameterError, match="batch_tokens: 0; expected at least 1"):
        token_batches(np.array([1]), 0)
