"""The identity of an archive, and the record of changes to its history."""

import re
import shutil
from pathlib import Path

import pytest

from tally.engine import Archive, Catalog
from tally.engine.files import schema
from tally.engine.storing.lineage import Lineage

T = 1_700_000_000


def _lineage(archive: Archive) -> Lineage:
    with schema.OpenArchive(archive.path) as connection:
        return Lineage.read(dict(connection.execute("SELECT key, value FROM meta")))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an archive of two samples."""
    made = Catalog(tmp_path).create("daily", resolution=10, retention=0)
    made.record([("a", 1.0, T), ("b", 2.0, T + 20)])
    return made


def test_identity(archive: Archive) -> None:
    """It is random, stays the same, and a copy has it too."""
    identity = _lineage(archive).identity
    assert re.fullmatch("[0-9a-f]{32}", identity)
    archive.record([("a", 1.0, T)])
    archive.remove("a")
    assert identity == _lineage(archive).identity
    assert identity == _lineage(Archive(shutil.copy(archive.path, archive.path.with_name("copy.db")))).identity
    assert identity != _lineage(Catalog(archive.path.parent).create("other")).identity


def test_an_archive_of_an_earlier_version(archive: Archive) -> None:
    """It gets an identity with the next commit that changes something, or with a change of its definition."""
    for change in (lambda: archive.record([("a", 1.0, T)]), lambda: archive.edit(name="x")):
        with schema.OpenArchive(archive.path, write=True) as connection:
            connection.execute("DELETE FROM meta WHERE key = 'identity'")
        archive.commit({}, now=T)
        assert "" == _lineage(archive).identity
        change()
        assert 32 == len(_lineage(archive).identity)


def test_rewrites_are_recorded(archive: Archive) -> None:
    """Cells of the buckets until then may be affected. New samples and changes of nothing are no rewriting."""
    archive.remove("c")
    archive.rename("c", "d")
    archive.edit(retention=9_999)
    assert (0, 0) == _lineage(archive)[1:]
    archive.remove("b", until=T + 19)
    assert (0, 0) == _lineage(archive)[1:]
    archive.rename("b", "c")
    assert (1, T + 30) == _lineage(archive)[1:]
    archive.edit(resolution=60)
    assert (2, T + 60 - (T + 20) % 60 + 20) == _lineage(archive)[1:]
    archive.remove("*")
    assert (3, T + 60 - (T + 20) % 60 + 20) == _lineage(archive)[1:]
    archive.record([("a", 1.0, T)])
    archive.remove("*")
    assert 4 == _lineage(archive).rewrites
