"""Examples of a page, run one after the other as a reader would, in a directory of their own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.clickhouse import ClickHouse
from tests.processes import LIMIT_S, free_ports, wait_for

ROOT = Path(__file__).parents[2]
# What pages say, and what is free here is put in its place.
PORTS = ("8900", "8901", "2003")
PLACES = {
    "10.0.0.5": "127.0.0.1",
    "10.0.0.0/24": "127.0.0.0/8",
    "/opt/tally/bin/": "",
    "/var/lib/tally": "tally-data",
    "/var/backups/": "backups/",
    "/run/tally/": "run/",
}
# What does not end by itself, and what it says as soon as it can be used.
SERVER = re.compile(r"(\w+=\S+ )*(tally (serve|collect)|python manage\.py tallyserver|gunicorn)\b")
READY = re.compile("collecting on|Listening at")
# Sizes of files depend on SQLite's release, that of the receive buffer on rights.
VARYING = re.compile(r"\b\d{5}\b|(?<=receive buffer: )[^)]+")


class Story:
    """Runs the commands of a page in `directory`, with `tally` on the PATH and free ports for those of the page."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self._stack = stack
        self._ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        scripts = directory / "bin"
        scripts.mkdir()
        (scripts / "tally").write_text(f"#!/bin/sh\nexec '{sys.executable}' -m tally \"$@\"\n")
        (scripts / "tally").chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TALLY_")},
            "PATH": f"{scripts}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(ROOT),
            "TALLY_PORT": self._ports["8900"],
            "TALLY_HTTP_PORT": self._ports["8900"],
            "TALLY_FLUSH_TIME": "0.1",
        }

    def here(self, text: str) -> str:
        """Return text of the page with the ports, addresses and paths that are used here."""
        used = {**self._ports, **PLACES, "/home/you": str(self.directory)}
        return re.sub("|".join(map(re.escape, used)), lambda match: used[match[0]], text)

    def check(self, command: str, expected: str) -> None:
        """Run a command, and see that it prints what is expected; a question is asked until it does."""
        command, expected = self.here(command), self.here(expected)
        # Only a terminal is spared its progress.
        command = re.sub("^curl ", "curl --no-progress-meter ", command)
        if SERVER.match(command):
            self._start(command, expected)
        elif re.match(r"curl |tally query ", command):
            wait_for(lambda: comparable(expected) == comparable(self.output(command)), f"{expected} from {command}")
        else:
            assert comparable(expected) == comparable(self.output(command)), command

    def succeed(self, command: str) -> None:
        """Run a script to its end and without a failure; a server in its last line until it can be used."""
        before, _, last = self.here(command).rpartition("\n")
        script = before if SERVER.match(last) else self.here(command)
        done = self._run(script)
        assert 0 == done.returncode, f"{script}\n{done.stdout}"
        if SERVER.match(last):
            path, process = self._launch(last)
            wait_for(lambda: READY.search(path.read_text()) or process.poll() is not None, last)
            assert process.poll() is None, path.read_text()

    def output(self, command: str) -> str:
        """Return what a command prints."""
        return self._run(command).stdout

    def _run(self, command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_S,
            check=False,
            text=True,
        )

    def _start(self, command: str, expected: str) -> None:
        """Start what does not end by itself, and go on once it has printed what is expected."""
        path, process = self._launch(command)
        count = expected.count("\n")
        wait_for(lambda: path.read_text().count("\n") >= count or process.poll() is not None, command)
        assert comparable(expected) == comparable(path.read_text()), command

    def have_a_cluster(self) -> None:
        """Start a ClickHouse server, and set its address."""
        directory = self.directory / "clickhouse"
        directory.mkdir()
        server = ClickHouse(directory)
        self._stack.callback(server.stop)
        self.environment |= {"TALLY_CLUSTER": server.setting(), "TALLY_SOURCE": "web1"}

    def _launch(self, command: str) -> "tuple[Path, subprocess.Popen[bytes]]":
        """Start what ends with the story, and return where it writes what it says."""
        path = self.directory / f"{len(list(self.directory.glob('*.log')))}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                ["bash", "-c", f"exec env {command}"],
                cwd=self.directory,
                env=self.environment,
                stderr=log,
            )
        self._stack.callback(end, process)
        return path, process


def comparable(text: str) -> str:
    """Return text without what varies from machine to machine."""
    return VARYING.sub("N", text).rstrip("\n")


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process as a user would."""
    process.send_signal(signal.SIGINT)
    assert 0 == process.wait(LIMIT_S)


@contextmanager
def story(directory: Path) -> Iterator[Story]:
    """Tell a story in a directory, and end all that it starts."""
    with ExitStack() as stack:
        yield Story(directory, stack)
