"""Reads the JSON rows that tally writes: cells with all aggregates, as `format=rows` answers them.

    [{"time":1700000000,"name":"requests.get.index","count":2,"sum":1.0,"avg":0.5,"min":0.25,"max":0.75},
     …]

`avg` and other members are ignored, as in CSV. The array is read row by row, so it may have any length.
"""

import codecs
import json
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from tally.engine.history.reading import BLOCK_BYTES, Readable
from tally.engine.history.staging import FIELDS, InvalidRow, Staging
from tally.errors import InvalidSample
from tally.lines.plain import BYTE_ORDER_MARK

ROW_MAX = 65_536
BATCH_ROWS = 2_048
_BLANKS = " \t\r\n" + BYTE_ORDER_MARK
_WHOLE_END = 2**63


def read_rows(file: Readable, name: str, staging: Staging) -> Iterator[int]:
    """Add the cells of a file to `staging`, and yield the number of its cells after each batch.

    :raises InvalidSample: when the file is not such JSON. The text begins with `name` and the number of the row.
    """
    rows = _rows(file)
    first = 1
    while True:
        batch: list[list[Any]] = []
        try:
            batch.extend(islice(rows, BATCH_ROWS))
            staging.add([*chain.from_iterable(batch)])
        except InvalidRow as error:
            raise InvalidSample(f"{name}: row {first + error.row}: {error}") from None
        except ValueError as error:
            # `extend` keeps the rows before the error.
            raise InvalidSample(f"{name}: row {first + len(batch)}: {error}") from None
        if not batch:
            return
        first += len(batch)
        yield staging.cells


def _rows(file: Readable) -> Iterator[list[Any]]:
    """Yield the values of FIELDS of each row.

    :raises ValueError: when the text is no array of such rows.
    """
    text = _Text(file)
    if text.take() != "[":
        raise ValueError("the file does not begin with [: it should be JSON as format=rows answers it")
    if text.peek() == "]":
        return
    while True:
        yield _cell(text.value())
        mark = text.take()
        if mark == "]" and not text.peek():
            return
        if mark != ",":
            raise ValueError("the array ends before its ], or there is text after it")


def _cell(row: Any) -> list[Any]:
    if not isinstance(row, dict):
        raise ValueError(f"{row!r:.100} is not an object")
    missing = [field for field in FIELDS if field not in row]
    if missing:
        raise ValueError(
            f"has no {', '.join(missing)}: import the rows of an answer by time and name with all aggregates, as "
            "`tally export SLUG --format rows` writes them"
        )
    time, name, *numbers = (row[field] for field in FIELDS)
    if type(name) is not str or type(time) is not int or not 0 <= time < _WHOLE_END:
        raise ValueError(f"time {time!r:.100} or name {name!r:.100} is not valid: use whole unix seconds and text")
    if not all(type(number) in (int, float) for number in numbers):
        raise ValueError(f"count, sum, min and max {tuple(numbers)!r:.100} are not all numbers")
    return [time, name, *map(float, numbers)]


class _Text:
    """The text of a file, of which a part is in memory."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._parser = json.JSONDecoder()
        self._text = ""
        self._at = 0

    def _read(self) -> bool:
        """Read some more text, and return whether there is any."""
        data = self._file.read1(BLOCK_BYTES)
        more = self._decode(data, not data)
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(data)

    def peek(self) -> str:
        """Return the next character that is not blank, or nothing at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANKS:
                    return self._text[self._at]
                self._at += 1
            if not self._read():
                return ""

    def take(self) -> str:
        """Return the next character that is not blank, and move past it."""
        found = self.peek()
        self._at += len(found)
        return found

    def value(self) -> Any:
        """Return the next JSON value."""
        self.peek()
        while True:
            try:
                value, self._at = self._parser.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > ROW_MAX or not self._read():
                    raise ValueError(f"is not JSON: {error.msg}") from None
            else:
                return value
