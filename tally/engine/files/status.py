"""The status file, in which each collector publishes its counters to other processes.

    TALLY_DATA_DIR/collector-<8 hex digits>.json

The file is written under a temporary name and renamed at each flush, and removed at exit unless samples were lost. A
file that was not written for STALE_S belongs to a collector that ended; the next collector removes it. In the
collector's own process, its status comes from the collector itself (see `CollectorStatuses`).
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
PATTERN, TEMPORARY_PATTERN = "collector-*.json", "collector-*.aside"
PROC = Path("/proc")

Status = dict[str, Any]


class StatusFile:
    """A collector's status file in `directory`; `identity` is the 8 hex digits of its name."""

    def __init__(self, directory: Path) -> None:
        self.identity = secrets.token_hex(4)
        self.path = directory / f"collector-{self.identity}.json"
        self._failing = False
        self._lock = forks.lock()

    def write(self, status: Status) -> None:
        """Replace the file's content. An error is logged once, and the collector continues."""
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
        # Do not follow a symbolic link: others who can write to the directory could redirect the write.
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(status, file)
        aside.replace(self.path)

    def remove(self) -> None:
        """Remove the file, if possible."""
        for path in (self.path, self.path.with_suffix(".aside")):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def remove_stale(directory: Path, now: float) -> None:
    """Remove the files of collectors that died."""
    for path in (*directory.glob(PATTERN), *directory.glob(TEMPORARY_PATTERN)):
        with suppress(FileNotFoundError):  # Another collector may be removing it.
            if path.lstat().st_mtime < now - STALE_S:
                path.unlink()


class CollectorStatuses:
    """The status of all collectors of a data directory: from `own` for those of this process, else from files."""

    def __init__(self, directory: Path, own: Callable[[], Mapping[str, Status]] = dict) -> None:
        self._directory = directory
        self._own = own

    def read(self, now: float) -> list[tuple[str, Status]]:
        """Return each collector's identity and status. Its `stale` is its age in seconds, 0 in this process.

        The age is added to the durations in the status.
        """
        own = self._own()
        copies = [(identity, _aged(status, now)) for identity, status in read_by_id(self._directory, now)]
        others = [(identity, status) for identity, status in copies if identity not in own]
        return sorted([*others, *((identity, {**status, "stale": 0.0}) for identity, status in own.items())])


def _aged(status: Status, now: float) -> Status:
    stale = 0.0 if status["ended"] else max(0.0, now - status["written"])
    archives = {slug: _older(account, stale) for slug, account in status["archives"].items()}
    return {**_older(status, stale), "archives": archives, "stale": stale}


def _older(status: Status, seconds: float) -> Status:
    ages = {key: status[key] + seconds for key in ("waiting", "failing") if status.get(key) is not None}
    return {**status, **ages}


def process_identity(number: int) -> dict[str, Any] | None:
    """Return what identifies a running process: its host and namespace, id, and on Linux its start time.

    None if there is no such process.
    """
    if not (PROC / "self" / "stat").exists():
        with suppress(PermissionError):  # It exists and belongs to another user.
            try:
                os.kill(number, 0)
            except ProcessLookupError:
                return None
        return {"place": socket.gethostname(), "id": number, "started": None}
    try:
        # The name is in parentheses and may contain any character: see proc(5).
        state, *fields = (PROC / str(number) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else {"place": _place(), "id": number, "started": int(fields[18])}


def _place() -> str:
    """Return an id of the scope in which process ids are unique: the boot of the host and the PID namespace."""
    boot = (PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
    return f"{boot} {(PROC / 'self' / 'ns' / 'pid').stat().st_ino}"


def is_running(status: Status) -> bool | None:
    """Return whether a collector's process is running; None if that cannot be determined from this host."""
    own = process_identity(os.getpid())
    if own is None or status["process"]["place"] != own["place"]:
        return None
    return bool(process_identity(status["process"]["id"]) == status["process"])


def read_by_id(directory: Path, now: float) -> list[tuple[str, Status]]:
    """Return the identity of every collector that writes into `directory`, and the status it wrote last."""
    statuses = []
    for path in sorted(directory.glob(PATTERN)):
        try:
            if path.stat().st_mtime >= now - STALE_S:
                statuses.append((path.stem.removeprefix("collector-"), json.loads(path.read_text())))
        except FileNotFoundError:
            continue  # The collector ended since the directory was read.
        except (OSError, ValueError) as error:
            logger.warning("%s: cannot be read: %s", path, error)
    return statuses
