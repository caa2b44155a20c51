"""The progress of a replicator comes back, and a damaged file is none."""

import logging
from pathlib import Path

import pytest

from tally.cluster.cluster import Source
from tally.cluster.progress import FILE, SHIPS_PER_BUCKET, Backlog, Progress
from tally.engine import Catalog
from tally.engine.storing.tracking import Tracker


def test_it_comes_back_with_its_process(tmp_path: Path) -> None:
    """The file replaces the one before."""
    written = Progress("web1", 5.0, Backlog(1.0, 2.0, 3), 4, 4.5, ("away",), (Source("web2", 1.0, 0.5, 3, 4),))
    Progress("web1", 4.0, Backlog(None, None, 0)).write(tmp_path)
    written.write(tmp_path)
    found = Progress.read(tmp_path)
    assert found is not None
    assert found.is_at_work()
    assert written == found._replace(process=None)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"other": 1}'])
def test_a_damaged_file_is_none(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; no file at all is not."""
    caplog.set_level(logging.WARNING, "tally.cluster")
    assert Progress.read(tmp_path) is None
    assert not caplog.text
    (tmp_path / FILE).write_text(content)
    assert Progress.read(tmp_path) is None
    assert "cannot be read" in caplog.text


def test_a_directory_that_cannot_be_written_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Replication goes on."""
    Progress("web1", 5.0, Backlog(None, None, 0)).write(tmp_path / "missing")
    assert "replication.json: cannot be written" in caplog.text


def test_a_backlog_is_due_after_the_pause_of_its_archive(tmp_path: Path) -> None:
    """The first change of all archives counts; one that cannot be read has none."""
    catalog = Catalog(tmp_path)
    for slug, resolution in (("daily", 10), ("yearly", 86_400)):
        catalog.create(slug, resolution=resolution, retention=0)
        Tracker(catalog[slug].path).start()
    (tmp_path / "broken.db").write_bytes(b"no archive" * 100)
    assert Backlog(None, None, 0) == Backlog.measure(catalog.archives())
    catalog["yearly"].record([("a", 1.0, 1_700_000_000)])
    found = Backlog.measure(catalog.archives())
    assert found.first is not None
    assert (found.first + 86_400 / SHIPS_PER_BUCKET, 1) == found[1:]
    catalog["daily"].record([("a", 1.0, 1_700_000_000)])
    both = Backlog.measure(catalog.archives())
    assert (2, True) == (both.cells, both.due is not None and both.due < found.first + 60)
