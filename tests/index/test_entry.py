"""An entry into a kernel gives what the kernel gives, for other values of the same types too."""

import numpy as np

from lexidex.index.entry import Entry
from lexidex.index.jit import kernel


@kernel
def _weighted(values, weight, out):
    for i in range(values.size):
        out[i] = values[i] * weight
    return values.size


def test_calls_after_the_first_are_the_kernel_s_own():
    entry = Entry(_weighted)
    for size, weight in ((3, 2.0), (5, 0.5), (0, 1.0)):
        values, out = np.arange(size, dtype=np.float32), np.empty(size, dtype=np.float32)
        assert entry.call(values, weight, out) == size
        np.testing.assert_array_equal(out, values * np.float32(weight))


def test_entries_do_not_share_their_types():
    floats, integers = Entry(_weighted), Entry(_weighted)
    for entry, dtype in ((floats, np.float32), (integers, np.int64)) * 2:
        out = np.empty(4, dtype=dtype)
        entry.call(np.arange(4, dtype=dtype), 2.0, out)
        assert out.tolist() == [0, 2, 4, 6]


def test_an_interpreted_function_is_called_as_it_is():
    assert Entry(lambda one, other: one + other).call(2, 3) == 5
