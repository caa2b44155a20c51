"""Survive 5: the clock steps, for a while or for good, under a collector and under whoever else stores samples."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from tally.api.message import Request
from tally.api.service import Service
from tally.collector.store import Store
from tally.engine import Archive, Catalog
from tally.engine.storing.native_rollup import new_rollup
from tally.settings import Settings
from tests.api.asking import answered
from tests.cli.command import invoke
from tests.engine.model import check_file
from tests.survive.scale import chance

NOW = 1_700_000_000
DAY_S = 86_400
STEPS = {"a day back": NOW - DAY_S, "a day forward": NOW + DAY_S, "1970": 0, "2100": 4_102_444_800}


class Clocks:
    """A wall clock that may be wrong, and one that never steps."""

    def __init__(self) -> None:
        self.steady = 5000.0
        self.wrong_s = 0.0

    def now(self) -> float:
        """Return what the wall clock shows."""
        return NOW - 5000 + self.steady + self.wrong_s


@pytest.mark.parametrize("step", STEPS)
def test_no_archive_is_emptied_and_no_bucket_lost(tmp_path: Path, step: str) -> None:
    """What is within the retention by the right clock is there during a step and after it."""
    random = chance(step)
    clocks = Clocks()
    catalog = Catalog(tmp_path, clock=clocks.now)
    archives = [catalog.create(f"r{hours}", resolution=60, retention=hours) for hours in (1, 24, 0)]
    store = Store(catalog, steady=lambda: clocks.steady)

    def flush(*samples: int) -> None:
        rollup = new_rollup(60, max_future_s=DAY_S)
        rollup.add([b"a 1 %d" % each for each in samples] + [b"b 1"] * 20, int(clocks.now()))
        store.flush(rollup, clocks.now())

    flush(*range(NOW - DAY_S + 120, NOW, 60))
    before = [set(archive.aggregate("count", q="a")) for archive in archives]
    assert [60, 1438, 1438] == [len(buckets) for buckets in before]
    shown: set[int] = set()
    for _ in range(random.randrange(3, 6)):
        clocks.wrong_s = STEPS[step] - NOW
        for _ in range(10):
            clocks.steady += 5
            shown.add(int(clocks.now()) // 60 * 60)
            flush()
        during = [set(archive.aggregate("count", q="a")) for archive in archives]
        clocks.wrong_s = 0.0
        flush()
        after = [set(archive.aggregate("count", q="a")) for archive in archives]
        for hours, had, *now in zip((1, 24, 10**6), before, during, after, strict=True):
            kept = {bucket for bucket in had if bucket > clocks.now() - 3600 * hours}
            assert kept
            assert all(kept <= buckets for buckets in now)
    assert shown <= set(archives[2].aggregate("count", q="b"))
    assert [0, 0, 0] == [store.accounts()[archive.slug]["dropped"] for archive in archives]
    for archive in archives:
        check_file(archive)


@pytest.mark.parametrize("way", ["record", "post"])
@pytest.mark.parametrize("step", STEPS)
def test_no_archive_is_emptied_without_a_collector(tmp_path: Path, step: str, way: str) -> None:
    """Samples that a process records itself, or that come by HTTP, take nothing with them while the clock is wrong."""
    clocks = Clocks()
    catalog = Catalog(tmp_path, clock=clocks.now, steady=lambda: clocks.steady)
    archive = catalog.create("r1", resolution=60, retention=1)
    service = Service(Settings.load(data_dir=str(tmp_path), write_token="w"), clock=clocks.now)

    def store(second: int) -> None:
        if way == "record":
            catalog.record([("a", 1, second)])
        else:
            reply = answered(
                service, Request("POST", "/samples/", headers={"authorization": "Bearer w"}, body=b"a 1 %d" % second)
            )
            assert 200 == reply.status

    for second in range(NOW - 3000, NOW, 60):
        store(second)
    before = set(archive.aggregate("count"))
    clocks.wrong_s = STEPS[step] - NOW
    store(int(clocks.now()))
    clocks.wrong_s = 0.0
    store(NOW)
    assert 50 == len(before)
    assert before <= set(archive.aggregate("count"))
    check_file(archive)


def _flush(directory: Path, now: int) -> None:
    rollup = new_rollup(60, max_future_s=DAY_S)
    rollup.add([b"b 1"], now)
    Store(Catalog(directory, clock=lambda: now)).flush(rollup, now)


def _post(directory: Path, now: int) -> None:
    service = Service(Settings.load(data_dir=str(directory), write_token="w"), clock=lambda: now)
    reply = answered(service, Request("POST", "/samples/", headers={"authorization": "Bearer w"}, body=b"b 1"))
    assert 200 == reply.status


def _import(directory: Path, now: int) -> None:
    with patch("time.time", lambda: now):
        line = b"b 1 %d\n" % now
        assert 0 == invoke(directory, "import", "-", "--max-future", str(10**10), stdin=line).exit_code


WAYS: dict[str, Callable[[Path, int], object]] = {
    "flush": _flush,
    "post": _post,
    "import": _import,
    "record": lambda directory, now: Catalog(directory, clock=lambda: now).record([("b", 1, now)]),
    "archive": lambda directory, now: Archive(directory / "r1.db", clock=lambda: now).record([("b", 1, now)]),
    "commit": lambda directory, now: Archive(directory / "r1.db").commit({now: {"b": (1, 1, 1, 1)}}, now=now),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shown", [NOW + DAY_S, STEPS["2100"]], ids=["a day forward", "2100"])
def test_no_start_by_a_wrong_clock_empties_an_archive(tmp_path: Path, shown: int, way: str) -> None:
    """Whichever way samples come, and however often a process begins, nothing goes until the clock is confirmed."""
    archive = Catalog(tmp_path, clock=lambda: NOW).create("r1", resolution=60, retention=1)
    for second in range(NOW - 3000, NOW, 60):
        archive.commit({second: {"a": (1, 1, 1, 1)}}, now=second)
    had = set(archive.aggregate("count"))
    for later in (0, 5, 60):
        WAYS[way](tmp_path, shown + later)
        assert had <= set(archive.aggregate("count"))
        WAYS[way](tmp_path, NOW + later)
        assert had <= set(archive.aggregate("count"))
        check_file(archive)
    WAYS[way](tmp_path, shown)
    WAYS[way](tmp_path, shown + DAY_S)
    assert {"b"} == set(archive.names())
    check_file(archive)
