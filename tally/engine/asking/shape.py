"""Formats answers as text: JSON with one or two levels, rows, CSV, and the series of `timedata`.

SQLite formats each row with a template. A shape provides that template and turns batches of rows into parts of text,
which is UTF-8 from here on: what SQLite returns as bytes need not be converted.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from tally.engine.asking import digits
from tally.engine.asking.columns import Cell
from tally.engine.asking.digits import FLOAT
from tally.engine.asking.question import AGGREGATES, Question
from tally.engine.asking.sql import FOREVER, Span, Value

Row = tuple[Value, ...]
Batches = Iterable[list[Row]]

# Expressions of a name in JSON and CSV. In CSV a quote or comma needs quotes, and a name that a spreadsheet would take
# for a formula gets a leading apostrophe.
JSON_NAME = "json_quote(name)"
# A name that begins with apostrophes and then such a character gets one more, so that the name can be read back.
_CSV_TEXT = "iif(name GLOB '[''=+@-]*' AND ltrim(name, '''') GLOB '[=+@-]*', '''' || name, name)"
CSV_NAME = f"""iif(name GLOB '*[",]*', '"' || replace({_CSV_TEXT}, '"', '""') || '"', {_CSV_TEXT})"""
# The placeholders of fields in a template for SQLite's `format`.
PLACES: Mapping[str, Any] = {
    **dict.fromkeys(AGGREGATES, FLOAT),
    "time": "%d",
    "name": "%s",
    "source": "%s",
    "count": "%s",
}
ZEROS: Mapping[str, Any] = {**dict.fromkeys(AGGREGATES, 0.0), "count": 0}
_QUOTED_PLACE = re.compile(r'"(%[^"]*)"')


class Shape(NamedTuple):
    """The text of a row, which is its last column, and a function from batches of rows to parts of the answer."""

    cell: Cell
    parts: Callable[[Batches], Iterator[bytes]]


class _Brackets(NamedTuple):
    """The text before, between and after the items of an answer, and the text of an answer without items."""

    opening: str
    separator: str
    closing: str
    empty: str

    def join(self, batches: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
        before, separator, closing, empty = (text.encode() for text in self)
        begun = False
        for batch in batches:
            yield before
            yield separator.join(batch)
            before = separator
            begun = True
        yield closing if begun else empty


def make_shape(question: Question, span: Span) -> Shape:
    """Return the shape of the answer to `question` over the buckets of `span`."""
    if question.kind == "histogram":
        return _histograms(question)
    if question.kind == "timedata":
        return _series(question, span)
    if question.kind == "values" and question.format == "json":
        return _nested(question)
    name = CSV_NAME if question.format == "csv" else JSON_NAME
    arguments = {**_arguments(question), "time": "bucket", "name": name, "source": name}
    brackets = _brackets(question)
    template = _with_optional(question, _item(question, _places(question)))
    return Shape(
        Cell(template, tuple(arguments[field] for field in fields(question)), brackets.separator),
        lambda batches: brackets.join(map(_texts, batches)),
    )


def _texts(rows: Iterable[Row]) -> Iterator[bytes]:
    for *_, text in rows:
        assert isinstance(text, bytes)
        yield text


def fill_gaps(question: Question, rows: Iterable[Row], span: Span) -> Iterator[Row]:
    """Yield a row for every bucket in the range of a `timedata` question."""
    return _fill_gaps(question, rows, span, tuple(_blank(question).values()))


def _blank(question: Question) -> dict[str, Any]:
    """Return the values of a bucket without data by `fill`."""
    return {name: ZEROS.get(name, 0.0) if question.fill == "0" else None for name in question.shown}


def _places(question: Question) -> dict[str, Any]:
    """Return the placeholders of all fields. Percentiles beside other aggregates are texts, as they may be missing."""
    rank = FLOAT if question.aggregate else "%s"
    return {**PLACES, **dict.fromkeys(question.ranks, rank)}


def _arguments(question: Question) -> dict[str, str]:
    """Return the arguments of the values."""
    return {name: name if question.aggregate else _optional(question, name) for name in question.shown}


def _optional(question: Question, name: str) -> str:
    """Return the expression of a percentile beside other aggregates; an aggregate is returned unchanged.

    A percentile that is unknown is null in a series, empty in CSV, and otherwise absent with its key.
    """
    if name in AGGREGATES:
        return name
    text = digits.number(f'"{name}"')
    if question.format == "csv":
        return f"""iif("{name}" IS NULL, '', {text})"""
    if question.kind == "timedata":
        return f"""iif("{name}" IS NULL, 'null', {text})"""
    key = _key(question, name)
    return f"""iif("{name}" IS NULL, '', '{key}' || {text})"""


def _key(question: Question, name: str) -> str:
    """Return the text before a percentile's value in an object of JSON."""
    level = 2 if question.kind == "values" and question.format == "json" else 1
    before = _line(level + 1) if question.pretty else ""
    return f',{before}"{name}":{" " if question.pretty else ""}'


def _with_optional(question: Question, template: str) -> str:
    """Return the template of JSON with the keys of percentiles moved to their arguments."""
    if question.aggregate is None and question.kind != "timedata" and question.format != "csv":
        for name in question.ranks:
            template = template.replace(f"{_key(question, name)}%s", "%s")
    return template


def fields(question: Question) -> tuple[str, ...]:
    """Return the columns of the answer in rows or CSV."""
    keys = ("time", "name") if question.kind == "values" else (question.by,)
    return (*keys, *question.shown)


def _brackets(question: Question, *, depth: int = 0) -> _Brackets:
    """Return the brackets of an answer at `depth` levels of nesting."""
    if question.format == "csv":
        header = ",".join(fields(question)) + "\r\n"
        return _Brackets(header, "", "", header)
    is_object = question.format == "json" and question.kind != "timedata"
    opening, closing = "{}" if is_object else "[]"
    outside, inside = (_line(level) if question.pretty else "" for level in (depth, depth + 1))
    return _Brackets(opening + inside, "," + inside, outside + closing, opening + closing)


def _line(depth: int) -> str:
    return "\n" + "  " * depth


def _json(question: Question, value: Any, depth: int) -> str:
    """Return JSON with placeholders for `format`, indented for `depth` levels of nesting."""
    if not question.pretty:
        return _QUOTED_PLACE.sub(r"\1", json.dumps(value, separators=(",", ":")))
    return _QUOTED_PLACE.sub(r"\1", json.dumps(value, indent=2)).replace("\n", _line(depth))


def _item(question: Question, values: Mapping[str, Any]) -> str:
    """Return the text of an item: a CSV record, a row, a bucket of a series, or a member of an object."""
    row = {field: values[field] for field in fields(question)}
    if question.format == "csv":
        return ",".join("" if value is None else str(value) for value in row.values()) + "\r\n"
    if question.format == "rows":
        return _json(question, row, 1)
    value = _value(question, values)
    if question.kind == "timedata":
        return _json(question, [PLACES["time"], value], 1)
    return _member(question, question.by, _json(question, value, 1))


def _value(question: Question, values: Mapping[str, Any]) -> Any:
    if question.aggregate is not None:
        return values[question.aggregate]
    found = {name: values[name] for name in question.shown}
    return None if all(value is None for value in found.values()) else found


def _member(question: Question, key: str, value: str) -> str:
    place = PLACES["name"] if key != "time" else f'"{PLACES["time"]}"'
    return f"{place}: {value}" if question.pretty else f"{place}:{value}"


def _nested(question: Question) -> Shape:
    """Return the shape of JSON with two levels. Rows with the same outer key are adjacent."""
    inner_key, column = ("time", 0) if question.by == "time" else ("name", 1)
    template = _member(question, inner_key, _json(question, _value(question, _places(question)), 2))
    inner_column = "bucket" if inner_key == "time" else JSON_NAME
    outer, inner = _brackets(question), _brackets(question, depth=1)
    colon = ": " if question.pretty else ":"
    separator = inner.separator.encode()

    def parts(batches: Batches) -> Iterator[bytes]:
        last: Value = None
        for batch in batches:
            for key, rows in groupby(batch, key=lambda row: row[column]):
                before = outer.opening if last is None else inner.closing + outer.separator
                begin = f"{before}{json.dumps(str(key), ensure_ascii=False)}{colon}{inner.opening}"
                yield separator if key == last else begin.encode()
                yield separator.join(_texts(rows))
                last = key
        yield (outer.empty if last is None else inner.closing + outer.closing).encode()

    return Shape(
        Cell(_with_optional(question, template), (inner_column, *_arguments(question).values()), inner.separator), parts
    )


def _series(question: Question, span: Span) -> Shape:
    """Return the shape of a series. SQLite formats the text after the time, or NULL if `fill` provides the text."""
    before, template = _item(question, _places(question)).split(PLACES["time"], 1)
    _, blank = _item(question, {**_blank(question), "time": PLACES["time"]}).split(PLACES["time"], 1)
    brackets = _brackets(question)
    item = f"{before}%d%b".encode()

    def parts(batches: Batches) -> Iterator[bytes]:
        rows = (row for batch in batches for row in batch)
        return brackets.join([item % row] for row in _fill_gaps(question, rows, span, (blank.encode(),)))

    return Shape(Cell(template, tuple(_arguments(question).values()), brackets.separator), parts)


def _histograms(question: Question) -> Shape:
    """Return the shape of histograms by time. SQLite has formatted the bins as JSON."""
    brackets = _brackets(question)
    return Shape(
        Cell(_member(question, "time", "%s"), ("bucket", "histogram"), brackets.separator),
        lambda batches: brackets.join(map(_texts, batches)),
    )


def _fill_gaps(question: Question, rows: Iterable[Row], span: Span, blank: Row) -> Iterator[Row]:
    """Yield a row for every bucket of the range, with the values of `blank` if it has no data."""
    for bucket, values in _every_bucket(question, rows, span):
        if values is not None and question.fill == "previous":
            blank = values
        yield (bucket, *(values or blank))


def _every_bucket(question: Question, rows: Iterable[Row], span: Span) -> Iterator[tuple[int, Row | None]]:
    """Yield every bucket of the range with its values, or None.

    Without `since` the range begins with the first row, and without `until` it ends with the last one. Between rows a
    moving window keeps the values of the previous row, which may be before the range.
    """
    at = None if question.since is None else span.first
    held: Row | None = None
    for bucket, *values in rows:
        assert isinstance(bucket, int)
        yield from ((gap, held) for gap in range(bucket if at is None else at, bucket, span.resolution))
        own = None if values[0] is None else tuple(values)
        if bucket >= span.first:
            yield bucket, own
            at = bucket + span.resolution
        held = own if question.moving else None
    if at is not None and span.end < FOREVER:
        yield from ((gap, held) for gap in range(at, span.end, span.resolution))
