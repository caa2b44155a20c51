"""Drops the index by name during large changes."""

from pathlib import Path

import pytest

from tally.engine import Archive, Catalog
from tally.engine.files import schema
from tally.engine.history.index import LARGE_PART, without_index
from tests.engine.model import check_file

T = 1_700_000_000
INDEX = "SELECT count(*) FROM sqlite_schema WHERE name = 'data_by_name'"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an archive with twice as many cells as make a change of two rows large."""
    made = Catalog(tmp_path).create("daily", resolution=10, retention=0)
    made.record([("a", 1.0, T + 10 * number) for number in range(2 * LARGE_PART)])
    return made


@pytest.mark.parametrize(("changes", "is_large"), [(0, False), (1, False), (2, True)])
def test_the_index_is_dropped_if_a_large_part_changes(archive: Archive, changes: int, is_large: bool) -> None:
    """It is there again afterwards, with all sealed rows."""
    with schema.OpenArchive(archive.path, write=True) as connection, schema.Transaction(connection):
        with without_index(connection, changes=changes) as found:
            assert (is_large, not is_large) == (bool(found), bool(connection.execute(INDEX).get))
        assert 1 == connection.execute(INDEX).get
    check_file(archive)
