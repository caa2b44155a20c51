"""Runs `tally` for tests: in this process, which is quick, or as a process of its own, which is real."""

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result

from tally.cli import main
from tests.processes import LIMIT_S, environment

SILENCE_S = 0.3

EXAMPLE = b"""\
requests.get.index 0.25 1700000001
requests.get.index 0.75 1700000008
requests.get.about 1.5 1700000012
requests.get.index 0.5 1700000013
"""


def invoke(directory: Path, *arguments: str, stdin: str | bytes = "", **settings: object) -> Result:
    """Run a command in this process, on a data directory."""
    ours = {name: None for name in os.environ if name.startswith("TALLY_")}
    given = {name: str(value) for name, value in {"TALLY_DATA_DIR": directory, **settings}.items()}
    return CliRunner(env={**ours, **given}).invoke(main, arguments, input=stdin, catch_exceptions=False)


def run(
    directory: Path, *arguments: str, stdin: bytes = b"", **settings: object
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command as a process of its own, on a data directory."""
    return subprocess.run(
        [sys.executable, "-m", "tally", *arguments],
        input=stdin,
        capture_output=True,
        env=environment(directory, **settings),
        timeout=LIMIT_S,
        check=False,
    )


def filled(directory: Path, lines: bytes = EXAMPLE, **properties: object) -> Path:
    """Return the directory with the archive `daily`, 10 s and kept for ever unless said otherwise, that has `lines`."""
    options = {"resolution": 10, "retention": 0, **properties}
    given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    assert 0 == invoke(directory, "archives", "create", "daily", *given).exit_code
    assert 0 == invoke(directory, "import", "-", stdin=lines).exit_code
    return directory


def on_terminal(directory: Path, *arguments: str, answer: Callable[[str], str] = lambda _shown: "") -> tuple[int, str]:
    """Run a command with a terminal for stdin, stdout and stderr; return its status and what the terminal showed.

    `answer` is called with all that was shown so far, whenever the terminal is silent, and returns what is typed then.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tally", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(directory),
        start_new_session=True,
        # So that what is typed can be a signal.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY),
    )
    os.close(theirs)
    shown = b""
    try:
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], SILENCE_S)[0]:
                os.write(ours, answer(shown.decode()).encode())
            elif data := _read(ours):
                shown += data
            else:
                break
        return process.wait(LIMIT_S), shown.decode()
    finally:
        process.kill()
        process.wait(LIMIT_S)
        os.close(ours)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux tells so that the other side is closed.
        return b""
