"""`manage.py tallyserver` as a real process: whose settings it takes, what beats them, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tally.collector.listener import bind
from tally.engine import Catalog
from tests.collector.resolving import path_with_resolver
from tests.collector.test_workers import locked
from tests.processes import LIMIT_S, Running, activated, free_ports, launched, wait_for

NOWHERE = "192.0.2.1"  # For documentation: no machine has it.


def command(*arguments: str) -> list[str]:
    """Return how the command is called."""
    return [sys.executable, "-m", "django", "tallyserver", *arguments]


def site(directory: Path, **settings: object) -> dict[str, str]:
    """Write a site that has nothing but tally, and return the environment that leads to it."""
    chosen = {"TALLY_DATA_DIR": str(directory / "archives"), "TALLY_PORT": 0, "TALLY_FLUSH_TIME": 0.2, **settings}
    lines = ["SECRET_KEY = 'for tests'", "INSTALLED_APPS = ['tally']"]
    lines += [f"{name} = {value!r}" for name, value in chosen.items()]
    (directory / "site_with_tally.py").write_text("\n".join(lines), encoding="utf-8")
    path = f"{directory}{os.pathsep}{Path.cwd()}"
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "site_with_tally", "PYTHONPATH": path, "TALLY_HOST": NOWHERE}


@contextmanager
def started(directory: Path, *arguments: str, **settings: object) -> Iterator[Running]:
    """Start the command for a site with an archive `daily`."""
    Catalog(directory / "archives").create("daily", resolution=10)
    with launched(command(*arguments), site(directory, **settings)) as running:
        yield running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_collects_into_the_archives_of_the_site(number: int, tmp_path: Path) -> None:
    """Django's settings say where, the environment does not, and what was sent is stored when it ends."""
    with started(tmp_path) as running, socket.socket(type=socket.SOCK_DGRAM) as sender:
        for _ in range(100):
            sender.sendto(b"requests.get.index 0.25", ("127.0.0.1", running.udp_port))
        assert 0 == running.end(number)
    daily = Catalog(tmp_path / "archives")["daily"]
    assert {"requests.get.index": 100} == daily.aggregate("count", by="name")
    assert ["daily.db"] == [path.name for path in (tmp_path / "archives").iterdir()]


def test_samples_that_are_lost_at_the_end_are_an_error(tmp_path: Path) -> None:
    """Where they can be neither stored nor spilled the last lines say how many, and the status is 1."""
    with started(tmp_path, TALLY_FLUSH_TIME=3600) as running, socket.socket(type=socket.SOCK_DGRAM) as sender:
        archives = tmp_path / "archives"
        (archives / "daily.spill").mkdir()
        sender.sendto(b"a 1\nb 1", ("127.0.0.1", running.udp_port))
        with locked(archives / "daily.db"):
            assert 1 == running.end(signal.SIGTERM)
    assert running.lines[-1].startswith("CommandError: lost 2 samples of daily: ")


def test_a_name_is_listened_on_at_each_of_its_addresses(tmp_path: Path) -> None:
    """Samples that a client sends to either address of the name are stored."""
    path = path_with_resolver(tmp_path / "path", "127.0.0.1", "::1")
    Catalog(tmp_path / "archives").create("daily", resolution=10)
    variables = site(tmp_path, TALLY_HOST="many")
    variables["PYTHONPATH"] = f"{path}{os.pathsep}{variables['PYTHONPATH']}"
    with launched(command(), variables) as running:
        running.said(rf"collecting on UDP ::1 port {running.udp_port}\b")
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"a 1", (host, running.udp_port))
        assert 0 == running.end(signal.SIGTERM)
    assert {"a": 2} == Catalog(tmp_path / "archives")["daily"].aggregate("count", by="name")


def test_archives_appear_while_it_runs(tmp_path: Path) -> None:
    """What is made in the admin, or anywhere else, takes samples from the next flush on."""
    with started(tmp_path) as running:
        assert running.udp_port
        weekly = Catalog(tmp_path / "archives").create("weekly", resolution=300)
        running.said("weekly: ")
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.sendto(b"a 1", ("127.0.0.1", running.udp_port))
        wait_for(lambda: ["a"] == weekly.names(), "a sample in the new archive")


def test_it_takes_a_socket_that_is_handed_over(tmp_path: Path) -> None:
    """Under systemd it collects from the socket that waits while it restarts, whatever the settings say."""
    archive = Catalog(tmp_path / "archives").create("daily", resolution=10)
    with bind("127.0.0.1", 0, receive_buffer_bytes=65_536) as sock:
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.sendto(b"a 1", sock.getsockname())
        with activated(command(), site(tmp_path), sock) as running:
            assert sock.getsockname()[1] == running.udp_port
            assert 0 == running.end(signal.SIGTERM)
    assert {"a": 1} == archive.aggregate("count", by="name")


def test_options_beat_settings(tmp_path: Path) -> None:
    """`--host` and `--port` say where to listen, whatever the settings say."""
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with started(tmp_path, "--host", "127.0.0.1", "--port", "0", TALLY_HOST=NOWHERE, TALLY_PORT=port) as running:
            assert running.udp_port not in (0, port)


@pytest.mark.parametrize("arguments", [("--port", "{port}"), ("--host", "127.0.0.1", "--port", "{port}")])
def test_the_port_is_the_one_that_is_given(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """A port by its number is the one on which it listens, and a second one cannot."""
    [port] = free_ports(1)
    with started(tmp_path, *(each.format(port=port) for each in arguments)) as running:
        assert port == running.udp_port
        said = refused(tmp_path, "--port", str(port))
    assert f"port {port}" in said


def refused(directory: Path, *arguments: str, **settings: object) -> str:
    """Return what the command says when it does not start; that is one line, with an exit status that is not 0."""
    done = subprocess.run(
        command(*arguments),
        env=site(directory, **settings),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert 0 != done.returncode
    assert "" == done.stdout
    assert 1 == done.stderr.count("\n"), done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "settings", "says"),
    [
        (["--port", "http"], {}, "TALLY_PORT='http' is not a port: use a whole number from 0 to 65535"),
        (["--port", "65536"], {}, "TALLY_PORT='65536' is not a port"),
        (["--host", "a b"], {}, "TALLY_HOST='a b' is not an address"),
        (["--host", NOWHERE], {}, NOWHERE),
        ([], {"TALLY_HOST": None}, "TALLY_HOST='' is not an address to listen on"),
        ([], {"TALLY_DATA_DIR": "/dev/null/archives"}, "/dev/null/archives"),
    ],
)
def test_what_it_cannot_do_is_one_line(
    arguments: list[str], settings: dict[str, object], says: str, tmp_path: Path
) -> None:
    """An option, a setting or an address that is not right is told with its value, and without a traceback."""
    assert says in refused(tmp_path, *arguments, **settings)
