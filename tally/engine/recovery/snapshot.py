"""Copies a damaged file byte by byte at one moment, and applies SQLite's write-ahead log to the copy.

    log:    header | frame | frame | …             https://www.sqlite.org/fileformat2.html#the_write_ahead_log
    header: magic, format, page size, sequence, salt (8 bytes), checksum (8 bytes)
    frame:  page number, pages of the file after a commit or 0, salt, checksum of all before it | the page

Like SQLite, it applies frames up to the last commit with a valid checksum. A later frame of the same log that ends a
commit shows that the log is damaged.
"""

import os
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import apsw

from tally.engine.files.connection import Opening
from tally.engine.files.temporary import beside
from tally.errors import ArchiveUnavailable, UnknownArchive

CHUNK_BYTES = 2**20
ATTEMPTS = 20
PAUSE_S = 0.05
_MAGIC = 0x377F0682  # Plus one if checksums are computed from big-endian numbers.
_HEADER_BYTES, _FRAME_BYTES = 32, 24

Checksum = tuple[int, int]


def take(source: Path, target: Path) -> bool:
    """Write a snapshot of the file at `source` and its log to `target`. Return whether the log is sound.

    :raises UnknownArchive: when there is no such file.
    :raises ArchiveUnavailable: when it cannot be read, or is written all the time.
    """
    real = Path(os.path.realpath(source))
    log = beside(target, "-log")
    try:
        for _ in range(ATTEMPTS):
            before = _state(real)
            _copy(real, target)
            _copy_log(beside(real, "-wal"), log)
            if before == _state(real):
                return _apply(log, target)
            time.sleep(PAUSE_S)
    except (FileNotFoundError, apsw.CantOpenError):
        raise UnknownArchive(f"there is no file {str(source)!r}, or it may not be read") from None
    except (OSError, apsw.Error) as error:
        raise ArchiveUnavailable(f"{source}: cannot be read: {error}") from error
    finally:
        log.unlink(missing_ok=True)
    raise ArchiveUnavailable(f"{source}: is written all the time: stop what writes it")


def _state(path: Path) -> list[object]:
    """Return a value that changes when the file or its log is written."""
    state: list[object] = []
    for each in (path, beside(path, "-wal")):
        if each == path or each.exists():
            status = each.stat()
            state += [status.st_ino, status.st_size, status.st_mtime_ns]
    return state


def _copy(source: Path, target: Path) -> None:
    """Copy a database through SQLite: closing a file opened in another way would drop this process's locks on it."""
    with Opening(), target.open("wb") as copy:
        file = apsw.VFSFile("", str(source), [apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_MAIN_DB, 0])
        try:
            size = file.xFileSize()
            for at in range(0, size, CHUNK_BYTES):
                copy.write(file.xRead(min(CHUNK_BYTES, size - at), at))
        finally:
            file.xClose()


def _copy_log(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        target.write_bytes(b"")


def _apply(log: Path, target: Path) -> bool:
    """Apply a log to a file up to the last valid commit. Return False if the log is damaged before its end."""
    with log.open("rb") as source, target.open("r+b") as file:
        header = source.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES:
            return not header
        magic, _, size, _, *checksum = struct.unpack(">IIII8xII", header)
        step = _summing("<" if magic == _MAGIC else ">")
        if magic not in (_MAGIC, _MAGIC + 1) or step((0, 0), header[:24]) != tuple(checksum) or not _is_size(size):
            return False
        return _apply_frames(source, file, header, step)


def _is_size(size: int) -> bool:
    return 512 <= size <= 2**16 and size & (size - 1) == 0


def _apply_frames(source: BinaryIO, file: BinaryIO, header: bytes, step: Callable[[Checksum, bytes], Checksum]) -> bool:
    size, salt = int.from_bytes(header[8:12]), header[16:24]
    checksum: Checksum = struct.unpack(">II", header[24:])
    pending: dict[int, int] = {}
    while len(frame := source.read(_FRAME_BYTES + size)) == _FRAME_BYTES + size:
        number, pages = struct.unpack_from(">II", frame)
        checksum = step(step(checksum, frame[:8]), frame[_FRAME_BYTES:])
        if frame[8:16] != salt or checksum != struct.unpack_from(">II", frame, 16):
            return not _commits_follow(source, frame, salt)
        pending[number] = source.tell() - size
        if pages:
            _commit(source, file, pending, size)
            file.truncate(pages * size)
            pending = {}
    return True


def _commit(source: BinaryIO, file: BinaryIO, pages: dict[int, int], size: int) -> None:
    behind = source.tell()
    for number, at in pages.items():
        source.seek(at)
        file.seek((number - 1) * size)
        file.write(source.read(size))
    source.seek(behind)


def _commits_follow(source: BinaryIO, frame: bytes, salt: bytes) -> bool:
    """Return whether an invalid frame, or one after it, belongs to this log and ends a commit."""
    size = len(frame)
    while len(frame) == size:
        if frame[8:16] == salt and frame[4:8] != bytes(4):
            return True
        frame = source.read(size)
    return False


def _summing(order: str) -> Callable[[Checksum, bytes], Checksum]:
    """Return a function that updates a checksum with numbers in byte order `order`."""

    def step(checksum: Checksum, content: bytes) -> Checksum:
        one, other = checksum
        numbers = struct.unpack(f"{order}{len(content) // 4}I", content)
        for first, second in zip(numbers[::2], numbers[1::2], strict=True):
            one = one + first + other & 0xFFFFFFFF
            other = other + second + one & 0xFFFFFFFF
        return one, other

    return step
