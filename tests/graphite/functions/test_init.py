"""The table of functions."""

from tally.graphite.functions import FUNCTIONS

# Those that the project promises.
PROMISED = """
    constantLine alias aliasByNode aliasSub aliasByMetric sumSeries averageSeries minSeries maxSeries groupByNode scale
    offset absolute perSecond derivative nonNegativeDerivative integral summarize movingAverage movingSum keepLastValue
    transformNull consolidateBy asPercent divideSeries diffSeries timeShift highestMax highestAverage highestCurrent
    sortByMaxima limit exclude grep removeBelowValue removeAboveValue substr sum avg max min pct
"""


def test_all_that_is_promised_is_there() -> None:
    """And nothing else."""
    assert sorted(PROMISED.split()) == sorted(FUNCTIONS)


def test_names_are_keys() -> None:
    """A function is found under its own name, and says what it does in a sentence."""
    assert all(name == function.name for name, function in FUNCTIONS.items())
    assert all(function.description.endswith(".") for function in FUNCTIONS.values())
