"""Functions that make series from the window of the target, and no data."""

import pytest

from tally.engine import Catalog
from tests.graphite.made import WEB_A, answered, first


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (f"aggregateLine({WEB_A},'max',true)", f"aggregateLine({WEB_A}, 4)", [4.0, 4.0, 4.0, 4.0]),
        ("threshold(3,'most')", "most", [3.0, 3.0, 3.0]),
        ("verticalLine('1700000020')", "verticalLine", [1.0]),
        ("identity('t')", "t", [1699999999.0, 1700000059.0]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))
