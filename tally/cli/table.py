"""Prints tables: columns as wide as their content, numbers aligned to the right, times in UTC.

Times are printed in a form that `--since` accepts. Invisible characters are printed as escapes such as `\\u202e`; JSON
and CSV, which are for programs, keep them.
"""

import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

# Invisible characters that Python considers printable: joiners, fillers and variation selectors.
_SHAPELESS = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
_HAS_SHAPELESS = re.compile(f"[{_SHAPELESS}]")
# The rows that determine the widths, so that a table of any length is printed as it is read.
MEASURED_ROWS = 1_000

Cell = str | int | float | None


def echo_table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print a table on stdout."""
    sys.stdout.writelines(f"{line}\n" for line in table_lines(header, rows))


def table_lines(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """Yield the lines of a table. Rows after the first MEASURED_ROWS may be wider than their columns."""
    rows = iter(rows)
    measured = list(itertools.islice(rows, MEASURED_ROWS))
    texts = [header, *([format_cell(cell) for cell in row] for row in measured)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    signs = [">" if any(isinstance(row[at], int | float) for row in measured) else "<" for at in range(len(header))]
    layout = "  ".join(f"{{:{sign}{width}}}" for sign, width in zip(signs, widths, strict=True))
    yield layout.format(*header).rstrip()
    for row in itertools.chain(measured, rows):
        yield layout.format(*map(format_cell, row)).rstrip()


def format_cell(cell: Cell) -> str:
    """Return the text of a cell; None becomes a dash."""
    if cell is None:
        return "-"
    return format_number(cell) if isinstance(cell, float) else escape_invisible(str(cell))


def format_number(value: float) -> str:
    """Return the shortest decimal that reads back as the same number."""
    return repr(value).removesuffix(".0")


def escape_invisible(text: str) -> str:
    """Return a text with escapes for invisible characters, such as those that change its direction."""
    if text.isprintable() and not _HAS_SHAPELESS.search(text):
        return text
    return "".join(
        each if each.isprintable() and not _HAS_SHAPELESS.match(each) else ascii(each)[1:-1] for each in text
    )


def format_utc(seconds: Any) -> str | None:
    """Return unix seconds as ISO 8601, or unchanged beyond the year 9999."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return str(seconds)
