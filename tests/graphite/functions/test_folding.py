"""Aggregates of moving windows."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.graphite.functions.folding import FOLDS, fold_windows
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
