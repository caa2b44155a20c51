"""The sources of cells; test_sql shows which one is read, and test_answer that all have the same cells."""

from pathlib import Path
from unittest.mock import patch

import apsw
import pytest

from tally.engine import Catalog
from tally.engine.asking import digits
from tally.engine.asking.sources import Source, merge_by_name, merge_by_time
from tally.engine.files import schema
from tally.engine.storing import sealing

NAMES = 200


@pytest.mark.parametrize(
    ("condition", "few", "reads"),
    [("", False, "FROM totals"), ("name = 'a'", False, "FROM data WHERE"), ("name = 'a'", True, "INDEXED BY")],
)
def test_sources_by_time(condition: str, few: bool, reads: str) -> None:
    """Totals are read for all names, the index for few names, and the table for others."""
    assert reads in merge_by_time(Source(condition, ("sum",), few))


def test_names_are_limited_by_name_or_id() -> None:
    """The condition is on names; tables without names are read by the ids of these names."""
    source = Source("name = 'a'", ("sum",), few=False)
    assert (" AND name = 'a'", " AND id IN (SELECT id FROM names WHERE name = 'a')") == (source.where, source.members)
    assert ("", "") == (source._replace(condition="").where, source._replace(condition="").members)


@pytest.mark.parametrize(("first", "end", "found"), [(0, 0, 0), (640, 640, 0), (0, 10, NAMES), (630, 640, NAMES)])
def test_an_end_without_buckets_is_not_looked_for(tmp_path: Path, first: int, end: int, found: int) -> None:
    """A range that begins and ends with its blocks is read without a look at the index for each name."""
    archive = Catalog(tmp_path).create("x", resolution=10, retention=0)
    archive.record([(f"name{number}", 1, second) for number in range(NAMES) for second in (0, 635, 5000)])
    steps: list[None] = []

    def count_step() -> bool:
        steps.append(None)
        return False

    connection = apsw.Connection(str(archive.path))
    connection.execute("UPDATE data SET sealed = bucket < 1000")
    digits.register(connection)
    connection.set_progress_handler(count_step, 1)
    bounds = {"first": first, "blocks_first": end, "blocks_end": 1000, "end": 1000, "sealed_before": 1000}
    rows = connection.execute(merge_by_name(Source("", ("count",), few=False, folded=True)), bounds).fetchall()
    connection.close()
    assert found == len(rows)
    assert (found > 0) == (len(steps) > NAMES)


@pytest.mark.parametrize(
    ("since", "until", "unknown"),
    [(0, 400, {1, 3}), (20, 400, {0, 1, 3}), (30, 400, {1, 3}), (0, 95, {1, 4}), (100, 400, {2, 3})],
)
def test_sketches_merge_at_once_as_by_parts(tmp_path: Path, since: int, until: int, unknown: set[int]) -> None:
    """With sums, each part of a range is merged first. A name with an unknown sketch in any part has no percentile."""
    archive = Catalog(tmp_path).create("x", resolution=10, retention=0, percentiles=1)
    samples = [(f"name{second % 7}", second % 90 * (second % 7) - 5, second) for second in range(140)]
    with patch.object(sealing, "SEAL_ROWS", 1):
        archive.record(samples[:110])
    archive.record(samples[110:])
    with schema.OpenArchive(archive.path, write=True) as connection:
        ids = dict(connection.execute("SELECT name, id FROM names"))
        connection.execute("UPDATE blocks_sketches SET bins = NULL WHERE block = 30 AND id = ?", (ids["name1"],))
        for name, bucket in (("name0", 20), ("name2", 100), ("name3", 130), ("name4", 90)):
            connection.execute("DELETE FROM data_sketches WHERE bucket = ? AND id = ?", (bucket, ids[name]))
    found = archive.aggregate("p95", by="name", since=since, until=until)
    expected = archive.aggregate(by="name", since=since, until=until, percentiles="95")
    assert {name: values["p95"] for name, values in expected.items() if "p95" in values} == found
    assert {f"name{number}" for number in range(7) if number not in unknown} == set(found)
