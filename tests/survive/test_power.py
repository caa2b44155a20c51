"""Survive 2: loss of power at any moment, with the last write torn and those that were not synced there or not."""

from pathlib import Path
from typing import Any

import pytest

from tally.engine import Archive, Catalog
from tally.engine.asking.question import Question
from tally.engine.storing import expiry, sealing, watermarks
from tests.survive.recorder import Event, after_power_loss, recorded
from tests.survive.scale import chance, scaled

MOMENTS = scaled(150, 5000)
COMMITS = 25
NAMES = 60
T = 1_700_000_000
QUESTION = Question("values", None, "time")


class History:
    """An archive's file at the start, what SQLite did to it since, and what it held after each commit."""

    def __init__(self, archive: Archive, events: list[Event]) -> None:
        self.before = {str(archive.path): archive.path.read_bytes()}
        self.events = events
        self.states: list[tuple[int, Any]] = []
        self._archive = archive

    def note(self) -> None:
        """Note what the archive holds now."""
        held = self._archive.values()
        self.states.append((len(self.events), (self._archive.definition(), held)))

    def possible(self, moment: int) -> list[Any]:
        """Return what may be held at a moment: what was committed by then, or that of the commit under way."""
        done = max(number for number, (end, _) in enumerate(self.states) if end <= moment)
        return [state for _, state in self.states[done : done + 2]]


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """Commits that merge, seal and expire in steps, with a coarser resolution midway; readers may hold the log."""
    monkeypatch.setattr(sealing, "SEAL_ROWS", 3 * NAMES)
    monkeypatch.setattr(sealing, "SEAL_BUCKETS", 1)
    monkeypatch.setattr(sealing, "STEP_ROWS", NAMES)
    monkeypatch.setattr(sealing, "STEP_FACTOR", 0)
    monkeypatch.setattr(expiry, "EXPIRE_ROWS", NAMES)
    monkeypatch.setattr(expiry, "FEW_ROWS", 1)
    monkeypatch.setitem(watermarks.FIRST, "block_buckets", 3)
    archive = Catalog(tmp_path).create("daily", resolution=10, retention=1)
    with recorded() as events:
        made = History(archive, events)
        made.note()
        for number in range(COMMITS):
            now = T + 400 * number
            cells = {now: {f"name{number % 3}.{i}": (1.0, 0.5, 0.5, 0.5) for i in range(NAMES)}}
            if number == COMMITS // 2:
                archive.edit(resolution=20)
            elif number % 4 == 3:
                with archive.ask(QUESTION) as answer:
                    next(answer)
                    archive.commit(cells, now=now)
            else:
                archive.commit(cells, now=now)
            made.note()
    return made


def test_power_lost_at_any_moment(history: History, tmp_path: Path) -> None:
    """What is on the disk opens, is sound, and holds all that was committed and nothing by half."""
    random = chance("power")
    for number in range(MOMENTS):
        moment = random.randrange(1, len(history.events) + 1)
        directory = tmp_path / str(number)
        directory.mkdir()
        for path, content in after_power_loss(history.before, history.events[:moment], random).items():
            if not path.endswith("-shm"):
                (directory / Path(path).name).write_bytes(content)
        archive = Archive(directory / "daily.db")
        told = f"loss {number + 1}, after event {moment} of {len(history.events)}"
        assert () == archive.check().damage, told
        assert (archive.definition(), archive.values()) in history.possible(moment), told
    print(f"{MOMENTS} losses of power in {len(history.events)} calls of SQLite's")  # noqa: T201
