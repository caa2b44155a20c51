"""`tally.event()`: into the files, or to a server."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import tally
from tally.engine import Catalog
from tally.errors import ArchiveUnavailable, InvalidEvent
from tally.settings import Settings
from tests.api.server import serving


@pytest.fixture
def configured() -> Iterator[Any]:
    """Return a function that sets the defaults of the client until the end of the test."""
    yield lambda **chosen: tally.configure(Settings.load({}, **chosen))
    tally.configure(None)


def test_an_event_is_written_into_the_files(tmp_path: Path, configured: Any) -> None:
    """Where the data directory is, no server is needed; with an empty host it is created."""
    configured(data_dir=tmp_path, http_port=1)
    tally.event("deployed", "all of it", tags=["deploy"], since=datetime.fromtimestamp(5e9, UTC), until=5e9 + 1)
    configured(data_dir=tmp_path / "new", host="")
    tally.event("second")
    first, *others = Catalog(tmp_path).events.find()
    assert ("deployed", "all of it", ("deploy",), 5e9, 5e9 + 1) == (first.title, first.text, first.tags, first.since,
                                                                first.until)  # fmt: skip
    assert [] == others
    assert ["second"] == [event.title for event in Catalog(tmp_path / "new").events.find()]


def test_wrong_fields_are_raised(tmp_path: Path, configured: Any) -> None:
    """A wrong field is an error of the call."""
    configured(data_dir=tmp_path)
    with pytest.raises(InvalidEvent, match="title ''"):
        tally.event("")


def test_an_event_is_posted_to_a_server(tmp_path: Path, configured: Any) -> None:
    """Where the data directory is on another machine, the event is posted with the write token."""
    elsewhere = {"data_dir": tmp_path / "missing", "http_host": "127.0.0.1"}
    with serving(tmp_path, TALLY_WRITE_TOKEN="writer") as server:
        port = server.port
        configured(**elsewhere, http_port=port, write_token="writer")
        tally.event("deployed", tags=["deploy"], since=5_000_000_000)
        configured(**elsewhere, http_port=port)
        with pytest.raises(ArchiveUnavailable, match="answered 401"):
            tally.event("refused")
    with pytest.raises(ArchiveUnavailable, match=f"127.0.0.1:{port}: .*refused"):
        tally.event("nobody listens")
    assert [("deployed", ("deploy",), 5e9)] == [(event.title, event.tags, event.since)
                                                for event in Catalog(tmp_path).events.find()]  # fmt: skip
    assert not (tmp_path / "missing").exists()
