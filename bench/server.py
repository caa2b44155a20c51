"""Programs under measurement: started on free ports, looked at from outside, and ended by their process id."""

import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from tally import __version__

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
LIMIT_S = 30
# A program rests when it took less CPU than this in QUIET_S.
QUIET_S, QUIET_CPU_S = 0.5, 0.03


class Server:
    """A started program, with what it says in a file."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log

    def said(self, pattern: str) -> str:
        """Wait until the log matches, and return the first group."""
        self.wait_for(lambda: re.search(pattern, self.log.read_text()))
        found = re.search(pattern, self.log.read_text())
        assert found
        return found[1]

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Return once the condition is true."""
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.process.args!r} ended, or is not as awaited:\n{self.log.read_text()}")
            time.sleep(0.02)

    def rest(self) -> None:
        """Wait until the program takes next to no CPU, as long as LIMIT_S."""
        deadline = time.monotonic() + LIMIT_S
        before = -1.0
        while self.cpu_s - before > QUIET_CPU_S and time.monotonic() < deadline:
            before = self.cpu_s
            time.sleep(QUIET_S)

    def end(self) -> None:
        """Ask the program to end, and wait until it has; one that does not is killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def cpu_s(self) -> float:
        """User and system seconds so far, of the process and all below it, those that have ended among them."""
        return sum(_cpu_s(pid) for pid in family(self.process.pid))

    def cpu_s_since(self, before: float) -> float:
        """User and system seconds since there were `before`; one tick of the kernel's clock at least."""
        return max(self.cpu_s - before, 1 / TICKS)

    @property
    def memory_bytes(self) -> int:
        """Resident bytes now."""
        return self._memory("VmRSS")

    @property
    def peak_bytes(self) -> int:
        """Resident bytes at most, since the start."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+) kB", text)
        assert found
        return int(found[1]) * 1024


def _fields(pid: int) -> list[str]:
    """Return the columns of /proc/PID/stat after the command's name, none of a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_s(pid: int) -> float:
    return sum(map(int, _fields(pid)[11:15])) / TICKS


def family(pid: int) -> set[int]:
    """Return a process and all that descend from it."""
    parents = {int(path.name): _fields(int(path.name))[1:2] for path in Path("/proc").glob("[0-9]*")}
    found: set[int] = set()
    ahead = {pid}
    while ahead:
        found |= ahead
        ahead = {child for child, parent in parents.items() if parent and int(parent[0]) in ahead} - found
    return found


@contextmanager
def started(command: Sequence[object], directory: Path, **environment: object) -> Iterator[Server]:
    """Run a program in a directory, with what it says in the file `log` there, and end it."""
    texts = {name: str(value) for name, value in environment.items()}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=directory,
            env={**_environment(), **texts},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    server = Server(process, directory / "log")
    try:
        yield server
    finally:
        server.end()


def _environment() -> dict[str, str]:
    """Return this process's environment without settings of tally's, and with this checkout for Python to import."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    return {**kept, "PYTHONPATH": str(Path(__file__).parent.parent)}


@contextmanager
def tally(directory: Path, *arguments: str, **settings: object) -> Iterator[Server]:
    """Run a `tally` command on a data directory, on free ports."""
    chosen = {"TALLY_DATA_DIR": directory, "TALLY_PORT": 0, "TALLY_HTTP_PORT": 0, **settings}
    with (
        tempfile.TemporaryDirectory() as place,
        started([sys.executable, "-m", "tally", *arguments], Path(place), **chosen) as server,
    ):
        yield server


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """Return a loopback port that nobody has bound."""
    with socket.socket(type=kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def kernel_drops(port: int) -> int | None:
    """Return how many datagrams the kernel has dropped for the sockets bound to a UDP port, None without any.

    Source: proc(5), the last column of the socket's line in /proc/net/udp.
    """
    rows = [line.split() for table in ("udp", "udp6") for line in Path("/proc/net", table).read_text().splitlines()[1:]]
    drops = [int(row[12]) for row in rows if int(row[1].rpartition(":")[2], 16) == port]
    return sum(drops) if drops else None


def machine() -> str:
    """Return one line about what this runs on, and what is measured."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    versions = f"{python}, SQLite {apsw.sqlite_lib_version()}, tally {__version__}"
    cores = f"{os.cpu_count()} cores of {model[1] if model else '?'}"
    return f"{cores}, Linux {platform.release()}, {versions}; load average before {os.getloadavg()[0]:.1f}"
