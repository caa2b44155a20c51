"""What SQLite does to its files, in order, so that a loss of power can be played at any moment of it."""

import random as random_module
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import apsw

BASE = "unix"


class Event(NamedTuple):
    """One call: `kind` is write, truncate, sync or delete; `at` is an offset or a size."""

    kind: str
    path: str
    at: int = 0
    data: bytes = b""


class _File(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], events: list[Event]) -> None:
        super().__init__(BASE, name, flags)
        self._path = str(name.filename() if isinstance(name, apsw.URIFilename) else name)
        self._events = events

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        self._events.append(Event("write", self._path, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._events.append(Event("truncate", self._path, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self._events.append(Event("sync", self._path))


class _Recording(apsw.VFS):
    def __init__(self, events: list[Event]) -> None:
        super().__init__("recording", BASE, makedefault=True)
        self._events = events

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(name, flags, self._events)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self._events.append(Event("delete", filename))
        super().xDelete(filename, syncdir)


@contextmanager
def recorded() -> Iterator[list[Event]]:
    """Give the list to which everything that SQLite does in this process is added, meanwhile."""
    events: list[Event] = []
    vfs = _Recording(events)
    try:
        yield events
    finally:
        vfs.unregister()
        apsw.set_default_vfs(BASE)


def after_power_loss(
    before: dict[str, bytes], events: list[Event], random: random_module.Random
) -> dict[str, bytearray]:
    """Return the files as a disk may hold them that lost power after `events`, of which the last is torn.

    What was written since a file's last sync may be there, or not, or in part; a file may not yet be deleted.
    """
    synced = {event.path: number for number, event in enumerate(events) if event.kind == "sync"}
    files = {path: bytearray(content) for path, content in before.items()}
    for number, event in enumerate(events):
        is_last = number == len(events) - 1
        is_safe = number < synced.get(event.path, -1)
        if is_safe or random.random() < (0.5 if is_last else 0.8):
            _apply(files, event)
        elif event.kind == "write" and random.random() < 0.5:
            _apply(files, event._replace(data=event.data[: random.randrange(len(event.data))]))
    return files


def _apply(files: dict[str, bytearray], event: Event) -> None:
    if event.kind == "delete":
        files.pop(event.path, None)
    elif event.kind == "truncate":
        del files.setdefault(event.path, bytearray())[event.at :]
    elif event.kind == "write":
        content = files.setdefault(event.path, bytearray())
        content.extend(bytes(max(0, event.at - len(content))))
        content[event.at : event.at + len(event.data)] = event.data
