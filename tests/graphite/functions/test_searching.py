"""Functions that find series by their tags, and events."""

import pytest

from tally.engine import Catalog
from tests.graphite.made import answered, first


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        ("seriesByTag('env=dev','archive=daily','aggregate=sum')", "tagged;env=dev;host=1", [4.0, None, None, None]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))
