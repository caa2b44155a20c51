"""The expressions of columns; test_sql runs them."""

from collections.abc import Iterator

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally.engine.asking import digits
from tally.engine.asking.columns import (
    STORED,
    Cell,
    add_percentiles,
    express,
    find_needed,
    group,
    list_arguments,
    list_conditions,
    merge,
    read,
)
from tally.engine.asking.question import Question


@pytest.mark.parametrize(
    ("question", "needed"),
    [
        (Question("values", "avg"), ("count", "sum")),
        (Question("values", "max"), ("max",)),
        (Question("values", "p95"), ("min", "max", "bins")),
        (Question("values"), ("count", "sum", "min", "max")),
        (Question("values", percentiles=("p5",)), ("count", "sum", "min", "max", "bins")),
        (Question("histogram"), ("bins",)),
    ],
)
def test_only_what_is_needed_is_read(question: Question, needed: tuple[str, ...]) -> None:
    """Sketches are read for percentiles only."""
    assert needed == find_needed(question)


def test_sketches_are_read_by_key() -> None:
    """Each table has its sketches in a table with the same key. After the first merge they are a column."""
    assert "sum(count) AS count, merge_bins(bins) AS bins" == merge(("count", "bins"))
    own = "(SELECT bins FROM totals_sketches AS kept WHERE kept.bucket = totals.bucket)"
    assert f"max AS max, {own} AS bins" == read(("max", "bins"), "totals")
    assert "kept.block = blocks.block AND kept.id = blocks.id" in merge(("bins",), table="blocks")


def test_values_and_bounds() -> None:
    """A percentile is a column that is computed once; its name is quoted."""
    assert ["sum / count", "count", '"p99.9"', "json_quote(name)"] == list(
        map(express, ("avg", "count", "p99.9", "json_quote(name)"))
    )
    assert ['"p5" >= :low', '"p5" <= :high', '"p5" IS NOT NULL'] == list_conditions(
        Question("values", "p5", low=1, high=2)
    )
    assert [] == list_conditions(Question("values"))
    cell = Cell("", ("bucket", "count", "p5"), "")
    assert [False, False, True] == [argument.is_float for argument in list_arguments(cell)]


def test_percentiles_are_not_computed_again() -> None:
    """A question without them is unchanged. Others have a stage that SQLite does not merge with the next one."""
    assert "x" == add_percentiles(Question("values", "sum"), "x", "name")
    assert add_percentiles(Question("values", "p5"), "x", "name").endswith("LIMIT -1 OFFSET 0")


@pytest.fixture(scope="module")
def connection() -> Iterator[apsw.Connection]:
    """Give a connection to a database in memory, with the native core's functions if it is there."""
    made = apsw.Connection(":memory:")
    digits.register(made)
    made.execute("CREATE TABLE cells (bucket INTEGER, count NUMERIC, sum REAL, min REAL, max REAL)")
    yield made
    made.close()


# Sums of larger numbers are not exact. Counts are integers until there is another one.
counts = st.integers(1, 5) | st.integers(2**51, 2**53) | st.floats(0, 2**53)
floats = st.floats(allow_nan=False) | st.floats(-10, 10) | st.sampled_from([0.1, 1e16, -1e16, 1.0, -0.0])
rows = st.lists(st.tuples(st.integers(-3, 3) | st.sampled_from([2**62, -(2**62)]), counts, floats, floats, floats))


@given(rows)
@settings(max_examples=100, deadline=None)
def test_folding_merges_as_sqlite_does(connection: apsw.Connection, cells: list[tuple[float, ...]]) -> None:
    """Rows that are folded in memory have the numbers, types and order of those that SQLite groups."""
    connection.execute("DELETE FROM cells")
    connection.executemany("INSERT INTO cells VALUES (?, ?, ?, ?, ?)", cells)
    for columns in (*((name,) for name in STORED), ("count", "sum"), STORED):
        folded, grouped = (group("bucket", columns, "cells", is_folded=each) for each in (True, False))
        assert digits.IS_NATIVE == (folded != grouped)
        found, expected = (list(map(repr, connection.execute(f"{text} ORDER BY bucket"))) for text in (folded, grouped))
        assert expected == found


def test_sketches_are_not_folded() -> None:
    """Only SQLite's functions merge sketches."""
    assert group("id", ("min", "bins"), "cells", is_folded=True) == group("id", ("min", "bins"), "cells")


@pytest.mark.skipif(not digits.IS_NATIVE, reason="there is no native core")
def test_nothing_is_folded_into_nothing(connection: apsw.Connection) -> None:
    """Without rows there are no groups, and the table of groups needs its argument."""
    assert connection.execute("SELECT * FROM tally_groups((SELECT tally_fold_sum(1, 2) WHERE 0))").get is None
    with pytest.raises(apsw.SQLError):
        connection.execute("SELECT * FROM tally_groups")
