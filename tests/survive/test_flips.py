"""Survive 4: three bytes of an archive are flipped under a running `tally serve`, round after round.

Whenever that is found, in whichever way, it is told, nothing more is written there, and what comes is spilled; once the
archive is restored, all of it is in it once. The process lives through all of it, and the other archive has everything.
"""

import random as random_module
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tally.engine import Archive, Catalog
from tally.engine.files.damage_marks import mark_path
from tests.cli.command import run
from tests.processes import LIMIT_S, Running, started, wait_for
from tests.survive.load import Sender, books, check_balance
from tests.survive.scale import chance, scaled
from tests.survive.test_loss import spilled
from tests.survive.test_swap import between_commits

ROUNDS = scaled(3, 60)
LINES = 2000
# What makes a file another application's, or another format's: it is not told as damage, and nothing replaces it.
MARKS = range(60, 72)
DONE = ("stored", "spilled", "dropped", "expired", "cardinality")
QUESTIONS = ("/values/daily/", "/aggregate/daily/byname/", "/timedata/daily/count/", "/names/daily/", "/archives/")


class World:
    """A service with two archives, and how many lines were sent to it."""

    def __init__(self, directory: Path, running: Running, chances: random_module.Random) -> None:
        self.directory = directory
        self.running = running
        self.chances = chances
        self.lines = 0
        self.archive: Archive = Catalog(directory)["daily"]

    @contextmanager
    def load(self) -> Iterator[None]:
        """Send LINES lines or more meanwhile, and wait until they are stored or spilled."""
        sender = Sender(self.running.udp_port, self.chances)
        with sender.at_work():
            yield
            wait_for(lambda: sender.lines >= LINES, "lines")
        self.lines += sender.lines
        wait_for(lambda: all(done(self.directory, slug) == self.lines for slug in ("daily", "good")), self.books)

    def books(self) -> Any:
        """Return what the collector says of what it has done."""
        return self.lines, [each["archives"] for each in books(self.directory)]

    def is_ready(self) -> bool:
        """Return whether `/readyz` says so; that it is not has to name the archive."""
        answer = httpx.get(f"{self.running.url}/readyz", timeout=LIMIT_S).json()
        damage = answer["checks"]["archives"]
        assert damage["ok"] or "daily" in damage["detail"], answer
        return bool(damage["ok"])

    def ask(self) -> None:
        """Ask everything; an answer may fail, or be cut."""
        for path in QUESTIONS:
            try:
                assert httpx.get(self.running.url + path, timeout=LIMIT_S).status_code in (200, 500)
            except httpx.RemoteProtocolError:
                continue

    def flip(self) -> None:
        """Flip a bit in each of three bytes, while nobody has the file open."""
        path = self.archive.path
        with between_commits(self.running, path), path.open("r+b") as file:
            size = file.seek(0, 2)
            for at in self.chances.sample([*range(MARKS.start), *range(MARKS.stop, size)], 3):
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ 1 << self.chances.randrange(8)]))

    def samples(self) -> int:
        """Return how many samples the archive has."""
        return sum(self.archive.aggregate("count").values())

    def tally(self, *arguments: str) -> int:
        """Run a command as a user would, and return its exit status."""
        result = run(self.directory, *arguments)
        assert result.returncode in (0, 1), result.stderr
        return result.returncode


def done(directory: Path, slug: str) -> int:
    """Return how many samples of an archive are stored, spilled or refused, as the collectors say.

    Before damage is found, it may make an archive refuse a sample, as when it seems to have too many names.
    """
    found = [each["archives"][slug] for each in books(directory) if slug in each["archives"]]
    return sum(sum(each[key] for key in DONE) - each["taken_up"] for each in found)


def play(world: World, *, is_salvaged: bool) -> bool:
    """Play one round, and return whether the damage was found.

    The archive is restored from the backup of before the first round, or from what is salvaged of it.
    """
    copy = world.directory / "copies" / "daily.db"
    with world.load():
        world.flip()
        world.ask()
    spill = world.directory / "daily.spill"
    is_found = bool(world.archive.damage() or Catalog(world.directory)["daily"].check().damage)
    assert is_found == mark_path(world.archive.path).exists()
    assert is_found != world.is_ready()
    content, waited = world.archive.path.read_bytes(), spilled(spill).total()
    if is_found:
        sent = world.lines
        with world.load():
            world.ask()
        assert content == world.archive.path.read_bytes(), "nothing is written into what is damaged"
        waited += world.lines - sent
        assert waited == spilled(spill).total()
    if is_salvaged:
        copy = copy.with_name("saved.db")
        copy.unlink(missing_ok=True)
        world.tally("salvage", "daily", str(copy), "--unproven", "--resolution", "1", "--retention", "0")
    before = sum(Archive(copy).aggregate("count").values())
    assert 0 == world.tally("restore", str(copy), "daily", "--replace")
    wait_for(lambda: not spill.exists() and world.is_ready(), "what was spilled to be taken up")
    assert before + waited == world.samples()
    return is_found


def test_flips(tmp_path: Path) -> None:
    """Round after round the damage is told, nothing is written there, and what was spilled is taken up once."""
    random = chance("flips")
    for slug in ("daily", "good"):
        Catalog(tmp_path).create(slug, resolution=1, retention=0)
    found = 0
    with started(tmp_path, "serve", TALLY_FLUSH_TIME=0.1) as running:
        world = World(tmp_path, running, random)
        with world.load():
            pass
        world.archive.backup(tmp_path / "copies" / "daily.db")
        for number in range(ROUNDS):
            found += play(world, is_salvaged=number % 2 == 1)
            assert running.process.poll() is None
        assert 0 == running.end(signal.SIGTERM)
    print(f"{ROUNDS} rounds, found in {found}")  # noqa: T201
    assert world.lines == check_balance(tmp_path, "good")
    assert () == world.archive.check().damage
    assert [] == [line for line in running.lines if "Traceback" in line]
    # What a check in this process has found is in this one's log.
    told = [line for line in running.lines if re.search("daily.db: is damaged: .*nothing is written", line)]
    assert len(told) <= found
    assert found >= ROUNDS // 4


@pytest.fixture(autouse=True)
def copies(tmp_path: Path) -> None:
    """Make the directory for backups."""
    (tmp_path / "copies").mkdir()
