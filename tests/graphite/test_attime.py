"""Graphite's times and spans."""

from datetime import UTC, datetime

import pytest

from tally.errors import InvalidQuestion
from tally.graphite.attime import parse_offset, parse_span, parse_time

# Tuesday, 2023-11-14 22:13:20.
NOW = 1_700_000_000.0


def at(*parts: int) -> float:
    """Return a time in UTC in unix seconds."""
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1700000000", 1_700_000_000),
        ("1700000000.5", 1_700_000_000.5),
        ("now", NOW),
        ("-1h", NOW - 3600),
        ("now-30min", NOW - 1800),
        ("now+10s", NOW + 10),
        ("-1d12h", NOW - 129_600),
        ("-2weeks", NOW - 1_209_600),
        ("-1mon", NOW - 2_592_000),
        ("-1y", NOW - 31_536_000),
        ("today", at(2023, 11, 14)),
        ("midnight", at(2023, 11, 14)),
        ("noon", at(2023, 11, 14, 12)),
        ("teatime_yesterday", at(2023, 11, 13, 16)),
        ("midnight+1d", at(2023, 11, 15)),
        ("tomorrow", at(2023, 11, 15)),
        ("12:30", at(2023, 11, 14, 12, 30)),
        ("6:30pm", at(2023, 11, 14, 18, 30)),
        ("6am_today", at(2023, 11, 14, 6)),
        ("12:30_20231101", at(2023, 11, 1, 12, 30)),
        ("20231101", at(2023, 11, 1)),
        ("11/01/23", at(2023, 11, 1)),
        ("11/01/1999", at(1999, 11, 1)),
        ("11/01/99", at(1999, 11, 1)),
        ("November 1", at(2023, 11, 1)),
        ("noon_nov1", at(2023, 11, 1, 12)),
        ("monday", at(2023, 11, 13)),
        ("tuesday", at(2023, 11, 14)),
        ("wed", at(2023, 11, 8)),
    ],
)
def test_times_are_parsed(text: str, expected: float) -> None:
    """Each form is parsed as a time in UTC."""
    assert expected == parse_time(text, NOW)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "-1", "-1m", "-1x", "-", "+", "now-", "25:00", "12:60", "20231131", "13/01/23", "nov", "nov 31",
     "-60y", "999999999999", "-999999999999y", "+9000y", "--1h", "١", "-1h -1h!"],
)  # fmt: skip
def test_invalid_times_are_rejected(text: str) -> None:
    """Malformed times, and times before 1970 or after 9999, raise an error."""
    with pytest.raises(InvalidQuestion, match="time"):
        parse_time(text, NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1h", 3600), ("-1h", -3600), ("+10s", 10), ("5min", 300), ("5minutes", 300), ("1h30min", 5400), ("0s", 0),
     ("1w", 604_800), ("1D", 86_400)],
)  # fmt: skip
def test_offsets_are_parsed(text: str, expected: int) -> None:
    """An offset keeps its sign."""
    assert expected == parse_offset(text)


@pytest.mark.parametrize("text", ["", "1", "h", "1m", "1 h", "one hour", "1h-1h", "-", "--1h", "2000y"])
def test_invalid_offsets_are_rejected(text: str) -> None:
    """An offset needs numbers and units, and is at most a thousand years."""
    with pytest.raises(InvalidQuestion, match="span"):
        parse_offset(text)


def test_a_span_is_at_least_a_second() -> None:
    """A span has no sign, and is not zero."""
    assert (3600, 1) == (parse_span("-1h"), parse_span("1s"))
    with pytest.raises(InvalidQuestion, match="at least"):
        parse_span("0s")
