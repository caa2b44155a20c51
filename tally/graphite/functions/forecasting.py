"""Forecasts: Holt-Winters' seasonal smoothing, and linear regression.

Both need few lines, and answer as Graphite does. The libraries for them need numpy, which is larger than tally.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from tally.graphite.attime import parse_span, parse_time
from tally.graphite.functions.drawing import area_between
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Context, Function, Parameter
from tally.graphite.series import Series, Value

# How fast the level, the trend and the seasons follow the values.
ALPHA, BETA, GAMMA = 0.1, 0.0035, 0.1


class Forecast(NamedTuple):
    """What was expected of each value of a series, and how much values deviated a season ago."""

    series: Series
    expected: list[Value]
    deviations: list[float]


def forecast(context: Context, _series: None, bootstrap: str, seasonality: str) -> list[Series]:
    """Return what is expected of each value after those before it."""
    return [
        each.series.with_values(f"holtWintersForecast({each.series.name})", each.expected)
        for each in _forecast(context, bootstrap, seasonality)
    ]


def bands(context: Context, _series: None, delta: int, *spans: str) -> list[Series]:
    """Return a lower and an upper bound of what is expected, `delta` deviations away."""
    found = []
    for series, expected, deviations in _forecast(context, *spans):
        for side, factor in (("Lower", -delta), ("Upper", delta)):
            pairs = zip(expected, deviations, strict=True)
            values = [None if value is None else value + factor * deviation for value, deviation in pairs]
            band = series.with_values(f"holtWintersConfidence{side}({series.name})", values)
            found.append(replace(band, expression=series.expression))
    return found


def area(context: Context, _series: None, delta: int, *spans: str) -> list[Series]:
    """Return the bounds of one series under a common name."""
    found = area_between(bands(context, None, delta, *spans))
    return [each.rename(each.name.replace("areaBetween", "holtWintersConfidenceArea")) for each in found]


def aberration(context: Context, _series: None, delta: int, *spans: str) -> list[Series]:
    """Return by how much each value is above or below the bounds."""
    both = bands(context, None, delta, *spans)
    bounds = {each.name: (each, upper) for each, upper in zip(both[::2], both[1::2], strict=True)}
    found = []
    for each in context.series:
        values: Sequence[Value] = [0.0] * len(each.values)
        if pair := bounds.get(f"holtWintersConfidenceLower({each.name})"):
            values = [_outside(each, index, *pair) for index in range(len(each.values))]
        found.append(each.with_values(f"holtWintersAberration({each.name})", values))
    return found


def _outside(series: Series, index: int, lower: Series, upper: Series) -> float:
    value, at = series.values[index], index + (series.start - lower.start) // series.step
    if value is None or not 0 <= at < len(lower.values):
        return 0.0
    low, high = lower.values[at], upper.values[at]
    if high is not None and value > high:
        return value - high
    return value - low if low is not None and value < low else 0.0


def _forecast(context: Context, bootstrap: str, seasonality: str) -> list[Forecast]:
    """Return the forecasts of the series, learned from those values too that are up to `bootstrap` before the range."""
    window, found = context.window, []
    for each in context.fetch(window.extend(parse_span(bootstrap))):
        skipped = max(0, (window.first(each.step) - each.start) // each.step)
        expected, deviations = _smooth(each.values, parse_span(seasonality) // each.step)
        series = replace(each, start=each.start + skipped * each.step, values=each.values[skipped:], weights=None)
        found.append(Forecast(series, expected[skipped:], deviations[skipped:]))
    return found


def _smooth(values: Sequence[Value], season: int) -> tuple[list[Value], list[float]]:
    """Return what is expected of each value, and the smoothed deviation of those a season apart.

    This is Brutlag's variant of Holt and Winters' method (LISA 2000). After a missing value, the level begins again.
    """
    level: Value = None
    trend, following = 0.0, None
    seasons, deviations, expected = list[float](), list[float](), list[Value]()
    for index, value in enumerate(values):
        expected.append(value if index == 0 else following)
        if value is None:
            level, trend, following = None, 0.0, None
            seasons.append(0.0)
            deviations.append(0.0)
            continue
        before, usual = (each[index - season] if 0 < season <= index else 0.0 for each in (seasons, deviations))
        last = value if level is None else level
        level = ALPHA * (value - before) + (1 - ALPHA) * (last + trend)
        trend = BETA * (level - last) + (1 - BETA) * trend
        seasons.append(GAMMA * (value - level) + (1 - GAMMA) * before)
        deviations.append(GAMMA * abs(value - (expected[-1] or 0)) + (1 - GAMMA) * usual)
        following = level + trend + (seasons[index + 1 - season] if 0 < season <= index + 1 else 0.0)
    return expected, deviations


def regression(context: Context, _series: None, start: str | None, end: str | None) -> list[Series]:
    """Return the line of least squares through the values between two times, by default through those of the range."""
    window = context.window
    begin = window.start if start is None else parse_time(start, window.now, zone=window.zone)
    until = window.end if end is None else parse_time(end, window.now, zone=window.zone)
    source = context.fetch(replace(window.begin_at(begin), end=until))
    found = []
    for each, given in zip(context.series, source, strict=False):
        if (line := _fit(given)) is not None:
            values = [line(time) for time in range(each.start, each.end, each.step)]
            found.append(each.with_values(f"linearRegression({each.name}, {int(begin)}, {int(until)})", values))
    return found


class _Line(NamedTuple):
    """A line through a point, which is the mean of those that it fits."""

    time: float
    value: float
    slope: float

    def __call__(self, time: float) -> float:
        return self.value + (time - self.time) * self.slope


def _fit(series: Series) -> _Line | None:
    """Return the line of least squares through at least two values."""
    times = range(series.start, series.end, series.step)
    points = [(time, value) for time, value in zip(times, series.values, strict=True) if value is not None]
    if len(points) < 2:
        return None
    middle, mean = (sum(each) / len(points) for each in zip(*points, strict=True))
    spread = sum((time - middle) ** 2 for time, _ in points)
    return _Line(middle, mean, sum((time - middle) * (value - mean) for time, value in points) / spread)


_DELTA = Parameter("delta", "integer", required=False, default=3)
_SPANS = (
    Parameter("bootstrapInterval", "interval", required=False, default="7d", suggestions=("7d", "30d")),
    Parameter("seasonality", "interval", required=False, default="1d", suggestions=("1d", "7d")),
)
FUNCTIONS = (
    Function("holtWintersForecast", "Calculate", "Returns what is expected of each value, by Holt and Winters' method.",
             (SERIES_LIST, *_SPANS), forecast, takes_context=True),
    Function("holtWintersConfidenceBands", "Calculate", "Returns bounds of what is expected.",
             (SERIES_LIST, _DELTA, *_SPANS), bands, takes_context=True),
    Function("holtWintersConfidenceArea", "Calculate", "Returns bounds of what is expected under a common name.",
             (SERIES_LIST, _DELTA, *_SPANS), area, takes_context=True),
    Function("holtWintersAberration", "Calculate", "Returns by how much each value is out of these bounds.",
             (SERIES_LIST, _DELTA, *_SPANS), aberration, takes_context=True),
    Function("linearRegression", "Calculate", "Returns the line of least squares.",
             (SERIES_LIST, Parameter("startSourceAt", "date", required=False),
              Parameter("endSourceAt", "date", required=False)), regression, takes_context=True),
)  # fmt: skip
