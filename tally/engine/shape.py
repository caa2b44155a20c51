"""The shapes of an answer: JSON one or two levels deep, rows, CSV, and the filled series of `timedata`.

SQLite writes each row of an answer as a fragment of text; a shape says what stands between the fragments. Pure: it
gets rows and gives parts of text.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tally.engine.schema import Value

from tally.engine.question import AGGREGATES, Question
from tally.engine.sql import FOREVER, Span, Statement

# So many buckets of one name make a fragment: enough for SQLite's speed, few enough for memory.
FRAGMENT_BUCKETS = 1000

Row = tuple[Value, ...]


@dataclass(frozen=True)
class Shape:
    """A statement whose rows are fragments, what makes text of them, and the `plain` statement of bare columns."""

    statement: Statement
    parts: Callable[[Iterable[Row]], Iterator[str]]
    plain: Statement
    rows: Callable[[Iterable[Row]], Iterator[Row]] = iter


def shaped(question: Question, plain: Statement, span: Span) -> Shape:
    """Return the shape of the answer to `question`, whose bare rows `plain` selects from the buckets of `span`."""
    if question.kind == "timedata":
        return _series(question, plain, span)
    if question.format == "rows":
        return Shape(_wrapped(plain, _object(plain.columns)), _array(question.pretty), plain)
    if question.format == "csv":
        return Shape(_wrapped(plain, _record(plain.columns)), _table(plain.columns), plain)
    if question.kind == "values":
        return Shape(_nested(question, plain, span), _dict_of_dicts(question.pretty), plain)
    key = plain.columns[0]
    member = f"json_quote(cast({key} AS TEXT)) || ':' || {_cell(question)}"
    return Shape(_wrapped(plain, member), _dict(question.pretty), plain)


def _wrapped(plain: Statement, expression: str) -> Statement:
    return plain._replace(text=f"SELECT {expression} FROM ({plain.text})")


def _object(columns: tuple[str, ...]) -> str:
    members = ", ".join(f"'{'time' if name == 'bucket' else name}', {name}" for name in columns)
    return f"json_object({members})"


def _cell(question: Question) -> str:
    return _object(AGGREGATES) if question.aggregate is None else f"json_quote({question.aggregate})"


def _record(columns: tuple[str, ...]) -> str:
    quoted = "iif(name GLOB '*[\",]*', '\"' || replace(name, '\"', '\"\"') || '\"', name)"
    return " || ',' || ".join(quoted if name == "name" else f"coalesce({name}, '')" for name in columns)


def _nested(question: Question, plain: Statement, span: Span) -> Statement:
    """One fragment holds the members of an outer key, or of FRAGMENT_BUCKETS buckets of it."""
    outer, inner = ("name", "bucket") if question.by == "time" else ("bucket", "name")
    cell = _object(AGGREGATES) if question.aggregate is None else question.aggregate
    group = f"name, bucket / {span.resolution * FRAGMENT_BUCKETS}" if outer == "name" else "bucket"
    text = f"SELECT {outer}, json_group_object({inner}, {cell}) FROM ({plain.text}) GROUP BY {group}"
    return plain._replace(text=text)


def _dict_of_dicts(pretty: bool) -> Callable[[Iterable[Row]], Iterator[str]]:
    def parts(rows: Iterable[Row]) -> Iterator[str]:
        last: object = None
        for key, fragment in rows:
            members = str(fragment)[1:-1]
            if pretty:
                members = _indented(f"{{{members}}}", 2)[1:-1].strip("\n ")
            if key == last:
                yield (",\n    " if pretty else ",") + members
                continue
            opening = f"{json.dumps(str(key), ensure_ascii=False)}:"
            if pretty:
                yield ("{\n  " if last is None else "\n  },\n  ") + f"{opening} {{\n    {members}"
            else:
                yield ("{" if last is None else "},") + f"{opening}{{{members}"
            last = key
        yield "{}" if last is None else ("\n  }\n}" if pretty else "}}")

    return parts


def _indented(text: str, depth: int) -> str:
    """Return a JSON text indented by two, for a place `depth` spaces deep."""
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False).replace("\n", "\n" + " " * depth)


def _enclosed(brackets: str, pretty: bool, texts: Iterable[str]) -> Iterator[str]:
    first = True
    for text in texts:
        yield (brackets[0] if first else ",") + ("\n  " if pretty else "") + text
        first = False
    yield brackets if first else ("\n" if pretty else "") + brackets[1]


def _dict(pretty: bool) -> Callable[[Iterable[Row]], Iterator[str]]:
    def member(row: Row) -> str:
        text = str(row[0])
        return _indented(f"{{{text}}}", 0)[1:-1].strip("\n ") if pretty else text

    return lambda rows: _enclosed("{}", pretty, map(member, rows))


def _array(pretty: bool) -> Callable[[Iterable[Row]], Iterator[str]]:
    def item(row: Row) -> str:
        return _indented(str(row[0]), 2) if pretty else str(row[0])

    return lambda rows: _enclosed("[]", pretty, map(item, rows))


def _table(columns: tuple[str, ...]) -> Callable[[Iterable[Row]], Iterator[str]]:
    header = ",".join("time" if name == "bucket" else name for name in columns)

    def parts(rows: Iterable[Row]) -> Iterator[str]:
        yield f"{header}\r\n"
        for (record,) in rows:
            yield f"{record}\r\n"

    return parts


def _series(question: Question, plain: Statement, span: Span) -> Shape:
    """Every bucket of the range, in each format: `fill` tells what stands where there is no data."""
    shown = plain.columns[1:]

    def filled(rows: Iterable[Row]) -> Iterator[Row]:
        return _filled(question, rows, span)

    def item(row: Row) -> str:
        value: Any = row[1] if question.aggregate else dict(zip(shown, row[1:], strict=True))
        if row[1] is None:
            value = None
        if question.format == "rows":
            value = {"time": row[0], **dict(zip(shown, row[1:], strict=True))}
            return json.dumps(value, indent=2 if question.pretty else None, separators=_separators(question.pretty))
        return json.dumps([row[0], value], indent=2 if question.pretty else None, separators=_separators(question.pretty))

    def parts(rows: Iterable[Row]) -> Iterator[str]:
        if question.format == "csv":
            records = ((",".join("" if v is None else repr(v) for v in row),) for row in filled(rows))
            return _table(plain.columns)(records)
        indent = "\n  " if question.pretty else "\n"
        return _enclosed("[]", question.pretty, (item(row).replace("\n", indent) for row in filled(rows)))

    return Shape(plain, parts, plain, filled)


def _separators(pretty: bool) -> tuple[str, str]:
    return (",", ": ") if pretty else (",", ":")


def _filled(question: Question, rows: Iterable[Row], span: Span) -> Iterator[Row]:
    shown = AGGREGATES if question.aggregate is None else (question.aggregate,)
    empty: Row = (None,) * len(shown)
    fill = tuple(0 if name == "count" else 0.0 for name in shown) if question.fill == "0" else empty
    expected = span.first if question.since is not None else None
    for bucket, *values in rows:
        assert isinstance(bucket, int)
        for missing in range(bucket if expected is None else expected, bucket, span.resolution):
            yield (missing, *fill)
        present = values[0] is not None
        yield (bucket, *(values if present else fill))
        if present and question.fill == "previous":
            fill = tuple(values)
        expected = bucket + span.resolution
    if expected is not None and span.end < FOREVER:
        for missing in range(expected, span.end, span.resolution):
            yield (missing, *fill)
