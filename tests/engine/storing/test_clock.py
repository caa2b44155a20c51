"""Doubts about the system clock."""

from pathlib import Path
from unittest.mock import patch

import pytest

from tally.engine import Archive, Catalog, Outcome
from tally.engine.storing import clock, expiry, sealing
from tally.engine.storing.clock import BELIEVE_S, CONFIRM_S, FORGET_S, STEP_S, RetentionClock
from tests.engine.model import check_file, rolled_up, row_count

T = 1_700_000_000
HOUR_S = 3600
YEAR_2100 = 4_102_444_800
START = 1_700_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of an archive with a retention of an hour and the data of the hour before T."""
    archive = Catalog(tmp_path).create("daily", resolution=10, retention=1)
    for second in range(T - HOUR_S, T + 1, 600):
        archive.commit(rolled_up([("a", 1.0, second)]), now=second)
    assert 7 == row_count(archive)
    return archive.path


def start(path: Path, now: float, *, name: str = "") -> Outcome:
    """Commit like a process that has just started, and check the file."""
    archive = Archive(path)
    outcome = archive.commit(rolled_up([(name, 1.0, now)] if name else []), now=now)
    check_file(archive)
    return outcome


def count(path: Path) -> int:
    """Return the number of buckets before T."""
    return row_count(Archive(path), f"bucket <= {T}")


@pytest.mark.parametrize(("now", "is_doubted", "left"), [(T + HOUR_S + 9, False, 1), (T + HOUR_S + 10, True, 7)])
def test_a_clock_that_would_expire_the_newest_bucket_is_doubted(
    path: Path, now: int, is_doubted: bool, left: int
) -> None:
    """Nothing is deleted. If the newest bucket would be kept, the older ones expire."""
    assert (is_doubted, left) == (start(path, now).is_doubted, count(path))


@pytest.mark.parametrize("now", [T + HOUR_S + 10, T + 2 * 86_400, YEAR_2100])
def test_a_doubt_outlasts_the_process(path: Path, now: int) -> None:
    """Nothing expires or is rejected, however often a process starts."""
    for later in (0, 5, 3600, CONFIRM_S - 1):
        outcome = start(path, now + later, name="b")
        assert (True, 1, 0) == (outcome.is_doubted, outcome.stored, outcome.expired)
        assert 7 == count(path)
    assert 1 == Archive(path).commit(rolled_up([("old", 1.0, T - 86_400)]), now=now).stored


def test_a_corrected_clock_is_trusted(path: Path) -> None:
    """Nothing within the retention is lost, and samples from the wrong time are kept."""
    start(path, YEAR_2100, name="b")
    assert (False, 6) == (start(path, T + 300, name="c").is_doubted, count(path))
    assert [YEAR_2100] == list(Archive(path).values(q="b")["b"])


def test_a_future_bucket_does_not_confirm_the_clock(path: Path) -> None:
    """A machine that starts in 2100 repeatedly loses nothing."""
    for _ in range(3):
        assert start(path, YEAR_2100, name="b").is_doubted
        assert not start(path, T + 5).is_doubted
    assert 7 == count(path)


def test_a_future_timestamp_does_not_confirm_the_clock(path: Path) -> None:
    """The sample has a timestamp of its own."""
    Archive(path).commit(rolled_up([("b", 1.0, T + 86_400)]), now=T)
    assert start(path, T + 86_400).is_doubted
    assert 7 == count(path)


@pytest.mark.parametrize(
    ("later", "left"), [(CONFIRM_S - 1, 7), (CONFIRM_S, 0), (FORGET_S, 0), (FORGET_S + 1, 7), (-1, 7)]
)
def test_a_clock_that_runs_for_a_day_is_confirmed(path: Path, later: int, left: int) -> None:
    """An archive that was not written for long expires a day later; another jump starts a new doubt."""
    now = T + 10 * HOUR_S
    start(path, now, name="b")
    assert (bool(left), left) == (start(path, now + later, name="b").is_doubted, count(path))
    if later != CONFIRM_S - 1:
        assert bool(left) == start(path, now + later + 5).is_doubted


def test_a_confirmed_clock_stays_trusted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An expiry over several commits is not doubted again."""
    monkeypatch.setattr(expiry, "EXPIRE_ROWS", 2)
    now = T + 10 * HOUR_S
    start(path, now)
    assert [5, 3, 1, 0] == [start(path, now + CONFIRM_S + each).is_doubted or count(path) for each in range(4)]


def test_confirm_clock(path: Path) -> None:
    """All old buckets expire with the next commit, and a doubt ends."""
    now = T + 2 * 86_400
    for _ in range(2):
        start(path, now)
        Archive(path, clock=lambda: now).confirm_clock()
        assert (False, 0) == (start(path, now, name="b").is_doubted, count(path))
    assert start(path, now + 2 * HOUR_S).is_doubted


def test_a_running_writer_does_not_doubt_the_clock(path: Path) -> None:
    """An archive without new samples expires as usual."""
    archive = Archive(path)
    for now in range(T, T + 2 * HOUR_S, 60):
        assert not archive.commit({}, now=now).is_doubted
    assert 0 == count(path)


def test_an_idle_commit_writes_a_doubt_once(path: Path) -> None:
    """Without samples the file does not change, during a doubt or otherwise."""
    contents = []
    for now in (T, T + 5, YEAR_2100, YEAR_2100 + 5, YEAR_2100 + 10):
        start(path, now)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert contents[2] == contents[3] == contents[4]


@pytest.mark.parametrize("retention", [0, 1])
def test_no_doubt_without_expiry(tmp_path: Path, retention: int) -> None:
    """An empty archive, or one that keeps everything, never doubts the clock."""
    archive = Catalog(tmp_path).create("new", retention=retention)
    if not retention:
        archive.commit(rolled_up([("a", 1.0, T)]), now=T)
    assert not start(archive.path, YEAR_2100).is_doubted


@pytest.mark.parametrize("seal_rows", [1, 1000])
@pytest.mark.parametrize("resumed", [T, T + 5, T + 30, T + 600])
def test_what_was_sealed_by_a_wrong_clock_is_unsealed(path: Path, seal_rows: int, resumed: int) -> None:
    """Later rows are then inserted unsealed as usual."""
    with patch.object(sealing, "SEAL_ROWS", seal_rows):
        for now in range(YEAR_2100, YEAR_2100 + 100, 10):
            start(path, now, name="b")
        for now in range(resumed, resumed + 100, 10):
            start(path, now, name="c")
    assert {"b": 10, "c": 10} == Archive(path).aggregate("count", by="name", q=["b", "c"])
    assert 0 == row_count(Archive(path), f"sealed AND bucket >= {resumed + 100}")


def test_a_file_without_clock_state(path: Path) -> None:
    """A file of an earlier version is judged by its newest bucket."""
    from tally.engine.files import schema

    with schema.OpenArchive(path, write=True) as connection:
        connection.execute("DELETE FROM meta WHERE key IN ('clock', 'doubted', 'confirmed')")
    assert start(path, YEAR_2100, name="b").is_doubted
    assert start(path, YEAR_2100 + 5).is_doubted
    assert 7 == count(path)


def test_describe_doubt() -> None:
    """The message names the archive and says how the doubt ends."""
    assert "archive daily: " in clock.describe_doubt("daily")
    assert "24 hours" in clock.describe_doubt("daily")
    assert "--clock-is-right" in clock.describe_doubt("daily")


@pytest.mark.parametrize(
    ("step", "expected"),
    [(STEP_S, STEP_S), (STEP_S + 1, 0), (-STEP_S, -STEP_S), (-STEP_S - 1, -STEP_S - 1), (4e9, 0), (-START, -START)],
)
def test_a_step(step: float, expected: float) -> None:
    """A step ahead is trusted only if it is small; a step back is trusted, because it deletes nothing."""
    retention = RetentionClock()
    assert START == retention.now(START, 0)
    assert START + 5 + expected == retention.now(START + 5 + step, 5)
    assert START + 10 == retention.now(START + 10, 10)


@pytest.mark.parametrize(("lasted", "expected"), [(BELIEVE_S - 1, 0), (BELIEVE_S, 86_400)])
def test_a_lasting_step_is_trusted(lasted: float, expected: float) -> None:
    """After a day the clock is trusted, right or wrong."""
    retention = RetentionClock()
    retention.now(START, 0)
    retention.now(START + 86_401, 1)
    assert START + 1 + lasted + expected == retention.now(START + 86_401 + lasted, 1 + lasted)


def test_a_slow_drift_is_no_step() -> None:
    """A clock that is corrected gradually is always trusted."""
    retention = RetentionClock()
    for number in range(100):
        assert START + number * STEP_S == retention.now(START + number * STEP_S, 0)
