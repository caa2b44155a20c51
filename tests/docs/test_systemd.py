"""examples/systemd against systemd itself: the units are right and locked down, and what it hands over is taken."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tally.engine import Catalog
from tests.docs.story import ROOT
from tests.processes import LIMIT_S, environment, free_ports, launched, wait_for

UNITS = ROOT / "examples" / "systemd"
# In tenths: from 0, where nothing can go wrong, to 100.
EXPOSURE_MAX = 15

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and not os.environ.get("CI"), reason="systemd is not installed"
)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a program that is there."""
    for unit in UNITS.iterdir():
        text = unit.read_text(encoding="utf-8").replace("/opt/tally/bin/tally", sys.executable)
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    return tmp_path


def analyze(*arguments: str, directory: Path) -> str:
    """Return what systemd-analyze says, which has to be content."""
    command = ["systemd-analyze", *arguments]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stderr


def test_the_units_are_right(units: Path) -> None:
    """systemd finds nothing to complain of."""
    assert "" == analyze("verify", *(f"./{path.name}" for path in sorted(units.iterdir())), directory=units)


def test_the_service_is_locked_down(units: Path) -> None:
    """By its own measure there is hardly anything that the service could do beside its work."""
    analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "./tally.service", directory=units)


def test_systemd_hands_a_socket_over(tmp_path: Path) -> None:
    """The first datagram starts tally, and is in the archive with the others."""
    Catalog(tmp_path).create("all", resolution=10)
    [port] = free_ports(1)
    given = {name: value for name, value in environment(tmp_path).items() if name.startswith("TALLY_")}
    command = ["systemd-socket-activate", "--datagram", f"--listen=127.0.0.1:{port}", "--fdname=samples"]
    command += [f"--setenv={name}={value}" for name, value in {**given, "PYTHONPATH": str(ROOT)}.items()]
    command += [sys.executable, "-m", "tally", "collect"]
    with launched(command, dict(os.environ)) as running:
        running.said("Listening on")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(10):
                sender.sendto(b"a 1\nb:2|c", ("127.0.0.1", port))
        assert port == running.udp_port
        wait_for(lambda: Catalog(tmp_path)["all"].aggregate("sum", by="name") == {"a": 10, "b": 20}, "the samples")
        assert 0 == running.end(signal.SIGTERM)
