"""Tables for people."""

from collections.abc import Iterator

import pytest

from tally.cli.table import MEASURED_ROWS, number, table_lines, utc


def test_columns_are_as_wide_as_what_stands_in_them() -> None:
    """Text stands to the left and numbers to the right, and no line ends in blanks."""
    rows = [("requests.get.index", 2, 0.5), ("a", 1_000_000, None)]
    assert [
        "name                  count  avg",
        "requests.get.index        2  0.5",
        "a                   1000000    -",
    ] == list(table_lines(("name", "count", "avg"), rows))
    assert ["a  b", "1", "x  y"] == list(table_lines(("a", "b"), [("1", ""), ("x", "y")]))


def test_a_table_without_rows_has_its_header() -> None:
    """An answer without data still says what it is about."""
    assert ["time  avg"] == list(table_lines(("time", "avg"), []))


def test_a_table_is_printed_as_its_rows_come() -> None:
    """The first lines are there before the last rows are, and a late wide cell only moves what follows it."""
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
        (0.0, "0"), (1.0, "1"), (-0.25, "-0.25"), (1 / 3, "0.333333"), (12345.678, "12345.7"), (99999.4, "99999.4"),
        (100000.4, "100000"), (-12345678.9, "-12345679"), (999999999999999.0, "999999999999999"), (1e15, "1e+15"),
        (1e-7, "1e-07"), (1e100, "1e+100"),
    ],
)  # fmt: skip
def test_numbers_are_rounded_to_what_can_be_read(value: float, text: str) -> None:
    """Six digits, more only before the point, and powers of ten only where they are needed."""
    assert text == number(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, None), (0, "1970-01-01T00:00:00Z"), (1700000000, "2023-11-14T22:13:20Z"),
     (253402300799, "9999-12-31T23:59:59Z"), (253402300800, "253402300800"), (2**60, str(2**60))],
)  # fmt: skip
def test_times_are_utc(seconds: int | None, text: str | None) -> None:
    """A bucket's time is ISO 8601 in UTC, and a number where that has no name for it."""
    assert text == utc(seconds)
