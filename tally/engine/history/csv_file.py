"""Reads the CSV that tally writes: cells with all aggregates, as `format=csv` answers them.

    time,name,count,sum,avg,min,max
    1700000000,requests.get.index,2,1.0,0.5,0.25,0.75
    1700000000,'=1+1,1,0.5,0.5,0.5,0.5                     the name =1+1: see `asking.shape.CSV_NAME`

`avg` and columns with other names, such as p95, are ignored, because they cannot be merged. A name contains no line
break, so every line is a record. Lines without quotes are split all at once, which takes a third of the time of `csv`.
"""

import csv
from collections.abc import Iterator
from itertools import chain
from typing import Any

from tally.engine.history.reading import BLOCK_BYTES, Readable
from tally.engine.history.staging import FIELDS, InvalidRow, Layout, Staging
from tally.errors import InvalidSample
from tally.lines.plain import BYTE_ORDER_MARK

# The first characters of a name that a spreadsheet would take for a formula. CSV has an apostrophe before them.
FORMULAS = tuple("=+@-")


def read_csv(file: Readable, name: str, staging: Staging) -> Iterator[int]:
    """Add the cells of a file to `staging`, and yield the number of its cells after each block.

    :raises InvalidSample: when the file is not such CSV. The text begins with `name` and the number of the line.
    """
    layout: Layout | None = None
    line = 1
    for block in _blocks(file):
        text = _decode(block, name, line)
        if layout is None:
            header, _, text = text.removeprefix(BYTE_ORDER_MARK).partition("\n")
            layout = _parse_header(header, name)
            line += 1
        _add(text, layout, staging, place=(name, line))
        line += text.count("\n")
        yield staging.cells
    if layout is None:
        raise InvalidSample(f"{name}: is empty: its first line should be time,{','.join(FIELDS[1:])}")


def _blocks(file: Readable) -> Iterator[bytes]:
    """Yield blocks of whole lines, each of which ends with LF."""
    parts: list[bytes] = []
    size = 0
    while data := file.read1(BLOCK_BYTES):
        parts.append(data)
        size += len(data)
        if size >= BLOCK_BYTES:
            lines, _, rest = b"".join(parts).rpartition(b"\n")
            parts, size = [rest], len(rest)
            if lines:
                yield lines + b"\n"
    if rest := b"".join(parts):
        yield rest.removesuffix(b"\n") + b"\n"


def _decode(block: bytes, name: str, line: int) -> str:
    try:
        return block.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line += block.count(b"\n", 0, error.start)
        raise InvalidSample(f"{name}:{line}: the text is not valid UTF-8") from None


def _parse_header(header: str, name: str) -> Layout:
    columns = next(csv.reader([header]), [])
    missing = [field for field in FIELDS if field not in columns]
    if missing:
        raise InvalidSample(
            f"{name}:1: the header {header!r:.100} has no {', '.join(missing)}: import an answer by time and name with "
            "all aggregates, as `tally export SLUG --format csv` writes it"
        )
    if len(columns) > len(set(columns)):
        raise InvalidSample(f"{name}:1: the header {header!r:.100} has a column twice")
    return Layout.of(columns)


def _add(text: str, layout: Layout, staging: Staging, *, place: tuple[str, int]) -> None:
    name, line = place
    try:
        if '"' in text:
            values = _split_quoted(text, layout.width)
        else:
            # The line break becomes a further value of each row.
            values = text.replace("\n", ",\n,").split(",")[:-1]
            layout = layout._replace(width=layout.width + 1)
            _check_width(text, values, layout.width)
        if "'" in text:
            values[layout.name :: layout.width] = [*map(_unescape, values[layout.name :: layout.width])]
        staging.add(values, layout)
    except InvalidRow as error:
        raise InvalidSample(f"{name}:{line + error.row}: {error}") from None


def _check_width(text: str, values: list[Any], width: int) -> None:
    rows = text.count("\n")
    if len(values) == rows * width and values[width - 1 :: width].count("\n") == rows:
        return
    for row, line in enumerate(text.split("\n")):
        if line.count(",") != width - 2:
            raise _unfit(row, line.count(",") + 1, width - 1)


def _split_quoted(text: str, width: int) -> list[Any]:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(text.split("\n")[:-1], strict=True):
            if len(row) != width:
                raise _unfit(len(rows), len(row), width)
            rows.append(row)
    except csv.Error as error:
        raise InvalidRow(len(rows), f"is not CSV: {error}") from None
    return [*chain.from_iterable(rows)]


def _unfit(row: int, values: int, width: int) -> InvalidRow:
    return InvalidRow(row, f"has {values} values: there should be {width}, as in the header")


def _unescape(name: str) -> str:
    """Return the name of a text that may have an apostrophe before the first character of a formula."""
    is_escaped = name.startswith("'") and name.lstrip("'").startswith(FORMULAS)
    return name[1:] if is_escaped else name
