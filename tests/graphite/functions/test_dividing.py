"""Functions that divide series by others: ratios, percentages and weighted means."""

import pytest

from tally.engine import Catalog
from tests.graphite.made import WEB_A, WEB_B, answered, first


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (f"divideSeriesLists({WEB_B},{WEB_A})", f"divideSeries({WEB_B},{WEB_A})", [5.0, None, None, 2.0]),
        (f"weightedAverage({WEB_A},{WEB_B})", f"weightedAverage({WEB_A}, {WEB_B}, )", [1.0, None, None, 4.0]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))
