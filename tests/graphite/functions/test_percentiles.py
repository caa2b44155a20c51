"""Functions that need the percentiles of values: those of a series, or those of several series at one time."""

import pytest

from tally.engine import Catalog
from tests.graphite.made import WEB, WEB_A, answered, first, shown


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (f"nPercentile({WEB_A},50)", f"nPercentile({WEB_A}, 50)", [2.0, 2.0, 2.0, 2.0]),
        (f"percentileOfSeries({WEB},50)", f"percentileOfSeries({WEB},50)", [1.0, 2.0, 7.0, 8.0]),
        (f"percentileOfSeries({WEB},40,true)", f"percentileOfSeries({WEB},40)", [0.6, 0.4, 1.4, 6.4]),
        (f"removeAbovePercentile({WEB_A},50)", f"removeAbovePercentile({WEB_A}, 50)", [1.0, 2.0, None, None]),
        (f"removeBelowPercentile({WEB_A},50)", f"removeBelowPercentile({WEB_A}, 50)", [None, 2.0, None, 4.0]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (f"averageOutsidePercentile({WEB},60)", "a b c10"),
        (f"removeBetweenPercentile({WEB},50)", "a b c10"),
    ],
)  # fmt: skip
def test_series_are_kept_and_sorted(target: str, expected: str, daily: Catalog) -> None:
    """These series remain, in this order."""
    assert expected == shown(answered(daily, target))
