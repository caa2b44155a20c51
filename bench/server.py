"""Programs under measurement: started on free ports, looked at from outside, and ended by their process id."""

import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
LIMIT_S = 30


class Server:
    """A started program, with its stderr in a file."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log

    def said(self, pattern: str) -> str:
        """Wait until the log matches, and return the first group."""
        deadline = time.monotonic() + LIMIT_S
        while not (found := re.search(pattern, self.log.read_text())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server did not start:\n{self.log.read_text()}")
            time.sleep(0.02)
        return found[1]

    @property
    def cpu_s(self) -> float:
        """User and system seconds so far, of the process and those of its children that have ended."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS

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


@contextmanager
def tally(directory: Path, *arguments: str, **settings: object) -> Iterator[Server]:
    """Run a `tally` command on a data directory, on free ports."""
    chosen = {"TALLY_DATA_DIR": directory, "TALLY_PORT": 0, "TALLY_HTTP_PORT": 0, **settings}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    environment = {**kept, **{name: str(value) for name, value in chosen.items()}}
    with tempfile.TemporaryDirectory() as place, (Path(place) / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "tally", *arguments], env=environment, stderr=log)
        try:
            yield Server(process, Path(place) / "log")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)


def machine() -> str:
    """Return one line about what this runs on."""
    return (
        f"{os.cpu_count()} cores, {platform.system()}, {platform.python_implementation()} {platform.python_version()}"
    )
