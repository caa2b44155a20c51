"""Staging: what is a cell, told at the row, and numbers from text to the last bit."""

from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine.history import staging as module
from tally.engine.history.staging import BATCH_ROWS, FIELDS, InvalidRow, Layout, staged
from tally.errors import ArchiveUnavailable

GOOD = [1_000_000, "a", 2, 3.0, 1.0, 2.0]
LATEST = 2_000_000
TIME, CELL = "time .* is not valid", "count, sum, min and max .* are not valid"


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    """Return the cells of a staging file with their names."""
    connection = apsw.Connection(str(path))
    try:
        return connection.execute(
            "SELECT bucket, name, count, sum, min, max FROM data JOIN names USING (id) ORDER BY data.rowid"
        ).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("time", 0, None),
        ("time", "0", None),
        ("time", LATEST, None),
        ("time", LATEST + 1, TIME),
        ("time", -1, TIME),
        ("time", "1.5", TIME),
        ("time", "", TIME),
        ("time", "x", TIME),
        ("time", None, TIME),
        ("name", "a;b=1", None),
        ("name", "", "name '' is not valid"),
        ("name", "a b", "name 'a b' is not valid"),
        ("name", "n" * 255, None),
        ("name", "n" * 256, "name .* is not valid"),
        ("count", 1.5, None),
        ("count", 1, CELL),
        ("count", 0, CELL),
        ("count", "nan", CELL),
        ("count", None, CELL),
        ("sum", 2.0, None),
        ("sum", 4.0, None),
        ("sum", 1.9, CELL),
        ("sum", 4.1, CELL),
        ("sum", "", CELL),
        ("sum", "x", CELL),
        ("sum", float("nan"), CELL),
        ("min", 1.5, None),
        ("min", 1.6, CELL),
        ("min", "x", CELL),
        ("max", 1.5, None),
        ("max", 1.4, CELL),
        ("max", "x", CELL),
        ("max", 1e100, None),
        ("max", 1.1e100, CELL),
        ("max", "inf", CELL),
        ("min", -1e100, None),
        ("min", "-1e101", CELL),
    ],
)
@pytest.mark.parametrize("before", [0, 1, BATCH_ROWS])
def test_what_is_a_cell(tmp_path: Path, field: str, value: object, reason: str | None, before: int) -> None:
    """Each rule on either side of its bound; the error has the index of the row, wherever it stands."""
    row = GOOD.copy()
    row[FIELDS.index(field)] = value
    with staged(tmp_path, latest=LATEST) as staging:
        values = [*GOOD * before, *row, *GOOD]
        if reason is None:
            staging.add(values)
            assert before + 2 == staging.cells
        else:
            with pytest.raises(InvalidRow, match=reason) as caught:
                staging.add(values)
            assert before == caught.value.row


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=300))
def test_text_becomes_the_same_number(tmp_path_factory: pytest.TempPathFactory, numbers: list[float]) -> None:
    """SQLite reads the shortest decimal of a float as that float, as Python does."""
    with staged(tmp_path_factory.mktemp("s"), latest=LATEST) as staging:
        for number in numbers:
            staging.add(["7", "a", "1", *[repr(number)] * 3])
        staging.finish()
        assert [(7, "a", 1, number, number, number) for number in numbers] == rows_of(staging.path)


def test_other_columns_in_any_order_are_left_out(tmp_path: Path) -> None:
    """A layout says where the fields of a row are."""
    layout = Layout.of(["p95", "max", "min", "name", "sum", "avg", "count", "time", "more"])
    rows = 2 * BATCH_ROWS + 3
    with staged(tmp_path, latest=LATEST) as staging:
        staging.add(["x", "2.5", "0.5", "b", "3", "y", "2", "60", ""] * rows, layout)
        staging.finish()
        assert [(60, "b", 2, 3.0, 0.5, 2.5)] * rows == rows_of(staging.path)


def test_names_are_stored_as_they_would_be_from_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags are sorted, so two spellings are one name, also when the names do not fit the cache."""
    monkeypatch.setattr(module, "NAMES_CACHED", 2)
    with staged(tmp_path, latest=LATEST) as staging:
        for name in ["a;y=1;x=2", "b", "c", "a;x=2;y=1", "d", "b"] * 2:
            staging.add([*GOOD[:1], name, *GOOD[2:]])
        staging.finish()
        names = ["a;x=2;y=1", "b", "c", "a;x=2;y=1", "d", "b"] * 2
        assert names == [row[1] for row in rows_of(staging.path)]


def test_the_file_is_removed(tmp_path: Path) -> None:
    """Whatever happens meanwhile; a directory that cannot be written is told."""
    with pytest.raises(InvalidRow), staged(tmp_path, latest=LATEST) as staging:
        staging.add(["x"] * 6)
    assert [] == list(tmp_path.iterdir())
    with pytest.raises(ArchiveUnavailable, match="cannot be written"), staged(tmp_path / "none", latest=LATEST):
        pass
