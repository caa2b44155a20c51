"""JSON rows: what is none is told with the number of the row. The round trip is in test_csv_file.py."""

import io
import json
from pathlib import Path

import pytest

from tally.engine.history import rows_file
from tally.engine.history.rows_file import read_rows
from tally.engine.history.staging import staged
from tally.errors import InvalidSample

ROW = {"time": 1, "name": "a", "count": 1, "sum": 1.0, "avg": 1.0, "min": 1.0, "max": 1.0}
GOOD = json.dumps(ROW)


class Slow(io.BytesIO):
    """A stream that gives one byte at a time."""

    def read1(self, _size: int | None = -1, /) -> bytes:
        """Return a byte."""
        return self.read(1)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "some: row 1: the file does not begin with .: it should be JSON as format=rows answers it"),
        ("{}", "some: row 1: the file does not begin with"),
        ("[", "some: row 1: is not JSON: Expecting value"),
        ("[1]", "some: row 1: 1 is not an object"),
        (f"[{GOOD}", "some: row 2: the array ends before its ., or there is text after it"),
        (f"[{GOOD},", "some: row 2: is not JSON"),
        (f"[{GOOD}] x", "some: row 2: the array ends before its ., or there is text after it"),
        (f"[{GOOD},{{}}]", "some: row 2: has no time, name, count, sum, min, max: import the rows of"),
        (json.dumps([ROW, {"time": 1, "name": "a", "avg": 1.0}]), "some: row 2: has no count, sum, min, max"),
        (json.dumps([{**ROW, "time": 1.5}]), "some: row 1: time 1.5 or name 'a' is not valid"),
        (json.dumps([{**ROW, "time": 2**63}]), "some: row 1: time 9223372036854775808 or name"),
        (json.dumps([{**ROW, "name": None}]), "some: row 1: time 1 or name None is not valid"),
        (json.dumps([{**ROW, "sum": "1"}]), "some: row 1: count, sum, min and max .* are not all numbers"),
        (json.dumps([{**ROW, "sum": True}]), "some: row 1: count, sum, min and max .* are not all numbers"),
        (json.dumps([ROW, {**ROW, "sum": float("nan")}]), "some: row 2: count, sum, min and max .* are not valid"),
        (json.dumps([ROW, {**ROW, "name": "a b"}]), "some: row 2: name 'a b' is not valid"),
        (json.dumps([ROW] * 2 + [{**ROW, "time": 11}]), "some: row 3: time 11 is not valid"),
        ('["' + "x" * 1000, "some: row 1: is not JSON"),
    ],
)
def test_what_are_no_such_rows_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, told: str
) -> None:
    """With the number of the row, in whatever parts the file is read."""
    monkeypatch.setattr(rows_file, "ROW_MAX", 500)
    monkeypatch.setattr(rows_file, "BATCH_ROWS", 2)
    for stream in (io.BytesIO, Slow):
        with staged(tmp_path, latest=10) as staging, pytest.raises(InvalidSample, match=told):
            list(read_rows(stream(content.encode()), "some", staging))


@pytest.mark.parametrize("content", ["[]", " [ ] \n", f"\ufeff[{GOOD}]", json.dumps([ROW] * 5, indent=2)])
def test_blanks_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    """Indented or not, with a byte order mark, byte by byte."""
    monkeypatch.setattr(rows_file, "BATCH_ROWS", 2)
    for stream in (io.BytesIO, Slow):
        with staged(tmp_path, latest=10) as staging:
            list(read_rows(stream(content.encode()), "some", staging))
            assert content.count("name") == staging.cells
