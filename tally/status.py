"""The status file: what a collector has done so far, for whoever answers questions about it in another process.

    TALLY_DATA_DIR/collector-<8 hex digits>.json

Written aside and renamed at each flush, so that nobody reads half of one, and removed at an end at which nothing is
lost. Each collector has its own; one that was not written for STALE_S belongs to a collector that ended, and is removed
by the next.
"""

import json
import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

logger = logging.getLogger("tally")

STALE_S = 3600
PATTERN, ASIDE_PATTERN = "collector-*.json", "collector-*.aside"


class StatusFile:
    """One collector's status file in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / f"collector-{secrets.token_hex(4)}.json"
        self._failing = False

    def write(self, status: dict[str, Any]) -> None:
        """Replace the file's content; where that fails the collector goes on, and the log says so once."""
        aside = self.path.with_suffix(".aside")
        try:
            # Who may write into the directory shall not have the collector write anywhere else.
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(status, file)
            aside.replace(self.path)
            self._failing = False
        except OSError as error:
            if not self._failing:
                logger.error("%s: cannot be written: %s", self.path, error.strerror)
            self._failing = True

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


def read_all(directory: Path, now: float) -> list[dict[str, Any]]:
    """Return the status of every collector that writes into `directory`, as of its last flush."""
    return [status for _, status in read_by_id(directory, now)]


def read_by_id(directory: Path, now: float) -> list[tuple[str, dict[str, Any]]]:
    """Return the same, each with the digits that tell the collector from the others."""
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
