"""Converts numbers and times of any Python type to floats.

    Decimal("0.1"), Fraction(1, 10), numpy.float32(0.1), numpy.int64(1)     a number
    timedelta(minutes=1), numpy.timedelta64(60, "s")                        its seconds
    datetime(2023, 11, 14), numpy.datetime64("2023-11-14")                  its unix seconds

A type is a number if it has `__float__` or `__index__` and is not text. numpy is never imported: its scalars are
recognised by their `dtype`. Bounds are checked by `plain`.
"""

import operator
from datetime import datetime, timedelta
from typing import Any

_TEXT = (str, bytes, bytearray)
# The kinds of numpy's dtypes: https://numpy.org/doc/stable/reference/generated/numpy.dtype.kind.html
_NUMPY_BOOL, _NUMPY_TIMEDELTA, _NUMPY_DATETIME = "b", "m", "M"


def to_number(value: Any) -> float | None:
    """Return a real number or the seconds of a timedelta as an int or float, or None if `value` is neither."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if _numpy_kind(value) in (_NUMPY_TIMEDELTA, _NUMPY_DATETIME):
        return _numpy_seconds(value, _NUMPY_TIMEDELTA)
    if isinstance(value, _TEXT):
        return None
    try:
        return operator.index(value) if hasattr(value, "__index__") else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def to_unix_seconds(value: Any) -> float | None:
    """Return a number, a datetime (naive: in local time) or a numpy.datetime64 (in UTC) as unix seconds.

    Return None if `value` is none of these, or the platform cannot represent it.
    """
    kind = _numpy_kind(value)
    if isinstance(value, bool | timedelta) or kind in (_NUMPY_BOOL, _NUMPY_TIMEDELTA):
        return None
    if kind == _NUMPY_DATETIME:
        return _numpy_seconds(value, _NUMPY_DATETIME)
    if not isinstance(value, datetime):
        return to_number(value)
    try:
        return value.timestamp()
    except (ValueError, OverflowError, OSError):  # The error depends on the platform.
        return None


def _numpy_kind(value: Any) -> object:
    return getattr(getattr(value, "dtype", None), "kind", None)


def _numpy_seconds(value: Any, kind: str) -> float | None:
    """Return a numpy time of this kind in seconds, NaN for NaT, or None for another kind."""
    if _numpy_kind(value) != kind or getattr(value, "ndim", 0) != 0:
        return None
    name = "timedelta64" if kind == _NUMPY_TIMEDELTA else "datetime64"
    if value != value:
        return float("nan")
    seconds = value.astype(f"{name}[s]")
    rest = (value - seconds).astype("timedelta64[ns]")
    return int(seconds.astype("int64")) + int(rest.astype("int64")) / 1e9
