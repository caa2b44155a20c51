"""Survive 6: collectors and readers on one archive at a time, and a reader that does not read on."""

import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tally.engine import Archive, Catalog
from tally.engine.asking import query
from tally.engine.asking.question import Question
from tally.engine.files import schema as schema_module
from tally.errors import QueryTimeout
from tests.processes import started
from tests.survive.load import Sender, check_balance
from tests.survive.scale import chance, scaled

SECONDS = scaled(2.0, 60.0)
READERS = 3
FLUSHES = scaled(100, 1000)
WAL_MAX_BYTES = 400_000


def read(archive: Archive, over: threading.Event, errors: list[Exception], answers: list[int]) -> None:
    """Ask until it is over; each answer has whole flushes only."""
    while not over.is_set():
        try:
            sums = archive.aggregate("sum")
            assert not any(sums.values()), "half a flush"
            archive.values("max", q="in.1*")
            answers.append(len(sums))
        except Exception as error:
            errors.append(error)


def test_two_collectors_and_three_readers(tmp_path: Path) -> None:
    """Totals are exact, every answer is of whole flushes, and nobody hears of a lock."""
    random = chance("shared")
    archive = Catalog(tmp_path).create("daily", resolution=1, retention=0)
    over = threading.Event()
    errors: list[Exception] = []
    answers: list[int] = []
    readers = [threading.Thread(target=read, args=(archive, over, errors, answers)) for _ in range(READERS)]
    with ExitStack() as stack:
        collectors = [stack.enter_context(started(tmp_path, "collect", TALLY_FLUSH_TIME=0.05)) for _ in range(2)]
        senders = [Sender(running.udp_port, random) for running in collectors]
        for reader in readers:
            reader.start()
        try:
            with senders[0].at_work(), senders[1].at_work():
                # The time is the simulation: there is nothing to wait for.
                time.sleep(SECONDS)
            assert [0, 0] == [running.end(signal.SIGTERM) for running in collectors]
        finally:
            over.set()
            for reader in readers:
                reader.join()
        dropped = [int(running.said(r"the kernel dropped (\d+) datagrams")[1]) for running in collectors]
        told = [line for running in collectors for line in running.lines if "locked" in line or "tried again" in line]
    assert ([], [], [0, 0]) == (errors, told, dropped)
    assert sum(sender.lines for sender in senders) == check_balance(tmp_path, "daily")
    print(f"{[sender.lines for sender in senders]} samples, {len(answers)} answers")  # noqa: T201


def test_a_reader_that_stalls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a reader does not read on, commits go on, and once the log is too long the reader loses its place."""
    monkeypatch.setattr(query, "STALL_S", 0.2)
    monkeypatch.setattr(schema_module, "WAL_MAX_BYTES", WAL_MAX_BYTES)
    archive = Catalog(tmp_path).create("daily", resolution=10, retention=0)
    cells = {f"name{i}": (1.0, 0.5, 0.5, 0.5) for i in range(300)}
    for bucket in range(0, 500, 10):
        archive.commit({bucket: cells}, now=bucket)
    wal = tmp_path / "daily.db-wal"
    largest = 0
    with archive.ask(Question("values", None, "time")) as stalled:
        next(stalled)
        next(stalled)
        for bucket in range(500, 500 + 10 * FLUSHES, 10):
            archive.commit({bucket: cells}, now=bucket)
            largest = max(largest, wal.stat().st_size if wal.exists() else 0)
            time.sleep(0.01)
        with pytest.raises(QueryTimeout, match="was not read for"):
            b"".join(stalled)
    print(f"{FLUSHES} commits beside a stalled reader: the log had {largest} bytes at most")  # noqa: T201
    assert WAL_MAX_BYTES // 2 < largest < 2 * WAL_MAX_BYTES
    assert not wal.exists()
    assert 50 + FLUSHES == len(archive.aggregate("count"))
