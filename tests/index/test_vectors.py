"""The border of the index: what is let in, in which form, and what is refused with which words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from lexidex.errors import ParameterError
from lexidex.index.vectors import as_vector, as_vectors, build_vectors, csr, stack

pairs = st.dictionaries(st.integers(0, 50), st.floats(0, 100, width=32), max_size=12)


@given(pairs, st.randoms())
def test_a_vector_comes_out_sorted_without_zeros_and_unchanged_otherwise(vector, random):
    shuffled = list(vector.items())
    random.shuffle(shuffled)
    components, values = as_vector([c for c, _ in shuffled], [v for _, v in shuffled])
    assert components.dtype == np.int32
    assert values.dtype == np.float32
    expected = sorted((c, v) for c, v in vector.items() if v > 0)
    assert list(zip(components.tolist(), values.tolist(), strict=True)) == expected


@given(st.lists(pairs, max_size=6))
def test_a_batch_comes_out_canonical_and_equal(rows):
    matrix = sparse.lil_array((len(rows), 51), dtype=np.float64)
    for row, vector in enumerate(rows):
        for component, value in vector.items():
            matrix[row, component] = value
    batch = as_vectors(matrix.tocsc())
    assert batch.data.dtype == np.float32
    assert batch.has_canonical_format
    assert batch.nnz == np.count_nonzero(matrix.toarray().astype(np.float32))
    np.testing.assert_array_equal(batch.toarray(), matrix.toarray().astype(np.float32))


def test_a_canonical_batch_is_not_copied():
    batch = as_vectors(sparse.csr_array(np.eye(3, dtype=np.float32)))
    assert np.shares_memory(as_vectors(batch).data, batch.data)


def test_the_caller_s_matrix_is_left_as_it_was():
    given_matrix = sparse.csr_array(
        (np.array([2.0, 0.0, 1.0], np.float32), np.array([4, 1, 1]), np.array([0, 3])), (1, 5)
    )
    before = given_matrix.data.copy(), given_matrix.indices.copy()
    as_vectors(given_matrix)
    np.testing.assert_array_equal(given_matrix.data, before[0])
    np.testing.assert_array_equal(given_matrix.indices, before[1])


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, -np.inf])
def test_a_bad_value_is_named_with_row_and_component(bad):
    matrix = sparse.csr_array(np.array([[1, 0, 0], [0, 2, 3]], dtype=np.float32))
    matrix.data[2] = bad
    with pytest.raises(ParameterError, match=r"documents: value .* in row 1, component 2"):
        as_vectors(matrix, name="documents")


def test_something_else_than_a_sparse_matrix_is_refused():
    with pytest.raises(ParameterError, match=r"expected a scipy.sparse matrix, got ndarray"):
        as_vectors(np.eye(2))


@pytest.mark.parametrize(
    ("components", "values", "message"),
    [
        ([1, 2], [1.0], "2 components and 1 values"),
        ([1, 1], [1.0, 2.0], "component 1 is given twice"),
        ([3, 1, 3], [1.0, 2.0, 3.0], "component 3 is given twice"),
        ([-1], [1.0], r"component -1 is not in \[0, 2\*\*31\)"),
        ([2**31], [1.0], "component 2147483648 is not in"),
        ([1.5], [1.0], "components must be integers"),
        ([4], [-2.0], "value -2.0 of component 4"),
        ([4], [float("nan")], "value nan of component 4"),
        ([[1]], [[1.0]], "two flat lists"),
    ],
)
def test_a_bad_vector_is_refused_with_its_value(components, values, message):
    with pytest.raises(ParameterError, match=message):
        as_vector(components, values)


def test_batches_stack_as_scipy_stacks_them():
    first = csr(np.ones(2, np.float32), np.array([0, 2], np.int32), np.array([0, 2]), 3)
    second = build_vectors([([], []), ([4], [2.0])], 5)
    expected = np.zeros((3, 5), np.float32)
    expected[0, [0, 2]] = 1
    expected[2, 4] = 2
    np.testing.assert_array_equal(stack([first, second], 5).toarray(), expected)
    assert stack([], 7).shape == (0, 7)
