"""Texts that are date-times, and which moments they are."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexidex.index.filters.values import as_moment

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(
    st.datetimes(),
    st.none() | st.integers(-1439, 1439),
    st.sampled_from(["microseconds", "milliseconds", "seconds", "minutes"]),
    st.sampled_from("T "),
)
def test_date_times_are_what_datetime_reads(when, zone, timespec, separator):
    text = when.isoformat(separator, timespec)
    ahead = timedelta(0)
    if zone is not None:
        ahead = timedelta(minutes=zone)
        text += f"{'-' if zone < 0 else '+'}{abs(zone) // 60:02}:{abs(zone) % 60:02}"
    # Moved to UTC by hand: near the years 1 and 9999 a datetime cannot be.
    kept = datetime.fromisoformat(when.isoformat(timespec=timespec))
    expected = kept.replace(tzinfo=UTC) - EPOCH - ahead
    assert as_moment(text) == expected // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("1970-01-01", "1970-01-01T00:00:00Z"),
        ("2024-02-29t12:00z", "2024-02-29T12:00:00+00:00"),
        ("2024-05-01T10:00:00.123456789Z", "2024-05-01T10:00:00.123456Z"),
        ("2024-05-01T10:00:00.5", "2024-05-01 10:00:00.500000"),
        ("2024-05-01T10:00+0230", "2024-05-01T07:30"),
        ("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59-2359"),
    ],
)
def test_forms_of_one_moment(text, same):
    assert as_moment(text) is not None
    assert as_moment(text) == as_moment(same)


@pytest.mark.parametrize(
    "text",
    [
        *("", "2024", "2024-05", "20240501", "2024-W01-1", "2023-02-29", "0000-01-01"),
        *("2024-05-01T", "2024-05-01T10", "2024-05-01T24:00", "2024-05-01T10:60"),
        *("2024-05-01T10:00:60", "2024-05-01T10:00+24:00", "2024-05-01T10:00+02:60"),
        *("2024-05-01Z", "2024-05-01 x", " 2024-05-01", "2024-05-01\n", "\u0662024-05-01"),
    ],
)
def test_texts_that_are_no_date_times(text):
    assert as_moment(text) is None
