"""Real processes for tests, most of them `tally`: started, waited for, and ended by their process id."""

import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

LIMIT_S = 30.0
# Below the ports that the kernel gives to others, so that a free one is still free when a program binds it; each worker
# of pytest-xdist has its own.
FREE_PORTS = range(10_000, 32_000)
WORKER_PORTS = 1000


def wait_for(condition: Callable[[], object], what: object, *, limit_s: float = LIMIT_S) -> None:
    """Return as soon as `condition` is true; fail when it is not within the limit, and say what it waited for.

    If `what` is a function, it is called then.
    """
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what() if callable(what) else what}"
        time.sleep(0.01)


def free_ports(count: int) -> list[int]:
    """Return different ports of this machine that are free for TCP and for UDP."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = worker * WORKER_PORTS % len(FREE_PORTS)
    found: set[int] = set()
    while len(found) < count:
        port = secrets.choice(FREE_PORTS[first : first + WORKER_PORTS])
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, suppress(OSError):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            found.add(port)
    return list(found)


class Running:
    """A started program with what it has written to stderr so far."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def said(self, pattern: str) -> re.Match[str]:
        """Wait for a line on stderr that matches, and return the match."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(match for line in list(self.lines) if (match := re.search(pattern, line)))
            return bool(found)

        # After its end, its last lines may still have to be read.
        wait_for(lambda: look() or not self._reader.is_alive(), (pattern, self.lines))
        assert look(), f"ended with {self.process.poll()}: {''.join(self.lines)}"
        return found[0]

    @property
    def udp_port(self) -> int:
        """The port on which it collects, once it does."""
        return int(self.said(r"collecting on UDP \S+ port (\d+)")[1])

    @property
    def url(self) -> str:
        """Where it answers HTTP, once it does."""
        return self.said(r"dashboard and API on (http://\S+)/")[1]

    def end(self, number: int) -> int:
        """Send a signal, wait for the end and return the exit status."""
        self.process.send_signal(number)
        status = self.process.wait(LIMIT_S)
        self._reader.join(LIMIT_S)
        return status


def environment(directory: Path, **settings: object) -> dict[str, str]:
    """Return this process's environment with tally's settings, free ports and quick flushes unless said otherwise."""
    chosen = {"TALLY_DATA_DIR": directory, "TALLY_PORT": 0, "TALLY_HTTP_PORT": 0, "TALLY_FLUSH_TIME": 0.2, **settings}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    return {**kept, **{name: str(value) for name, value in chosen.items()}}


@contextmanager
def started(directory: Path, *arguments: str, **settings: object) -> Iterator[Running]:
    """Start `tally` with arguments and settings on a data directory, and see to it that it ends."""
    command = [sys.executable, "-m", "tally", *arguments]
    with launched(command, environment(directory, **settings)) as running:
        yield running


@contextmanager
def launched(
    command: Sequence[str], variables: Mapping[str, str], *, cwd: Path | None = None, pass_fds: Sequence[int] = ()
) -> Iterator[Running]:
    """Start any program, and see to it that it ends with all that it has started."""
    process = subprocess.Popen(
        command,
        env=variables,
        cwd=cwd,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        pass_fds=pass_fds,
    )
    running = Running(process)
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # What it has started as well.
        process.wait(LIMIT_S)
        running._reader.join(LIMIT_S)
        assert process.stderr is not None
        process.stderr.close()


@contextmanager
def activated(
    command: Sequence[str], variables: Mapping[str, str], *sockets: socket.socket, names: str = ""
) -> Iterator[Running]:
    """Start a program as systemd would, with sockets from file descriptor 3 on."""
    descriptors = [f"{number}<&{sock.fileno()}" for number, sock in enumerate(sockets, 3)]
    given = {**variables, "LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": names}
    with launched(handing_over(descriptors, command), given, pass_fds=[sock.fileno() for sock in sockets]) as running:
        yield running


def handing_over(descriptors: Sequence[str], command: Sequence[str]) -> list[str]:
    """Return a command that becomes another one, after it has redirected descriptors as bash does."""
    return ["/bin/bash", "-c", f"exec {' '.join(descriptors)}; LISTEN_PID=$$ exec {shlex.join(command)}"]
