"""Functions that show other times, or only a part of the range."""

import pytest

from tally.engine import Catalog
from tests.graphite.made import WEB_A, answered, first


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (f"timeSlice({WEB_A},'1700000010','1700000030')", f"timeSlice({WEB_A}, 1700000010, 1700000030)",
         [None, 2.0, None, 4.0]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))
