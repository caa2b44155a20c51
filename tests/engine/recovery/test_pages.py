"""Decodes pages as SQLite wrote them, and detects changes to their structure."""

import io
import random
import re
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine.recovery.pages import Pages, Row

ROWS: list[tuple[int | float | str | bytes | None, ...]] = [
    (-1, 0, 1, 127, 128, -129),
    (2**15, 2**23, -(2**31), 2**47, 2**62, -(2**63)),
    (None, 0.5, "é", b"x" * 300, "", b""),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a path for a database."""
    return tmp_path / "x.db"


def written(path: Path, *statements: str, page_size: int = 4096) -> apsw.Connection:
    """Return the connection to a new database after running statements."""
    connection = apsw.Connection(str(path))
    connection.pragma("page_size", page_size)
    connection.pragma("synchronous", "off")
    connection.pragma("journal_mode", "off")
    for statement in statements:
        connection.execute(statement).fetchall()
    return connection


def rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield all rows of a file but those of its first page, with their rowids."""
    with path.open("rb") as file:
        pages = Pages(file)
        for number in range(2, pages.count + 1):
            page = pages.page(number)
            for cell in page.cells if page else ():
                if cell.row:
                    yield cell.rowid, cell.row


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
@pytest.mark.parametrize("kind", ["", "WITHOUT ROWID"])
def test_every_row_is_read(path: Path, page_size: int, kind: str) -> None:
    """Numbers of each size, texts, blobs and NULL are read, on pages of each size and with overflow pages."""
    connection = written(path, f"CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c, d, e, f) {kind}", page_size=page_size)
    put = [(at, *row) for at, row in enumerate(ROWS * 200)] + [(10_000, "x" * 20_000, 1.0, 2.0, 3, 4, 5)]
    with connection:
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", put)
    connection.close()
    found = sorted((rowid if not kind else row[0], *row[1:]) for rowid, row in rows(path))
    assert put == found


def test_integers_in_real_columns(path: Path) -> None:
    """SQLite stores a whole number of a REAL column as an integer."""
    written(path, "CREATE TABLE t (a REAL)", "INSERT INTO t VALUES (3.0), (0.5)").close()
    assert [(1, (3,)), (2, (0.5,))] == list(rows(path))


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_structure_is_accounted_for(seed: int) -> None:
    """A changed byte in the structure of a page makes it not whole."""
    connection = apsw.Connection("")
    connection.execute("CREATE TABLE t (a, b)").fetchall()
    chance = random.Random(seed)
    put = [(each, each / 7) for each in range(chance.randrange(2, 100))]
    connection.executemany("INSERT INTO t VALUES (?, ?)", put)
    content = bytearray(connection.serialize("main"))
    cells = int.from_bytes(content[4096 + 3 : 4096 + 5])
    content[4096 + chance.choice([0, 3, 4, 5, 6, 7, *range(8, 8 + 2 * cells)])] ^= chance.randrange(1, 256)
    assert parsed(bytes(content)) is None


def parsed(content: bytes) -> object:
    """Return the parsed second page of a file."""
    return Pages(io.BytesIO(content)).page(2)


def test_a_wrong_page_size_in_the_header(path: Path) -> None:
    """The right page size is found."""
    connection = written(path, "CREATE TABLE t (a)", page_size=1024)
    connection.executemany("INSERT INTO t VALUES (?)", [(each,) for each in range(5000)])
    connection.close()
    content = path.read_bytes()
    for header in (bytes(100), b"\x20\x00" * 50):
        path.write_bytes(header + content[100:])
        with path.open("rb") as file:
            assert 1024 == Pages(file).size


@pytest.mark.parametrize("is_damaged", [False, True])
def test_free_pages(path: Path, is_damaged: bool) -> None:
    """The list of free pages is complete, or known to be incomplete."""
    connection = written(path, "CREATE TABLE t (a)")
    connection.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,) for _ in range(1000)])
    connection.execute("DELETE FROM t").fetchall()
    count, trunk = connection.pragma("freelist_count"), int.from_bytes(path.read_bytes()[32:36])
    connection.close()
    if is_damaged:
        with path.open("r+b") as file:
            file.seek((trunk - 1) * 4096)
            file.write(bytes(8))
    with path.open("rb") as file:
        free, is_known = Pages(file).free()
    assert (not is_damaged, not is_damaged) == (is_known, len(free) == count)


def test_traces(path: Path) -> None:
    """Records and their possible rowids are found anywhere on a page that is not whole."""
    written(path, "CREATE TABLE t (a, b)", "INSERT INTO t VALUES (NULL, 'abc'), (NULL, 'def')").close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(12))
    with path.open("rb") as file:
        pages = Pages(file)
        assert pages.page(2) is None
        found = list(pages.traces(2, re.compile(rb"(?=\x03\x00\x13)")))
    assert [([2], (None, "def")), ([1], (None, "abc"))] == found


def test_a_missing_page(path: Path) -> None:
    """There is no page after the end of a file."""
    written(path, "CREATE TABLE t (a)").close()
    with path.open("r+b") as file:
        file.truncate(4096 + 100)
        pages = Pages(file)
        assert (None, None, b"", b"") == (pages.page(2), pages.page(3), pages.content(0), pages.content(3))
