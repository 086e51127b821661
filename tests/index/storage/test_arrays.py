"""Array files: what goes in comes out, and damage is named."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexidex.errors import CorruptFile, FormatError, UnsupportedVersion
from lexidex.index.storage.arrays import ALIGNMENT, read_arrays, verify_arrays, write_arrays

EXAMPLE = {
    "ids": np.arange(7, dtype=np.int32),
    "grid": np.arange(6, dtype=np.float32).reshape(2, 3),
    "none": np.zeros((0,), dtype=np.uint8),
}


def written(arrays=EXAMPLE, meta=None):
    file = io.BytesIO()
    write_arrays(file, "example", arrays, meta or {})
    return file.getvalue()


@given(
    st.lists(st.sampled_from(["<i4", "<f4", "<u2", "|u1", "<i8"]), max_size=5),
    st.lists(st.integers(0, 40), min_size=5, max_size=5),
)
def test_arrays_come_back_equal_aligned_and_read_only(dtypes, lengths):
    arrays = {
        f"a{i}": np.arange(n).astype(t)
        for i, (t, n) in enumerate(zip(dtypes, lengths, strict=False))
    }
    data = memoryview(written(arrays, {"n": 3}))
    read, meta = read_arrays(data, "example", "here")
    assert meta == {"n": 3}
    assert list(read) == list(arrays)
    base = np.frombuffer(data, np.uint8).ctypes.data
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
        assert not read[name].flags.writeable
        assert array.size == 0 or (read[name].ctypes.data - base) % ALIGNMENT == 0


def test_streamed_pieces_equal_the_whole():
    whole = np.arange(100, dtype=np.float32)
    pieces = ("<f4", iter([whole[:30], whole[30:30], whole[30:]]))
    assert written({"x": pieces}) == written({"x": whole})


@pytest.mark.parametrize("length", [0, 5, 16, 39, 40, 100, -1])
def test_a_truncated_file_is_refused(length):
    data = written()
    with pytest.raises(CorruptFile, match=r"here: (truncated|not a Lexidex file)"):
        read_arrays(memoryview(data[:length]), "example", "here")


@given(st.integers(0, len(written()) * 8 - 1))
@settings(max_examples=300)
def test_a_flipped_bit_is_named_or_harmless(bit):
    data = bytearray(written())
    data[bit // 8] ^= 1 << (bit % 8)
    try:
        read, _ = read_arrays(memoryview(data), "example", "here")
        verify_arrays(memoryview(data), "here")
    except FormatError as error:
        assert "here" in str(error)  # noqa: PT017 (either outcome is right)
    else:  # the bit lies in the padding between sections
        for name, array in EXAMPLE.items():
            np.testing.assert_array_equal(read[name], array)


def test_another_version_is_refused_with_both_named():
    data = bytearray(written())
    data[8] = 9
    with pytest.raises(UnsupportedVersion, match=r"format version 9; this Lexidex reads version 0"):
        read_arrays(memoryview(data), "example", "here")


def test_another_kind_is_refused():
    with pytest.raises(CorruptFile, match="holds a example, expected a vectors"):
        read_arrays(memoryview(written()), "vectors", "here")


def test_the_damaged_array_is_named():
    data = bytearray(written())
    data[64] ^= 255
    with pytest.raises(CorruptFile, match="array 'ids' at byte 64"):
        verify_arrays(memoryview(data), "here")
