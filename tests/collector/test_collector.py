"""The collector in this process, on every event loop."""

import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from tally.collector import Collector, Sockets
from tally.collector.collector import FREE_PART, ROLLUP_PART
from tally.collector.listener import bind
from tally.engine import Catalog
from tally.engine.storing.rollup import Rollup
from tally.settings import Settings

pytestmark = pytest.mark.anyio

NOW = 1_700_000_003.5
LONG_S = 3600
LIMIT_S = 30


class Bench:
    """A collector on a free port, its archives, and a sender."""

    def __init__(self, directory: Path, **settings: object) -> None:
        self.now = NOW
        chosen = {"data_dir": directory, "flush_time": LONG_S, "receive_buffer": 2**20, **settings}
        self.settings = Settings.load({}, **chosen)
        self.sock = bind("127.0.0.1", 0, receive_buffer_bytes=self.settings.receive_buffer)
        self.address = self.sock.getsockname()
        self.collector = Collector(self.settings, Sockets([self.sock]), clock=lambda: self.now)
        self.archive = Catalog(directory).create("daily", resolution=10, retention=0)
        self.stop = anyio.Event()

    def send(self, *datagrams: bytes) -> None:
        """Send datagrams to the collector."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for datagram in datagrams:
                sender.sendto(datagram, self.address)

    @property
    def stored(self) -> int:
        """How many samples the archive holds."""
        counts: dict[int, int] = self.archive.aggregate("count")
        return sum(counts.values())

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the collector work until `condition` is true."""
        with anyio.fail_after(LIMIT_S):
            while not condition():
                await anyio.sleep(0.01)

    async def until_taken(self, datagrams: int) -> None:
        """Let the collector work until it has taken so many datagrams."""
        await self.until(lambda: self.collector.status()["datagrams"] == datagrams)


async def test_what_was_queued_before_the_stop_is_stored(tmp_path: Path) -> None:
    """At the end, the kernel's queue is committed, each sample in the bucket of its second of receipt."""
    bench = Bench(tmp_path)
    bench.send(b"a 1\na 2.5", b"b 4 1700000017", b"a nonsense\n\n")
    bench.stop.set()
    await bench.collector.run(bench.stop)
    assert {
        "a": {1_700_000_000: {"count": 2, "sum": 3.5, "avg": 1.75, "min": 1.0, "max": 2.5}},
        "b": {1_700_000_010: {"count": 1, "sum": 4.0, "avg": 4.0, "min": 4.0, "max": 4.0}},
    } == bench.archive.values()
    status = bench.collector.status()
    assert (3, 3, {"value": 1}) == (status["datagrams"], status["accepted"], status["rejected"])
    assert [bench.archive.path] == list(tmp_path.iterdir())


async def test_the_last_word_counts_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The counters at the end count lines, not samples."""
    bench = Bench(tmp_path)
    Catalog(tmp_path).create("second", resolution=60)
    bench.send(b"a 1\nb:1:2:3|ms\nc:1|ms|@0.1\nbad")
    bench.stop.set()
    with caplog.at_level(logging.INFO, "tally"):
        await bench.collector.run(bench.stop)
    assert 1 + 3 + 10 == bench.stored
    assert caplog.messages[-1].startswith("accepted 3 lines, rejected 1; the kernel dropped ")


async def test_a_cancelled_collector_commits_too(tmp_path: Path) -> None:
    """If a task beside the collector fails, its samples are still stored."""
    bench = Bench(tmp_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.collector.run, bench.stop)
        bench.send(b"a 1")
        await bench.until(lambda: bench.collector.status()["datagrams"])
        tasks.cancel_scope.cancel()
    assert 1 == bench.stored


async def test_it_flushes_regularly_and_keeps_the_books(tmp_path: Path) -> None:
    """Samples can be read while the collector runs, and its status file has the counters."""
    bench = Bench(tmp_path, flush_time=0.05, allow="127.0.0.0/8")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.collector.run, bench.stop)
        bench.send(b"a 1", b"bad")
        await bench.until(lambda: bench.stored == 1)
        flushes = bench.collector.status()["flushes"]
        [path] = tmp_path.glob("collector-*.json")
        await bench.until(lambda: json.loads(path.read_text())["flushes"] > flushes)
        status = json.loads(path.read_text())
        bench.stop.set()
    expected = {
        "stored": 1,
        "expired": 0,
        "cardinality": 0,
        "dropped": 0,
        "spilled": 0,
        "taken_up": 0,
        "pending": 0,
        "error": "",
        "waiting": None,
        "failing": None,
    }
    assert {"daily": expected} == status["archives"]
    assert (2, 1, {"fields": 1}) == (status["datagrams"], status["accepted"], status["rejected"])
    assert (0, 0, NOW) == (status["kernel_drops"], status["refused"], status["updated"])
    assert 0 < status["flush_seconds"] <= status["flush_seconds_total"]
    assert 0 <= status["receive_queue"] <= status["receive_buffer"] * 2
    nothing: dict[str, int] = {}
    lost = {"lines": {"fields": 1}, "datagrams": nothing, "connections": nothing, "samples": nothing}
    assert {"seconds": 300, **lost} == status["recent"]


async def test_a_flush_that_has_begun_is_not_cancelled(tmp_path: Path) -> None:
    """A stop at the beginning of a flush loses no samples."""
    bench = Bench(tmp_path)
    bench.send(b"a 1")
    with bench.sock:
        await bench.until(lambda: bench.collector._receivers[0].drain(1))
        with anyio.CancelScope() as scope:
            scope.cancel()
            await bench.collector._flush()
    assert 1 == bench.stored


async def test_a_full_rollup_is_flushed_before_its_time(tmp_path: Path) -> None:
    """Many names at once are committed before the flush time."""
    bench = Bench(tmp_path, max_cells=FREE_PART * 1000)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.collector.run, bench.stop)
        bench.send(b"\n".join(b"name%d 1" % number for number in range(1000)))
        await bench.until(lambda: bench.stored == 1000)
        bench.send(b"\n".join(b"name%d 1" % number for number in range(999)))
        await bench.until_taken(2)
        assert 1000 == bench.stored
        bench.stop.set()
    assert 1999 == bench.stored


@pytest.mark.parametrize("names", [1000, 1001])
async def test_a_flood_of_names_is_bounded(tmp_path: Path, names: int) -> None:
    """Names beyond the limit in memory are rejected and counted."""
    bench = Bench(tmp_path, max_cells=ROLLUP_PART * 1000)
    bench.send(b"\n".join(b"name%d 1" % number for number in range(names)))
    bench.stop.set()
    await bench.collector.run(bench.stop)
    status = bench.collector.status()
    assert 1000 == bench.stored == status["accepted"]
    assert names - 1000 == status["rejected"].get("cardinality", 0)


async def test_what_is_in_flight_and_remembered_counts(tmp_path: Path) -> None:
    """The limit includes cells that are being committed, that wait, and that arrive meanwhile, and gauges."""
    bench = Bench(tmp_path, max_cells=6000)
    collector = bench.collector
    with bench.sock:
        assert (3000, 1000) == collector._capacity()[:2]
        assert (3000, 1000) == collector._capacity(in_flight=3000)[:2]
        assert (1000, 1000) == collector._capacity(in_flight=5000)[:2]
        assert (999, 999) == collector._capacity(in_flight=5001)[:2]
        assert (0, 0) == collector._capacity(in_flight=7000)[:2]
        for number in range(10):
            collector._gauges.store(f"gauge{number}", [1])
        assert (990, 990) == collector._capacity(in_flight=5000)[:2]


async def test_known_names_go_on_in_a_flood(tmp_path: Path) -> None:
    """During a flood of new names, those in the archives are stored, and the others are rejected."""
    bench = Bench(tmp_path, max_cells=6000, max_names=1500)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.collector.run, bench.stop)
        bench.send(b"\n".join(b"known%d 1" % number for number in range(1500)))
        await bench.until(lambda: bench.stored == 1500)
        bench.now += 20
        sent = 0
        for turn in range(10):
            # More than the capacity that is free for any name.
            bench.send(b"\n".join(b"flood%d.%d 1" % (turn, number) for number in range(2000)))
            bench.send(b"\n".join(b"known%d 1" % number for number in range(turn, 1500, 10)))
            sent += 2
            await bench.until_taken(1 + sent)
            await bench.until(lambda: bench.collector._store._admission)  # The flood has been noticed.
        bench.stop.set()
    counts = bench.archive.aggregate("count", by="name")
    assert dict.fromkeys((f"known{number}" for number in range(1500)), 2) == counts
    status = bench.collector.status()
    refused = status["rejected"]["cardinality"] + status["archives"]["daily"]["cardinality"]
    assert (20_000, 23_000) == (refused, status["accepted"] + status["rejected"]["cardinality"])
    assert status["rejected"]["cardinality"] > 0


async def test_without_memory_for_a_thread_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no thread can be started, the flush runs in the event loop. Any other RuntimeError ends the collector."""

    async def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    bench = Bench(tmp_path, flush_time=0.05)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.collector.run, bench.stop)
        bench.send(b"a 1")
        await bench.until(lambda: bench.stored == 1)
        monkeypatch.setattr(to_thread, "run_sync", fail)
        bench.send(b"b 1")
        await bench.until(lambda: bench.stored == 2)
        bench.stop.set()
    assert {"a": 1, "b": 1} == bench.archive.aggregate("count", by="name")


@pytest.mark.parametrize(("max_future", "accepted"), [(60, 1), (59, 0)])
async def test_the_future_has_a_bound(tmp_path: Path, max_future: int, accepted: int) -> None:
    """A timestamp may be at most TALLY_MAX_FUTURE seconds ahead of the clock."""
    bench = Bench(tmp_path, max_future=max_future)
    bench.send(b"a 1 %d" % (int(NOW) + 60))
    bench.stop.set()
    await bench.collector.run(bench.stop)
    assert accepted == bench.stored
    assert {"future": 1 - accepted} == {"future": 0, **bench.collector.status()["rejected"]}


async def test_a_clock_that_steps_back_moves_no_sample(tmp_path: Path) -> None:
    """Samples belong to the second of the clock at their receipt, even if the clock steps."""
    bench = Bench(tmp_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.collector.run, bench.stop)
        for number, now in enumerate((NOW, NOW - 100, NOW + 100), 1):
            bench.now = now
            bench.send(b"a %d" % number)
            await bench.until_taken(number)
        bench.stop.set()
    assert {1_699_999_900: 2.0, 1_700_000_000: 1.0, 1_700_000_100: 3.0} == bench.archive.aggregate("sum")


async def test_no_memory_for_the_last_flush_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the last batch cannot be read, its lines are logged as lost, and the collector ends normally."""

    def fail(_rollup: Rollup) -> None:
        raise MemoryError

    bench = Bench(tmp_path)
    bench.send(b"a 1\nb 1")
    bench.stop.set()
    monkeypatch.setattr(Rollup, "take", fail)
    await bench.collector.run(bench.stop)
    assert "lost 2 lines: out of memory" == str(bench.collector.failure)
    assert bench.collector.status()["accepted"] == 2
