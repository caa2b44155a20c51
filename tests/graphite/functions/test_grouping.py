"""Functions that combine the series of each group: those with the same nodes, tags or beginning of their names."""

import pytest

from tally.engine import Catalog
from tests.graphite.made import WEB, WEB_A, answered, first


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (f"applyByNode({WEB_A},2,'scale(%.sum,2)','% twice')", "daily.web.a twice", [2.0, 4.0, None, 8.0]),
        (f"groupByNodes({WEB},'sum',0,1)", "daily.web", [6.0, 2.0, 7.0, 21.0]),
        (f"groupByNode({WEB},1,'countSeries')", "web", [3.0, 3.0, 3.0, 3.0]),
        (f"reduceSeries(mapSeries({WEB},1),'divideSeries',2,'b','a')", "daily.web.reduce.divideSeries",
         [5.0, None, None, 2.0]),
        (f"sumSeriesWithWildcards({WEB},2)", "daily.web.sum", [6.0, 2.0, 7.0, 21.0]),
        ("groupByTags(seriesByTag('name=tagged','archive=daily','env=prod','aggregate=sum'),'sum','env')",
         "tagged;env=prod", [3.0, None, None, None]),
    ],
)  # fmt: skip
def test_values_and_names(target: str, name: str, expected: list[float | None], daily: Catalog) -> None:
    """The only series has this name, and these values first."""
    assert (name, expected) == first(answered(daily, target))
