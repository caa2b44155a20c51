"""The table of functions."""

from tally.graphite.functions import FUNCTIONS

# Those that the project promises.
PROMISED = """
    constantLine alias aliasByNode aliasSub aliasByMetric sumSeries averageSeries minSeries maxSeries groupByNode scale
    offset absolute perSecond derivative nonNegativeDerivative integral summarize movingAverage movingSum keepLastValue
    transformNull consolidateBy asPercent divideSeries diffSeries timeShift highestMax highestAverage highestCurrent
    sortByMaxima limit exclude grep removeBelowValue removeAboveValue substr sum avg max min pct
"""


def test_all_promised_functions_exist() -> None:
    """The table contains the promised functions, and no others."""
    assert sorted(PROMISED.split()) == sorted(FUNCTIONS)


def test_functions_are_listed_by_name() -> None:
    """The key of a function is its name, and its description is a sentence."""
    assert all(name == function.name for name, function in FUNCTIONS.items())
    assert all(function.description.endswith(".") for function in FUNCTIONS.values())
