"""Inserts rows in batches."""

from contextlib import closing

import apsw
import pytest

from tally.engine.storing.batch import BATCH_ROWS, FEWEST_ROWS, insert

MERGE = "INSERT INTO data VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value || excluded.value"


@pytest.fixture
def connection() -> apsw.Connection:
    """A database with a table that concatenates the values of equal keys."""
    made = apsw.Connection(":memory:")
    made.execute("CREATE TABLE data (key INTEGER PRIMARY KEY, value TEXT)").fetchall()
    return made


@pytest.mark.parametrize(
    "number",
    [0, 1, FEWEST_ROWS - 1, FEWEST_ROWS, FEWEST_ROWS // BATCH_ROWS * BATCH_ROWS + BATCH_ROWS, FEWEST_ROWS + BATCH_ROWS],
)
def test_every_row_is_inserted_once(connection: apsw.Connection, number: int) -> None:
    """Incomplete batches are inserted too, and rows with equal keys merge in order."""
    with closing(connection):
        insert(connection, MERGE, [(key, "a") for key in range(number)])
        insert(connection, MERGE, [(key // 2, "bc"[key % 2]) for key in range(2 * number)])
        found = connection.execute("SELECT * FROM data").fetchall()
    assert [(key, "abc") for key in range(number)] == found


@pytest.mark.parametrize(
    ("number", "steps"), [(FEWEST_ROWS - 1, FEWEST_ROWS - 1), (10 * FEWEST_ROWS, 10 * FEWEST_ROWS // BATCH_ROWS)]
)
def test_many_rows_take_few_steps(connection: apsw.Connection, number: int, steps: int) -> None:
    """From FEWEST_ROWS on, a step inserts BATCH_ROWS rows."""
    taken: list[int] = []
    with closing(connection):
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, lambda _event: taken.append(1))
        insert(connection, MERGE, [(key, "a") for key in range(number)])
    assert steps + number % BATCH_ROWS * (number >= FEWEST_ROWS) == len(taken)
