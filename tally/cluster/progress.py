"""How far a replicator has come, for `/readyz`, `/status/` and `/metrics` of any process.

    TALLY_DATA_DIR/replication.json     the fields of Progress

The replicator replaces the file after each report to the cluster, and after each pass that fails.
"""

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tally.cluster.cluster import Source
from tally.engine.archive import Archive
from tally.engine.files.status import is_running, process_identity
from tally.engine.files.temporary import publish, temporary_file
from tally.engine.storing.tracking import Tracker
from tally.errors import TallyError

logger = logging.getLogger("tally.cluster")

FILE = "replication.json"
# The bucket that is still open is shipped so many times until it closes, or at each pass if that is less often.
SHIPS_PER_BUCKET = 20


class Backlog(NamedTuple):
    """What is to be shipped: the unix second of its first change, when that should have been shipped, and its cells.

    The seconds are None when nothing is to be shipped.
    """

    first: float | None
    due: float | None
    cells: int

    @classmethod
    def measure(cls, archives: Iterable[Archive]) -> "Backlog":
        """Return the backlog of those archives that can be read."""
        first: list[float] = []
        due: list[float] = []
        cells = 0
        for archive in archives:
            try:
                found = Tracker(archive.path).backlog()
                if found.second is not None:
                    first.append(found.second)
                    due.append(found.second + archive.definition().resolution / SHIPS_PER_BUCKET)
                    cells += found.cells
            except TallyError:
                continue  # It was deleted, or cannot be read, which is reported elsewhere.
        return cls(min(first, default=None), min(due, default=None), cells)


class Progress(NamedTuple):
    """The state of the replicator of the source `source` at `updated`, in unix seconds.

    `failing` is the time since which all passes have failed, or None. `errors` are why the last pass failed, or what it
    could not ship. `others` are the other sources, as the cluster knows them.
    """

    source: str
    updated: float
    backlog: Backlog
    expired: int = 0
    failing: float | None = None
    errors: tuple[str, ...] = ()
    others: tuple[Source, ...] = ()
    process: dict[str, Any] | None = None

    def write(self, directory: Path) -> None:
        """Replace the file in `directory`. An error is logged, and replication continues."""
        path = directory / FILE
        try:
            with temporary_file(path) as built:
                built.write_text(json.dumps(self._replace(process=process_identity(os.getpid()))._asdict()))
                publish(built, path, replace=True)
        except OSError as error:
            logger.error("%s: cannot be written: %s", path, error.strerror)

    @classmethod
    def read(cls, directory: Path) -> "Progress | None":
        """Return what the file in `directory` has; None if there is none, or it cannot be read."""
        try:
            found = cls(**json.loads((directory / FILE).read_text()))
            return found._replace(
                backlog=Backlog(*found.backlog),
                errors=tuple(found.errors),
                others=tuple(Source(*each) for each in found.others),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            logger.warning("%s: cannot be read: %s", directory / FILE, error)
            return None

    def is_at_work(self) -> bool:
        """Return whether the process is running, as far as this host can tell."""
        return self.process is not None and is_running({"process": self.process}) is not False
