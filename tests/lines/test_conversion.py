"""Numbers and times of every type that Python programs hand over."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.lines.conversion import to_number, to_unix_seconds

SECOND = 1700000001


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("0.1"), 0.1),
        (Fraction(1, 10), 0.1),
        (numpy.float32(0.5), 0.5),
        (numpy.float64(0.1), 0.1),
        (numpy.int64(2**60 - 1), 2**60 - 1),
        (numpy.uint8(7), 7),
        (numpy.bool_(True), 1),
        (numpy.float16(0.25), 0.25),
        (timedelta(minutes=1, milliseconds=250), 60.25),
        (pandas.Timedelta("1500ms"), 1.5),
        (numpy.timedelta64(90, "s"), 90),
        (numpy.timedelta64(250, "ms"), 0.25),
        (numpy.timedelta64(-1500, "ms"), -1.5),
        (numpy.timedelta64(2, "h"), 7200),
    ],
)
def test_every_real_number_is_taken(value: Any, expected: float) -> None:
    """Decimals, fractions, the scalars of numpy, and durations as their seconds."""
    assert expected == to_number(value)


@pytest.mark.parametrize("value", [Decimal("nan"), numpy.float32("nan"), numpy.timedelta64("NaT", "s")])
def test_no_measurement_is_nan(value: Any) -> None:
    """What a library has for a missing value is NaN."""
    found = to_number(value)
    assert found is not None
    assert found != found


@pytest.mark.parametrize(
    "value",
    [
        "1", b"1", bytearray(b"1"), numpy.str_("1"), None, 1j, [1], object(), Decimal("sNaN"), Fraction(10**400),
        numpy.array([1, 2]), numpy.datetime64("2023-11-14"), datetime(2023, 11, 14),
    ],
)  # fmt: skip
def test_what_is_no_real_number_is_refused(value: Any) -> None:
    """Texts, times, arrays, complex numbers, and what is too large for a float."""
    assert to_number(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (numpy.int64(SECOND), SECOND),
        (Decimal("1700000001.5"), 1700000001.5),
        (datetime(2023, 11, 14, 22, 13, 21, tzinfo=UTC), SECOND),
        (datetime(2023, 11, 15, 0, 13, 21, tzinfo=timezone(timedelta(hours=2))), SECOND),
        (datetime.fromtimestamp(SECOND), SECOND),
        (pandas.Timestamp(SECOND, unit="s", tz="UTC"), SECOND),
        (numpy.datetime64("2023-11-14T22:13:21"), SECOND),
        (numpy.datetime64("2023-11-14T22:13:21.999999999"), SECOND + 0.999999999),
        (numpy.datetime64("2023-11-14T22:13:21.250", "ms"), SECOND + 0.25),
        (numpy.datetime64("2023-11-14"), 1699920000),
    ],
)
def test_every_time_is_taken(value: Any, expected: float) -> None:
    """Numbers, datetimes and those of numpy, which are in UTC."""
    assert expected == to_unix_seconds(value)


@pytest.mark.parametrize(
    "value", ["1700000001", True, numpy.bool_(True), date(2023, 11, 14), None, timedelta(1), numpy.timedelta64(1, "s"),
              datetime.min]
)  # fmt: skip
def test_what_is_no_time_is_refused(value: Any) -> None:
    """Texts, flags, days, durations, and what the platform cannot represent."""
    assert to_unix_seconds(value) is None


@given(st.datetimes(datetime(1970, 1, 2), datetime(2262, 1, 1)))
def test_numpys_times_are_those_of_datetime(value: datetime) -> None:
    """The same moment has the same second, whichever library holds it."""
    seconds = to_unix_seconds(numpy.datetime64(value))
    assert seconds is not None
    assert int(value.replace(tzinfo=UTC).timestamp()) == int(seconds)
