"""Archives of tally 1.0: written here as it wrote them, value by value."""

import math
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from tally.engine import Catalog
from tally.engine.history.reading import Account
from tally.engine.history.staging import staged
from tally.engine.history.tally1_file import read_tally1
from tally.engine.storing.commit import Rules
from tally.errors import NotAnArchive

T = 1_400_000_000
LARGEST, SMALLEST = 2147483647, -2147483648


def write(path: Path, samples: Iterable[tuple[object, float, object]], *, resolution: int = 5) -> Path:
    """Write an archive of tally 1.0 that has collected these samples."""
    rows: dict[tuple[object, object], list[float]] = {}
    for name, value, time in samples:
        bucket = time // resolution * resolution if isinstance(time, int) else time
        rows.setdefault((name, bucket), []).append(value)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE data (name text, timestamp integer, agg_count integer DEFAULT 0, agg_sum real DEFAULT 0, "
            f"agg_avg real DEFAULT 0, agg_min real DEFAULT {LARGEST}, agg_max real DEFAULT {SMALLEST}, "
            "PRIMARY KEY (name, timestamp) ON CONFLICT IGNORE)"
        )
        for key, values in rows.items():
            total = sum(values)
            # A NaN becomes NULL, and every aggregate that it takes part in.
            extremes = (None, None) if math.isnan(total) else (min(LARGEST, *values), max(SMALLEST, *values))
            aggregates = (len(values), total, total / len(values), *extremes)
            database.execute("INSERT INTO data VALUES (?, ?, ?, ?, ?, ?, ?)", (*key, *aggregates))
    return path


def imported(directory: Path, path: Path) -> tuple[dict[str, dict[int, dict[str, float]]], Account, list[str]]:
    """Import a file into a new archive of the same resolution; return all values, the account and the reports."""
    archive = Catalog(directory).create("daily", resolution=5, retention=0)
    reports: list[str] = []
    account = Account(T + 1000, reports.append)
    with staged(directory, latest=T + 1000) as staging:
        for _ in read_tally1(path, staging, account):
            pass
        staging.finish()
        archive.load(staging.path, Rules(T))
    return archive.values(), account, reports


def test_cells_are_as_they_were(tmp_path: Path) -> None:
    """Names, times, counts, sums and extremes, those beyond its bounds too."""
    samples = [("requests.get", 0.25, T), ("requests.get", 0.5, T + 4), ("requests.get", 1.0, T + 5), ("é", -3.0, T)]
    samples += [("huge", 3e9, T), ("huge", 4e9, T), ("low", -3e9, T)]
    values, account, _ = imported(tmp_path, write(tmp_path / "old", samples))
    assert {
        "requests.get": {
            T: {"count": 2, "sum": 0.75, "avg": 0.375, "min": 0.25, "max": 0.5},
            T + 5: {"count": 1, "sum": 1.0, "avg": 1.0, "min": 1.0, "max": 1.0},
        },
        "é": {T: {"count": 1, "sum": -3.0, "avg": -3.0, "min": -3.0, "max": -3.0}},
        "huge": {T: {"count": 2, "sum": 7e9, "avg": 3.5e9, "min": float(LARGEST), "max": 4e9}},
        "low": {T: {"count": 1, "sum": -3e9, "avg": -3e9, "min": -3e9, "max": float(SMALLEST)}},
    } == values
    assert (0, 0) == (account.empty, account.rejected.total())


def test_what_is_no_cell_is_counted_and_told(tmp_path: Path) -> None:
    """tally 1.0 took any name and any float."""
    samples: list[tuple[object, float, object]] = [("a", 1.0, T), ("nan", math.nan, T), ("inf", math.inf, T)]
    samples += [("a b", 1.0, T), ("n" * 256, 1.0, T), ("old", 1.0, -5), ("text", 1.0, "x"), ("ahead", 1.0, T + 2000)]
    samples += [(None, 1.0, T)]
    values, account, reports = imported(tmp_path, write(tmp_path / "old", samples))
    assert ["a"] == list(values)
    assert 1 == account.empty
    assert {"value": 1, "name": 3, "timestamp": 2, "future": 1} == account.rejected
    assert [f"{tmp_path}/old: "] * 7 == [report[: len(f"{tmp_path}/old: ")] for report in reports]


@pytest.mark.parametrize("content", [b"", b"not a database" * 100, None])
def test_other_files_are_refused(tmp_path: Path, content: bytes | None) -> None:
    """An empty file, no database, and an archive of today."""
    path = tmp_path / "other"
    if content is None:
        path = Catalog(tmp_path).create("now").path
    else:
        path.write_bytes(content)
    with pytest.raises(NotAnArchive, match=r"is not an archive of tally 1\.0: "):
        imported(tmp_path, path)
