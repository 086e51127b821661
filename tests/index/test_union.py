"""The union of what two searches have found, against NumPy's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lexidex.index.union import union

KEYS = st.lists(st.integers(0, 30) | st.integers(1 << 40, 1 << 62), unique=True, max_size=20)


@given(KEYS, KEYS)
def test_a_union_has_every_key_once_and_tells_which_the_second_has(first, second):
    one, other = (np.array(keys, dtype=np.int64) for keys in (first, second))
    keys, places, others = union(one, other)
    np.testing.assert_array_equal(keys, np.union1d(one, other))
    assert keys[places].tolist() == second
    np.testing.assert_array_equal(keys[others], np.setdiff1d(one, other))
    assert one.tolist() == first
