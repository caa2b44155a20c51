"""Survive: samples that an archive cannot take are stored, spilled or told as lost, to the last one.

An archive gets into trouble while samples come by UDP and POST, and the service ends. For each archive the samples that
were sent are those in it, those in its spill file and those that were told as lost; after the next start the spill
files are empty. A body that was answered with 200 is never among the lost, and one that was not counts once when it is
sent again under its key.
"""

import itertools
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import apsw
import httpx
import pytest

from tally.engine import Archive, Catalog
from tests.api.cases import bearer
from tests.processes import Running, environment, launched, wait_for
from tests.survive.load import books
from tests.survive.scale import FULL, chance

SLUGS = {"daily": "*", "weekly": "*.even"}
ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)
WAYS = ("udp", "post", "both")
# Rights count for this process, root's too: PR_CAPBSET_DROP of CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
WITH_RIGHTS = """import ctypes, os, sys
for number in (1, 2):
    ctypes.CDLL(None).prctl(24, number, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "tally", "serve"])
"""


class World:
    """A service with two archives, what was sent to it, and what became of that."""

    def __init__(self, directory: Path, ending: signal.Signals, chances: random.Random) -> None:
        self.directory = directory
        self.ending = ending
        self.chances = chances
        self.sent: Counter[str] = Counter()
        self.bodies: dict[str, tuple[int, Counter[str]]] = {}
        self.others: list[Path] = []  # Files that held a part of `daily` and stand elsewhere now.
        for slug, pattern in SLUGS.items():
            Catalog(directory).create(slug, pattern=pattern, resolution=10, retention=0)

    @contextmanager
    def service(self) -> Iterator[Running]:
        """Run the service until the end of the context."""
        settings = environment(self.directory, TALLY_FLUSH_TIME=0.1, TALLY_WRITE_TOKEN="w")
        with launched([sys.executable, "-c", WITH_RIGHTS], settings) as self.running:
            assert self.running.udp_port
            yield self.running

    def names(self, prefix: str) -> Counter[str]:
        """Return some samples, by name."""
        kinds = [f"{prefix}.{number}.{kind}" for number in range(4) for kind in ("even", "odd")]
        return Counter(self.chances.choices(kinds, k=self.chances.randrange(1, 25)))

    def send(self, way: str) -> None:
        """Send some samples by UDP, a body by POST, or both."""
        if way != "post":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for name, count in self.names("u").items():
                    self.sent[name] += count
                    sock.sendto(b"\n".join([f"{name} 1".encode()] * count), ("127.0.0.1", self.running.udp_port))
        if way != "udp":
            key = f"p{len(self.bodies)}"
            self.bodies[key] = (0, self.names(key))
            self.post(key)

    def post(self, key: str) -> int:
        """Send a body, perhaps again, and return the status of the answer."""
        _, names = self.bodies[key]
        body = b"".join(f"{name} 1\n".encode() * count for name, count in names.items())
        headers = {**bearer("w"), "Idempotency-Key": key}
        answer = httpx.post(f"{self.running.url}/samples/", content=body, headers=headers, timeout=30)
        status: int = answer.status_code
        self.bodies[key] = (status, names)
        return status

    def settled(self) -> bool:
        """Return whether all that came by UDP is stored, spilled or dropped, as the status file says."""
        for slug in SLUGS:
            found = [each["archives"][slug] for each in books(self.directory) if slug in each["archives"]]
            done = sum(each["stored"] + each["spilled"] + each["dropped"] - each["taken_up"] for each in found)
            if done < sum(matching(self.sent, slug).values()):
                return False
        return True

    def held(self, slug: str) -> Counter[str]:
        """Return the samples by name in an archive and what holds a part of it."""
        paths = [self.directory / f"{slug}.db", *(self.others if slug == "daily" else ())]
        found: Counter[str] = Counter()
        for path in paths:
            found.update(Archive(path).aggregate("count", by="name"))
        return found

    def told_as_lost(self, slug: str) -> int:
        """Return how many samples of an archive were told as lost, by the log or else by the status file."""
        told = [
            int(each)
            for each in re.findall(rf"(\d+) samples? of {slug}: it could not be written", "".join(self.running.lines))
        ]
        left: list[int] = [each["archives"].get(slug, {}).get("dropped", 0) for each in books(self.directory)]
        return max(sum(told), sum(left))


def matching(samples: Counter[str], slug: str) -> Counter[str]:
    """Return those of some samples that an archive keeps."""
    return Counter({name: n for name, n in samples.items() if slug == "daily" or name.endswith(".even")})


def spilled(path: Path) -> Counter[str]:
    """Return the samples by name in a spill file, read as docs/file-format.md tells."""
    found: Counter[str] = Counter()
    lines = path.read_bytes().splitlines() if path.exists() else [b"tally spill 1"]
    assert b"tally spill 1" == lines[0]
    for line in lines[1:]:
        checksum, rest = line.split(b" ", 1)
        assert int(checksum, 16) == zlib.crc32(rest)
        batch = json.loads(rest.split(b" ", 3)[3])
        for row in batch["cells"].values():
            found.update({name: cell[0] for name, cell in row.items()})
    return found


Trouble = Callable[[World], AbstractContextManager[None]]


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Another program holds the lock of an archive."""
    with closing(apsw.Connection(str(world.directory / "daily.db"))) as other:
        other.set_busy_timeout(10_000)  # A flush may be under way.
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full(world: World) -> Iterator[None]:
    """No file can grow beyond a size at which logs of SQLite do not fit, and spill files may or may not."""
    sizes = (12_288,) if world.ending == signal.SIGKILL else (0, 4096, 12_288)
    size = world.chances.choice(sizes)
    resource.prlimit(world.running.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    yield


@contextmanager
def read_only(world: World) -> Iterator[None]:
    """The file of an archive, or its directory, must not be written any more."""
    paths = [world.directory / "daily.db", *([] if world.ending == signal.SIGKILL else [world.directory])]
    path = world.chances.choice(paths)
    before = path.stat().st_mode
    path.chmod(0o555 if path.is_dir() else 0o444)
    yield
    path.chmod(before)


@contextmanager
def truncated(world: World) -> Iterator[None]:
    """An archive is cut short, and restored from a backup once the service has ended."""
    path, copy = world.directory / "daily.db", world.directory / "copy"
    Archive(path).backup(copy)
    size = world.chances.randrange(100, path.stat().st_size)
    with path.open("r+b") as file:
        file.truncate(size)
    yield
    Catalog(world.directory).restore(copy, "daily", replace=True)
    copy.unlink()


@contextmanager
def gone(world: World) -> Iterator[None]:
    """The data directory is renamed; at times another one stands in its place meanwhile."""
    away = world.directory.with_name(f"{world.directory.name}-away")
    world.directory.rename(away)
    has_other = world.chances.random() < 0.5
    if has_other:
        world.directory.mkdir()
    yield
    if has_other:
        for path in world.directory.glob("*.spill"):  # What could not wait for the right directory.
            path.rename(away / path.name)
        shutil.rmtree(world.directory)
    away.rename(world.directory)


@contextmanager
def replaced(world: World) -> Iterator[None]:
    """Another archive takes the place of one, at times with other buckets."""
    path = world.directory / "daily.db"
    other = Catalog(world.directory / "other").create("daily", resolution=world.chances.choice([10, 7]), retention=0)
    (world.directory / "old").mkdir()
    world.others.append(world.directory / "old" / "daily.db")
    os.link(path, world.others[0])
    other.path.replace(path)
    yield


TROUBLES: dict[str, Trouble] = {
    "locked": locked, "full": full, "read-only": read_only, "truncated": truncated, "gone": gone, "replaced": replaced,
}  # fmt: skip
SCENARIOS = list(itertools.product(TROUBLES, ENDINGS, WAYS))


def chosen() -> list[tuple[str, signal.Signals, str]]:
    """Return all scenarios, or in the suite one of each trouble."""
    if FULL:
        return SCENARIOS
    chances = random.Random(os.environ.get("SURVIVE_SEED", "loss-1"))
    endings, ways = chances.sample(ENDINGS * 2, len(TROUBLES)), chances.sample(WAYS * 2, len(TROUBLES))
    return list(zip(TROUBLES, endings, ways, strict=True))


@pytest.mark.parametrize(("trouble", "ending", "way"), chosen(), ids=str)
def test_every_sample_is_stored_spilled_or_told_as_lost(
    tmp_path: Path, trouble: str, ending: signal.Signals, way: str
) -> None:
    """Samples in are samples in archives, in spill files and told as lost, for each archive, to the last one."""
    world = World(tmp_path / "data", ending, chance(f"loss-{trouble}-{ending.name}-{way}"))
    with world.service() as running:
        world.send(way)
        wait_for(world.settled, "the first samples")
        with ExitStack() as meanwhile:
            meanwhile.enter_context(TROUBLES[trouble](world))
            is_slow = trouble == "locked" and way != "udp"  # Each body is answered after ten seconds.
            for _ in range(1 if is_slow else world.chances.randrange(2, 6)):
                world.send(way)
            if ending == signal.SIGKILL:
                if trouble == "gone":  # There is no spill: the directory comes back first.
                    meanwhile.close()
                wait_for(world.settled, "the spill")
            status = running.end(ending)
        check_balance(world)
        check_end(world, status)
    check_restart(world)


def check_balance(world: World) -> None:
    """Fail unless each sample is in the archive, in its spill file or told as lost, and each by one of these."""
    for slug in SLUGS:
        found = world.held(slug) + spilled(world.directory / f"{slug}.spill")
        expected = matching(world.sent, slug)
        missing = sum(count - found[name] for name, count in expected.items())
        assert all(found[name] <= count for name, count in expected.items()), (slug, found - expected)
        assert missing == world.told_as_lost(slug), (slug, world.running.lines)
        for key, (status, names) in world.bodies.items():
            came = {name: found[name] for name in matching(names, slug)}
            if status == 200:
                assert matching(names, slug) == Counter(came), (slug, key)
            else:
                assert Counter(came) in (Counter(), matching(names, slug)), (slug, key, status)


def check_end(world: World, status: int) -> None:
    """Fail unless the exit status is what the last lines say."""
    are_lost = [line for line in world.running.lines if line.startswith(("lost ", "tally: lost "))]
    if status != -signal.SIGKILL:
        assert (1 if are_lost else 0) == status, world.running.lines
        if are_lost:
            assert world.running.lines[-1].startswith("tally: lost ")
    assert not [line for line in world.running.lines if "Traceback" in line]


def check_restart(world: World) -> None:
    """Fail unless the next start takes up all that was spilled, once, and each body counts once under its key."""
    before = {slug: world.held(slug) + spilled(world.directory / f"{slug}.spill") for slug in SLUGS}
    with world.service() as running:
        for key, (status, _) in world.bodies.items():
            if status != 200:
                assert 200 == world.post(key)
        wait_for(lambda: not list(world.directory.glob("*.spill")), "the spill files to be taken up")
        assert 0 == running.end(signal.SIGTERM)
    for slug in SLUGS:
        found = world.held(slug)
        assert () == Archive(world.directory / f"{slug}.db").check().damage
        for name in matching(world.sent, slug):
            assert before[slug][name] == found[name], (slug, name)
        for key, (_, names) in world.bodies.items():
            assert matching(names, slug) == Counter({name: found[name] for name in matching(names, slug)}), (slug, key)
