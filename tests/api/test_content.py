"""Bodies as they are sent and as they are read."""

import gzip
import tracemalloc

import pytest

from tally.api.content import check_lines, content
from tally.api.message import Request
from tally.api.problems import Problem

TEXT = b"requests.get.index 0.25\n" * 100
GZIPPED = gzip.compress(TEXT, mtime=0)  # Without the time, which would make another name of each test at each run.
LIMIT = len(TEXT)


def read(body: bytes, coding: str | None, limit: int = LIMIT) -> bytes:
    """Return what is read of a body."""
    headers = {} if coding is None else {"content-encoding": coding}
    return content(Request("POST", "/", headers=headers, body=body), limit)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (TEXT, None),
        (TEXT, ""),
        (TEXT, "identity"),
        (GZIPPED, "gzip"),
        (GZIPPED, " GZIP "),
        (GZIPPED, "x-gzip"),
        (gzip.compress(TEXT[:120], mtime=0) + gzip.compress(TEXT[120:], mtime=0), "gzip"),
    ],
)
def test_a_body_is_read_as_it_was_before(body: bytes, coding: str | None) -> None:
    """Plain or by gzip, in one member or several, it is the same."""
    assert TEXT == read(body, coding)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (TEXT, "gzip"),
        (GZIPPED[:-1], "end"),
        (GZIPPED[:20], "end"),
        (GZIPPED[:-8] + bytes(8), "CRC"),
        (GZIPPED[:10] + b"\xff" * 40, "invalid"),
        (GZIPPED + b"more", "gzip"),
    ],
)
def test_what_is_not_gzip_as_a_whole_is_refused(body: bytes, says: str) -> None:
    """A body that is cut short, damaged or something else is not read by half."""
    with pytest.raises(Problem, match=says) as raised:
        read(body, "gzip")
    assert 400 == raised.value.status


@pytest.mark.parametrize("coding", ["deflate", "br", "zstd", "gzip, gzip", "é"])
def test_other_codings_are_refused(coding: str) -> None:
    """The answer says what would be right."""
    with pytest.raises(Problem) as raised:
        read(TEXT, coding)
    assert (415, (("Accept-Encoding", "gzip"),)) == (raised.value.status, raised.value.headers)


@pytest.mark.parametrize(("body", "coding"), [(TEXT, None), (GZIPPED, "gzip")])
def test_the_size_is_bounded(body: bytes, coding: str | None) -> None:
    """The bound is for what is read, not for what is sent."""
    assert TEXT == read(body, coding, LIMIT)
    with pytest.raises(Problem, match=f"longer than {LIMIT - 1} bytes") as raised:
        read(body, coding, LIMIT - 1)
    assert 413 == raised.value.status


def test_a_bomb_is_not_inflated() -> None:
    """Of a body that would become very large no more is inflated than shows that."""
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(Problem, match="longer"):
            read(bomb, "gzip", 1_000_000)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 1_000_000 < peak_bytes < 5_000_000


def test_more_than_may_be_is_not_even_inflated() -> None:
    """What was cut off as it came is told as too long, not as damaged."""
    with pytest.raises(Problem, match="longer"):
        read(bytes(11), "gzip", 10)


@pytest.mark.parametrize(
    ("given", "is_right"), [(" Text/Plain ;x", True), ("", True), ("text", False), ("application/x-ndjson", False)]
)
def test_the_type_of_lines(given: str, is_right: bool) -> None:
    """Any text is right, whatever its parameters, and no type is."""
    request = Request("POST", "/", headers={"content-type": given})
    if is_right:
        check_lines(request)
        return
    with pytest.raises(Problem, match=f"{given}.*text/plain") as raised:
        check_lines(request)
    assert (415, (("Accept", "text/plain"),)) == (raised.value.status, raised.value.headers)
