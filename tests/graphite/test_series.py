"""Series: consolidation that keeps totals, and aligning several series."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.errors import InvalidQuestion
from tally.graphite.budget import POINTS_MAX
from tally.graphite.series import NAME_MAX, Grid, Series
from tests.graphite.made import START, series

WHOLE = st.integers(-1000, 1000)
VALUES = st.lists(st.none() | WHOLE, min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("consolidation", "expected"),
    [("sum", [3.0, 7.0, 5.0]), ("average", [1.5, 3.5, 5.0]), ("min", [1.0, 3.0, 5.0]), ("max", [2.0, 4.0, 5.0]),
     ("first", [1.0, 3.0, 5.0]), ("last", [2.0, 4.0, 5.0])],
)  # fmt: skip
def test_consolidation_follows_the_aggregate(consolidation: str, expected: list[float]) -> None:
    """Each interval is aggregated by the series' own aggregate; the last interval may be shorter."""
    coarse = series(1.0, 2.0, 3.0, 4.0, 5.0, consolidation=consolidation).coarsen(20)
    assert (START, 20, expected) == (coarse.start, coarse.step, coarse.values)


def test_intervals_begin_at_multiples_of_the_step() -> None:
    """The same buckets are combined wherever a range begins, and none is dropped."""
    coarse = series(1.0, 2.0, 3.0, 4.0, start=START + 10, consolidation="sum").coarsen(20)
    assert (START, [1.0, 5.0, 4.0]) == (coarse.start, coarse.values)


def test_averages_are_weighted() -> None:
    """A consolidated average is the mean of all samples, and can be consolidated again."""
    fine = series(1.0, 5.0, None, 2.0, weights=[3, 1, 0, 4])
    coarse = fine.coarsen(20)
    assert ([2.0, 2.0], [4, 4]) == (coarse.values, coarse.weights)
    assert [2.0] == fine.coarsen(40).values == coarse.coarsen(40).values


@given(VALUES, st.integers(1, 70), st.integers(0, 7), st.sampled_from(["sum", "min", "max"]))
def test_totals_do_not_change_with_the_width(
    values: list[int | None], points_max: int, skipped: int, consolidation: str
) -> None:
    """At any width and start, the series has at most that many values, and the same total."""
    fine = series(*values, start=START + skipped * 10, consolidation=consolidation)
    fitted = fine.fit(points_max)
    assert len(fitted.values) <= max(1, points_max)
    assert fine.reduce(consolidation) == fitted.reduce(consolidation)
    assert fitted.start <= fine.start
    assert fine.end <= fitted.end


@given(VALUES.filter(any), st.integers(1, 70))
def test_weighted_means_do_not_change_with_the_width(values: list[int | None], points_max: int) -> None:
    """At any width, the mean over the range is the mean of all samples."""
    weights = [0 if value is None else 1 + index % 5 for index, value in enumerate(values)]
    fine = series(*values, weights=weights)
    fitted = fine.fit(points_max)
    if points_max > 1:
        assert sum(weights) == sum(fitted.weights or ())
    assert fine.reduce("average") == pytest.approx(fitted.reduce("average"))


def test_short_series_are_not_consolidated() -> None:
    """A series that fits is returned unchanged."""
    fine = series(1.0, 2.0)
    assert (fine, fine, fine) == (fine.fit(2), fine.fit(100), fine.coarsen(10))
    assert () == series().fit(1).values


def test_changes_make_new_series() -> None:
    """A new series has the new values and the new name."""
    fine = series(1.0, None, -3.0, weights=[1, 0, 1])
    mapped, changed = fine.map("abs", abs), fine.with_values("other", [7.0])
    assert ([1.0, None, 3.0], [1, 0, 1], "abs", "abs") == (
        mapped.values, mapped.weights, mapped.name, mapped.expression)  # fmt: skip
    assert ([7.0], None, "other") == (changed.values, changed.weights, changed.name)
    assert ("x", (1.0, None, -3.0)) == (fine.rename("x").expression, fine.rename("x").values)


def test_long_names_are_truncated() -> None:
    """A name longer than NAME_MAX is truncated."""
    assert NAME_MAX == len(series(name="a" * (NAME_MAX + 1)).name)


def test_a_grid_has_one_step_and_one_start() -> None:
    """Series with different steps and starts are consolidated to their least common step."""
    grid = Grid.of(
        [series(1.0, 2.0, 3.0, 4.0, consolidation="sum"), series(9.0, start=START + 20, step=20, consolidation="sum")]
    )
    assert (START, 20, [(3.0, None), (7.0, 9.0)], "sum") == (grid.start, grid.step, grid.rows, grid.consolidation)


def test_a_grid_of_different_consolidations_is_averaged() -> None:
    """Sums and maxima together are consolidated by the average."""
    assert "average" == Grid.of([series(1.0, consolidation="sum"), series(1.0, consolidation="max")]).consolidation


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([10, 20, 30]), VALUES), min_size=1, max_size=4))
def test_a_grid_keeps_totals(parts: list[tuple[int, int, list[int | None]]]) -> None:
    """The totals of the series do not change."""
    given = [
        series(*values, start=START + begin * step, step=step, consolidation="sum") for begin, step, values in parts
    ]
    rows = Grid.of(given).rows
    for index, each in enumerate(given):
        column = [row[index] for row in rows if row[index] is not None]
        assert (each.reduce("sum") or 0) == sum(column)  # type: ignore[arg-type]


def test_a_grid_is_limited() -> None:
    """Series that are far apart raise an error instead of being padded."""
    apart = [series(1.0), series(1.0, start=START + 10 * (POINTS_MAX // 2))]
    with pytest.raises(InvalidQuestion, match=str(POINTS_MAX)):
        _ = Grid.of(apart).rows


def test_steps_with_a_large_common_multiple() -> None:
    """Steps that are not multiples of each other give a long step, and few values."""
    grid = Grid.of([series(*[1.0] * 100, consolidation="sum"), Series("5", "5", START + 3, 4999, [5, 5, 5])])
    assert (math.lcm(10, 4999), 2) == (grid.step, len(grid.rows))
