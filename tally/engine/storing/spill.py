"""Spill files: hold samples that could not be committed to an archive until they can be.

    TALLY_DATA_DIR/<slug>.spill

    tally spill 1
    <checksum> <id> <resolution> <samples> <batch>       one line per record

    checksum      8 hex digits: CRC-32 of the rest of the line, without the LF
    id            32 hex digits, random
    resolution    seconds in a bucket
    samples       number of samples in the cells
    batch         JSON: {"cells": {bucket: {name: [count, sum, min, max]}}}; with a fifth element {bin: count} if
                  the cell has a sketch; with "delivery": [key, digest, second] if
                  it had an idempotency key, and "selected": false if the archive's pattern is still to be applied

`append` adds a record at the end and syncs it to disk. If the process is killed before that, the last line has a wrong
checksum; its samples were never reported as saved. Readers and writers hold an exclusive `flock`. After waiting for the
lock they check that the file is still the one at its path.

`replay` commits each record exactly once, even if interrupted: the archive stores the record's id in the same
transaction, as an idempotency key that senders cannot use. When all records are committed, the file is removed and then
the ids are deleted.
"""

import fcntl
import json
import os
import secrets
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, FileIO
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

from tally.engine import glob
from tally.engine.archive import Archive
from tally.engine.files.temporary import sync_directory
from tally.engine.sketch import Cell, find_sketch
from tally.engine.storing.commit import Outcome, Rules
from tally.engine.storing.idempotency import SPILLED, Delivery
from tally.engine.storing.merging import Cells, count
from tally.errors import ArchiveUnavailable, SpillUnusable, TallyError

SUFFIX = ".spill"
HEADER = b"tally spill 1\n"
# A whole record is read into memory.
RECORD_CELLS = 10_000
LINE_MAX_BYTES = 64 * 2**20
# Limits the disk space that an archive takes if it stays broken.
SPILL_MAX_BYTES = 2**30
LOCK_S = 15.0

# Called with the number of earlier calls while the lock is held elsewhere: waits, or returns False to give up.
Wait = Callable[[int], bool]


class Batch(NamedTuple):
    """The content of a record: cells in buckets of `resolution` seconds, and their delivery, if any.

    `is_selected` is false if the archive's definition could not be read and its pattern was not applied.
    """

    cells: Cells
    resolution: int
    delivery: Delivery | None = None
    is_selected: bool = True


class Record(NamedTuple):
    """A record. If its checksum is wrong, `text` is None and `samples` is the number that the line seems to give."""

    key: str
    resolution: int
    samples: int
    text: bytes | None

    def batch(self) -> Batch:
        """Parse the text of a record whose checksum is right."""
        content = json.loads(self.text or b"")
        cells = {
            int(bucket): {name: _cell(cell) for name, cell in row.items()} for bucket, row in content["cells"].items()
        }
        key, digest, second = content.get("delivery") or ("", "", 0)
        delivery = Delivery(key, bytes.fromhex(digest), second) if key else None
        return Batch(cells, self.resolution, delivery, content.get("selected", True))


def _cell(fields: list[Any]) -> Cell:
    count, total, low, high, *sketches = fields
    return count, total, low, high, {int(each): samples for each, samples in sketches[0].items()} if sketches else None


class WaitingCounts(NamedTuple):
    """The number of samples in a spill file, and of lines with a wrong checksum."""

    samples: int
    broken: int


class Replayed(NamedTuple):
    """A replayed record: its number of samples, and their outcome, or None if it was broken and they are lost."""

    samples: int
    outcome: Outcome | None


def spill_path(path: Path) -> Path:
    """Return the path of the spill file of the archive at `path`."""
    return path.with_name(path.name.removesuffix(".db") + SUFFIX)


def append(path: Path, batch: Batch, *, wait: Wait | None = None) -> None:
    """Append `batch` durably to the spill file of the archive at `path`. On an error nothing is appended.

    :raises ArchiveUnavailable: when the file cannot be written, is full, or `wait` gives up waiting for the lock.
    """
    line = _line(batch)
    path = spill_path(path)
    with _translate_errors(path, "written"), _locked(path, wait, create=True) as file:
        assert file is not None
        _append(file, path, line)


def replay(archive: Archive, *, now: float, max_names: int = 0, wait: Wait | None = None) -> Iterator[Replayed]:
    """Commit the spilled records of an archive one by one, and yield each result; broken records come last.

    If the iterator is closed or an error is raised, the remaining records stay in the file. `now`, `max_names` and
    `wait` are as for `Archive.merge`.

    :raises SpillUnusable: when the file is no spill file; or, after all other records are committed, when the
        resolution of some records does not divide the archive's.
    :raises ArchiveUnavailable: when the file cannot be used now; and as `Archive.merge`.
    """
    path = spill_path(archive.path)
    keys: list[str] = []
    broken: list[int] = []
    misfits = 0
    with _translate_errors(path, "taken up"), _locked(path, wait) as file:
        if file is None:
            return
        definition = archive.definition()
        known = archive.replayed_keys()
        for record in _records(file, path):
            if record.text is None:
                broken.append(record.samples)
            elif definition.resolution % record.resolution:
                misfits += record.samples
            else:
                keys.append(record.key)
                if record.key not in known:
                    batch = record.batch()
                    cells = batch.cells if batch.is_selected else glob.select(batch.cells, definition.pattern)
                    delivery = Delivery(record.key, b"", int(now), batch.delivery)
                    outcome = archive.merge(cells, Rules(now, max_names), delivery=delivery, wait=wait)
                    yield Replayed(record.samples, outcome)
        if misfits:
            raise SpillUnusable(
                f"{path}: {misfits} samples stay in the file: their resolution does not divide the archive's current "
                f"{definition.resolution} s; move the file away, or restore the archive that they belong to"
            )
        path.unlink()
        sync_directory(path.parent)
    with suppress(TallyError):  # Ids that stay do no harm.
        archive.forget_keys(keys)
    yield from (Replayed(samples, None) for samples in broken)


def count_waiting(path: Path) -> WaitingCounts | None:
    """Count the samples in the spill file of the archive at `path`; None if there is no file.

    :raises ArchiveUnavailable: when it cannot be read.
    """
    path = spill_path(path)
    with _translate_errors(path, "read"):
        try:
            with path.open("rb", buffering=0) as file:
                records = list(map(_without_text, _records(file, path)))
        except FileNotFoundError:
            return None
    samples = sum(record.samples for record in records if record.key)
    return WaitingCounts(samples, sum(not record.key for record in records))


def delete(path: Path) -> None:
    """Remove the spill file of the archive at `path` and its samples, if there is one.

    :raises ArchiveUnavailable: when it cannot be removed.
    """
    path = spill_path(path)
    with _translate_errors(path, "deleted"), _locked(path, None) as file:
        if file is not None:
            path.unlink()
            sync_directory(path.parent)


def fingerprint(path: Path) -> tuple[int, ...] | None:
    """Return a value that changes when the spill file of the archive at `path` does; None if there is no file."""
    with suppress(OSError):
        status = spill_path(path).lstat()
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return None


def _without_text(record: Record) -> Record:
    return record._replace(text=None)


@contextmanager
def _translate_errors(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArchiveUnavailable(f"{path}: cannot be {what}: {error.strerror}") from error


def _append(file: FileIO, path: Path, line: bytes) -> None:
    if _has_header(file, path):
        end = file.seek(-1, os.SEEK_END) + 1
        line = (b"" if file.read(1) == b"\n" else b"\n") + line
    else:
        file.truncate(end := file.seek(0))
        line = HEADER + line
    if end + len(line) > SPILL_MAX_BYTES:
        raise ArchiveUnavailable(f"{path}: is full: {end >> 20} MiB of at most {SPILL_MAX_BYTES >> 20} MiB")
    try:
        rest = memoryview(line)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
        if not end:
            sync_directory(path.parent)
    except BaseException:
        file.truncate(end)
        if not end:
            path.unlink()
        raise


def _line(batch: Batch) -> bytes:
    content: dict[str, object] = {
        "cells": {
            bucket: {
                name: cell[:4] if cell[4] is None else (*cell[:4], find_sketch(cell)) for name, cell in row.items()
            }
            for bucket, row in batch.cells.items()
        }
    }
    if batch.delivery:
        content["delivery"] = [batch.delivery.key, batch.delivery.digest.hex(), batch.delivery.second]
    if not batch.is_selected:
        content["selected"] = False
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    line = f"{secrets.token_hex(16)} {batch.resolution} {count(batch.cells)} {text}".encode()
    return b"%08x %s\n" % (zlib.crc32(line), line)


def _read(line: bytes) -> Record:
    """Return the record in a line."""
    content = line[9:].removesuffix(b"\n")
    fields = content.split(b" ", 3)
    if line[:9] == b"%08x " % zlib.crc32(content) and len(fields) == 4:
        return Record(SPILLED + fields[0].decode(), int(fields[1]), int(fields[2]), fields[3])
    samples = fields[2] if len(fields) > 2 else b""
    return Record("", 1, int(samples) if samples.isdigit() and len(samples) < 10 else 0, None)


def _records(file: FileIO, path: Path) -> Iterator[Record]:
    if not _has_header(file, path):
        return
    reader = BufferedReader(file)
    try:
        while line := reader.readline(LINE_MAX_BYTES):
            if line != b"\n":
                yield _read(line)
    finally:
        reader.detach()


def _has_header(file: FileIO, path: Path) -> bool:
    """Return whether the file has its header, which is missing if the writer was killed after creating the file."""
    file.seek(0)
    header = file.read(len(HEADER)) or b""
    if HEADER.startswith(header):
        return header == HEADER
    raise SpillUnusable(f"{path}: is not a spill file of this version of tally; it is left unchanged")


def retry_for(limit_s: float = LOCK_S) -> Wait:
    """Return a Wait that gives up after `limit_s` seconds."""
    until = time.monotonic() + limit_s

    def wait(tries: int) -> bool:
        if time.monotonic() >= until:
            return False
        time.sleep(min(0.001 * (tries + 1), 0.05))
        return True

    return wait


@contextmanager
def _locked(path: Path, wait: Wait | None, *, create: bool = False) -> Iterator[FileIO | None]:
    """Open and lock the file at `path`. Yield None if it is missing and not to be created."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_CREAT if create else 0)
    while True:
        try:
            file = FileIO(os.open(path, flags, 0o600), "r+")
        except FileNotFoundError:
            if create:
                raise
            yield None
            return
        with file:
            if not S_ISREG(os.fstat(file.fileno()).st_mode):
                raise SpillUnusable(f"{path}: is not a spill file; it is left unchanged")
            _lock(file, path, wait or retry_for())
            try:
                if _is_at(file, path):
                    yield file
                    return
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)  # A child forked meanwhile holds the descriptor too.


def _lock(file: FileIO, path: Path, wait: Wait) -> None:
    tries = 0
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait(tries):
                raise ArchiveUnavailable(f"{path}: is locked by another process") from None
            tries += 1
        else:
            return


def _is_at(file: FileIO, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
