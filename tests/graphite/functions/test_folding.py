"""Aggregates of moving windows."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.graphite.functions.folding import FOLDS, ROUNDED, SHORT, fold_windows
from tally.graphite.reducers import REDUCERS, reduce

WINDOWS = st.lists(st.none() | st.integers(-100, 100), min_size=1, max_size=30)


def test_all_reducers_are_there() -> None:
    """Each aggregate function can be computed for moving windows."""
    assert {*REDUCERS} == {*FOLDS, "median"}


@pytest.mark.parametrize("reducer", sorted(REDUCERS))
@given(values=WINDOWS, size=st.integers(1, 35))
def test_windows_equal_recomputed_ones(reducer: str, values: list[float | None], size: int) -> None:
    """For any size, each value is the aggregate of the values that its window has."""
    for index, (count, found) in enumerate(fold_windows(values, size, reducer)):
        known = [value for value in values[max(0, index - size + 1) : index + 1] if value is not None]
        expected = reduce(reducer, known)
        assert len(known) == count
        if expected is None or found is None:
            assert expected == found
        else:
            assert math.isclose(expected, found, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize("reducer", ROUNDED)
@pytest.mark.parametrize("size", [5, SHORT])
def test_short_windows_of_the_same_values_are_equal(reducer: str, size: int) -> None:
    """A window that gains and loses nothing keeps its sum to the last bit, wherever it is."""
    known = [88.9, 62.52, 46.65]
    windows = fold_windows([*[None] * size, *known, *[None] * size], size, reducer)
    found = [value for count, value in windows if count == len(known)]
    assert [reduce(reducer, known)] * (size - 2) == found


@pytest.mark.parametrize("size", [SHORT, SHORT + 1])
def test_windows_on_either_side_of_short(size: int) -> None:
    """Both ways to compute them have the same sums."""
    values: list[float | None] = [None if index % 7 == 3 else float(index * index % 101) for index in range(3 * SHORT)]
    found = [value for _, value in fold_windows(values, size, "sum")]
    assert found == [sum(filter(None, values[max(0, end - size) : end])) for end in range(1, len(values) + 1)]
