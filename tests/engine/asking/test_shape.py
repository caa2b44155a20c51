"""The text of answers, byte for byte: brackets, indentation, CSV, and the buckets of a series."""

from typing import Any

import pytest

from tally.engine.asking.columns import Cell
from tally.engine.asking.question import Question
from tally.engine.asking.shape import Row, fill_gaps, make_shape
from tally.engine.asking.sql import FOREVER, Span, Value

ALWAYS = Span(10, 0, FOREVER, 0)


def question(kind: str, by: str = "time", aggregate: str | None = None, **parameters: object) -> Question:
    """Return a question with these parameters."""
    texts = [(name, str(value)) for name, value in parameters.items()]
    return Question.parse(kind, texts, aggregate=aggregate, by=by, now=0)


def text(asked: Question, *batches: list[Row], span: Span = ALWAYS) -> str:
    """Return the answer for batches of rows whose last column has the text."""
    given = ([(*row[:-1], _encoded(row[-1])) for row in batch] for batch in batches)
    return b"".join(make_shape(asked, span).parts(given)).decode()


def _encoded(text: Value) -> Value:
    return text.encode() if isinstance(text, str) else text


ALL = '"count":%s,"sum":%!.*g,"avg":%!.*g,"min":%!.*g,"max":%!.*g'
FIELDS = ("count", "sum", "avg", "min", "max")
JSON = "json_quote(name)"
TEXT = "iif(name GLOB '[''=+@-]*' AND ltrim(name, '''') GLOB '[=+@-]*', '''' || name, name)"
CSV = f"""iif(name GLOB '*[",]*', '"' || replace({TEXT}, '"', '""') || '"', {TEXT})"""


@pytest.mark.parametrize(
    ("kind", "by", "aggregate", "form", "template", "arguments"),
    [
        ("values", "time", None, "json", '"%d":{' + ALL + "}", ("bucket", *FIELDS)),
        ("values", "name", None, "json", "%s:{" + ALL + "}", (JSON, *FIELDS)),
        ("values", "time", "avg", "json", '"%d":%!.*g', ("bucket", "avg")),
        ("values", "name", "count", "json", "%s:%s", (JSON, "count")),
        ("aggregate", "time", None, "json", '"%d":{' + ALL + "}", ("bucket", *FIELDS)),
        ("aggregate", "name", "max", "json", "%s:%!.*g", (JSON, "max")),
        ("timedata", "time", None, "json", ",{" + ALL + "}]", FIELDS),
        ("timedata", "time", "count", "json", ",%s]", ("count",)),
        ("values", "time", None, "rows", '{"time":%d,"name":%s,' + ALL + "}", ("bucket", JSON, *FIELDS)),
        ("aggregate", "name", "sum", "rows", '{"name":%s,"sum":%!.*g}', (JSON, "sum")),
        ("aggregate", "time", "sum", "rows", '{"time":%d,"sum":%!.*g}', ("bucket", "sum")),
        ("timedata", "time", "sum", "rows", ',"sum":%!.*g}', ("sum",)),
        ("values", "name", "min", "csv", "%d,%s,%!.*g\r\n", ("bucket", CSV, "min")),
        ("aggregate", "name", "count", "csv", "%s,%s\r\n", (CSV, "count")),
        ("timedata", "time", "avg", "csv", ",%!.*g\r\n", ("avg",)),
    ],
)
def test_templates(
    kind: str, by: str, aggregate: str | None, form: str, template: str, arguments: tuple[str, ...]
) -> None:
    """A template has a placeholder for every column and nothing else."""
    cell = make_shape(question(kind, by, aggregate, format=form), ALWAYS).cell
    separator = "" if form == "csv" else ","
    assert Cell(template, arguments, separator) == cell
    assert template.count("%") == len(arguments)


EMPTY = [
    ("values", "json", "{}"),
    ("aggregate", "json", "{}"),
    ("timedata", "json", "[]"),
    ("values", "rows", "[]"),
    ("aggregate", "rows", "[]"),
    ("timedata", "rows", "[]"),
    ("values", "csv", "time,name,sum\r\n"),
    ("aggregate", "csv", "time,sum\r\n"),
    ("timedata", "csv", "time,sum\r\n"),
]


@pytest.mark.parametrize("pretty", [0, 1])
@pytest.mark.parametrize(("kind", "form", "expected"), EMPTY)
def test_no_rows(kind: str, form: str, expected: str, pretty: int) -> None:
    """Without data an answer is empty brackets or the CSV header, indented or not."""
    assert expected == text(question(kind, aggregate="sum", format=form, pretty=pretty))


ROWS: list[tuple[str, str, str, list[list[Row]], str]] = [
    ("aggregate", "time", "json", [[(0, "A"), (10, "B")], [(20, "C")]], "{A,B,C}"),
    ("aggregate", "name", "rows", [[("a", "A")], [("b", "B")]], "[A,B]"),
    ("values", "time", "csv", [[("a", 0, "A\r\n"), ("b", 0, "B\r\n")]], "time,name,sum\r\nA\r\nB\r\n"),
    ("values", "time", "json", [[("a", 0, "A")]], '{"a":{A}}'),
    ("values", "time", "json", [[("a", 0, "A"), ("a", 10, "B"), ("b", 0, "C")]], '{"a":{A,B},"b":{C}}'),
    ("values", "time", "json", [[("a", 0, "A")], [("a", 10, "B")], [("b", 0, "C")]], '{"a":{A,B},"b":{C}}'),
    ("values", "time", "json", [[('a"\\é\x7f', 0, "A")]], '{"a\\"\\\\é\x7f":{A}}'),
    ("values", "name", "json", [[("a", 0, "A"), ("b", 0, "B"), ("a", 10, "C")]], '{"0":{A,B},"10":{C}}'),
    ("values", "name", "json", [[("a", 0, "A")], [("b", 0, "B")]], '{"0":{A,B}}'),
]


@pytest.mark.parametrize(("kind", "by", "form", "batches", "expected"), ROWS)
def test_rows(kind: str, by: str, form: str, batches: list[list[Row]], expected: str) -> None:
    """Rows with the same key form one object, even across batches."""
    assert expected == text(question(kind, by, "sum", format=form), *batches)


def test_indented() -> None:
    """Indentation is that of `json.dumps(…, indent=2)`."""
    assert '{\n  "a": {\n    A,\n    B\n  },\n  "b": {\n    C\n  }\n}' == text(
        question("values", aggregate="sum", pretty=1), [("a", 0, "A"), ("a", 10, "B")], [("b", 0, "C")]
    )
    assert "[\n  A,\n  B\n]" == text(
        question("values", aggregate="sum", format="rows", pretty=1), [("a", 0, "A"), ("b", 0, "B")]
    )
    template = make_shape(question("values", pretty=1), ALWAYS).cell.template
    assert template.startswith('"%d": {\n      "count": %s,\n      "sum": %!.*g,')
    assert template.endswith('"max": %!.*g\n    }')


BLANK: list[tuple[dict[str, Any], Span, list[Row], list[tuple[int, float | None]]]] = [
    ({}, ALWAYS, [], []),
    ({}, ALWAYS, [(20, 1.5)], [(20, 1.5)]),
    ({}, ALWAYS, [(0, 1.5), (30, 2.5)], [(0, 1.5), (10, None), (20, None), (30, 2.5)]),
    ({"fill": "null"}, ALWAYS, [(0, 1.5), (20, 2.5)], [(0, 1.5), (10, None), (20, 2.5)]),
    ({"fill": "0"}, ALWAYS, [(0, 1.5), (20, 2.5)], [(0, 1.5), (10, 0.0), (20, 2.5)]),
    ({"fill": "previous"}, ALWAYS, [(0, 1.5), (20, 2.5)], [(0, 1.5), (10, 1.5), (20, 2.5)]),
    ({"since": 0, "until": 30}, Span(10, 0, 40, 0), [], [(0, None), (10, None), (20, None), (30, None)]),
    ({"since": 0, "until": 20}, Span(10, 0, 30, 0), [(10, 1.5)], [(0, None), (10, 1.5), (20, None)]),
    ({"since": 10}, Span(10, 10, FOREVER, 10), [(20, 1.5)], [(10, None), (20, 1.5)]),
    ({"since": 10}, Span(10, 10, FOREVER, 10), [], []),
    ({"until": 30}, Span(10, 0, 40, 0), [(20, 1.5)], [(20, 1.5), (30, None)]),
    ({"until": 30}, Span(10, 0, 40, 0), [], []),
    ({"since": 30, "until": 20}, Span(10, 30, 30, 30), [], []),
    ({"since": 0, "until": 20, "fill": "previous"}, Span(10, 0, 30, 0), [(10, 1.5)], [(0, None), (10, 1.5), (20, 1.5)]),
    # Outside of `low` and `high` a row has no value, as if there were no data.
    ({"low": 2}, ALWAYS, [(0, None), (10, 2.5)], [(0, None), (10, 2.5)]),
    ({"low": 2, "fill": "0"}, ALWAYS, [(0, 2.5), (10, None)], [(0, 2.5), (10, 0.0)]),
    ({"low": 2, "fill": "previous"}, ALWAYS, [(0, 2.5), (10, None), (20, 3.5)], [(0, 2.5), (10, 2.5), (20, 3.5)]),
    # A window stays as it was at the last row, until there is one without a value.
    ({"moving": 20}, ALWAYS, [(0, 1.5), (20, None), (30, 2.5)], [(0, 1.5), (10, 1.5), (20, None), (30, 2.5)]),
    ({"moving": 20, "since": 10}, Span(10, 10, FOREVER, 0), [(0, 1.5), (20, 2.5)], [(10, 1.5), (20, 2.5)]),
    ({"moving": 20, "since": 10, "until": 20}, Span(10, 10, 30, 0), [(0, 1.5)], [(10, 1.5), (20, 1.5)]),
]  # fmt: skip


@pytest.mark.parametrize(("parameters", "span", "rows", "expected"), BLANK)
def test_series(
    parameters: dict[str, Any], span: Span, rows: list[Row], expected: list[tuple[int, float | None]]
) -> None:
    """A series has every bucket of its range, with the value of `fill` in gaps."""
    asked = question("timedata", aggregate="sum", **parameters)
    assert expected == list(fill_gaps(asked, rows, span))
    written: list[Row] = [(bucket, None if value is None else f",{value!r}]") for bucket, value in rows]
    shown = ",".join(f"[{bucket},{'null' if value is None else value}]" for bucket, value in expected)
    assert f"[{shown}]" == text(asked, written, span=span)


def test_gaps_in_other_formats() -> None:
    """A gap has all aggregates in rows and CSV, and is null in JSON."""
    both: list[Row] = [(0, "A"), (20, "B")]
    assert "[[0A,[10,null],[20B]" == text(question("timedata"), both)
    assert '[[0A,[10,{"count":0,"sum":0.0,"avg":0.0,"min":0.0,"max":0.0}],[20B]' == text(
        question("timedata", fill="0"), both
    )
    assert '[{"time":0A,{"time":10,"count":null},{"time":20B]' == text(
        question("timedata", aggregate="count", format="rows"), both
    )
    assert "time,count,sum,avg,min,max\r\n0A10,,,,,\r\n20B" == text(question("timedata", format="csv"), both)
