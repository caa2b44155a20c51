"""The table of functions."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tally.engine import Catalog
from tally.errors import InvalidQuestion
from tally.graphite.functions import FUNCTIONS
from tally.graphite.series import NAME_MAX, Series
from tests.graphite.made import WEB, WEB_A, answered

# Those of graphite-web 1.1.10.
PROMISED = """
    absolute add aggregate aggregateLine aggregateSeriesLists aggregateWithWildcards alias aliasByMetric
    aliasByNode aliasByTags aliasQuery aliasSub alpha applyByNode areaBetween asPercent averageAbove
    averageBelow averageOutsidePercentile averageSeries averageSeriesWithWildcards avg cactiStyle changed
    color compressPeriodicGaps consolidateBy constantLine countSeries cumulative currentAbove currentBelow
    dashed delay derivative diffSeries diffSeriesLists divideSeries divideSeriesLists drawAsInfinite events
    exclude exp exponentialMovingAverage fallbackSeries filterSeries grep group groupByNode groupByNodes
    groupByTags highest highestAverage highestCurrent highestMax hitcount holtWintersAberration
    holtWintersConfidenceArea holtWintersConfidenceBands holtWintersForecast identity integral
    integralByInterval interpolate invert isNonNull keepLastValue legendValue limit lineWidth linearRegression
    log logit lower lowest lowestAverage lowestCurrent map mapSeries maxSeries maximumAbove maximumBelow
    minMax minSeries minimumAbove minimumBelow mostDeviant movingAverage movingMax movingMedian movingMin
    movingSum movingWindow multiplySeries multiplySeriesLists multiplySeriesWithWildcards nPercentile
    nonNegativeDerivative offset offsetToZero pct perSecond percentileOfSeries pow powSeries randomWalk
    randomWalkFunction rangeOfSeries reduce reduceSeries removeAbovePercentile removeAboveValue
    removeBelowPercentile removeBelowValue removeBetweenPercentile removeEmptySeries round scale
    scaleToSeconds secondYAxis seriesByTag setXFilesFactor sigmoid sin sinFunction smartSummarize sortBy
    sortByMaxima sortByMinima sortByName sortByTotal squareRoot stacked stddevSeries stdev substr sum
    sumSeries sumSeriesLists sumSeriesWithWildcards summarize threshold time timeFunction timeShift timeSlice
    timeStack transformNull unique upper useSeriesAbove verticalLine weightedAverage xFilesFactor
"""


def test_all_promised_functions_exist() -> None:
    """All functions of Graphite are there; tally's own two are not listed."""
    assert sorted(PROMISED.split()) == sorted(name for name, function in FUNCTIONS.items() if function.listed)
    assert 154 == len(PROMISED.split())
    assert ["max", "min"] == sorted(name for name, function in FUNCTIONS.items() if not function.listed)


def test_functions_are_listed_by_name() -> None:
    """The key of a function is its name, and its description is a sentence."""
    assert all(name == function.name for name, function in FUNCTIONS.items())
    assert all(function.description.endswith(".") for function in FUNCTIONS.values())


ARGUMENTS = st.sampled_from(
    [WEB_A, WEB, "daily.none.sum", "0", "-1", "1e308", "0.5", "3", "9007199254740993", "inf", "true", "None", "''",
     "'sum'", "'1min'", "'1s'", "'1000y'", "'-1d'", "'now'", "'(.*)'", "'%d'", "'name=tagged'", "'>'", "'Ki'",
     "'weeks9'", "'UTC'", "sumSeries(daily.web.*.sum)", f"scale({WEB_A},1e308)", f"setXFilesFactor({WEB_A},2)",
     f"alias({WEB_A},'it)')", "constantLine(1)"]
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(FUNCTIONS)), st.lists(ARGUMENTS, max_size=5))
def test_bad_arguments_are_told(daily: Catalog, name: str, arguments: list[str]) -> None:
    """Whatever the arguments, a function answers series, or says what is wrong."""
    try:
        found: list[Series] = answered(daily, f"{name}({','.join(arguments)})")
    except InvalidQuestion:
        return
    assert all(each.step > 0 and len(each.name) <= NAME_MAX for each in found)


@pytest.mark.parametrize(
    "target",
    ["timeStack(" * 4 + "constantLine(1)" + ",'1s',0,1000)" * 4, "sin('x',1,0)", "time('x',-1)",
     f"aliasQuery({WEB_A},'a','b','%99999999d')", f"cactiStyle({WEB_A},'si','{'x' * 101}')",
     "timeStack(daily.none.sum,'1d',0,9000000000)",
     f"applyByNode({WEB_A},2,\"applyByNode({WEB_A},2,'applyByNode({WEB_A},2,%)')\")", "areaBetween(daily.web.*.sum)",
     "verticalLine('1d')", f"log({WEB_A},1)", f"nPercentile({WEB_A},0)", f"reduceSeries({WEB_A},'events',1,'web')",
     f"reduceSeries({WEB_A},'sumSeries',9,'web')", "template(daily.$1, daily.web)", "seriesByTag('archive=daily')",
     f"aggregateSeriesLists({WEB_A},{WEB},'sum')", "fallbackSeries()", f"filterSeries({WEB_A},'max','~',1)"],
)  # fmt: skip
def test_what_is_refused(target: str, daily: Catalog) -> None:
    """What would need too much, or means nothing, is an error with a sentence."""
    with pytest.raises(InvalidQuestion):
        answered(daily, target)
