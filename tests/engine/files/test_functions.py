"""The SQL functions on sketches."""

from collections.abc import Iterator

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.engine.files.functions import register
from tally.engine.sketch import coarsen, dump, make_sketch, merge_sketches

values = st.lists(st.floats(0.001, 1000) | st.just(0.0), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def connection() -> Iterator[apsw.Connection]:
    """A connection with the functions."""
    with apsw.Connection(":memory:") as connection:
        register(connection)
        connection.execute("CREATE TABLE cells (bucket, bins)")
        yield connection


def fill(connection: apsw.Connection, texts: list[str | None]) -> None:
    """Store sketches in buckets 0, 1, 2, ..."""
    connection.execute("DELETE FROM cells")
    connection.executemany("INSERT INTO cells VALUES (?, ?)", enumerate(texts))


def merged(cells: list[list[float]]) -> str:
    """Return the text of the merged sketches of cells."""
    return dump(merge_sketches(map(make_sketch, cells)))


@given(cells=st.lists(values, min_size=1, max_size=6), size=st.integers(1, 4))
def test_merge_bins(connection: apsw.Connection, cells: list[list[float]], size: int) -> None:
    """It merges the sketches of a group, and those of a moving window."""
    fill(connection, [dump(make_sketch(cell)) for cell in cells])
    assert merged(cells) == connection.execute("SELECT merge_bins(bins) FROM cells").get
    window = f"SELECT merge_bins(bins) OVER (ORDER BY bucket ROWS {size - 1} PRECEDING) FROM cells"
    expected = [merged(cells[max(0, end - size) : end]) for end in range(1, len(cells) + 1)]
    assert expected == [text for (text,) in connection.execute(window)]


def test_unknown_sketches(connection: apsw.Connection) -> None:
    """With an unknown sketch the merged one is unknown; an empty text is no cell."""
    known = dump(make_sketch([1.0]))
    cases: list[tuple[list[str | None], str | None]] = [([known, None], None), ([], None), ([known, ""], known)]
    for texts, expected in cases:
        fill(connection, texts)
        assert expected == connection.execute("SELECT merge_bins(bins) FROM cells").get
    fill(connection, [None, known, known])
    window = "SELECT merge_bins(bins) OVER (ORDER BY bucket ROWS 1 PRECEDING) FROM cells"
    assert [None, None, dump(make_sketch([1.0, 1.0]))] == [text for (text,) in connection.execute(window)]
    for call in ("join_bins(?, NULL)", "join_bins(NULL, ?)", "coarsen_bins(NULL, ?)", "percentile(NULL, ?, 0, 1, 2)"):
        assert connection.execute(f"SELECT {call}", ("50",)).get is None
    assert (None, None) == connection.execute("SELECT count_bins(NULL), histogram(NULL, 0, 60)").fetchone()


def test_scalars(connection: apsw.Connection) -> None:
    """Each function is that of the module `sketch`."""
    cell = [0.0, 1.0, 2.0, 4.0]
    text = dump(make_sketch(cell))
    assert merged([cell, cell]) == connection.execute("SELECT join_bins(?1, ?1)", (text,)).get
    assert dump(coarsen(make_sketch(cell), 2)) == connection.execute("SELECT coarsen_bins(?, 2)", (text,)).get
    assert 4 == connection.execute("SELECT count_bins(?)", (text,)).get
    found = connection.execute("SELECT percentile(?1, '75', 0, 0, 4), percentile(?1, '100', 0, 0, 4)", (text,))
    assert (pytest.approx(2.0, rel=0.01), 4) == found.fetchone()
    assert "[[0.0,0.0,1]," == connection.execute("SELECT histogram(?, 0, 60)", (text,)).get[:13]


def test_a_damaged_sketch_is_an_error_of_the_file(connection: apsw.Connection) -> None:
    """It is raised as SQLite raises damage, so that the archive is marked."""
    with pytest.raises(apsw.CorruptError):
        connection.execute("SELECT percentile('x', '50', 0, 1, 2)").fetchall()
