"""Functions that say how to draw series."""

import pytest

from tally.engine import Catalog
from tally.errors import InvalidQuestion
from tests.graphite.made import WEB, WEB_A, WEB_B, answered, first


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (f"alpha({WEB_A},0.5)", WEB_A, [1.0, 2.0, None, 4.0]),
        (f"color({WEB_A},'red')", WEB_A, [1.0, 2.0, None, 4.0]),
        (f"dashed({WEB_A})", f"dashed({WEB_A}, 5)", [1.0, 2.0, None, 4.0]),
        (f"drawAsInfinite({WEB_A})", f"drawAsInfinite({WEB_A})", [1.0, 2.0, None, 4.0]),
        (f"lineWidth({WEB_A},2)", WEB_A, [1.0, 2.0, None, 4.0]),
        (f"secondYAxis({WEB_A})", f"secondYAxis({WEB_A})", [1.0, 2.0, None, 4.0]),
        (f"stacked({WEB_A})", f"stacked({WEB_A})", [1.0, 2.0, None, 4.0]),
        (f"stacked({WEB_A},'some')", WEB_A, [1.0, 2.0, None, 4.0]),
        (f"limit(areaBetween(group({WEB_A},{WEB_B})),1)", f"areaBetween({WEB_B})", [1.0, 2.0, None, 4.0]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The series passes, under Graphite's name."""
    assert (name, expected) == first(answered(daily, target))


def test_stacks_add_up(daily: Catalog) -> None:
    """Each series is above those before it, also those of other calls for the same stack."""
    found = answered(daily, f"group(stacked({WEB}),stacked({WEB_A}),stacked({WEB_A},'other'))")
    tops = [[value if value is None else int(value) for value in each.values[:4]] for each in found]
    assert [[1, 2, None, 4], [6, None, 7, 12], [6, 2, 7, 21], [7, 4, None, 25], [1, 2, None, 4]] == tops


def test_an_area_is_between_two(daily: Catalog) -> None:
    """Other numbers of series have no area between them."""
    for target in (WEB_A, WEB, "daily.none.sum"):
        with pytest.raises(InvalidQuestion, match="exactly two"):
            answered(daily, f"areaBetween({target})")
