"""`tally restore`, against real files and a running collector."""

import signal
from pathlib import Path

import pytest

from tally.engine import Archive, Catalog
from tests.cli.command import filled, invoke, on_terminal
from tests.processes import started, wait_for
from tests.survive.load import Sender, check_balance, stored
from tests.survive.scale import chance

LINE = b"new 1 1700000020\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of an archive in a data directory, which has got another sample since."""
    filled(tmp_path / "data")
    invoke(tmp_path / "data", "backup", str(tmp_path / "copies"))
    invoke(tmp_path / "data", "import", "-", stdin=LINE)
    return tmp_path / "copies" / "daily.db"


@pytest.mark.parametrize(("arguments", "slug"), [(("--replace",), "daily"), (("before",), "before")])
def test_restored(copy: Path, tmp_path: Path, arguments: tuple[str, ...], slug: str) -> None:
    """It prints the file and its size, and the archive has the content of the copy."""
    result = invoke(tmp_path / "data", "restore", str(copy), *arguments)
    path = tmp_path / "data" / f"{slug}.db"
    assert (0, "", f"{path}: {path.stat().st_size} bytes\n") == (result.exit_code, result.stderr, result.stdout)
    assert Archive(copy).values() == Archive(path).values()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("copies/daily.db",),
            "tally: archive 'daily' exists: take another slug, or replace it (--replace, replace=True)",
        ),
        (("copies/none.db",), "tally restore: invalid value for 'COPY': File 'copies/none.db' does not exist; see"),
        (("copies/daily.db", "No"), "tally: slug 'No' is not valid"),
        (("data/daily.db", "--replace"), "tally: data/daily.db is the archive itself: give a copy"),
    ],
)
def test_refused(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    """What cannot be is told in one line, and the archive is as it was."""
    monkeypatch.chdir(tmp_path)
    before = (tmp_path / "data" / "daily.db").read_bytes()
    result = invoke(Path("data"), "restore", *arguments)
    assert (2, 1) == (result.exit_code, len(result.stderr.splitlines()))
    assert result.stderr.startswith(told)
    assert before == (tmp_path / "data" / "daily.db").read_bytes()
    assert copy.exists()


def test_progress(copy: Path, tmp_path: Path) -> None:
    """It shows its progress on a terminal."""
    status, shown = on_terminal(tmp_path / "data", "restore", str(copy), "--replace")
    assert 0 == status
    assert f"verifying {copy}" in shown


def test_under_a_running_collector(tmp_path: Path) -> None:
    """A running collector adds whole flushes to the restored archive."""
    Catalog(tmp_path).create("daily", resolution=1, retention=0)
    Catalog(tmp_path).create("all", resolution=1, retention=0)
    copies = tmp_path / "copies"
    with started(tmp_path, "collect", TALLY_FLUSH_TIME=0.05) as running:
        sender = Sender(running.udp_port, chance("restore"))
        with sender.at_work():
            for turn in range(4):
                now = stored(tmp_path, "daily")
                wait_for(lambda now=now: stored(tmp_path, "daily") > now + 1000, "some samples")  # type: ignore[misc]
                chosen = ("backup", str(copies), "daily") if turn % 2 == 0 else ("restore", str(copies / "daily.db"))
                assert 0 == invoke(tmp_path, *chosen, "--replace").exit_code
        assert 0 == running.end(signal.SIGTERM)
    assert sender.lines == check_balance(tmp_path, "all")
    assert 0 < check_balance(copies, "daily") < check_balance(tmp_path, "daily") < sender.lines
