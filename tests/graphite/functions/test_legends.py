"""Functions that show aggregates of a series in its name."""

import pytest

from tally.engine import Catalog
from tests.graphite.made import WEB_A, answered, first


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (f"legendValue({WEB_A},'max','count')", f"{WEB_A} (max: 4.0) (count: 3)", [1.0, 2.0, None, 4.0]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))
