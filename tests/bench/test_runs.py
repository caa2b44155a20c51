"""Every measurement runs from end to end, with sizes too small to say anything and without peers."""

import re
import sys
from pathlib import Path

import pytest

from bench import alerts, ask, cluster, collect, flush, grow, history, salvage, server, start, ways
from bench.collect import MALFORMED, Load
from bench.load import datagrams
from bench.questions import QUESTIONS
from tally.alerts.memory import Memory
from tally.engine import Catalog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is measured is read from Linux's /proc")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing longer than it takes."""
    monkeypatch.setattr(server, "QUIET_S", 0.05)
    for module in (collect, flush):
        monkeypatch.setattr(module, "FLUSH_TIME_S", 0.2)


@pytest.mark.parametrize("load", [Load(500, 1), Load(200, 15), Load(200, 2, MALFORMED)], ids=str)
def test_collect(load: Load) -> None:
    """tally stores, rejects or drops every line of a load, and is compared with a loop that only receives."""
    printed = "\n".join(collect.table(load, 0.5, ["tally", "bare loop"]))
    assert ["tally", "bare loop"] == re.findall(r"^\| (tally|bare loop) \| .* \| [0-9.]+ \|$", printed, re.MULTILINE)


def test_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushes are measured beside bare ones, with a retention, and with names that come by UDP."""
    monkeypatch.setattr(flush, "SERVE_S", 1)
    monkeypatch.setattr(flush, "LOAD", (500, 2))
    monkeypatch.setattr(flush, "EXPIRIES", 2)
    printed = "\n".join(flush.lines(20, 5, 3, 30))
    assert re.search(r"\| the same rows by a bare executemany \| [0-9.e-]+ \| [0-9.e-]+ \| [0-9.]+ \|", printed)
    assert re.search(r"^\| 30 \| 30 \| \d+ \| [0-9.e-]+ \| 0.2 \| 0 \|$", printed, re.MULTILINE)


def test_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions are answered over HTTP and by SQLite, by several clients at once, and beside a load."""
    for name, value in {
        "LONG_ENOUGH_S": 0,
        "RUNS_LEAST": 1,
        "CROWDED": (1,),
        "CLIENTS": 2,
        "CLIENTS_S": 0.1,
        "LOAD_RATE": 500,
    }.items():
        monkeypatch.setattr(ask, name, value)
    printed = "\n".join(ask.lines(60, 4, ["tally"]))
    assert len(QUESTIONS) == len(re.findall(r"^\| .* \| [0-9.]+ / [0-9.]+ \| .*\) \|$", printed, re.MULTILINE))
    assert re.search(r"^\| 500 \| \d+ \| 0 \|$", printed, re.MULTILINE)


def test_alerts(tmp_path: Path) -> None:
    """Every rule is evaluated in every pass."""
    alerts.fill(Catalog(tmp_path), 60)
    (tmp_path / "alerts.toml").write_text(alerts.rules(6, 2))
    assert 2 == len([*alerts.measure(tmp_path, 2)])
    _, known = Memory(tmp_path).read()
    assert {alerts.FIRST + alerts.KEPT_S - 20} == {state.evaluated for state in known.values()}
    assert 6 == len(known)


def test_grow() -> None:
    """Each size is measured in a process of its own, and compared with the one before."""
    printed = list(grow.lines({"names": (1, 30)}))
    assert [9, 9] == [text.count("|") - 2 for text in printed[2:4]]
    assert "(× " in printed[3]


def test_salvage(tmp_path: Path) -> None:
    """Files are damaged in every way, and of each nothing that was saved is wrong and nothing is missing silently."""
    file = tmp_path / "lines"
    file.write_bytes(b"".join(b"a.%d %d %d\n" % (at % 3, at, 1_700_000_000 + 300 * at) for at in range(500)))
    rows = [line.split(" | ") for line in salvage.lines(file, 1) if "%" not in line and line.startswith("| ")]
    rows = [row for row in rows if row[0] != "| ---"]
    assert [["0", "0"]] * 2 * len(salvage.DAMAGES) == [row[3:5] for row in rows]


def test_history() -> None:
    """Each tool runs in a process of its own, in the order of the table."""
    printed = [line.split(" | ") for line in history.lines(4, 10) if line.startswith("| ")]
    assert [f"| {tool}" for tool in history.TOOLS] == [cells[0] for cells in printed[2:]]
    assert {"40"} == {cells[1] for cells in printed[2:]}


def test_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog is shipped completely, and so is what collectors collect."""
    monkeypatch.setattr(cluster, "IDLE_S", 0.1)
    monkeypatch.setattr(cluster, "NAMES", 50)
    printed = "\n".join([*cluster.lines(200, [1], 2), *cluster.many(20_000)])
    assert re.search(r"^\| 200 \|( [0-9.,]+ \|){6}$", printed, re.MULTILINE)
    assert re.search(r"^\| 1 \| 10,500 \| [1-9][0-9.]* \| [0-9.]+ \|$", printed, re.MULTILINE)


def test_start() -> None:
    """Programs are started and compared with Python alone."""
    assert 2 + len(start.STARTS) == len(list(start.lines(1)))


def test_a_load_says_what_it_should() -> None:
    """Every line has the form that is asked for, one of the names, and a value of its own."""
    lines = [line for datagram in datagrams("%s:%.6f|ms", 50, 3, names=2) for line in datagram.split(b"\n")]
    assert 150 == len(set(lines))
    assert {b"requests.get.page0", b"requests.get.page1"} == {line.split(b":")[0] for line in lines}


BUSY = "for _ in range(20): sum(range(10**6))"
ENDED = f"subprocess.run([sys.executable, '-c', {BUSY!r}]); time.sleep(60)"
ALIVE = f"subprocess.Popen([sys.executable, '-c', {BUSY + chr(10) + 'input()'!r}], stdin=PIPE, stderr=PIPE).wait()"


@pytest.mark.parametrize("program", [ENDED, ALIVE], ids=["ended", "alive"])
def test_cpu_of_the_whole_family_is_counted(tmp_path: Path, program: str) -> None:
    """What a child takes counts, whether it has ended or not."""
    command = [sys.executable, "-c", f"import subprocess, sys, time; from subprocess import PIPE; {program}"]
    with server.started(command, tmp_path) as each:
        each.wait_for(lambda: each.cpu_s > 0.2)


def test_ways() -> None:
    """Each way in stores samples, and lines are the first."""
    found = dict(ways.measure(20, 2))
    assert ["lines", "InfluxDB", "Prometheus", "OpenTelemetry", "pickles"] == [each.partition(",")[0] for each in found]
    assert min(found.values()) > 0
