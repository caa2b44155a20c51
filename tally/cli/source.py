"""Files of lines as they come: plain, or by gzip, which their first bytes tell, whatever they are called.

What is no text at all is refused by what it looks like, before a line of it is told as a bad one.
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
# No line is shorter, its end included, so nobody waits for more who has come with one.
LEAST_BYTES = 4
GZIP = b"\x1f\x8b"
# How `zlib` is asked for gzip.
_GZIP_BITS = 31
_ICONV = "text in UTF-{0}, and lines are UTF-8: convert it by iconv -f UTF-{0} -t UTF-8"
# By their first bytes, none of which text could begin with.
_LOOKS = (
    (re.compile(rb"SQLite format 3\0"), "an SQLite database, such as an archive of tally's"),
    (re.compile(rb"PK\x03\x04"), "a zip file: unpack it first"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "compressed by bzip2: unpack it first"),
    (re.compile(rb"\xfd7zXZ\0"), "compressed by xz: unpack it first"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "compressed by zstd: unpack it first"),
    (re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff"), _ICONV.format(32)),
    (re.compile(rb"\xff\xfe|\xfe\xff|(?:[^\0]\0){8}|(?:\0[^\0]){8}"), _ICONV.format(16)),
)


def look(head: bytes) -> str | None:
    """Return what the first bytes of a file look like when they are no text, else None."""
    for pattern, what in _LOOKS:
        if pattern.match(head):
            return what
    return "binary data" if b"\0" in head else None


class Source:
    """The bytes of a file, inflated where they are compressed by gzip; `taken` counts those of the file itself.

    :raises click.ClickException: here when they are no text, and while they are read when the gzip is not whole.
    """

    def __init__(self, path: str, file: IO[bytes]) -> None:
        self.taken = 0
        self._path = path
        self._read: Callable[[int], bytes] = getattr(file, "read1", file.read)
        self._head = b""
        while len(self._head) < LEAST_BYTES and (data := self._take()):
            self._head += data
        self._parts = self._inflated() if self._head.startswith(GZIP) else self._plain()
        self._first = next(self._parts, b"")
        self._check(self._first)

    def read1(self, _size: int) -> bytes:
        """Return as many bytes as there are now, BLOCK_BYTES at most; none at the end."""
        first, self._first = self._first, b""
        return first or next(self._parts, b"")

    def _take(self) -> bytes:
        data = self._read(BLOCK_BYTES)
        self.taken += len(data)
        return data

    def _plain(self) -> Iterator[bytes]:
        yield self._head
        while data := self._take():
            yield data

    def _inflated(self) -> Iterator[bytes]:
        """Yield what is in one gzip member after another; zeros at the end are padding."""
        data, member = self._head, zlib.decompressobj(_GZIP_BITS)
        try:
            while data or (data := self._take()):
                if member.eof:
                    data = data.lstrip(b"\0")
                    if not data:
                        continue
                    member = zlib.decompressobj(_GZIP_BITS)
                if part := member.decompress(data, BLOCK_BYTES):
                    yield part
                data = member.unused_data if member.eof else member.unconsumed_tail
        except zlib.error as error:
            raise click.ClickException(f"{self._path}: is not gzip as a whole: {error}") from None
        if not member.eof:
            raise click.ClickException(f"{self._path}: is not gzip as a whole: it is cut short")

    def _check(self, first: bytes) -> None:
        what = "compressed by gzip twice: unpack it first" if first.startswith(GZIP) else look(first[:HEAD_BYTES])
        if what:
            inside = "what is in it " if self._head.startswith(GZIP) else ""
            raise click.ClickException(f"{self._path}: {inside}looks like {what}")


@contextmanager
def opened(path: str) -> Iterator[Source]:
    """Open a file of lines, `-` is stdin.

    :raises click.ClickException: when it is no text, or stdin is closed.
    """
    if path == "-" and sys.stdin is None:
        raise click.FileError(path, "stdin is closed")
    with click.open_file(path, "rb") as file:
        yield Source(path, file)


def check(paths: Sequence[str]) -> None:
    """Look at all files that can be looked at twice, before the first line of any is taken; raises as `opened`."""
    for path in paths:
        if path != "-" and stat.S_ISREG(Path(path).stat().st_mode):
            with opened(path):
                pass


def size(paths: Sequence[str]) -> int:
    """Return the bytes in all files together, 0 when one of them is not a regular file, such as a pipe."""
    if "-" in paths and sys.stdin is None:
        return 0
    found = [os.fstat(0) if path == "-" else Path(path).stat() for path in paths]
    return sum(each.st_size for each in found) if all(stat.S_ISREG(each.st_mode) for each in found) else 0
