"""Spill files: samples that an archive could not take, kept beside it until it can.

    TALLY_DATA_DIR/<slug>.spill

    tally spill 1
    <checksum> <id> <resolution> <samples> <batch>       a line a record

    checksum      8 hex digits: CRC-32 of all that follows it in the line, without the LF
    id            32 hex digits, random
    resolution    seconds of the buckets
    samples       how many samples the cells are of
    batch         JSON: {"cells": {bucket: {name: [count, sum, min, max]}}}, beside it "delivery": [key, digest, second]
                  where it came under a key, and "selected": false where the archive's pattern is still to be applied

Records are only ever added at the end, each durable before `append` returns. A process that is killed meanwhile leaves
a line whose checksum is wrong, which nobody was told to be saved. Whoever reads or writes the file holds `flock` on it,
and so is alone with it: whoever has waited for the lock looks whether the file is still the one at that path.

`take_up` commits each record once, however often it is interrupted: the archive keeps the record's id in the same
transaction, as it does for deliveries, under a key that no sender can give. Once all records are committed the file is
removed, and then the ids are forgotten.
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
from typing import NamedTuple

from tally.engine import glob
from tally.engine.archive import Archive
from tally.engine.files.temporary import sync_directory
from tally.engine.storing.commit import Outcome, Rules
from tally.engine.storing.idempotency import SPILLED, Delivery
from tally.engine.storing.rollup import Cells, count
from tally.errors import ArchiveUnavailable, SpillUnusable, TallyError

SUFFIX = ".spill"
HEADER = b"tally spill 1\n"
# A record that is read is in memory as a whole.
RECORD_CELLS = 10_000
LINE_MAX_BYTES = 64 * 2**20
# What an archive that stays broken may take of the disk that the others are on.
SPILL_MAX_BYTES = 2**30
LOCK_S = 15.0

# Called with how often it was called before, while somebody else has a lock: it waits, or returns False to give up.
Wait = Callable[[int], bool]


class Batch(NamedTuple):
    """What a record holds: cells in buckets of `resolution` seconds, and the delivery that they came in, if any.

    Where the archive's definition could not be read, so that its pattern was not applied, `is_selected` is false.
    """

    cells: Cells
    resolution: int
    delivery: Delivery | None = None
    is_selected: bool = True


class Record(NamedTuple):
    """A record; without `text` its checksum is wrong, and `samples` are those that it seems to have been of."""

    key: str
    resolution: int
    samples: int
    text: bytes | None

    def batch(self) -> Batch:
        """Return what is in a record that has its text."""
        told = json.loads(self.text or b"")
        cells = {
            int(bucket): {name: tuple(cell) for name, cell in row.items()} for bucket, row in told["cells"].items()
        }
        key, digest, second = told.get("delivery") or ("", "", 0)
        delivery = Delivery(key, bytes.fromhex(digest), second) if key else None
        return Batch(cells, self.resolution, delivery, told.get("selected", True))


class Waiting(NamedTuple):
    """What waits in a spill file: samples, and how many of its lines have a wrong checksum."""

    samples: int
    broken: int


class Taken(NamedTuple):
    """What became of a record: the outcome of its `samples`, or None where it was broken and they are lost."""

    samples: int
    outcome: Outcome | None


def spill_path(path: Path) -> Path:
    """Return the path of the spill file of the archive at `path`."""
    return path.with_name(path.name.removesuffix(".db") + SUFFIX)


def append(path: Path, batch: Batch, *, wait: Wait | None = None) -> None:
    """Add a record of `batch` to the spill file of the archive at `path`: durable when this returns, else not in it.

    :raises ArchiveUnavailable: when it cannot be written, is full, or is locked for longer than `wait` waits.
    """
    line = _line(batch)
    path = spill_path(path)
    with _told(path, "written"), _locked(path, wait, create=True) as file:
        assert file is not None
        _append(file, path, line)


def take_up(archive: Archive, *, now: float, max_names: int = 0, wait: Wait | None = None) -> Iterator[Taken]:
    """Commit what was spilled for an archive, record by record, and yield what became of each.

    The rest is for another time where the iterator is closed, or an archive's error is raised. `now`, `max_names` and
    `wait` are as for `Archive.merge`. Broken records come last, when the file is removed.

    :raises SpillUnusable: when the file is none of tally's, or once all others are taken, has records that do not fit.
    :raises ArchiveUnavailable: when the file cannot be used now; and as `Archive.merge`.
    """
    path = spill_path(archive.path)
    keys: list[str] = []
    broken: list[int] = []
    misfits = 0
    with _told(path, "taken up"), _locked(path, wait) as file:
        if file is None:
            return
        definition = archive.definition()
        known = archive.taken_up()
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
                    yield Taken(record.samples, outcome)
        if misfits:
            raise SpillUnusable(
                f"{path}: {misfits} samples stay in it: their buckets do not make up those of {definition.resolution} "
                "s that the archive has now; move the file away, or restore the archive that they are of"
            )
        path.unlink()
        sync_directory(path.parent)
    with suppress(TallyError):  # They are in nobody's way.
        archive.forget(keys)
    yield from (Taken(samples, None) for samples in broken)


def waiting(path: Path) -> Waiting | None:
    """Return what waits in the spill file of the archive at `path`, None where there is none.

    :raises ArchiveUnavailable: when it cannot be read.
    """
    path = spill_path(path)
    with _told(path, "read"):
        try:
            with path.open("rb", buffering=0) as file:
                records = list(map(_without_text, _records(file, path)))
        except FileNotFoundError:
            return None
    samples = sum(record.samples for record in records if record.key)
    return Waiting(samples, sum(not record.key for record in records))


def delete(path: Path) -> None:
    """Remove the spill file of the archive at `path` with all that waits in it, if there is one.

    :raises ArchiveUnavailable: when it cannot be removed.
    """
    path = spill_path(path)
    with _told(path, "deleted"), _locked(path, None) as file:
        if file is not None:
            path.unlink()
            sync_directory(path.parent)


def identity(path: Path) -> tuple[int, ...] | None:
    """Return what is another one once the spill file of the archive at `path` has changed, None where there is none."""
    with suppress(OSError):
        status = spill_path(path).lstat()
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return None


def _without_text(record: Record) -> Record:
    return record._replace(text=None)


@contextmanager
def _told(path: Path, what: str) -> Iterator[None]:
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
        raise ArchiveUnavailable(f"{path}: is full: it has {end} bytes of at most {SPILL_MAX_BYTES}")
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
    told: dict[str, object] = {"cells": batch.cells}
    if batch.delivery:
        told["delivery"] = [batch.delivery.key, batch.delivery.digest.hex(), batch.delivery.second]
    if not batch.is_selected:
        told["selected"] = False
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    line = f"{secrets.token_hex(16)} {batch.resolution} {count(batch.cells)} {text}".encode()
    return b"%08x %s\n" % (zlib.crc32(line), line)


def _read(line: bytes) -> Record:
    """Return the record in a line."""
    told = line[9:].removesuffix(b"\n")
    fields = told.split(b" ", 3)
    if line[:9] == b"%08x " % zlib.crc32(told) and len(fields) == 4:
        return Record(SPILLED + fields[0].decode(), int(fields[1]), int(fields[2]), fields[3])
    seeming = fields[2] if len(fields) > 2 else b""
    return Record("", 1, int(seeming) if seeming.isdigit() and len(seeming) < 10 else 0, None)


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
    """Return whether a header stands in the file: not yet where it was only created, or its writer was killed."""
    file.seek(0)
    header = file.read(len(HEADER)) or b""
    if HEADER.startswith(header):
        return header == HEADER
    raise SpillUnusable(f"{path}: is no spill file that this tally knows: it is left alone")


def patience(limit_s: float = LOCK_S) -> Wait:
    """Return what waits for a lock for so many seconds."""
    until = time.monotonic() + limit_s

    def wait(tries: int) -> bool:
        if time.monotonic() >= until:
            return False
        time.sleep(min(0.001 * (tries + 1), 0.05))
        return True

    return wait


@contextmanager
def _locked(path: Path, wait: Wait | None, *, create: bool = False) -> Iterator[FileIO | None]:
    """Give the file at `path`, locked; None where there is none, unless it is to be made."""
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
                raise SpillUnusable(f"{path}: is no spill file: it is left alone")
            _lock(file, path, wait or patience())
            try:
                if _is_at(file, path):
                    yield file
                    return
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)  # A child that was forked meanwhile has the descriptor too.


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
