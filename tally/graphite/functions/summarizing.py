"""Functions that aggregate the values of intervals."""

import math
from dataclasses import replace
from datetime import datetime, timedelta

from tally.errors import InvalidQuestion
from tally.graphite.attime import UNITS_S, parse_span
from tally.graphite.budget import check_points
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Context, Function, Parameter
from tally.graphite.reducers import resolve_name
from tally.graphite.series import Series, Value
from tally.graphite.source import Window


def summarize(series: list[Series], interval: str, function: str, align_to_from: bool) -> list[Series]:
    """Aggregate the values of each interval into one."""
    seconds, reducer = parse_span(interval), resolve_name(function)
    suffix = ", true" if align_to_from else ""
    check_points(sum(each.end - each.start for each in series) // seconds + 2 * len(series))
    found = []
    for each in series:
        start = each.start if align_to_from else each.start - each.start % seconds
        end = each.end if align_to_from else each.end - each.end % seconds + seconds
        summary = _summarized(each, reducer, range(start, end, seconds))
        found.append(summary.rename(f'summarize({each.name}, "{interval}", "{function}"{suffix})'))
    return found


def smart_summarize(
    context: Context, _series: None, interval: str, function: str, align_to: str | bool | None
) -> list[Series]:
    """Aggregate the values of each interval since the start of the window, or since the start of its hour, day, ….

    `align_to` is the unit at whose start the window begins; weeks may end with a weekday from 1, Monday, to 7.
    """
    seconds, reducer = parse_span(interval), resolve_name(function)
    window = context.window
    is_unit = isinstance(align_to, str) and align_to.lower() not in ("true", "false")
    series = context.fetch(window.begin_at(align(window, str(align_to)))) if is_unit else context.series
    check_points(sum(each.end - each.start for each in series) // seconds + 2 * len(series))
    return [
        _summarized(each, reducer, range(each.start, each.end, seconds)).rename(
            f'smartSummarize({each.name}, "{interval}", "{function}")'
        )
        for each in series
    ]


def align(window: Window, unit: str) -> float:
    """Return the start of the unit of time, in the zone of the window, in which the window starts.

    :raises InvalidQuestion: when the unit is unknown.
    """
    start = datetime.fromtimestamp(window.start, window.zone)
    word = next((word for word, _ in UNITS_S if unit.startswith(word)), None)
    day = start.replace(hour=0, minute=0, second=0, microsecond=0)
    weekday = int(unit[-1]) if unit[-1:].isdecimal() else 1
    starts = {
        "s": start.replace(microsecond=0),
        "min": start.replace(second=0, microsecond=0),
        "h": start.replace(minute=0, second=0, microsecond=0),
        "d": day,
        "w": day - timedelta(days=(start.isoweekday() - weekday) % 7),
        "mon": day.replace(day=1),
        "y": day.replace(month=1, day=1),
    }
    if word is None or not 1 <= weekday <= 7:
        raise InvalidQuestion(f"{unit!r:.100} is not a unit of time: use seconds, minutes, hours, days, weeks or years")
    return starts[word].timestamp()


def hitcount(context: Context, _series: None, interval: str, align_to_interval: bool) -> list[Series]:
    """Return how many hits each interval has, if values are hits a second."""
    seconds, window = parse_span(interval), context.window
    unit = next((unit for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)) if seconds >= size), "s")
    series = context.fetch(window.begin_at(align(window, unit))) if align_to_interval else context.series
    suffix = ", true" if align_to_interval else ""
    check_points(sum(each.end - each.start for each in series) // seconds + 2 * len(series))
    found = []
    for each in series:
        end = each.start + (each.end - each.start) // seconds * seconds + seconds if align_to_interval else each.end
        start = end - -(-(end - each.start) // seconds) * seconds
        hits = each.with_values(
            f'hitcount({each.name}, "{interval}"{suffix})', _count(each, range(start, end, seconds))
        )
        found.append(replace(hits, start=start, step=seconds, consolidation="sum"))
    return found


def _count(series: Series, intervals: range) -> list[Value]:
    """Return the hits of each interval: a value counts for each second of its step, in the interval of that second."""
    found: list[Value] = [None] * len(intervals)
    for index, value in enumerate(series.values):
        begin = series.start + index * series.step - intervals.start
        end = min(begin + series.step, len(intervals) * intervals.step)
        while value is not None and begin < end:
            at = begin // intervals.step
            until = min(end, (at + 1) * intervals.step)
            if at >= 0:
                found[at] = (found[at] or 0) + value * (until - begin)
            begin = until
    return found


def integral_by_interval(context: Context, _series: None, interval: str) -> list[Series]:
    """Return the running total of the values, which starts again with each interval since the start of the window."""
    seconds, since = parse_span(interval), int(context.window.start)
    found = []
    for each in context.series:
        total, values = 0.0, list[Value]()
        for index, value in enumerate(each.values):
            time = each.start + index * each.step - since
            if time // seconds != (time - each.step) // seconds:
                total = 0.0
            total += value or 0.0
            values.append(total)
        changed = each.with_values(f"integralByInterval({each.name},'{interval}')", values)
        found.append(replace(changed, consolidation="last"))
    return found


def _summarized(series: Series, reducer: str, intervals: range) -> Series:
    values = [_reduce_between(series, reducer, begin, begin + intervals.step) for begin in intervals]
    return replace(
        series,
        start=intervals.start,
        step=intervals.step,
        values=values,
        weights=None,
        consolidation=_consolidation(reducer),
    )


def _reduce_between(series: Series, reducer: str, begin: int, end: int) -> Value:
    """Aggregate the values from the time `begin` to before `end`."""
    first, last = (max(0, math.ceil((time - series.start) / series.step)) for time in (begin, end))
    if not series.has_enough((end - begin) / series.step, begin=first, end=last):
        return None
    return series.reduce(reducer, begin=first, end=last)


def _consolidation(reducer: str) -> str:
    """Return how to consolidate values that a reducer returned: by the same reducer, if that is right for parts."""
    return reducer if reducer in ("sum", "min", "max", "first", "last") else "sum" if reducer == "count" else "average"


_INTERVAL = Parameter("intervalString", "interval", suggestions=("10min", "1h", "1d"))
_FUNC = Parameter("func", "aggFunc", required=False, default="sum")
_UNITS = (None, "years", "months", "weeks", "days", "hours", "minutes", "seconds", True, False)
FUNCTIONS = (
    Function("summarize", "Transform", "Aggregates the values of each interval into one.",
             (SERIES_LIST, _INTERVAL, _FUNC, Parameter("alignToFrom", "boolean", required=False, default=False)),
             summarize),
    Function("smartSummarize", "Transform", "Aggregates the values of each interval since the start of the range, or "
             "of its hour, day, week, month or year.",
             (SERIES_LIST, _INTERVAL, _FUNC, Parameter("alignTo", "unit", required=False, options=_UNITS)),
             smart_summarize, takes_context=True),
    Function("hitcount", "Transform", "Returns the hits of each interval, if values are hits a second.",
             (SERIES_LIST, _INTERVAL, Parameter("alignToInterval", "boolean", required=False, default=False)),
             hitcount, takes_context=True),
    Function("integralByInterval", "Transform", "Returns the running total of each interval.",
             (SERIES_LIST, Parameter("intervalUnit", "string", suggestions=("1h", "1d"))),
             integral_by_interval, takes_context=True),
)  # fmt: skip
