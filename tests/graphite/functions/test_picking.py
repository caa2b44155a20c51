"""Functions that keep or sort series by an aggregate of all their values."""

import pytest

from tally.engine import Catalog
from tests.graphite.made import WEB, WEB_A, answered, shown


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (f"averageAbove({WEB},3)", "b"),
        (f"averageBelow({WEB},3)", "a c10"),
        (f"currentAbove({WEB},8)", "c10"),
        (f"currentBelow({WEB},8)", "a b"),
        (f"filterSeries({WEB},'min','=',0)", "c10"),
        (f"filterSeries({WEB},'max','!=',9)", "a b"),
        (f"highest({WEB},1)", "b"),
        (f"lowest({WEB},2,'max')", "a b"),
        (f"lowestAverage({WEB},1)", "c10"),
        (f"lowestCurrent({WEB},1)", "a"),
        (f"maximumAbove({WEB},8)", "c10"),
        (f"maximumBelow({WEB},4)", "a"),
        (f"minimumAbove({WEB},1)", "b"),
        (f"minimumBelow({WEB},1)", "a c10"),
        (f"mostDeviant({WEB},1)", "c10"),
        (f"removeEmptySeries({WEB},0.4)", "c10"),
        (f"sortBy({WEB},'max')", "a b c10"),
        (f"sortBy({WEB},'max',true)", "c10 b a"),
        (f"sortByMinima({WEB})", "c10 a b"),
        (f"sortByName({WEB},reverse=true)", "c10 b a"),
        (f"sortByTotal({WEB})", "b c10 a"),
        (f"unique({WEB},{WEB_A})", "a b c10"),
    ],
)  # fmt: skip
def test_series_are_kept_and_sorted(target: str, expected: str, daily: Catalog) -> None:
    """These series remain, in this order."""
    assert expected == shown(answered(daily, target))
