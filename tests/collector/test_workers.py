"""Real collector processes: signals, floods, several workers, and files that others make."""

import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest

from tally.collector.archive_writer import END_WAIT_S
from tally.engine import Catalog
from tally.engine.storing import spill
from tests.processes import LIMIT_S, Running, environment, launched, started, wait_for

SENDERS = 16


def stored(directory: Path, slug: str = "daily") -> int:
    """Return how many samples an archive holds."""
    counts: dict[int, int] = Catalog(directory)[slug].aggregate("count")
    return sum(counts.values())


def status(directory: Path) -> dict[str, int]:
    """Return the sum of what all collectors' status files count."""
    books = [json.loads(path.read_text()) for path in directory.glob("collector-*.json")]
    return {key: sum(each[key] or 0 for each in books) for key in ("datagrams", "accepted", "kernel_drops")}


def flood(port: int, sent: list[int], over: threading.Event) -> None:
    """Send until the collector is gone or the test is over; put how many datagrams reached it into `sent`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        count = 0
        try:
            while not over.is_set():
                sender.send(b"requests.get.index %d" % count)
                count += 1
                if count % 50 == 0:
                    time.sleep(0.001)
        except ConnectionRefusedError:
            count -= 1  # The refusal is of the datagram before.
        sent.append(count)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_in_a_flood_loses_nothing_that_was_delivered(tmp_path: Path, number: int) -> None:
    """All datagrams that the kernel did not drop are stored, and each archive is one file."""
    Catalog(tmp_path).create("daily", resolution=10)
    sent: list[int] = []
    over = threading.Event()
    with started(tmp_path, "collect") as running:
        sender = threading.Thread(target=flood, args=(running.udp_port, sent, over))
        sender.start()
        wait_for(lambda: stored(tmp_path) > 1000, "some samples")
        assert 0 == running.end(number)
        over.set()
        sender.join(LIMIT_S)
        dropped = int(running.said(r"the kernel dropped (\d+) datagrams")[1])
    assert sent[0] - dropped == stored(tmp_path)
    assert ["daily.db"] == [path.name for path in tmp_path.iterdir()]


def test_a_signal_that_was_ignored_at_the_start_stays_ignored(tmp_path: Path) -> None:
    """Under nohup, SIGHUP is ignored. SIGUSR1 and SIGUSR2 always are."""
    Catalog(tmp_path).create("daily", resolution=10)
    command = ["nohup", sys.executable, "-m", "tally", "collect"]
    with launched(command, environment(tmp_path, TALLY_FLUSH_TIME=3600)) as running:
        send(running, 5)
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            running.process.send_signal(number)
        send(running, 5)
        assert 0 == running.end(signal.SIGTERM)
        assert ["stopping on SIGTERM\n"] == [line for line in running.lines if "stopping" in line]
    assert 10 == stored(tmp_path)


@pytest.mark.parametrize("way", ["udp", "tcp", "unix"])
def test_what_matches_no_archive_is_counted_however_it_comes(tmp_path: Path, way: str) -> None:
    """Unmatched samples are in the status file and in the log, with an example, for every kind of socket."""
    Catalog(tmp_path).create("some", pattern="a")
    path = tmp_path / "lines.sock"
    with started(tmp_path, "collect", TALLY_TCP_PORT=0, TALLY_UNIX_DATAGRAM=path) as running:
        ports = {"udp": running.udp_port, "tcp": int(running.said(r"TCP \S+ port (\d+)")[1])}
        kinds = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM, "unix": socket.SOCK_DGRAM}
        family = socket.AF_UNIX if way == "unix" else socket.AF_INET
        with socket.socket(family, kinds[way]) as sender:
            sender.connect(str(path) if way == "unix" else ("127.0.0.1", ports[way]))
            sender.send(b"a 1\nb 1\nc 1\n")
        running.said(r"dropped 2 samples: no enabled archive has a matching pattern \(`[bc]`\)")
        [status_file] = tmp_path.glob("collector-*.json")
        wait_for(lambda: json.loads(status_file.read_text())["rejected"] == {"unmatched": 2}, "the status file")
        assert {"unmatched": 2} == json.loads(status_file.read_text())["recent"]["lines"]
        assert 0 == running.end(signal.SIGTERM)
        running.said("accepted 3 lines, rejected 0; .*; 2 samples matched no archive")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock of an archive as another program may."""
    with closing(apsw.Connection(str(path))) as other:
        other.set_busy_timeout(10_000)  # A flush may be under way.
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGTERM, 1), (signal.SIGINT, 2), (signal.SIGHUP, 1)])
def test_a_stop_while_archives_are_locked_spills_and_the_next_start_takes_up(
    tmp_path: Path, number: int, workers: int
) -> None:
    """The end waits for locks for a few seconds in all; what could not be committed is stored by the next start."""
    for slug in ("daily", "weekly", "yearly"):
        Catalog(tmp_path).create(slug, resolution=10, retention=0)
    with started(tmp_path, "collect", TALLY_FLUSH_TIME=3600, TALLY_WORKERS=workers) as running:
        wait_for(lambda: len(list(tmp_path.glob("collector-*.json"))) == workers, "all collectors")
        with locked(tmp_path / "daily.db"), locked(tmp_path / "weekly.db"):
            send(running, 50)
            began = time.monotonic()
            assert 0 == running.end(number)
            assert time.monotonic() - began < END_WAIT_S + 5
    # Beside another worker, one that has lost its patience may spill for an archive that is locked for a moment.
    spilled_for = {path.stem for path in tmp_path.glob("*.spill")}
    assert {"daily", "weekly"} <= spilled_for <= {"daily", "weekly", *(["yearly"] if workers > 1 else [])}
    assert 0 == stored(tmp_path)
    with started(tmp_path, "collect", TALLY_FLUSH_TIME=3600, TALLY_WORKERS=workers) as running:
        running.said("archive daily took up")
        running.said("archive weekly took up")
        wait_for(lambda: not list(tmp_path.glob("*.spill")), "the rest")
        assert 0 == running.end(signal.SIGTERM)
    assert [50, 50, 50] == [stored(tmp_path, slug) for slug in ("daily", "weekly", "yearly")]
    assert ["daily.db", "weekly.db", "yearly.db"] == files(tmp_path)


def files(directory: Path) -> list[str]:
    """Return the names of the files in a directory that are not locks of ports."""
    return sorted(path.name for path in directory.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize("workers", [1, 2])
def test_samples_that_cannot_even_be_spilled_are_told_and_counted(tmp_path: Path, workers: int) -> None:
    """The last lines count the losses of each archive with the reason, the status file is kept, and the status is 1."""
    for slug in ("daily", "weekly"):
        Catalog(tmp_path).create(slug, resolution=10)
    (tmp_path / "daily.spill").mkdir()
    with started(tmp_path, "collect", TALLY_FLUSH_TIME=3600, TALLY_WORKERS=workers) as running:
        wait_for(lambda: len(list(tmp_path.glob("collector-*.json"))) == workers, "all collectors")
        with locked(tmp_path / "daily.db"):
            for _ in range(SENDERS):
                send(running, 5)
            assert 1 == running.end(signal.SIGTERM)
        assert "Traceback" not in "".join(running.lines)
        lost = [match for line in running.lines if (match := re.match(r"lost (\d+) samples? of daily: (.*)", line))]
        assert 5 * SENDERS == sum(int(match[1]) for match in lost)
        assert all("database is locked" in match[2] and "daily.spill" in match[2] for match in lost)
        assert "lost" in running.lines[-1]
    left = [json.loads(path.read_text()) for path in tmp_path.glob("collector-*.json")]
    assert 5 * SENDERS == sum(books["archives"]["daily"]["dropped"] for books in left)
    assert all(books["ended"] for books in left)
    # A worker that has waited for the one archive has no patience left for the other, where another worker is at it.
    waits = spill.count_waiting(tmp_path / "weekly.db")
    assert 5 * SENDERS == stored(tmp_path, "weekly") + (waits.samples if waits else 0)


def test_a_running_collector_survives_a_kill_with_what_it_has_spilled(tmp_path: Path) -> None:
    """After kill -9, the next start stores the spilled samples."""
    Catalog(tmp_path).create("daily", resolution=10, retention=0)
    with started(tmp_path, "collect") as running, locked(tmp_path / "daily.db"):
        send(running, 50)
        running.said("its samples are spilled to daily.spill")
        wait_for(lambda: spilled(tmp_path) == 50, "the status file")
        running.end(signal.SIGKILL)
    with started(tmp_path, "collect") as running:
        running.said("archive daily took up 50 spilled samples")
        assert 0 == running.end(signal.SIGTERM)
    assert 50 == stored(tmp_path)


def spilled(directory: Path) -> int:
    """Return how many samples of an archive the collectors say they have spilled."""
    books = [json.loads(path.read_text()) for path in directory.glob("collector-*.json")]
    return sum(each["archives"].get("daily", {}).get("spilled", 0) for each in books)


def test_a_copy_between_two_flushes_is_complete(tmp_path: Path) -> None:
    """While the collector runs, a copy of the .db file has all flushed samples, and there is no -wal."""
    Catalog(tmp_path).create("daily", resolution=10)
    with started(tmp_path, "collect") as running:
        send(running, 100)
        wait_for(lambda: status(tmp_path)["accepted"] == 100, "the samples")
        wait_for(lambda: not list(tmp_path.glob("daily.db-*")), "the end of a flush")
        shutil.copy(tmp_path / "daily.db", tmp_path / "copy.db")
    assert 100 == stored(tmp_path, "copy")


def test_archives_that_another_process_makes_changes_and_deletes(tmp_path: Path) -> None:
    """A running collector notices new, changed and deleted archives at its next flush."""
    catalog = Catalog(tmp_path)
    with started(tmp_path, "collect") as running:
        assert running.udp_port
        catalog.create("late", resolution=10, pattern="a")
        running.said("late: 10 s buckets")
        send(running, 3, name="a")
        wait_for(lambda: stored(tmp_path, "late") == 3, "the new archive's samples")
        catalog["late"].edit(pattern="b")
        send(running, 2, name="b")
        wait_for(lambda: stored(tmp_path, "late") == 5, "the changed archive's samples")
        catalog.delete("late")
        running.said("archive late was deleted")
        assert [] == catalog.slugs()


def test_workers_share_the_port_and_the_archives(tmp_path: Path) -> None:
    """With several processes on one port, every sample is stored once."""
    Catalog(tmp_path).create("daily", resolution=10)
    with started(tmp_path, "collect", TALLY_WORKERS=3) as running:
        wait_for(lambda: len(list(tmp_path.glob("collector-*.json"))) == 3, "three collectors")
        for number in range(SENDERS):
            send(running, 100, name=f"sender{number}")
        wait_for(lambda: status(tmp_path)["datagrams"] == 100 * SENDERS, "all datagrams")
        shares = [json.loads(path.read_text())["datagrams"] for path in tmp_path.glob("collector-*.json")]
        assert 1 < sum(share > 0 for share in shares)
        assert 0 == running.end(signal.SIGTERM)
    assert 100 * SENDERS == stored(tmp_path)
    assert ["daily.db"] == [path.name for path in tmp_path.iterdir()]


def test_a_log_that_nobody_uses_is_removed_at_the_end(tmp_path: Path) -> None:
    """Two connections that close at the same moment leave it, and no flush opens an archive that is off."""
    Catalog(tmp_path).create("daily", resolution=10, enabled=False)
    with started(tmp_path, "collect") as running:
        assert running.udp_port
        (tmp_path / "daily.db-wal").touch()
        assert 0 == running.end(signal.SIGTERM)
    assert ["daily.db"] == [path.name for path in tmp_path.iterdir()]


def children(pid: int) -> list[int]:
    """Return the processes whose parent is `pid` and that run a worker."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"spawn_main" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except (OSError, ValueError):
            continue
    return found


def test_a_worker_that_dies_ends_all_with_one_line(tmp_path: Path) -> None:
    """If a worker is killed, the others commit their samples, and the exit status is not 0."""
    Catalog(tmp_path).create("daily", resolution=10)
    with started(tmp_path, "collect", TALLY_WORKERS=2, TALLY_FLUSH_TIME=3600) as running:
        wait_for(lambda: len(list(tmp_path.glob("collector-*.json"))) == 2, "two collectors")
        [worker] = children(running.process.pid)
        os.kill(worker, signal.SIGKILL)
        assert running.process.wait(LIMIT_S) != 0
        running.said("collector process ended with exit code -9")
    assert not [line for line in running.lines if "Traceback" in line]


def test_workers_do_not_outlive_their_parent(tmp_path: Path) -> None:
    """If the first process is killed, the workers commit their samples and end."""
    Catalog(tmp_path).create("daily", resolution=10)
    with started(tmp_path, "collect", TALLY_WORKERS=2, TALLY_FLUSH_TIME=3600) as running:
        wait_for(lambda: len(list(tmp_path.glob("collector-*.json"))) == 2, "two collectors")
        [worker] = children(running.process.pid)
        running.end(signal.SIGKILL)
        wait_for(lambda: has_ended(worker), "the worker's end")


def has_ended(pid: int) -> bool:
    """Return whether a process has ended, and at most waits to be noticed."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def send(running: Running, count: int, *, name: str = "a") -> None:
    """Send one-line datagrams from a socket of their own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(f"{name} 1".encode(), ("127.0.0.1", running.udp_port))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"TALLY_PORT": "http"}, "TALLY_PORT='http' is not a port"),
        ({"TALLY_HOST": ""}, "TALLY_HOST='' is not an address to listen on"),
        ({"TALLY_HOST": "192.0.2.1"}, "cannot listen on UDP 192.0.2.1"),
        ({"TALLY_DATA_DIR": "/dev/null/archives"}, "/dev/null/archives: cannot be created"),
        ({"TALLY_WORKERS": "0"}, "TALLY_WORKERS='0' is not a number of processes"),
    ],
)
def test_what_is_wrong_at_the_start_is_one_line(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    """An unusable setting fails the start with one line that names it, and status 2."""
    with started(tmp_path, "collect", **settings) as running:
        assert 2 == running.process.wait(LIMIT_S)
        running.said(said)
    assert 1 == len(running.lines)


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    """A second collector on the same port fails with one line that names the port."""
    with started(tmp_path, "collect") as first:
        port = first.udp_port
        with started(tmp_path, "collect", TALLY_PORT=port) as second:
            assert 2 == second.process.wait(LIMIT_S)
            second.said(f"cannot listen on UDP 127.0.0.1 port {port}: Address already in use")
        assert 1 == len(second.lines)


def test_a_second_collector_does_not_take_from_several_workers(tmp_path: Path) -> None:
    """A collector of another directory cannot share the port of the workers."""
    with started(tmp_path / "one", "collect", TALLY_WORKERS=2) as first:
        wait_for(lambda: len(list((tmp_path / "one").glob("collector-*.json"))) == 2, "two collectors")
        for workers in (1, 2):
            with started(tmp_path / "other", "collect", TALLY_PORT=first.udp_port, TALLY_WORKERS=workers) as second:
                assert 2 == second.process.wait(LIMIT_S)
                second.said(f"cannot listen on UDP 127.0.0.1 port {first.udp_port}: Address already in use")
            assert 1 == len(second.lines)
    assert not (tmp_path / "other").exists()


def test_one_service_takes_over_from_another(tmp_path: Path) -> None:
    """Collectors of the same directory can share the port, so that a takeover loses nothing."""
    Catalog(tmp_path).create("daily", resolution=10)
    with started(tmp_path, "collect", TALLY_WORKERS=2) as first:
        wait_for(lambda: len(list(tmp_path.glob("collector-*.json"))) == 2, "two collectors")
        port = first.udp_port
        with started(tmp_path, "collect", TALLY_WORKERS=2, TALLY_PORT=port) as second:
            wait_for(lambda: len(list(tmp_path.glob("collector-*.json"))) == 4, "four collectors")
            for number in range(SENDERS):
                send(first, 10, name=f"both{number}")
            assert 0 == first.end(signal.SIGTERM)
            for number in range(SENDERS):
                send(first, 10, name=f"second{number}")
            assert 0 == second.end(signal.SIGTERM)
    assert 20 * SENDERS == stored(tmp_path)
    assert ["daily.db"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_collector_keeps_nobody_from_its_port(tmp_path: Path, workers: int) -> None:
    """After `kill -9`, the next collector starts immediately, even while workers of the first are still ending."""
    Catalog(tmp_path).create("daily", resolution=10)
    with started(tmp_path, "collect", TALLY_WORKERS=workers) as first:
        wait_for(lambda: len(list(tmp_path.glob("collector-*.json"))) == workers, "all collectors")
        first.end(signal.SIGKILL)
        with started(tmp_path, "collect", TALLY_WORKERS=workers, TALLY_PORT=first.udp_port) as second:
            assert first.udp_port == second.udp_port
            assert 0 == second.end(signal.SIGTERM)


def test_two_services_may_share_a_directory(tmp_path: Path) -> None:
    """Two collectors on different ports store into the same archives, and leave no other files."""
    Catalog(tmp_path).create("daily", resolution=10)
    with (
        started(tmp_path, "collect", TALLY_WORKERS=2) as first,
        started(tmp_path, "collect", TALLY_WORKERS=2) as second,
    ):
        wait_for(lambda: len(list(tmp_path.glob("collector-*.json"))) == 4, "four collectors")
        send(first, 10)
        send(second, 20)
        assert [0, 0] == [first.end(signal.SIGTERM), second.end(signal.SIGTERM)]
    assert 30 == stored(tmp_path)
    assert ["daily.db"] == [path.name for path in tmp_path.iterdir()]


def test_every_process_logs_as_it_is_told(tmp_path: Path) -> None:
    """With --log-format json, each line of every process is an object, and a flood of bad lines is one line."""
    Catalog(tmp_path).create("daily")
    with started(tmp_path, "collect", "--log-format", "json", TALLY_WORKERS=2) as running:
        port = int(json.loads(running.said(r".*collecting on UDP.*")[0])["message"].split()[5])
        wait_for(lambda: len(list(tmp_path.glob("collector-*.json"))) == 2, "both collectors")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(1000):
                sender.sendto(b"bad\x1b %d %d %d" % (number, number, number), ("127.0.0.1", port))
        running.said(r"lines: not a name, a value")
        assert 0 == running.end(signal.SIGTERM)
    written = [json.loads(line) for line in running.lines]
    assert 2 == len({each["process"] for each in written})
    lost = [each for each in written if each["message"].startswith("dropped ")]
    assert 1000 == sum(loss["count"] for each in lost for loss in each["data"]["lost"])
    assert len(lost) <= 2
    assert {"bad\\x1b"} == {each["data"]["examples"]["fields"].split()[0] for each in lost[:1]}
