"""Files as they come: plain, compressed, or of another kind."""

import gzip
import io
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.cli.source import BLOCK_BYTES, Source, check, detect_format, open_source, size
from tally.engine import Catalog

TEXT = b"requests.get.index 0.25\n" * 20_000
GZIPPED = gzip.compress(TEXT, mtime=0)


class Parts(io.RawIOBase):
    """A file that gives its parts one by one."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = [part for part in parts if part]

    def read1(self, _size: int) -> bytes:
        return self.parts.pop(0) if self.parts else b""


def read(source: Source) -> Iterator[bytes]:
    """Yield all that a source gives."""
    while data := source.read1(BLOCK_BYTES):
        yield data


def cut(data: bytes, length: int) -> list[bytes]:
    """Return data in parts of a length."""
    return [data[at : at + length] for at in range(0, len(data), length)]


@pytest.mark.parametrize("length", [1, 3, 1000, 10**9])
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (TEXT[:2400], TEXT[:2400]),
        (b"a 1", b"a 1"),
        (b"", b""),
        (gzip.compress(TEXT[:2400], mtime=0), TEXT[:2400]),
        (gzip.compress(b"a 1\n", mtime=0) + gzip.compress(b"b 2", mtime=0), b"a 1\nb 2"),
        (gzip.compress(b"a 1\n", mtime=0) + bytes(10), b"a 1\n"),
        (gzip.compress(b"", mtime=0), b""),
        (b"\xef\xbb\xbfa 1", b"\xef\xbb\xbfa 1"),
        ("größe 1\n".encode() * 9, "größe 1\n".encode() * 9),
    ],
    ids=range(9),
)
def test_a_file_is_read_as_what_it_is(data: bytes, text: bytes, length: int) -> None:
    """Gzip is decompressed, whatever the file's name, and text is not. Progress counts the bytes of the file."""
    source = Source("x", Parts(*cut(data, length)))  # type: ignore[arg-type]
    assert text == b"".join(read(source))
    assert len(data) == source.bytes_read


def test_what_is_inflated_needs_no_memory() -> None:
    """A highly compressed file is read in blocks."""
    source = Source("x", Parts(gzip.compress(b"a 1\n" * 2**20, mtime=0)))  # type: ignore[arg-type]
    assert BLOCK_BYTES >= max(map(len, read(source)))


def test_what_has_come_is_not_kept_waiting() -> None:
    """A complete line is yielded before more is read."""
    parts = Parts(b"a 1\n", b"b 2\n")
    assert b"a 1\n" == Source("x", parts).read1(BLOCK_BYTES)  # type: ignore[arg-type]
    assert [b"b 2\n"] == parts.parts


@pytest.mark.parametrize("data", [GZIPPED[:-1], GZIPPED[:30], GZIPPED[:-8] + bytes(8), GZIPPED + b"more"])
def test_gzip_that_is_not_whole_is_told(data: bytes) -> None:
    """A truncated or damaged gzip file, or one with trailing data, is an error that names the file."""
    with pytest.raises(click.ClickException, match=r"x: cannot be decompressed"):
        list(read(Source("x", Parts(*cut(data, 100)))))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("a 1\n".encode("utf-16"), "UTF-16"),
        ("a 1\nbcd 2\nefg 3\n".encode("utf-16-le"), "UTF-16"),
        ("a 1\nbcd 2\nefg 3\n".encode("utf-16-be"), "UTF-16"),
        ("a 1\n".encode("utf-32"), "UTF-32"),
        (b"PK\x03\x04rest", "zip"),
        (b"BZh91AY&SYrest", "bzip2"),
        (b"\xfd7zXZ\0rest", "xz"),
        (b"\x28\xb5\x2f\xfdrest", "zstd"),
        (b"SQLite format 3\0rest", "SQLite"),
        (b"a 1\nb\0 1\n", "binary"),
        (random.Random(1).randbytes(4000), "binary"),
    ],
)
def test_what_is_no_text_is_refused_by_what_it_looks_like(tmp_path: Path, data: bytes, what: str) -> None:
    """A file that is not text is an error, plain or compressed."""
    path = tmp_path / "lines"
    for content, inside in ((data, ""), (gzip.compress(data, mtime=0), "its content ")):
        path.write_bytes(content)
        with pytest.raises(click.ClickException, match=rf"lines: {inside}looks like .*{what}"):
            check([str(path)])


def test_gzip_in_gzip_is_refused(tmp_path: Path) -> None:
    """Gzip within gzip is decompressed once."""
    (tmp_path / "x").write_bytes(gzip.compress(GZIPPED))
    with pytest.raises(click.ClickException, match="compressed by gzip twice"):
        check([str(tmp_path / "x")])


def test_an_archive_is_told_as_a_database(tmp_path: Path) -> None:
    """An archive instead of lines is an error that names it."""
    with pytest.raises(click.ClickException, match="SQLite database"):
        check([str(Catalog(tmp_path).create("daily").path)])


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_text_is_text(text: str) -> None:
    """UTF-8 without a NUL is always text."""
    assert detect_format(text.encode()) is None


def test_a_pipe_is_not_looked_at_before_it_is_read(tmp_path: Path) -> None:
    """A pipe is read once."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    check([str(path), "-"])
    writer = threading.Thread(target=path.write_bytes, args=(GZIPPED,))
    writer.start()
    with open_source(str(path)) as source:
        assert TEXT == b"".join(read(source))
    writer.join()


def test_the_size_is_known_of_regular_files_only(tmp_path: Path) -> None:
    """Progress has a percentage only if the size is known."""
    (tmp_path / "one").write_bytes(b"123")
    (tmp_path / "two").write_bytes(b"4567")
    assert 7 == size([str(tmp_path / "one"), str(tmp_path / "two")])
    assert 0 == size([str(tmp_path / "one"), "/dev/null"])
    assert 0 == size([])
