"""The answer to `/render`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tally.engine import Catalog
from tally.errors import InvalidQuestion, QueryTimeout
from tally.graphite.attime import read_zone
from tally.graphite.rendering import CHUNK_CHARACTERS, Rendering
from tally.graphite.request import Render
from tally.graphite.source import Window
from tally.graphite.target import parse
from tests.graphite.made import START, WINDOW, catalog


@pytest.fixture
def made(tmp_path: Path) -> Catalog:
    """Return an archive with two names."""
    return catalog(tmp_path, daily={"a": [1.0, 2.5, None, 4.0], "b;k=v": [None, 3.0]})


def rendering(made: Catalog, *targets: str, points_max: int | None = None, form: str = "json") -> Rendering:
    """Return the answer for targets."""
    asked = Render(tuple(map(parse, targets)), WINDOW, form, points_max)
    return Rendering(made, asked, timeout_s=60)


def test_series_in_json(made: Catalog) -> None:
    """A series has its name, its tags, and pairs of value and time, in compact JSON."""
    expected = (
        '[{"target":"x","tags":{"name":"daily.a.sum"},"datapoints":[[1.0,1700000000],[2.5,1700000010],'
        + "[null,1700000020],[4.0,1700000030]"
        + "".join(f",[null,{START + 10 * index}]" for index in range(4, 10))
        + "]}]"
    )
    answer = rendering(made, "alias(daily.a.sum, 'x')")
    assert (expected, "application/json") == (b"".join(answer).decode(), answer.media_type)


def test_series_in_csv(made: Catalog) -> None:
    """A line contains a name, a time in UTC, and a value or nothing."""
    answer = rendering(made, "limit(daily.a.sum,1)", "alias(daily.a.count,'=x')", form="csv")
    lines = b"".join(answer).decode().split("\r\n")
    assert ["daily.a.sum,2023-11-14 22:13:20,1.0", "daily.a.sum,2023-11-14 22:13:30,2.5"] == lines[:2]
    assert ["daily.a.sum,2023-11-14 22:13:40,", "'=x,2023-11-14 22:13:20,1"] == [lines[2], lines[10]]
    assert "text/csv; charset=utf-8" == answer.media_type


def test_values_are_consolidated_to_the_width(made: Catalog) -> None:
    """No series has more values than maxDataPoints, and totals do not change."""
    for points_max in (1, 2, 3, 9, 10, 11):
        (series,) = json.loads(b"".join(rendering(made, "daily.a.sum", points_max=points_max)))
        assert len(series["datapoints"]) <= points_max
        assert 7.5 == sum(value for value, _ in series["datapoints"] if value is not None)


def test_series_are_in_the_order_of_their_targets(made: Catalog) -> None:
    """The series of each target follow those of the target before; without series, the array is empty."""
    found = json.loads(b"".join(rendering(made, "daily.*.max", "daily.none.sum", "daily.a.min")))
    assert ["daily.a.max", "daily.b;k=v.max", "daily.a.min"] == [each["target"] for each in found]
    assert {"name": "daily.b.max", "k": "v"} == found[1]["tags"]
    assert [b"[]", b"[]"] == [b"".join(rendering(made)), b"".join(rendering(made, "daily.none.sum"))]


@pytest.mark.parametrize("points_max", [None, 1000])
def test_no_null_points(points_max: int | None, made: Catalog) -> None:
    """noNullPoints removes points without a value, and series without any value."""
    targets = (parse("daily.*.sum"), parse("removeAboveValue(daily.a.sum,0)"))
    answer = Rendering(made, Render(targets, WINDOW, "json", points_max, skips_nulls=True), timeout_s=60)
    assert [[[1.0, START], [2.5, START + 10], [4.0, START + 30]], [[3.0, START + 10]]] == [
        series["datapoints"] for series in json.loads(b"".join(answer))
    ]


def test_infinite_values_are_null(made: Catalog) -> None:
    """JSON cannot represent an infinite result, so it is null."""
    (series,) = json.loads(b"".join(rendering(made, "scale(scale(daily.a.sum, 1e308), 1e308)")))
    assert {None} == {value for value, _ in series["datapoints"]}


def test_long_answers_come_in_chunks(made: Catalog) -> None:
    """A long answer is yielded in several chunks with the same content."""
    text = "x" * 4000
    chunks = list(rendering(made, *[f"alias(daily.*.sum, '{text}')"] * 20))
    assert len(chunks) > 1
    assert all(len(chunk) >= CHUNK_CHARACTERS for chunk in chunks[:-1])
    assert 40 == len(json.loads(b"".join(chunks)))


def test_an_error_in_any_target_comes_before_the_first_chunk(made: Catalog) -> None:
    """A wrong target raises an error, even after a valid one."""
    with pytest.raises(InvalidQuestion, match="nonsense"):
        next(rendering(made, "daily.a.sum", "nonsense(daily.a.sum)"))


def test_a_closed_answer_ends(made: Catalog) -> None:
    """`close` ends an answer before or after its first chunk, and can be called twice."""
    answer = rendering(made, *[f"alias(daily.*.sum, '{'x' * 4000}')"] * 20)
    assert next(answer)
    answer.close()
    answer.close()
    assert [] == list(answer)


def test_a_late_answer_is_stopped(made: Catalog) -> None:
    """An answer that takes too long raises QueryTimeout."""
    with pytest.raises(QueryTimeout):
        next(Rendering(made, Render((parse("daily.a.sum"),), WINDOW), timeout_s=0))


@pytest.mark.parametrize(
    ("form", "media_type", "expected"),
    [
        ("raw", "text/plain; charset=utf-8", "daily.a.sum,1700000000,1700000100,10|1.0,2.5,None,4.0,None,"),
        ("dygraph", "application/json",
         '{"labels":["Time","daily.a.sum","daily.b;k=v.sum"],"data":[[1700000000000,1.0,null],[1700000010000,2.5,3.0],'),
        ("rickshaw", "application/json",
         '[{"target":"daily.a.sum","datapoints":[{"x":1700000000,"y":1.0},{"x":1700000010,"y":2.5},'),
    ],
)  # fmt: skip
def test_other_formats(form: str, media_type: str, expected: str, made: Catalog) -> None:
    """Each format has all series, and its own media type."""
    answer = rendering(made, "daily.*.sum", form=form)
    assert media_type == answer.media_type
    text = b"".join(answer).decode()
    assert text.startswith(expected)
    if form != "raw":
        json.loads(text)
    for nothing in (
        b"".join(rendering(made, form=form)).decode(),
        b"".join(rendering(made, "a.b.c", form=form)).decode(),
    ):
        assert nothing in ("", "[]", '{"labels":["Time"],"data":[]}')


def test_rows_of_dygraph_are_bounded(made: Catalog) -> None:
    """Series whose times differ do not make rows without end."""
    targets = [f"time('{step}',{step})" for step in range(1, 1200)]
    asked = Render(tuple(map(parse, targets)), Window(0, 3000, 3000), "dygraph")
    with pytest.raises(InvalidQuestion, match="values"):
        b"".join(Rendering(made, asked, timeout_s=60))


def test_a_line_of_raw_is_a_series(made: Catalog) -> None:
    """A name cannot begin another line; infinite values are none."""
    text = b"".join(rendering(made, "alias(scale(daily.a.sum,1e308)|scale(10),'a\nb')", form="raw")).decode()
    assert text.startswith("a b,1700000000,1700000100,10|None,None,None,None,")
    assert 1 == text.count("\n")


def test_csv_has_the_times_of_the_zone(made: Catalog) -> None:
    """Times in CSV are those of `tz`."""
    window = replace(WINDOW, zone=read_zone("America/New_York"))
    answer = Rendering(made, Render((parse("daily.a.sum"),), window, "csv"), timeout_s=60)
    assert next(iter(answer)).startswith(b"daily.a.sum,2023-11-14 17:13:20,1.0")
