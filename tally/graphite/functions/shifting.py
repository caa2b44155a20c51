"""Functions that show other times, or only a part of the range."""

from dataclasses import replace
from datetime import datetime, timedelta

from tally.errors import InvalidQuestion
from tally.graphite.attime import parse_offset, parse_time
from tally.graphite.budget import check_series
from tally.graphite.functions.naming import SERIES_LIST
from tally.graphite.functions.signature import Context, Function, Parameter
from tally.graphite.series import Series
from tally.graphite.source import Window

SHIFTS_MAX = 1000


def time_shift(context: Context, _series: None, shift: str, *options: bool) -> list[Series]:
    """Return the series of an earlier or later time, moved to the times of the window.

    The options are `resetEnd`, and `alignDst`: to the same time of day if only one of the times is daylight saving.
    """
    reset_end, align_dst = options
    window, text = context.window, _with_sign(shift)
    seconds = parse_offset(text)
    seconds += _dst_offset(window, window.shift(seconds)) if align_dst else 0
    last = min(window.end, window.now) if reset_end else window.end
    moved = (_move(each, window, seconds, last) for each in context.fetch(window.shift(seconds)))
    return [replace(each, name=f'timeShift({each.name}, "{text}")') for each in moved]


def time_stack(context: Context, _series: None, unit: str, first: int, last: int) -> list[Series]:
    """Return the series of several earlier or later times, moved to the times of the window.

    :raises InvalidQuestion: when there are more than SHIFTS_MAX times.
    """
    if last - first > SHIFTS_MAX:
        raise InvalidQuestion(f"timeStack shows {last - first} times: use at most {SHIFTS_MAX}")
    window, text, found = context.window, _with_sign(unit), list[Series]()
    for number in range(first, last):
        seconds = parse_offset(text) * number
        for each in context.fetch(window.shift(seconds)):
            moved = _move(each, window, seconds, min(window.end, window.now))
            found.append(moved.rename(f"timeShift({each.name}, {text}, {number})"))
        check_series(len(found))
    return found


def _with_sign(shift: str) -> str:
    return f"-{shift}" if shift[:1].isdigit() else shift


def _move(series: Series, window: Window, seconds: int, last: float) -> Series:
    """Return a series that was read `seconds` later at the times of the window, up to `last`."""
    start = max(window.first(series.step), (series.start - seconds) // series.step * series.step)
    count = max(0, int(last - start) // series.step + 1)
    return replace(series, start=start, values=series.values[:count], weights=series.weights and series.weights[:count])


def _dst_offset(window: Window, other: Window) -> int:
    """Return 3600 s if only the window is in daylight saving time, -3600 s if only the other is, else 0."""

    def is_dst(time: float) -> bool:
        return bool(datetime.fromtimestamp(time, window.zone).dst() or timedelta())

    ours, theirs = ({is_dst(each.start), is_dst(each.end)} for each in (window, other))
    return 3600 * (int(ours == {True} and theirs == {False}) - int(ours == {False} and theirs == {True}))


def time_slice(context: Context, _series: None, start: str, end: str) -> list[Series]:
    """Remove the values before `start` and after `end`."""
    window = context.window
    begin, until = (int(parse_time(text, window.now, zone=window.zone)) for text in (start, end))
    found = []
    for each in context.series:
        times = range(each.start, each.end, each.step)
        pairs = zip(times, each.values, strict=True)
        values = [value if begin <= time <= until else None for time, value in pairs]
        found.append(replace(each, name=f"timeSlice({each.name}, {begin}, {until})", values=values))
    return found


_SHIFTS = ("1h", "6h", "12h", "1d", "2d", "7d", "14d", "30d")
FUNCTIONS = (
    Function("timeShift", "Transform", "Shows series of an earlier time.",
             (SERIES_LIST, Parameter("timeShift", "interval", suggestions=_SHIFTS),
              Parameter("resetEnd", "boolean", required=False, default=True),
              Parameter("alignDst", "boolean", required=False, default=False)), time_shift, takes_context=True),
    Function("timeStack", "Transform", "Shows series of several earlier times.",
             (SERIES_LIST, Parameter("timeShiftUnit", "interval", required=False, default="1d", suggestions=_SHIFTS),
              Parameter("timeShiftStart", "integer", required=False, default=0),
              Parameter("timeShiftEnd", "integer", required=False, default=7)), time_stack, takes_context=True),
    Function("timeSlice", "Transform", "Removes the values before and after two times.",
             (SERIES_LIST, Parameter("startSliceAt", "date"),
              Parameter("endSliceAt", "date", required=False, default="now")), time_slice, takes_context=True),
)  # fmt: skip
