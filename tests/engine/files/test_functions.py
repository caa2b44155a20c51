"""The SQL functions on sketches."""

from collections.abc import Iterator
from unittest.mock import patch

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally import native
from tally.engine.asking.sql import Bindings
from tally.engine.files.functions import register
from tally.engine.sketch import FRACTIONS, ORIGIN, coarsen, dump, make_sketch, merge_sketches

values = st.lists(st.floats(0.001, 1000) | st.just(0.0), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def connection() -> Iterator[apsw.Connection]:
    """A connection with the functions."""
    connection = apsw.Connection(":memory:")
    register(connection)
    connection.execute("CREATE TABLE cells (bucket, bins)")
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def pure() -> Iterator[apsw.Connection]:
    """A connection with the functions in Python."""
    connection = apsw.Connection(":memory:")
    with patch.object(native, "core", None):
        register(connection)
    connection.execute("CREATE TABLE cells (bucket, bins)")
    yield connection
    connection.close()


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


counts = st.integers(1, 10**15) | st.integers(FRACTIONS, 2**40).map(lambda parts: parts / FRACTIONS)
ODD = (None, "", "[3, 1]", "[3,1.0]")


@st.composite
def sketches(draw: st.DrawFn) -> tuple[list[str | None], int]:
    """Draw texts of sketches of one level, some of which are unknown, empty or written in another way."""
    level = draw(st.integers(0, 3))
    magnitudes = st.integers(-500, 500).map(lambda distance: (ORIGIN >> level) + distance)
    bins = st.just(0) | magnitudes | magnitudes.map(lambda number: -number)
    known = st.dictionaries(bins, counts, min_size=1, max_size=40).map(dump)
    return draw(st.lists(known | st.sampled_from(ODD), min_size=1, max_size=6)), level


percentiles = st.sampled_from(["0", "50", "95", "99.9", "99.999999", "100", "33.3"])
QUERIES = (
    "SELECT merge_bins(bins) FROM cells",
    "SELECT merge_bins(bins) OVER (ORDER BY bucket ROWS 1 PRECEDING) FROM cells",
    "SELECT merge_bins(bins) OVER (ORDER BY bucket ROWS 2 PRECEDING) FROM cells",
    "SELECT percentile(merge_bins(bins), :p, :level, -1e9, 1e9) FROM cells",
    "SELECT percentile(merge_bins(bins), :p, :level, 0.5, 0.75) FROM cells",
)


@settings(max_examples=300, deadline=None)
@given(drawn=sketches(), percentile=percentiles)
def test_the_native_core_has_the_same_results(
    connection: apsw.Connection, pure: apsw.Connection, drawn: tuple[list[str | None], int], percentile: str
) -> None:
    """Sketches are merged to the same text, and percentiles are equal to the last bit."""
    texts, level = drawn
    for each in (connection, pure):
        fill(each, texts)
    for query in QUERIES:
        bindings: Bindings = {"p": percentile, "level": level}
        assert pure.execute(query, bindings).fetchall() == connection.execute(query, bindings).fetchall()


INVALID = [
    "x",
    "[",
    "[]",
    "[1]",
    "[1,2",
    "[1,2,3]",
    "[1.5,2]",
    "[1,0]",
    "[1,-1]",
    "{}",
    "[1,2]x",
    '["1",2]',
    "[1,]",
    "1",
]


@pytest.mark.parametrize("text", INVALID)
def test_invalid_sketches_are_the_same_error(connection: apsw.Connection, pure: apsw.Connection, text: str) -> None:
    """Both raise it with the same text."""
    for query in ("SELECT percentile(?, '50', 0, 0, 1)", "SELECT merge_bins(column1) FROM (VALUES ('[1,1]'), (?))"):
        told = []
        for each in (connection, pure):
            with pytest.raises(apsw.CorruptError) as error:
                each.execute(query, (text,)).fetchall()
            told.append(str(error.value).removeprefix("CorruptError: "))
        assert told[0] == told[1]
