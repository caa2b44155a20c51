"""Status files as collectors write them, for tests of what is told of them."""

import os
from pathlib import Path
from typing import Any

from tally.engine.files.status import StatusFile
from tests.api.asking import NOW

ACCOUNT = {
    "stored": 90,
    "expired": 5,
    "cardinality": 4,
    "dropped": 3,
    "spilled": 7,
    "taken_up": 6,
    "pending": 2,
    "error": "",
    "waiting": None,
    "failing": None,
}
RECENT = {
    "seconds": 300,
    "lines": {"value": 7},
    "datagrams": {"kernel_drops": 6},
    "connections": {"refused": 2},
    "samples": {"daily": {"expired": 5, "dropped": 1}},
}
STATUS: dict[str, Any] = {
    "process": {"place": "elsewhere", "id": 12, "started": 34},
    "started": NOW - 100,
    "updated": NOW - 1.5,
    "written": NOW - 1.5,
    "ended": None,
    "flush_time": 5.0,
    "flushes": 20,
    "flush_seconds": 0.25,
    "flush_seconds_total": 4.5,
    "datagrams": 1000,
    "refused": 8,
    "kernel_drops": 6,
    "connections": 40,
    "connections_refused": 3,
    "connections_open": 2,
    "receive_buffer": 212992,
    "receive_queue": 768,
    "accepted": 104,
    "rejected": {"value": 7, "name": 1},
    "empty": 9,
    "waiting": None,
    "archives": {"daily": ACCOUNT},
    "recent": RECENT,
}


def write(directory: Path, **changes: Any) -> str:
    """Write a collector's status file, and return the digits that tell it from others."""
    file = StatusFile(directory)
    file.write({**STATUS, **changes})
    os.utime(file.path, (NOW, NOW))
    return file.path.stem.removeprefix("collector-")
