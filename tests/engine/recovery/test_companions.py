"""Copies of databases that are no archives, while they are in use, and of text."""

from pathlib import Path

import pytest

from tally.engine import Event
from tally.engine.events import Events
from tally.engine.recovery.companions import back_up_database, copy_text, restore_database
from tally.errors import ArchiveExists, ArchiveUnavailable

T = 1_700_000_000.0


def titles(directory: Path) -> list[str]:
    """Return the titles of the events in a directory."""
    return [event.title for event in Events(directory).find()]


def test_a_database_in_use_is_copied_and_replaced(tmp_path: Path) -> None:
    """A reader sees the old or the new content, and a copy is one file."""
    events = Events(tmp_path)
    events.add(Event("first", since=T), now=T)
    copies = tmp_path / "copies"
    copies.mkdir()
    with events.open() as connection:  # It keeps SQLite's log, in which a part of the content is.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE events SET title = 'changed'")
        back_up_database(events, copies / "events.db")
        assert [copies / "events.db"] == [*copies.iterdir()]
        connection.execute("UPDATE events SET title = 'later'")
        restore_database(events, copies / "events.db", replace=True)
        assert "changed" == connection.execute("SELECT title FROM events").get
    assert ["changed"] == titles(tmp_path) == titles(copies)


@pytest.mark.parametrize("replace", [False, True])
def test_what_is_there_is_replaced_only_if_that_is_asked_for(tmp_path: Path, replace: bool) -> None:
    """Without it the error says so, and nothing has changed; another kind of file is never replaced by a backup."""
    here, there = Events(tmp_path / "here"), Events(tmp_path / "there")
    for events in (here, there):
        events.path.parent.mkdir()
        events.add(Event(events.path.parent.name, since=T), now=T)
    if replace:
        restore_database(here, there.path, replace=True)
        assert ["there"] == titles(here.path.parent)
        here.path.write_text("another file")
        with pytest.raises(ArchiveUnavailable, match="cannot be used"):
            back_up_database(there, here.path, replace=True)
        assert "another file" == here.path.read_text()
    else:
        for copy in (restore_database, lambda events, path: back_up_database(Events(path.parent), events.path)):
            with pytest.raises(ArchiveExists, match="exists: replace it"):
                copy(here, there.path)
        assert ["here"] == titles(here.path.parent)


def test_text_keeps_its_permissions(tmp_path: Path) -> None:
    """A copy is as private as its original, and a place that cannot be written is told."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("text")
    source.chmod(0o640)
    copy_text(source, target)
    assert ("text", 0o640) == (target.read_text(), target.stat().st_mode & 0o777)
    with pytest.raises(ArchiveUnavailable, match="cannot be written"):
        copy_text(source, tmp_path / "none" / "b")
