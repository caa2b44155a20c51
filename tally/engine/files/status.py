"""The status file: what a collector has done so far, for whoever answers questions about it in another process.

    TALLY_DATA_DIR/collector-<8 hex digits>.json

Written aside and renamed at each flush, so that nobody reads half of one, and removed at an end at which nothing is
lost. Each collector has its own; one that was not written for STALE_S belongs to a collector that ended, and is removed
by the next.

The file is a copy: who answers in the collector's own process asks the collector itself. See `Books`.
"""

import json
import logging
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tally import forks

logger = logging.getLogger("tally")

STALE_S = 3600
PATTERN, ASIDE_PATTERN = "collector-*.json", "collector-*.aside"
PROC = Path("/proc")

Status = dict[str, Any]


class StatusFile:
    """One collector's status file in `directory`; `identity` is the eight digits of its name."""

    def __init__(self, directory: Path) -> None:
        self.identity = secrets.token_hex(4)
        self.path = directory / f"collector-{self.identity}.json"
        self._failing = False
        self._lock = forks.lock()

    def write(self, status: Status) -> None:
        """Replace the file's content; where that fails the collector goes on, and the log says so once."""
        try:
            with self._lock:
                self._write(status)
            self._failing = False
        except OSError as error:
            if not self._failing:
                logger.error("%s: cannot be written: %s", self.path, error.strerror)
            self._failing = True

    def _write(self, status: Status) -> None:
        aside = self.path.with_suffix(".aside")
        # Who may write into the directory shall not have the collector write anywhere else.
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(status, file)
        aside.replace(self.path)

    def remove(self) -> None:
        """Remove the file, unless that is not possible any more."""
        for path in (self.path, self.path.with_suffix(".aside")):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def remove_stale(directory: Path, now: float) -> None:
    """Remove the files of collectors that died."""
    for path in (*directory.glob(PATTERN), *directory.glob(ASIDE_PATTERN)):
        with suppress(FileNotFoundError):  # Another one may be removing it.
            if path.lstat().st_mtime < now - STALE_S:
                path.unlink()


class Books:
    """What all collectors of a data directory say: those of this process, which `own` asks, now, and others' files."""

    def __init__(self, directory: Path, own: Callable[[], Mapping[str, Status]] = dict) -> None:
        self._directory = directory
        self._own = own

    def read(self, now: float) -> list[tuple[str, Status]]:
        """Return each collector's identity and status; its `stale` says how many seconds old it is, 0 in this process.

        What a stale one says of waiting and failing is made older by as much.
        """
        own = self._own()
        copies = [(identity, _aged(status, now)) for identity, status in read_by_id(self._directory, now)]
        others = [(identity, status) for identity, status in copies if identity not in own]
        return sorted([*others, *((identity, {**status, "stale": 0.0}) for identity, status in own.items())])


def _aged(status: Status, now: float) -> Status:
    stale = 0.0 if status["ended"] else max(0.0, now - status["written"])
    archives = {slug: _older(account, stale) for slug, account in status["archives"].items()}
    return {**_older(status, stale), "archives": archives, "stale": stale}


def _older(told: Status, seconds: float) -> Status:
    ages = {key: told[key] + seconds for key in ("waiting", "failing") if told.get(key) is not None}
    return {**told, **ages}


def process(number: int) -> dict[str, Any] | None:
    """Return what tells a running process from every other one: where its number counts, and on Linux when it started.

    None where it is gone.
    """
    if not (PROC / "self" / "stat").exists():
        with suppress(PermissionError):  # It is there, and another user's.
            try:
                os.kill(number, 0)
            except ProcessLookupError:
                return None
        return {"place": socket.gethostname(), "id": number, "started": None}
    try:
        # The name stands in parentheses and may hold any: see proc(5).
        state, *fields = (PROC / str(number) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else {"place": _place(), "id": number, "started": int(fields[18])}


def _place() -> str:
    """Return what is the same wherever processes have the same numbers: this boot of the host, and the namespace."""
    boot = (PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
    return f"{boot} {(PROC / 'self' / 'ns' / 'pid').stat().st_ino}"


def is_running(status: Status) -> bool | None:
    """Return whether a collector's process is there, None where that cannot be known from here."""
    own = process(os.getpid())
    if own is None or status["process"]["place"] != own["place"]:
        return None
    return bool(process(status["process"]["id"]) == status["process"])


def read_by_id(directory: Path, now: float) -> list[tuple[str, Status]]:
    """Return the status of every collector that writes into `directory`, as it wrote it last, by its identity."""
    statuses = []
    for path in sorted(directory.glob(PATTERN)):
        try:
            if path.stat().st_mtime >= now - STALE_S:
                statuses.append((path.stem.removeprefix("collector-"), json.loads(path.read_text())))
        except FileNotFoundError:
            continue  # It ended since the directory was read.
        except (OSError, ValueError) as error:
            logger.warning("%s: cannot be read: %s", path, error)
    return statuses
