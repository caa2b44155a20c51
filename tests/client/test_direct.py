"""Samples that go into the archives without a collector, and the archives that a program may look at."""

import logging
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from tally.client import direct
from tally.client.direct import LOG_EVERY_S, Recorder, enabled
from tally.engine import Catalog
from tally.settings import Settings

NOW = 1700000008


def recorder(directory: Path, **settings: object) -> Recorder:
    """Return a recorder whose clock stands still."""
    return Recorder(Settings.load({}, data_dir=directory, **settings), clock=lambda: NOW)


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let seconds pass for complaints."""
    now = [1000.0]
    monkeypatch.setattr(direct, "monotonic", lambda: now[0])

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    return pass_time


def test_samples_reach_every_archive_that_wants_them(tmp_path: Path) -> None:
    """Enabled archives keep what matches their pattern; a line without timestamp belongs to the clock's second."""
    catalog = Catalog(tmp_path, clock=lambda: NOW)
    catalog.create("all", resolution=10)
    catalog.create("jobs", pattern="jobs.*", resolution=1)
    catalog.create("off", enabled=False)

    recorder(tmp_path).record([b"jobs.done 1\nother 0.25 1700000001", b"jobs.done 3"])

    counts = {archive.slug: archive.values("sum") for archive in catalog.archives()}
    jobs = {"jobs.done": {NOW: 4.0}}
    assert {"all": {"jobs.done": {1700000000: 4.0}, "other": {1700000000: 0.25}}, "jobs": jobs, "off": {}} == counts


@pytest.mark.parametrize(("timestamp", "stored"), [(NOW + 60, True), (NOW + 61, False)])
def test_the_future_is_refused_as_a_collector_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, timestamp: int, stored: bool
) -> None:
    """TALLY_MAX_FUTURE holds here too, and what it refuses is logged."""
    archive = Catalog(tmp_path).create("all", resolution=1)

    recorder(tmp_path, max_future=60).record([b"a 1 %d" % timestamp, b"b 1 %d" % NOW])

    assert (["a", "b"] if stored else ["b"]) == archive.names()
    assert ("1 were more than TALLY_MAX_FUTURE ahead" in caplog.text) == (not stored)


def test_nothing_is_lost_where_there_was_no_measurement(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A sample of NaN is no sample, and not worth a word."""
    archive = Catalog(tmp_path).create("all")

    recorder(tmp_path).record([b"a nan\nb 1"])

    assert (["b"], []) == (archive.names(), caplog.messages)


@pytest.mark.parametrize(("max_names", "names"), [(2, ["a", "b"]), (1, ["a"]), (0, ["a", "b"])])
def test_names_are_bounded_as_a_collector_does(tmp_path: Path, max_names: int, names: list[str]) -> None:
    """TALLY_MAX_NAMES holds here too."""
    archive = Catalog(tmp_path).create("all")

    recorder(tmp_path, max_names=max_names).record([b"a 1", b"b 1"])

    assert names == archive.names()


def test_all_that_is_refused_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, pass_time: Callable[[float], None]
) -> None:
    """What is too old, of a name too many, or too far ahead is told with its number, also that of the quiet time."""
    Catalog(tmp_path).create("all", retention=1)
    target = recorder(tmp_path, max_names=1, max_future=60)
    target.record([b"a 1"])
    assert "" == caplog.text

    for seconds in (0, LOG_EVERY_S - 1, 1):
        pass_time(seconds)
        target.record([b"a 1 %d\na 1 %d\nb 1\na 1 %d" % (NOW - 7200, NOW - 7200, NOW + 61)])

    told = (
        "{} were more than TALLY_MAX_FUTURE ahead of the clock; {} were older than an archive's retention; {} were of a"
    )
    assert 2 == len(caplog.records)
    assert told.format(1, 2, 1) in caplog.records[0].getMessage()
    assert told.format(3, 6, 3) in caplog.records[1].getMessage()


def test_an_archive_that_fails_raises_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, pass_time: Callable[[float], None]
) -> None:
    """A damaged archive is logged, once a while however often it fails, and the others have their samples."""
    good = Catalog(tmp_path, clock=lambda: NOW).create("good")
    (tmp_path / "bad.db").write_bytes(b"no database" * 100)
    target = recorder(tmp_path)

    for seconds in (0, LOG_EVERY_S - 1, 1):
        pass_time(seconds)
        target.record([b"a 1"])

    assert {"a": 3} == good.aggregate("count", by="name")
    logged = [(record.name, record.levelno) for record in caplog.records]
    assert [("tally.client", logging.ERROR)] * 2 == logged
    assert "samples are lost" in caplog.text
    assert "bad.db" in caplog.text


def test_no_archive_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where there is no archive, or not even a directory, nothing is stored or made, and what is unmatched is told."""
    recorder(tmp_path / "none").record([b"a 1", b"b 1"])

    assert [] == list(tmp_path.iterdir())
    assert ["samples are lost: 2 were of a name that no enabled archive keeps"] == caplog.messages


def test_unmatched_samples_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A name that no pattern matches, or that only a disabled archive keeps, is told with the number of its samples."""
    Catalog(tmp_path).create("some", pattern="a*")
    Catalog(tmp_path).create("off", enabled=False)

    recorder(tmp_path).record([b"a 1\nb 1\nc 1"])

    assert ["samples are lost: 2 were of a name that no enabled archive keeps"] == caplog.messages


def test_samples_of_an_archive_that_fails_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Samples for an archive that can be read but not written are told with their number."""
    archive = Catalog(tmp_path).create("all")
    with apsw.Connection(str(archive.path)) as other:
        other.execute("DROP TABLE data")

    recorder(tmp_path).record([b"a 1\nb 1"])

    told = [text for text in caplog.messages if text.startswith("samples are lost: ")]
    assert ["samples are lost: 2 were for an archive that could not be written"] == [
        text.split(";")[0] for text in told
    ]


def test_enabled_archives_are_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Archives that take samples come by slug; a file that is none is logged and left out."""
    catalog = Catalog(tmp_path)
    catalog.create("b")
    catalog.create("a")
    catalog.create("off", enabled=False)
    (tmp_path / "bad.db").write_bytes(b"no database" * 100)

    assert ["a", "b"] == [archive.slug for archive in enabled(tmp_path)]
    assert "bad.db" in caplog.text
    assert [] == enabled(tmp_path / "none")
