"""Reads answers in every format, converts them to the rows of `recompute`, and compares them."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable
from typing import Any

from tally.engine import Archive
from tally.engine.asking.question import Question
from tests.engine.recompute import Asked, Number, Row, Values

RELATIVE_MAX = 1e-12
Pairs = list[tuple[str, Any]]


def by_python(archive: Archive, asked: Asked) -> list[Row]:
    """Ask by the archive's methods."""
    if asked.kind == "timedata":
        return [
            (None, time, _values(asked, value)) for time, value in archive.timedata(asked.aggregate, **asked.parameters)
        ]
    ask = archive.values if asked.kind == "values" else archive.aggregate
    answer = ask(asked.aggregate, by=asked.by, **asked.parameters)
    assert all(isinstance(key, str if _outer(asked) == "name" else int) for key in answer)
    return list(_rows_of_pairs(asked, _pairs(answer)))


def by_json(archive: Archive, asked: Asked) -> list[Row]:
    """Ask for JSON."""
    return rows_of_json(asked, text(archive, asked))


def by_pretty_json(archive: Archive, asked: Asked) -> list[Row]:
    """Ask for indented JSON."""
    return rows_of_json(asked, text(archive, asked, ("pretty", "")))


def by_rows(archive: Archive, asked: Asked) -> list[Row]:
    """Ask for rows."""
    return [_row_of_fields(asked, fields) for fields in json.loads(text(archive, asked, ("format", "rows")))]


def by_csv(archive: Archive, asked: Asked) -> list[Row]:
    """Ask for CSV."""
    records = csv.DictReader(io.StringIO(text(archive, asked, ("format", "csv")), newline=""), strict=True)
    rows = [_row_of_fields(asked, {key: _number(key, value) for key, value in record.items()}) for record in records]
    assert _fields(asked) == records.fieldnames
    return rows


FORMS: tuple[Callable[[Archive, Asked], list[Row]], ...] = (by_python, by_json, by_rows, by_csv, by_pretty_json)


def text(archive: Archive, asked: Asked, *more: tuple[str, str]) -> str:
    """Return the answer's bytes as text."""
    parameters = [
        (name, str(item))
        for name, value in asked.parameters.items()
        for item in (value if isinstance(value, tuple) else (value,))
    ]
    question = Question.parse(asked.kind, [*parameters, *more], aggregate=asked.aggregate, by=asked.by, now=0)
    return b"".join(archive.ask(question)).decode()


def difference(expected: list[Row], actual: list[Row]) -> float:
    """Return the largest relative error of the values, after checking keys, order, counts and gaps."""
    assert [row[:2] for row in expected] == [row[:2] for row in actual]
    errors = [_error(*pair) for pair in zip(_numbers(expected), _numbers(actual), strict=True)]
    return max(errors, default=0.0)


def check(archive: Archive, asked: Asked, expected: list[Row], form: Callable[[Archive, Asked], list[Row]]) -> None:
    """Fail unless the archive's answer equals the expected one."""
    assert difference(expected, form(archive, asked)) <= RELATIVE_MAX, (asked, form)


def _error(expected: Number | None, actual: Number | None) -> float:
    assert type(expected) is type(actual), "counts are whole, the others floats"
    if expected == actual:
        return 0.0
    assert isinstance(expected, float), "counts are exact"
    assert isinstance(actual, float)
    return abs(expected - actual) / max(abs(expected), abs(actual))


def _numbers(rows: list[Row]) -> Iterable[Number | None]:
    return (value for _, _, values in rows for value in (values or (None,)))


def _outer(asked: Asked) -> str:
    is_nested = asked.kind == "values"
    return asked.by if not is_nested else "name" if asked.by == "time" else "time"


def _pairs(answer: Any) -> Any:
    return [(key, _pairs(value)) for key, value in answer.items()] if isinstance(answer, dict) else answer


def _unique(pairs: Pairs) -> Pairs:
    assert len(dict(pairs)) == len(pairs), "a key stands once in an object"
    return pairs


def rows_of_json(asked: Asked, answer: str) -> list[Row]:
    """Return the rows of an answer's JSON."""
    found = json.loads(answer, object_pairs_hook=_unique)
    if asked.kind == "timedata":
        return [(None, time, _values(asked, value)) for time, value in found]
    assert answer.startswith("{")
    return list(_rows_of_pairs(asked, found))


def _rows_of_pairs(asked: Asked, found: Pairs) -> Iterable[Row]:
    for outer, inner in found:
        if asked.kind == "aggregate":
            yield _row(asked, {_outer(asked): outer}, inner)
            continue
        assert inner, "no name or time stands without a value"
        for key, value in inner:
            yield _row(asked, {_outer(asked): outer, "time" if _outer(asked) == "name" else "name": key}, value)


def _row(asked: Asked, keys: dict[str, Any], value: Any) -> Row:
    time = keys.get("time")
    return keys.get("name"), None if time is None else int(time), _values(asked, value)


def _values(asked: Asked, value: Any) -> Values | None:
    if value is None:
        return None
    if asked.aggregate is not None:
        return (value,)
    pairs = value if isinstance(value, list) else list(value.items())
    assert list(asked.shown) == [name for name, _ in pairs]
    return tuple(number for _, number in pairs)


def _fields(asked: Asked) -> list[str]:
    keys = ["time", "name"] if asked.kind == "values" else [asked.by]
    return [*keys, *asked.shown]


def _row_of_fields(asked: Asked, fields: dict[str, Any]) -> Row:
    assert _fields(asked) == list(fields)
    values = tuple(fields[name] for name in asked.shown)
    return fields.get("name"), fields.get("time"), None if values[0] is None else values


def _number(key: str, value: str) -> str | Number | None:
    if key == "name":
        return value
    if not value:
        return None
    number = float(value)
    assert math.isfinite(number)
    return int(value) if key in ("time", "count") else number
