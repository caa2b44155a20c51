"""The rules in `alerts.toml`, validated. Problems are told with line and column.

[checkout-slow]
archive = "daily"                 a slug, or auto, the default
q = "requests.post.checkout"      glob or globs; where = tag expressions
ask = "p95"                       an aggregate, or rate: samples a second
over = "5min"                     the window
above = 0.8                       or below = …, or absent = true
for = "2min"
each = "name"                     or tag:…, node:…
delay = "10s"
notify = ["https://hooks.example/…"]
"""

import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tally.engine.asking.grouping import Group, parse_group
from tally.engine.asking.question import UNIT_S, is_aggregate, parse_glob
from tally.engine.asking.tags import TagExpression, parse_expression
from tally.engine.definition import AUTO, is_slug
from tally.errors import InvalidAlerts, InvalidQuestion

FILE = "alerts.toml"
RATE = "rate"
OVER_MAX_S = 31 * 86_400
# The collector flushes every five seconds: a bucket is complete in the file soon after its end.
DELAY_S = 10
STATES, STATES_MAX = 1000, 10_000
RULES_MAX = 1000
NAME_MAX, TEXT_MAX = 100, 1000
EXEC = "exec"
_DURATION = re.compile(r"(\d{1,9})(s|min|h|d|w)", re.ASCII)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(.+)", re.ASCII | re.DOTALL)
_NOT_IN_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_HEADER = re.compile(r"""\s*\[\s*(?:"([^"]*)"|'([^']*)'|([\w-]+))""", re.ASCII)
_KEY = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([\w-]+))\s*=\s*""", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. Times are seconds; one of `above` and `below` is a number, or `absent` is true."""

    name: str
    over: int
    ask: str = "count"
    archive: str = AUTO
    q: tuple[str, ...] = ()
    where: tuple[TagExpression, ...] = ()
    above: float | None = None
    below: float | None = None
    absent: bool = False
    hold: int = 0
    each: str = ""
    delay: int = DELAY_S
    notify: tuple[str, ...] = ()
    text: str = ""
    most: int = STATES

    @property
    def group(self) -> Group | None:
        """The group of `each`, if it is not by name."""
        return parse_group(self.each) if self.each not in ("", "name") else None

    @property
    def threshold(self) -> float | None:
        """The bound, if the rule has one."""
        return self.below if self.above is None else self.above

    def is_met(self, value: float | None) -> bool | None:
        """Return whether the condition holds for a value, None if that is unknown, as there is no data."""
        if self.absent:
            return value is None
        if value is None:
            return None
        return value > self.above if self.above is not None else self.below is not None and value < self.below

    def describe(self, value: float | None) -> str:
        """Return a value beside the condition, such as `p95 0.93, alerted above 0.8`."""
        if value is None:
            return "no data"
        side = "above" if self.above is not None else "below"
        bound = "" if self.absent else f", alerted {side} {self.threshold:g}"
        return f"{self.ask} {value:.6g}{bound}"

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as in JSON, without secrets."""
        return {
            "rule": self.name, "archive": self.archive, "q": list(self.q), "where": list(map(str, self.where)),
            "ask": self.ask, "over": self.over, "above": self.above, "below": self.below, "absent": self.absent,
            "for": self.hold, "each": self.each or None, "delay": self.delay, "text": self.text,
            "notify": [redact(receiver) for receiver in self.notify],
        }  # fmt: skip


class Problem(NamedTuple):
    """What is wrong with the file, and where; lines and columns count from 1."""

    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.text}"


def load(path: Path) -> dict[str, Rule]:
    """Return the rules in a file by name; none if there is no file.

    :raises InvalidAlerts: when the file cannot be read or something in it is wrong. The text names the first place.
    """
    rules, problems = read(path)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InvalidAlerts(f"{path.name}:{problems[0]}{more}")
    return rules


def read(path: Path) -> tuple[dict[str, Rule], list[Problem]]:
    """Return the sound rules in a file, and all problems.

    :raises InvalidAlerts: when the file cannot be read.
    """
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        raise InvalidAlerts(f"{path.name}: cannot be read: {error.strerror}") from error


def parse(content: bytes) -> tuple[dict[str, Rule], list[Problem]]:
    """Return the sound rules in a file's content, and all problems."""
    try:
        text = content.decode()
        tables = tomllib.loads(text)
    except UnicodeDecodeError as error:
        return {}, [Problem(content.count(b"\n", 0, error.start) + 1, 1, "the file is not UTF-8")]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = _POSITION.search(str(error))
        line, column = (int(each or 0) for each in found.groups()) if found else (1, 1)
        message = _POSITION.sub("", str(error))
        return {}, [Problem(line or text.count("\n") + 1, column or 1, message)]
    places = dict(_places(text))
    rules: dict[str, Rule] = {}
    problems = []
    for name, table in tables.items():
        try:
            rules[name] = _parse_rule(name, table)
        except _WrongError as error:
            line, column = places.get((name, error.key)) or places.get((name, "")) or (1, 1)
            problems.append(Problem(line, column, f"{name}: {error}"))
    if len(rules) > RULES_MAX:
        problems.append(Problem(1, 1, f"there are {len(rules)} rules: use at most {RULES_MAX}"))
    return rules, sorted(problems)


class _WrongError(Exception):
    """Raised when the value of a key is not valid."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


def _places(text: str) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
    """Yield the places of rules, under an empty key, and of their values, the last first so that the first counts."""
    rule = ""
    for number, line in reversed([*enumerate(_with_rules(text), 1)]):
        rule, content = line
        if found := _HEADER.match(content):
            yield (rule, ""), (number, content.index("[") + 1)
        elif found := _KEY.match(content):
            key = next(each for each in found.groups() if each is not None)
            yield (rule, key) if rule else (key, ""), (number, found.end() + 1)


def _with_rules(text: str) -> Iterator[tuple[str, str]]:
    """Yield each line with the rule to which it belongs."""
    rule = ""
    for line in text.splitlines():
        if found := _HEADER.match(line):
            rule = next(each for each in found.groups() if each is not None)
        yield rule, line


def _parse_rule(name: str, table: object) -> Rule:
    if not isinstance(table, Mapping):
        raise _WrongError("", f"a rule is a table: write [{name}] and its settings below")
    if not 1 <= len(name) <= NAME_MAX or _NOT_IN_LINE.search(name):
        raise _WrongError("", f"a rule's name has 1 to {NAME_MAX} characters in one line")
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key not in FIELDS:
            raise _WrongError(key, f"{key!r:.100} is unknown: use {', '.join(FIELDS)}")
        field, convert = FIELDS[key]
        try:
            given[field] = convert(value)
        except (ValueError, TypeError) as error:
            raise _WrongError(key, f"{key} {value!r:.100} is not valid: use {error}") from None
        except InvalidQuestion as error:
            raise _WrongError(key, str(error)) from None
    _check_whole(given)
    return Rule(name, **given)


def _check_whole(given: Mapping[str, Any]) -> None:
    conditions = [key for key in ("above", "below", "absent") if given.get(key) is not None]
    if len(conditions) != 1:
        found = " and ".join(conditions) or "none of them"
        raise _WrongError(conditions[-1] if conditions else "", f"it has {found}: use one of above, below and absent")
    if "over" not in given:
        raise _WrongError("", 'over is missing: say how long the window is, such as over = "5min"')
    if "ask" not in given and conditions != ["absent"]:
        raise _WrongError("", 'ask is missing: say which aggregate to compare, such as ask = "p95"')


def _text(most: int) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= most or _NOT_IN_LINE.search(value):
            raise ValueError(f"1 to {most} characters in one line")
        return value

    return convert


def _archive(value: Any) -> str:
    if value != AUTO and not (isinstance(value, str) and is_slug(value)):
        raise ValueError("an archive's slug, or auto")
    return str(value)


def _ask(value: Any) -> str:
    if not isinstance(value, str) or not (value == RATE or is_aggregate(value)):
        raise ValueError("count, sum, avg, min, max, a percentile such as p95, or rate")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise TypeError("a text or a list of texts")
    return tuple(texts)


def _globs(value: Any) -> tuple[str, ...]:
    return tuple(parse_glob("q", text) for text in _texts(value))


def _expressions(value: Any) -> tuple[TagExpression, ...]:
    return tuple(parse_expression(text) for text in _texts(value))


def _each(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("name, a tag such as tag:host, or a node such as node:1")
    if value != "name":
        parse_group(value)
    return value


def _seconds(least: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        seconds = int(found[1]) * UNIT_S[found[2]] if found else value
        if isinstance(seconds, bool) or not isinstance(seconds, int) or not least <= seconds <= OVER_MAX_S:
            raise ValueError(f"a time such as 90s, 5min or 1h, from {least} s to {OVER_MAX_S // 86_400} d")
        return seconds

    return convert


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a number")
    return float(value)


def _true(value: Any) -> bool:
    if value is not True:
        raise ValueError("true, or leave it out")
    return True


def _most(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= STATES_MAX:
        raise ValueError(f"a whole number from 1 to {STATES_MAX}")
    return value


def _receivers(value: Any) -> tuple[str, ...]:
    receivers = tuple(dict.fromkeys(_texts(value)))
    for receiver in receivers:
        found = _SCHEME.fullmatch(receiver)
        if not found or _NOT_IN_LINE.search(receiver):
            raise ValueError("URLs such as https://hooks.example/…, mailto://… or exec:/usr/local/bin/page")
        if found[1] == EXEC and not found[2].startswith("/"):
            raise ValueError("the absolute path of a program after exec:")
        if is_http(receiver) and not _has_host(receiver):
            raise ValueError("a URL with a host name")
    return receivers


def is_http(receiver: str) -> bool:
    """Return whether a receiver gets JSON by HTTP."""
    return receiver.startswith(("http://", "https://"))


def _has_host(receiver: str) -> bool:
    try:
        parts = urlsplit(receiver)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def redact(receiver: str) -> str:
    """Return a receiver without what may be secret: passwords, tokens in paths and queries, and arguments."""
    scheme, _, rest = receiver.partition(":")
    if scheme == EXEC:
        return f"{EXEC}:{rest.split()[0]}"
    if not is_http(receiver):
        return f"{scheme}:…"
    host = urlsplit(receiver).netloc.rpartition("@")[2]
    return f"{scheme}://{host}/…"


FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "archive": ("archive", _archive),
    "q": ("q", _globs),
    "where": ("where", _expressions),
    "ask": ("ask", _ask),
    "over": ("over", _seconds(1)),
    "above": ("above", _number),
    "below": ("below", _number),
    "absent": ("absent", _true),
    "for": ("hold", _seconds(0)),
    "each": ("each", _each),
    "delay": ("delay", _seconds(0)),
    "notify": ("notify", _receivers),
    "text": ("text", _text(TEXT_MAX)),
    "most": ("most", _most),
}
