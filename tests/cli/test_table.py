"""Tables for people."""

from collections.abc import Iterator

import pytest

from tally.cli.table import MEASURED_ROWS, escape_invisible, format_number, format_utc, table_lines


def test_columns_are_as_wide_as_what_stands_in_them() -> None:
    """Text is aligned to the left, numbers to the right, and no line ends with spaces."""
    rows = [("requests.get.index", 2, 0.5), ("a", 1_000_000, None)]
    assert [
        "name                  count  avg",
        "requests.get.index        2  0.5",
        "a                   1000000    -",
    ] == list(table_lines(("name", "count", "avg"), rows))
    assert ["a  b", "1", "x  y"] == list(table_lines(("a", "b"), [("1", ""), ("x", "y")]))


def test_a_table_without_rows_has_its_header() -> None:
    """An empty table has its header."""
    assert ["time  avg"] == list(table_lines(("time", "avg"), []))


def test_a_table_is_printed_as_its_rows_come() -> None:
    """The first lines are printed before the last rows are read. A late wide cell only moves its own row."""
    taken = 0

    def rows() -> Iterator[tuple[str, int]]:
        nonlocal taken
        for taken in range(1, 3 * MEASURED_ROWS):
            yield ("long name" if taken > MEASURED_ROWS else "n", 1)

    lines = table_lines(("name", "n"), rows())
    assert "name  n" == next(lines)
    assert MEASURED_ROWS == taken
    assert "long name  1" == list(lines)[-1]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (1.0, "1"), (-0.25, "-0.25"), (1 / 3, "0.3333333333333333"),
        (78.115384615384613, "78.11538461538461"),
        (0.1 + 0.2, "0.30000000000000004"), (999999999999999.0, "999999999999999"), (1e22, "1e+22"), (1e-7, "1e-07"),
    ],
)  # fmt: skip
def test_numbers_are_as_short_as_can_be(value: float, text: str) -> None:
    """A number reads back as the stored value, and has no point without decimals."""
    assert text == format_number(value)
    assert value == float(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("requests.get.index", "requests.get.index"),
        ("größe;ort=日本 🙂", "größe;ort=日本 🙂"),
        ("a\\b", "a\\b"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u200bb\u200d\ufeff", "a\\u200bb\\u200d\\ufeff"),
        ("a\u2066b\u00ad", "a\\u2066b\\xad"),
        ("a\u3164\ufe0f", "a\\u3164\\ufe0f"),
        ("a\U000e0041\U000e0100", "a\\U000e0041\\U000e0100"),
        ("two\nlines\x1b[2J", "two\\nlines\\x1b[2J"),
    ],
)
def test_what_cannot_be_seen_is_shown_with_escapes(text: str, expected: str) -> None:
    """Characters that change direction, width or the terminal are escaped."""
    assert expected == escape_invisible(text)
    assert ["name", expected] == list(table_lines(("name",), [(text,)]))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, None), (0, "1970-01-01T00:00:00Z"), (1700000000, "2023-11-14T22:13:20Z"),
     (253402300799, "9999-12-31T23:59:59Z"), (253402300800, "253402300800"), (2**60, str(2**60))],
)  # fmt: skip
def test_times_are_utc(seconds: int | None, text: str | None) -> None:
    """A time is ISO 8601 in UTC, or a number if it is out of range."""
    assert text == format_utc(seconds)
