"""The expected content of an archive by plain recomputation, and the rules that every file satisfies."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import apsw
import pytest

from tally.engine import Archive
from tally.engine.files import schema
from tally.engine.storing.cells import Time, Value, roll_up
from tally.engine.storing.merging import Cells

Aggregates = dict[str, float]
Values = dict[str, dict[int, Aggregates]]
# Name, value and unix seconds.
Plain = tuple[str, float, int]
Row = tuple[Any, ...]


def recomputed(samples: Iterable[Plain], resolution: int, *, since: int = 0) -> Values:
    """Return name -> bucket -> aggregates of `samples`, for buckets from `since` on, in the order of an answer."""
    found: dict[tuple[bytes, int], list[float]] = {}
    for name, value, timestamp in samples:
        found.setdefault((name.encode(), timestamp // resolution * resolution), []).append(value)
    answer: Values = {}
    for (name_bytes, bucket), values in sorted(found.items()):
        if bucket >= since:
            answer.setdefault(name_bytes.decode(), {})[bucket] = aggregates(values)
    return answer


def aggregates(values: list[float]) -> Aggregates:
    """Return all five aggregates of values."""
    total = sum(values)
    return {
        "count": len(values),
        "sum": total,
        "avg": total / len(values),
        "min": min(values),
        "max": max(values),
    }


def row_count(archive: Archive, where: str = "1") -> int:
    """Return the number of rows in a file that match `where`."""
    with schema.OpenArchive(archive.path) as connection:
        return int(connection.execute(f"SELECT count(*) FROM data WHERE {where}").get)


def sealing_in_steps(rows: int) -> dict[str, Any]:
    """Return small bounds of `sealing` that depend on `rows`: it seals so many rows, and often stops in their midst."""
    return {"SEAL_ROWS": rows, "STEP_ROWS": 1 + rows * 7 % 10, "STEP_FACTOR": 0}


def check_file(archive: Archive) -> None:
    """Fail unless the archive's file is sound and satisfies the rules of `schema` and `commit`."""
    with schema.OpenArchive(archive.path) as connection:
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        assert "ok" == connection.pragma("integrity_check")
        rows = _rows(connection, "SELECT id, bucket, count, sum, min, max, sealed FROM data NOT INDEXED")
        indexed = _rows(connection, "SELECT id, bucket, count, sum, min, max, sealed FROM data WHERE sealed")
        names = _rows(connection, "SELECT id FROM names")
        totals = {row[0]: row[1:] for row in _rows(connection, "SELECT * FROM totals")}
        blocks = {(row[1], row[0]): row[2:] for row in _rows(connection, "SELECT * FROM blocks")}
    stored, rows = rows, [row for row in rows if row[1] >= meta.get("expired_before", 0)]
    _check_merged(rows, totals, lambda row: row[1], "totals has exactly the buckets that have rows")
    size = meta["resolution"] * meta["block_buckets"]
    assert 0 == meta["blocks_from"] % size
    in_blocks = [row for row in rows if row[6] and row[1] >= meta["blocks_from"]]
    _check_merged(in_blocks, blocks, lambda row: (row[0], row[1] // size * size), "blocks are those of sealed rows")
    assert {(row[0],) for row in rows} == set(names), "names has exactly the names that have rows"
    assert [row for row in stored if row[6]] == indexed, "the index holds exactly the sealed rows"
    assert 0 == meta["sealed_before"] % meta["resolution"], "no bucket is sealed before it is over"
    for row in stored:
        is_deleted = row[1] < meta.get("expiring_before", 0) and row[0] < meta.get("expiring_id", 0)
        assert not is_deleted, f"{row} is no more, by the watermarks of {meta}"
        assert (row[0],) in names, "a hidden row has a name, too"
        is_sealing = row[1] < meta.get("sealing_before", 0) and row[0] < meta["sealing_id"]
        is_sealed = row[1] < meta["sealed_before"] or is_sealing
        assert row[6] == is_sealed, f"{row} is sealed exactly before the watermarks of {meta}"
        assert 0 == row[1] % meta["resolution"]
    assert [] == beside(archive.path)


def _check_merged(rows: list[Row], kept: dict[Any, Row], key: Callable[[Row], Any], promise: str) -> None:
    """Fail unless `kept` has the count, sum, min and max of the rows of each key."""
    merged: dict[Any, list[Row]] = {}
    for row in rows:
        merged.setdefault(key(row), []).append(row[2:6])
    assert merged.keys() == kept.keys(), promise
    for each, columns in ((each, list(zip(*found, strict=True))) for each, found in merged.items()):
        counts, sums, lows, highs = columns
        error = 1e-12 * sum(map(abs, sums)) + 1e-12 * max(map(abs, (*lows, *highs))) * sum(counts)
        assert kept[each] == (sum(counts), pytest.approx(sum(sums), rel=1e-12, abs=error), min(lows), max(highs)), (
            promise
        )


def _rows(connection: apsw.Connection, select: str) -> list[Row]:
    return sorted(connection.execute(select))


def beside(path: Path) -> list[str]:
    """Return the names of the files that SQLite has left beside a file."""
    return sorted(each.name for each in path.parent.glob(f"{path.name}-*"))


def confirm_clock(archive: Archive, now: float) -> None:
    """Make an archive trust a clock that shows `now`, even if all its data is past the retention."""
    Archive(archive.path, clock=lambda: now).confirm_clock()


def rolled_up(samples: Iterable[tuple[str, Value, Time]]) -> Cells:
    """Return the cells of samples in buckets of one second."""
    return roll_up(samples)[0]
