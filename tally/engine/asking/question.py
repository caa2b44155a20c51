"""Defines and validates questions and their parameters.

Independent of SQL and HTTP: `sql` translates a question into a SELECT, and `answer` runs it.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tally.engine.asking.grouping import Group, parse_group
from tally.engine.asking.tags import TagExpression, parse_expression
from tally.errors import InvalidQuestion, UnknownAggregate
from tally.lines.influx import PRECISIONS

AGGREGATES = ("count", "sum", "avg", "min", "max")
# A percentile such as p95 or p99.9 may stand wherever an aggregate may.
PERCENTILE = re.compile(r"p(\d{1,3}(\.\d{1,6})?)", re.ASCII)
PERCENTILES_MAX = 20
# The kinds of questions, and what their answers may be grouped by.
WAYS = {
    "values": ("time", "name"), "aggregate": ("time", "name", "source"), "timedata": ("time",), "histogram": ("time",),
}  # fmt: skip
KINDS = tuple(WAYS)
BINS = 60
BINS_MIN = 3
BINS_MAX = 10_000
UNIT_S = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
RELATIVE = re.compile(r"-(\d{1,12})(s|min|h|d|w)", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# Whole numbers up to this can be added without overflow in SQLite.
WHOLE_MAX = 2**53
GLOB_MAX = 1024
# A series without `until` ends at most this far ahead of the clock.
MAX_FUTURE_S = 86_400
# SQLite ends a text at a NUL and cannot store lone surrogates.
_NOT_IN_GLOB = re.compile(r"[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Question:
    """A question. Times are unix seconds, `step` and `moving` are seconds, and None means not given."""

    kind: str
    aggregate: str | None = None
    by: str = "time"
    q: tuple[str, ...] = ()
    where: tuple[TagExpression, ...] = ()
    source: tuple[str, ...] = ()
    group: Group | None = None
    since: float | None = None
    until: float | None = None
    low: float | None = None
    high: float | None = None
    step: int | None = None
    moving: int | None = None
    limit: int | None = None
    percentiles: tuple[str, ...] = ()
    bins: int = BINS
    fill: str = "null"
    format: str = "json"
    pretty: bool = False

    @classmethod
    def parse(
        cls,
        kind: str,
        parameters: Iterable[tuple[str, str]],
        *,
        aggregate: str | None = None,
        by: str = "time",
        now: float,
    ) -> "Question":
        """Parse text `parameters`, as in a URL. Names that begin with `_` are ignored.

        :raises InvalidQuestion: when one is unknown, malformed, given twice, or does not apply to the question.
        :raises UnknownAggregate: when `aggregate` is not one of AGGREGATES.
        """
        given: dict[str, Any] = {}
        for name, text in parameters:
            if name.startswith("_"):
                continue
            if name not in PARAMETERS:
                raise InvalidQuestion(f"parameter {name!r:.100} is unknown: use one of {', '.join(PARAMETERS)}")
            value = PARAMETERS[name].parse(name, text, now)
            if PARAMETERS[name].is_repeated:
                given[name] = (*given.get(name, ()), value)
            elif name in given:
                raise InvalidQuestion(f"parameter {name!r} is given twice: give it once")
            else:
                given[name] = value
        return cls.create(kind, aggregate=aggregate, by=by, given=given)

    @classmethod
    def create(cls, kind: str, *, aggregate: str | None, by: str, given: dict[str, Any]) -> "Question":
        """Return the question with parsed parameters; raises as `parse`."""
        if aggregate is not None and not is_aggregate(aggregate):
            raise UnknownAggregate(
                f"aggregate {aggregate!r:.100} is unknown: use one of {', '.join(AGGREGATES)}, or a percentile such as "
                "p95"
            )
        if kind == "histogram" and aggregate is not None:
            raise InvalidQuestion(f"aggregate {aggregate!r} has no meaning here: a histogram shows all samples")
        if by not in WAYS.get(kind, ()):
            raise InvalidQuestion(
                f"there is no question {kind!r:.100} by {by!r:.100}: "
                "use values or aggregate by time or name, aggregate by source, timedata, or histogram"
            )
        question = cls(kind, aggregate, by, **given)
        for name in given:
            if not PARAMETERS[name].applies(question):
                raise InvalidQuestion(f"parameter {name!r} has no meaning here: it is for {PARAMETERS[name].where}")
        return question

    @property
    def shown(self) -> tuple[str, ...]:
        """The names of the values in the answer, in order."""
        if self.kind == "histogram":
            return ()
        return (*AGGREGATES, *self.percentiles) if self.aggregate is None else (self.aggregate,)

    @property
    def ranks(self) -> tuple[str, ...]:
        """The percentiles among the values."""
        return tuple(name for name in self.shown if name not in AGGREGATES)

    @property
    def needs_sketches(self) -> bool:
        """Whether only an archive with percentiles can answer."""
        return self.kind == "histogram" or bool(self.ranks)

    def resolution(self, stored: int) -> int:
        """Return the resolution of the answer in seconds, for an archive with resolution `stored`.

        :raises InvalidQuestion: when `step` is not a multiple of `stored`, or `moving` of the answer's resolution.
        """
        if self.step is not None and self.step % stored:
            raise InvalidQuestion(f"step {self.step} is not a multiple of the archive's resolution, {stored}")
        answered = self.step or stored
        if self.moving is not None and self.moving % answered:
            raise InvalidQuestion(f"moving {self.moving} is not a multiple of a bucket's {answered} seconds")
        return answered


class Parameter(NamedTuple):
    """A row of PARAMETERS: `parse(name, text, now)` returns the value, `applies(question)` whether it may be given.

    A parameter that `is_repeated` may be given several times.
    """

    parse: Callable[[str, str, float], Any]
    meaning: str
    where: str = "data"
    applies: Callable[[Question], bool] = lambda _question: True
    is_repeated: bool = False


def is_aggregate(text: str) -> bool:
    """Return whether `text` names an aggregate: one of AGGREGATES, or a percentile from p0 to p100."""
    percentile = PERCENTILE.fullmatch(text)
    return text in AGGREGATES or (percentile is not None and float(percentile[1]) <= 100)


def parse_time(text: str, now: float, name: str) -> float:
    """Parse unix seconds, ISO 8601 (UTC if it has no offset), `now`, or a relative time such as `-90s` or `-15min`.

    :raises InvalidQuestion: when it is none of these.
    """
    relative = RELATIVE.fullmatch(text)
    if text == "now":
        return now
    if relative:
        return now - int(relative[1]) * UNIT_S[relative[2]]
    if NUMBER.fullmatch(text) and 0 <= float(text) <= WHOLE_MAX:
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidQuestion(
            f"{name} {text!r:.100} is not a time: use unix seconds, ISO 8601, now, or a relative time such as -90s, "
            "-15min, -1h, -7d or -2w"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_flag(name: str, text: str) -> bool:
    """Return whether a flag is on: empty, 1 or true. It is off with 0 or false.

    :raises InvalidQuestion: when it is something else.
    """
    if text.lower() not in ("", "1", "true", "0", "false"):
        raise InvalidQuestion(f"{name} {text!r:.100} is not a flag: use 1 or 0")
    return text.lower() in ("", "1", "true")


def _time(name: str, text: str, now: float) -> float:
    return parse_time(text, now, name)


def _flag(name: str, text: str, _now: float) -> bool:
    return parse_flag(name, text)


def _number(name: str, text: str, _now: float) -> float:
    if not NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise InvalidQuestion(f"{name} {text!r:.100} is not a number: use a decimal number such as 0.5")
    return float(text)


def _whole(least: int, most: int) -> Callable[[str, str, float], int]:
    def parse(name: str, text: str, _now: float) -> int:
        if not re.fullmatch(r"\d{1,16}", text, re.ASCII) or not least <= int(text) <= most:
            raise InvalidQuestion(f"{name} {text!r:.100} is not valid: use a whole number from {least} to {most}")
        return int(text)

    return parse


def parse_glob(name: str, text: str) -> str:
    """Validate a glob.

    :raises InvalidQuestion: when it is empty, longer than GLOB_MAX, or contains characters that SQLite cannot store.
    """
    if not 1 <= len(text) <= GLOB_MAX or _NOT_IN_GLOB.search(text):
        raise InvalidQuestion(
            f"{name} {text!r:.100} is not a glob: use 1 to {GLOB_MAX} characters such as requests.get.*"
        )
    return text


def _glob(name: str, text: str, _now: float) -> str:
    return parse_glob(name, text)


def _percentiles(name: str, text: str, _now: float) -> tuple[str, ...]:
    numbers = tuple(f"p{number}" for number in text.split(","))
    if not all(map(is_aggregate, numbers)) or len(set(numbers)) < len(numbers) or len(numbers) > PERCENTILES_MAX:
        raise InvalidQuestion(
            f"{name} {text!r:.100} is not valid: use up to {PERCENTILES_MAX} different numbers from 0 to 100, "
            "separated by commas"
        )
    return numbers


def _where(_name: str, text: str, _now: float) -> TagExpression:
    return parse_expression(text)


def _group(_name: str, text: str, _now: float) -> Group:
    return parse_group(text)


def _choice(*choices: str) -> Callable[[str, str, float], str]:
    def parse(name: str, text: str, _now: float) -> str:
        if text not in choices:
            raise InvalidQuestion(f"{name} {text!r:.100} is not known: use {', '.join(choices[:-1])} or {choices[-1]}")
        return text

    return parse


def _by_aggregate(question: Question) -> bool:
    return question.aggregate is not None


def _of_all(question: Question) -> bool:
    return question.aggregate is None and question.kind != "histogram"


def _of_values(question: Question) -> bool:
    return question.kind != "histogram"


def _histogram(question: Question) -> bool:
    return question.kind == "histogram"


def _over_time(question: Question) -> bool:
    return question.kind in ("values", "timedata") or (question.kind == "aggregate" and question.by == "time")


def _over_names(question: Question) -> bool:
    return question.kind == "values" or (question.kind == "aggregate" and question.by == "name")


def _timedata(question: Question) -> bool:
    return question.kind == "timedata"


PARAMETERS: dict[str, Parameter] = {
    "q": Parameter(
        _glob, "glob of metric names; given several times, any may match", "data and names", is_repeated=True
    ),
    "where": Parameter(
        _where,
        "tag expression, such as env=prod, env!=prod or page=~^blog; given several times, all must hold",
        "data and names",
        is_repeated=True,
    ),
    "source": Parameter(
        _glob,
        "glob of sources in a cluster; given several times, any may match",
        "data and names of a cluster",
        is_repeated=True,
    ),
    "group": Parameter(
        _group,
        "names become one by parts between dots, such as node:1 or node:0,-1, or by tags, such as tag:env",
        "values and aggregate by name",
        _over_names,
    ),
    "since": Parameter(_time, "earliest bucket, included: unix seconds, ISO 8601, now, or relative such as -1h"),
    "until": Parameter(_time, "latest bucket, included: as since"),
    "low": Parameter(_number, "keep only answers of at least this", "data with an aggregate", _by_aggregate),
    "high": Parameter(_number, "keep only answers of at most this", "data with an aggregate", _by_aggregate),
    "step": Parameter(
        _whole(1, WHOLE_MAX), "answer in coarser buckets of so many seconds, a multiple of the resolution"
    ),
    "moving": Parameter(
        _whole(1, WHOLE_MAX),
        "each bucket's aggregates over the so many seconds that end with it",
        "values, timedata and aggregate by time",
        _over_time,
    ),
    "limit": Parameter(
        _whole(1, WHOLE_MAX),
        "only the N names with the highest aggregate (default sum) over the range",
        "values and aggregate by name",
        _over_names,
    ),
    "percentiles": Parameter(
        _percentiles, "percentiles beside all aggregates: numbers such as 50,95", "data without an aggregate", _of_all
    ),
    "bins": Parameter(
        _whole(BINS_MIN, BINS_MAX),
        f"the most bins of each histogram; they join in pairs until they fit (default {BINS})",
        "histogram",
        _histogram,
    ),
    "fill": Parameter(_choice("null", "0", "previous"), "what buckets without data get", "timedata", _timedata),
    "format": Parameter(_choice("json", "rows", "csv", "parquet"), "the shape of the answer", "data", _of_values),
    "pretty": Parameter(_flag, "indent the JSON", "everything"),
}


def _words(_name: str, text: str, _now: float) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[\s,]+", text) if word)


# Parameters of requests that change archives. They have no meaning for questions.
CHANGES: dict[str, Parameter] = {
    "dry_run": Parameter(_flag, "report what would change, and change nothing", "changes of names, and from"),
}

# Parameters of requests for events, silences and views.
OF_EVENTS: dict[str, Parameter] = {
    "id": Parameter(_whole(1, WHOLE_MAX), "number of the silence to end, or view to delete", "silences and views"),
    "tags": Parameter(_words, "tags separated by commas: events that have all of them", "events"),
}


# Parameters of requests that store samples.
OF_SAMPLES: dict[str, Parameter] = {
    "precision": Parameter(
        _choice(*PRECISIONS), "the unit of timestamps (default ns): ns, us, ms, s, m or h", "InfluxDB's lines"
    ),
}


def to_texts(parameters: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield parameters with Python values as text, as in a URL, so that one parser validates both.

    :raises InvalidQuestion: when a value is bytes, whose encoding is unknown.
    """
    for name, value in parameters.items():
        if isinstance(value, bytes | bytearray):
            raise InvalidQuestion(f"parameter {name!r} is {value!r:.100}: use text instead of bytes")
        if value is not None:
            items = value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
            yield from ((name, _text(item)) for item in items)


def _text(value: Any) -> str:
    if not isinstance(value, datetime):
        return str(value)
    # Subclasses of datetime may override `astimezone`, but all agree on `timestamp`.
    return datetime.fromtimestamp(value.timestamp(), UTC).isoformat()
