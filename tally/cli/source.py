"""Reads files of lines, plain or compressed with gzip, which is detected by the first bytes.

A file in another format is refused before any of its lines is reported as invalid.
"""

import os
import re
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

BLOCK_BYTES = 65_536
HEAD_BYTES = 4096
# The shortest line with its LF, so that one line is enough to start.
LEAST_BYTES = 4
GZIP = b"\x1f\x8b"
# Selects gzip in `zlib`.
_GZIP_BITS = 31
_ICONV = "text in UTF-{0}: convert it to UTF-8 with iconv -f UTF-{0} -t UTF-8"
# First bytes that text cannot begin with.
_FORMATS = (
    (re.compile(rb"SQLite format 3\0"), "an SQLite database, such as an archive of tally's"),
    (re.compile(rb"PK\x03\x04"), "a zip file: unpack it first"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "compressed by bzip2: unpack it first"),
    (re.compile(rb"\xfd7zXZ\0"), "compressed by xz: unpack it first"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "compressed by zstd: unpack it first"),
    (re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff"), _ICONV.format(32)),
    (re.compile(rb"\xff\xfe|\xfe\xff|(?:[^\0]\0){8}|(?:\0[^\0]){8}"), _ICONV.format(16)),
)


def detect_format(head: bytes) -> str | None:
    """Return the format of a file that is not text, by its first bytes, or None."""
    for pattern, what in _FORMATS:
        if pattern.match(head):
            return what
    return "binary data" if b"\0" in head else None


class Source:
    """The content of a file, decompressed if it is gzip; `bytes_read` counts the bytes of the file itself.

    :raises click.ClickException: when it is not text, or, while reading, when the gzip data is damaged or incomplete.
    """

    def __init__(self, path: str, file: IO[bytes]) -> None:
        self.bytes_read = 0
        self._path = path
        self._read: Callable[[int], bytes] = getattr(file, "read1", file.read)
        self._head = b""
        while len(self._head) < LEAST_BYTES and (data := self._read_block()):
            self._head += data
        self._parts = self._decompress() if self._head.startswith(GZIP) else self._read_plain()
        self._first = next(self._parts, b"")
        self._check(self._first)

    def read1(self, _size: int) -> bytes:
        """Return the available bytes, at most BLOCK_BYTES; none at the end."""
        first, self._first = self._first, b""
        return first or next(self._parts, b"")

    def _read_block(self) -> bytes:
        data = self._read(BLOCK_BYTES)
        self.bytes_read += len(data)
        return data

    def _read_plain(self) -> Iterator[bytes]:
        yield self._head
        while data := self._read_block():
            yield data

    def _decompress(self) -> Iterator[bytes]:
        """Yield the content of each gzip member. Zeros after the last one are padding."""
        data, member = self._head, zlib.decompressobj(_GZIP_BITS)
        try:
            while data or (data := self._read_block()):
                if member.eof:
                    data = data.lstrip(b"\0")
                    if not data:
                        continue
                    member = zlib.decompressobj(_GZIP_BITS)
                if part := member.decompress(data, BLOCK_BYTES):
                    yield part
                data = member.unused_data if member.eof else member.unconsumed_tail
        except zlib.error as error:
            raise click.ClickException(f"{self._path}: cannot be decompressed: {error}") from None
        if not member.eof:
            raise click.ClickException(f"{self._path}: cannot be decompressed: the file is incomplete")

    def _check(self, first: bytes) -> None:
        what = (
            "compressed by gzip twice: unpack it first" if first.startswith(GZIP) else detect_format(first[:HEAD_BYTES])
        )
        if what:
            inside = "its content " if self._head.startswith(GZIP) else ""
            raise click.ClickException(f"{self._path}: {inside}looks like {what}")


@contextmanager
def open_source(path: str) -> Iterator[Source]:
    """Open a file of lines, `-` is stdin.

    :raises click.ClickException: when it is not text, or stdin is closed.
    """
    if path == "-" and sys.stdin is None:
        raise click.FileError(path, "stdin is closed")
    with click.open_file(path, "rb") as file:
        yield Source(path, file)


def check(paths: Sequence[str]) -> None:
    """Check all regular files before the first line is read. Raises as `open_source`, and when one is a directory."""
    for path in paths:
        if Path(path).is_dir():
            raise click.FileError(path, "is a directory")
        if path != "-" and stat.S_ISREG(Path(path).stat().st_mode):
            with open_source(path):
                pass


def size(paths: Sequence[str]) -> int:
    """Return the total size of all files in bytes, or 0 if one is not a regular file, such as a pipe."""
    if "-" in paths and sys.stdin is None:
        return 0
    found = [os.fstat(0) if path == "-" else Path(path).stat() for path in paths]
    return sum(each.st_size for each in found) if all(stat.S_ISREG(each.st_mode) for each in found) else 0
