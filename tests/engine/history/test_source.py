"""Attaches archives to other connections."""

from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import apsw
import pytest

from tally.engine import Archive, Catalog
from tally.engine.files import schema
from tally.engine.history import source

T = 1_700_000_000


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an archive with cells in three buckets, two of them in the first."""
    made = Catalog(tmp_path).create("fine", resolution=10, retention=0)
    made.record([("a", 1.0, T), ("b", 2.0, T), ("a", 4.0, T + 30), ("a", 8.0, T + 40)])
    return made


def test_an_attached_archive_is_not_locked_and_not_written(archive: Archive, tmp_path: Path) -> None:
    """A write transaction of the connection leaves it to other writers."""
    (tmp_path / "built").touch()
    with schema.OpenArchive(archive.path) as origin, closing(source.connect(tmp_path / "built")) as connection:
        with source.attached(connection, origin, archive.path):
            with schema.Transaction(connection):
                assert 4 == connection.execute("SELECT count(*) FROM source.data").get
                archive.record([("c", 1.0, T)])
                with pytest.raises(apsw.ReadOnlyError):
                    connection.execute("DELETE FROM source.data")
                assert 4 == connection.execute("SELECT count(*) FROM source.data").get
            assert 5 == connection.execute("SELECT count(*) FROM source.data").get
        with pytest.raises(apsw.SQLError):
            connection.execute("SELECT count(*) FROM source.data")


@pytest.mark.parametrize(
    ("cells", "resolution", "since", "expected"),
    [
        (1, 10, 0, [(T, T + 10), (T + 10, T + 40), (T + 40, T + 50)]),
        (2, 10, 0, [(T, T + 30), (T + 30, T + 50)]),
        (3, 10, 0, [(T, T + 40), (T + 40, T + 50)]),
        (4, 10, 0, [(T, T + 50)]),
        (1, 20, 0, [(T, T + 20), (T + 20, T + 40), (T + 40, T + 60)]),
        (1, 10, T + 30, [(T + 30, T + 40), (T + 40, T + 50)]),
        (1, 10, T + 50, []),
    ],
)
def test_chunks(archive: Archive, cells: int, resolution: int, since: int, expected: list[tuple[int, int]]) -> None:
    """Each has the given number of cells, but whole buckets of the resolution, and together they have all cells."""
    reports: list[tuple[float, float]] = []
    with (
        patch.object(source, "CHUNK_CELLS", cells),
        schema.OpenArchive(archive.path) as origin,
        schema.OpenArchive(archive.path) as connection,
        source.attached(connection, origin, archive.path),
    ):
        found = source.chunks(
            connection, resolution, bindings={"since": since}, progress=lambda *report: reports.append(report)
        )
        assert expected == list(found)
    first, final = (expected[0][0], expected[-1][1]) if expected else (0, 0)
    assert [(end - first, final - first) for _, end in expected] == reports
