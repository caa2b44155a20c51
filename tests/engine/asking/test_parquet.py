"""Parquet: the rows of an answer, in columns with types, however many there are."""

import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow
import pyarrow.parquet
import pytest

from tally.engine import Archive, Catalog
from tally.engine.asking import parquet
from tally.engine.asking.parquet import MEDIA_TYPE, ParquetWriter
from tally.engine.asking.question import AGGREGATES, Question
from tally.errors import InvalidQuestion, PackageMissing

T = 1_000_000


def asked(kind: str, **more: Any) -> Question:
    """Return a question in Parquet."""
    given = [("format", "parquet"), *((name, str(value)) for name, value in more.items() if name not in ("by", "one"))]
    return Question.parse(kind, given, aggregate=more.get("one"), by=more.get("by", "time"), now=T)


def read(content: bytes) -> Any:
    """Return the table in a file."""
    return pyarrow.parquet.read_table(io.BytesIO(content))


def answer(archive: Archive, kind: str, **more: Any) -> Any:
    """Return the table of an answer."""
    with archive.ask(asked(kind, **more)) as chunks:
        assert MEDIA_TYPE == chunks.media_type
        return read(b"".join(chunks))


@pytest.fixture(name="archive")
def _archive(tmp_path: Path) -> Archive:
    archive = Catalog(tmp_path).create("daily", resolution=10, retention=0)
    archive.record([("a", 0.1, T), ("a", 0.2, T + 1), ("é", 3, T), ("a", 5, T + 20)])
    return archive


def test_columns_have_types(archive: Archive) -> None:
    """Times are in UTC, names are a dictionary, and aggregates are doubles, in the order of CSV."""
    table = answer(archive, "values")
    assert ["time", "name", *AGGREGATES] == table.column_names
    assert pyarrow.timestamp("ms", tz="UTC") == table.schema.field("time").type
    assert pyarrow.dictionary(pyarrow.int32(), pyarrow.string()) == table.schema.field("name").type
    assert {pyarrow.float64()} == {table.schema.field(name).type for name in AGGREGATES}
    assert {
        "time": [datetime.fromtimestamp(second, UTC) for second in (T, T + 20, T)],
        "name": ["a", "a", "é"],
        "count": [2, 1, 1],
        "sum": [0.1 + 0.2, 5.0, 3.0],
        "avg": [(0.1 + 0.2) / 2, 5.0, 3.0],
        "min": [0.1, 5.0, 3.0],
        "max": [0.2, 5.0, 3.0],
    } == table.to_pydict()


@pytest.mark.parametrize(
    ("kind", "more", "expected"),
    [
        ("values", {"by": "name", "one": "sum", "q": "a"}, {"name": ["a", "a"], "sum": [0.1 + 0.2, 5.0]}),
        ("aggregate", {"one": "count"}, {"count": [3, 1]}),
        ("aggregate", {"one": "max", "by": "name"}, {"name": ["a", "é"], "max": [5, 3]}),
        ("timedata", {"one": "count"}, {"count": [3, None, 1]}),
        ("timedata", {"one": "count", "fill": "0"}, {"count": [3, 0, 1]}),
        ("values", {"q": "none"}, {"name": [], **{name: [] for name in AGGREGATES}}),
    ],
)
def test_every_question_has_its_columns(
    archive: Archive, kind: str, more: dict[str, Any], expected: dict[str, list[Any]]
) -> None:
    """As rows and CSV have them; buckets without data are null unless they are filled."""
    found = answer(archive, kind, **more).to_pydict()
    assert ("time" in found) == (more.get("by") != "name" or kind == "values")
    found.pop("time", None)
    assert expected == found


def test_row_groups_are_written_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are read as they are written: a chunk for each group, and then the end of the file."""
    monkeypatch.setattr(parquet, "ROWS", 3)
    taken: list[int] = []

    def rows() -> Any:
        for number in range(8):
            taken.append(number)
            yield number, f"n.{number % 2}", float(number)

    chunks = ParquetWriter(["time", "name", "sum"]).chunks(rows())
    first = next(chunks)
    assert [0, 1, 2] == taken
    content = b"".join((first, *chunks))
    assert 3 == pyarrow.parquet.ParquetFile(io.BytesIO(content)).num_row_groups
    assert [float(number) for number in range(8)] == read(content)["sum"].to_pylist()


def test_a_time_that_it_cannot_hold_is_told() -> None:
    """Parquet has milliseconds; no collector stores such a time."""
    with pytest.raises(InvalidQuestion, match="format 'parquet' cannot hold these rows"):
        list(ParquetWriter(["time", "sum"]).chunks([(2**59, 1.0)]))


def test_without_the_package_the_extra_is_named(archive: Archive) -> None:
    """The question is refused before anything is sent."""
    with (
        patch.dict(sys.modules, {"pyarrow": None, "pyarrow.parquet": None}),
        pytest.raises(PackageMissing, match=r"pip install 'tally\[parquet\]'"),
    ):
        archive.ask(asked("values"))
