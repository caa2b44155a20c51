"""The expressions of columns; test_sql runs them."""

import pytest

from tally.engine.asking.columns import (
    Cell,
    add_percentiles,
    express,
    find_needed,
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
