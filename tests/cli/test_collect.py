"""`tally collect`; how it collects is tested with the collector."""

import signal
import socket
from pathlib import Path

import pytest

from tally.engine import Catalog
from tests.processes import LIMIT_S, started, wait_for


def test_without_an_archive_it_says_so_and_takes_the_first_that_comes(tmp_path: Path) -> None:
    """A collector creates no archives, but explains how to create one."""
    with started(tmp_path / "data", "collect") as running:
        running.said("^no archive yet, so no sample is stored: create one with `tally archives create daily`$")
        assert running.udp_port
        archive = Catalog(tmp_path / "data").create("late", resolution=10)
        running.said("^late: 10 s buckets, kept 24 h, all metrics$")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"a 1", ("127.0.0.1", running.udp_port))
        wait_for(archive.names, "the sample")
        assert 0 == running.end(signal.SIGTERM)
    assert ["late.db"] == [path.name for path in (tmp_path / "data").iterdir()]


def test_with_an_archive_there_is_nothing_to_say(tmp_path: Path) -> None:
    """The hint is only shown for an empty directory."""
    Catalog(tmp_path).create("daily")
    with started(tmp_path, "collect") as running:
        assert running.udp_port
        assert 0 == running.end(signal.SIGINT)
    assert [] == [line for line in running.lines if line.startswith("no archive yet")]


def test_an_option_beats_the_environment(tmp_path: Path) -> None:
    """An option takes precedence, even if the value in the environment is malformed."""
    Catalog(tmp_path / "chosen").create("daily")
    arguments = ("--data-dir", str(tmp_path / "chosen"), "--receive-buffer", "4096", "--host", "127.0.0.2")
    with started(tmp_path / "other", "collect", *arguments, TALLY_HOST="two words") as running:
        running.said(r"collecting on UDP 127\.0\.0\.2 port \d+ \(receive buffer: 4\.0 KiB\)")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("directory", ["/dev/null/data", "/proc"])
def test_a_directory_that_cannot_be_written_is_one_line(directory: str) -> None:
    """A collector that could not store anything does not start."""
    with started(Path(directory), "collect") as running:
        assert 2 == running.process.wait(LIMIT_S)
        running.said(f"^tally: {directory}: cannot be (created|written): ")
    assert 1 == len(running.lines)
