"""Parses Graphite's times: `1700000000`, `-1h`, `now-30min`, `midnight+1d`, `12:30_20231114`, `monday`.

    time   : unix seconds | [reference] [offset]
    reference : now | [clock] [day]
    clock  : 12:30 | 6pm | 6:30pm | noon | midnight | teatime
    day    : today | yesterday | tomorrow | 20231114 | 11/14/23 | november14 | monday
    offset : (+ | -) number unit …        s, min, h, d, w, mon of 30 days, y of 365 days, and longer words

Case, underscores, commas and spaces are ignored.
"""

import functools
import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from tally.errors import InvalidQuestion

UNITS_S = (
    ("s", 1), ("min", 60), ("h", 3600), ("d", 86_400), ("w", 7 * 86_400), ("mon", 30 * 86_400), ("y", 365 * 86_400),
)  # fmt: skip
# A thousand years: no archive holds more.
OFFSET_MAX_S = 1000 * 365 * 86_400
TIME_MAX_S = 253_402_300_799

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMED_HOURS = {"noon": 12, "midnight": 0, "teatime": 16}
_NAMED_DAYS = {"": 0, "today": 0, "yesterday": -1, "tomorrow": 1}
_OFFSET = re.compile(r"(\d{1,12})([a-z]+)")
_CLOCK = re.compile(r"(?:(\d{1,2}):(\d{2})(am|pm)?|(\d{1,2})(am|pm)|(noon|midnight|teatime))?(.*)")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{2}|\d{4})")
_COMPACT = re.compile(r"((?:19|2\d)\d\d)(0\d|1[0-2])([0-2]\d|3[01])")
_MONTH_DAY = re.compile(rf"({'|'.join(_MONTHS)})[a-z]*?(\d{{1,2}})")


def parse_time(text: str, now: float, *, zone: tzinfo = UTC) -> float:
    """Return a time as unix seconds. Days and times of day are those of `zone`.

    :raises InvalidQuestion: when `text` is not a time, or is before 1970 or after 9999.
    """
    given = re.sub(r"[_, ]", "", text.strip().lower())
    try:
        seconds = float(given) if _is_number(given) else _parse_relative(given, now, zone)
    except (ValueError, OverflowError):
        seconds = -1.0
    if not 0 <= seconds <= TIME_MAX_S:
        raise InvalidQuestion(
            f"{text!r:.100} is not a time: use unix seconds, now, -1h, -30min, midnight, 12:30_20231114 or the like"
        )
    return seconds


@functools.lru_cache(maxsize=1000)
def read_zone(name: str) -> tzinfo:
    """Return the time zone with a name of the tz database, such as `Europe/Berlin`.

    :raises InvalidQuestion: when there is none.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise InvalidQuestion(f"{name!r:.100} is not a time zone: use for example UTC or Europe/Berlin") from None


def parse_offset(text: str) -> int:
    """Return a signed span such as `1h` or `-1d12h` in seconds.

    :raises InvalidQuestion: when `text` is not a span, or is longer than a thousand years.
    """
    given = text.strip().lower()
    sign = -1 if given.startswith("-") else 1
    parts = given.lstrip("+-") if given[:2] not in ("--", "++", "+-", "-+") else ""
    found = [(int(count), _unit_s(unit)) for count, unit in _OFFSET.findall(parts)]
    seconds = sum(count * (size or 0) for count, size in found)
    is_whole = parts == "".join(count + unit for count, unit in _OFFSET.findall(parts))
    if not parts or not is_whole or any(size is None for _, size in found) or seconds > OFFSET_MAX_S:
        raise InvalidQuestion(f"{text!r:.100} is not a time span: use for example 10s, 5min, 1h, 1d, 1w, 1mon or 1y")
    return sign * seconds


def parse_span(text: str) -> int:
    """Return a span in seconds without its sign.

    :raises InvalidQuestion: as `parse_offset`, and when the span is shorter than one second.
    """
    seconds = abs(parse_offset(text))
    if not seconds:
        raise InvalidQuestion(f"{text!r:.100} is too short: use a time span of at least 1s")
    return seconds


def _unit_s(word: str) -> int | None:
    return next((seconds for unit, seconds in UNITS_S if word.startswith(unit)), None)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d{1,12}(\.\d+)?", text, re.ASCII) is not None and not _COMPACT.fullmatch(text)


def _parse_relative(text: str, now: float, zone: tzinfo) -> float:
    reference, sign, offset = re.fullmatch(r"([^+-]*)([+-]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    moved = parse_offset(sign + offset) if sign else 0
    return (now if reference in ("", "now") and text else _parse_reference(reference, now, zone)) + moved


def _parse_reference(text: str, now: float, zone: tzinfo) -> float:
    clock = _CLOCK.fullmatch(text)
    if not text or not clock:
        raise ValueError(text)
    day = _parse_day(clock[7], datetime.fromtimestamp(now, zone))
    hour = _NAMED_HOURS[clock[6]] if clock[6] else int(clock[1] or clock[4] or 0)
    if "pm" in (clock[3], clock[5]):
        hour = (hour + 12) % 24
    return day.replace(hour=hour, minute=int(clock[2] or 0), second=0, microsecond=0).timestamp()


def _parse_day(text: str, now: datetime) -> datetime:
    if text in _NAMED_DAYS:
        return now + timedelta(days=_NAMED_DAYS[text])
    if found := _SLASHED.fullmatch(text):
        return now.replace(year=_full_year(int(found[3])), month=int(found[1]), day=int(found[2]))
    if found := _COMPACT.fullmatch(text):
        return now.replace(year=int(found[1]), month=int(found[2]), day=int(found[3]))
    if found := _MONTH_DAY.fullmatch(text):
        return now.replace(month=_MONTHS.index(found[1]) + 1, day=int(found[2]))
    if text[:3] in _WEEKDAYS:
        return now - timedelta(days=(now.weekday() - _WEEKDAYS.index(text[:3])) % 7)
    raise ValueError(text)


def _full_year(given: int) -> int:
    if given >= 100:
        return given
    return given + (1900 if given >= 70 else 2000)
