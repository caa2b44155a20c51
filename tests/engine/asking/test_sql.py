"""The SQL of questions: sources, order, ranges and bindings."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from tally.engine import Archive, Catalog
from tally.engine.asking import digits, matching, sql
from tally.engine.asking.columns import Cell
from tally.engine.asking.matching import GLOBS_MAX
from tally.engine.asking.question import WHOLE_MAX, Question
from tally.engine.asking.shape import make_shape
from tally.engine.asking.sql import FOREVER, Plan, Span, Statement
from tally.engine.files import schema
from tally.engine.storing.watermarks import Watermarks
from tally.errors import InvalidQuestion, QueryTimeout
from tests.engine.recompute import AGGREGATES, matrix

MARKS = Watermarks(10, 1000, 0, 3)
IN_RANGE = "SEARCH data USING PRIMARY KEY (bucket>? AND bucket<?)"
BUCKET = "SEARCH data USING PRIMARY KEY (bucket=?)"
CELL = "SEARCH data USING PRIMARY KEY (bucket=? AND id=?)"
TOTALS = "SEARCH totals USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
BLOCKS = "SEARCH blocks USING PRIMARY KEY (block>? AND block<?)"
BY_NAME = "SEARCH data USING COVERING INDEX data_by_name (id=? AND bucket>? AND bucket<?)"
ALL_NAMES = "SCAN names USING COVERING INDEX sqlite_autoindex_names_1"
EACH_ID = "SCAN names"
ONE = "SEARCH names USING COVERING INDEX sqlite_autoindex_names_1 (name=?)"
PREFIX = "SEARCH names USING COVERING INDEX sqlite_autoindex_names_1 (name>? AND name<?)"
NAME_OF_ID = "SEARCH names USING INTEGER PRIMARY KEY (rowid=?)"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Give an archive with some samples."""
    made = Catalog(tmp_path).create("x", resolution=10, retention=0)
    made.record([(f"name{number}", 1, second) for number in range(20) for second in range(0, 2000, 50)])
    return made


@pytest.fixture
def connection(archive: Archive) -> Iterator[apsw.Connection]:
    """Give a connection to the archive."""
    with schema.OpenArchive(archive.path) as opened:
        digits.register(opened)
        yield opened


def plan(connection: apsw.Connection, statement: Statement) -> list[str]:
    """Return SQLite's query plan of a statement."""
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement.text}", statement.bindings)]


def question(kind: str, by: str = "time", aggregate: str | None = None, **parameters: object) -> Question:
    """Return a question with these parameters."""
    texts = [(name, str(value)) for name, value in parameters.items()]
    return Question.parse(kind, texts, aggregate=aggregate, by=by, now=0)


def select(asked: Question, *, few: bool = False, packed: bool = False) -> Statement:
    """Return the SELECT of a question's text."""
    keys = {"time": ("name", "bucket"), "name": ("name",)}[asked.by] if asked.kind == "values" else ()
    return sql.select(asked, Plan(MARKS, few, packed), cell=Cell("%s", (*keys, asked.aggregate or "sum"), ","))


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_only_needed_rows_are_read(connection: apsw.Connection, few: bool, packed: bool) -> None:
    """Every question reads tables by a range of their keys, and the index covers the columns."""
    asked = matrix(
        kind=("values", "aggregate", "timedata"),
        aggregate=AGGREGATES,
        by=("time", "name"),
        q=((), ("name1*",)),
        step=(None, 20),
        moving=(None, 40),
        limit=(None, 2),
        low=(None, 1),
    )
    for each in asked:
        made = Question.create(each.kind, aggregate=each.aggregate, by=each.by, given=each.parameters)
        is_packed = packed and each.kind == "values" and not each.moving and not each.step
        steps = plan(connection, select(made, few=few, packed=is_packed))
        read = {step for step in steps if re.search(" (data|totals|blocks) ", step)}
        assert read
        assert read <= {IN_RANGE, CELL, BUCKET, BY_NAME, TOTALS, BLOCKS}, each


@pytest.mark.parametrize(
    ("kind", "by", "parameters", "few", "packed", "reads"),
    [
        ("values", "time", {}, False, False, [ALL_NAMES, BY_NAME, ALL_NAMES, TOTALS, CELL]),
        ("values", "time", {}, False, True, [ALL_NAMES, BY_NAME, TOTALS, CELL]),
        ("values", "time", {"q": "name1*"}, False, True, [PREFIX, BY_NAME, TOTALS, CELL]),
        ("values", "name", {}, False, False, [IN_RANGE, NAME_OF_ID]),
        ("values", "name", {}, False, True, [TOTALS, BUCKET, NAME_OF_ID]),
        ("values", "name", {"q": "name1*"}, True, False, [PREFIX, BY_NAME, PREFIX, TOTALS, CELL]),
        ("values", "name", {"q": "name1*"}, True, True, [TOTALS, PREFIX, CELL]),
        ("aggregate", "time", {}, False, False, [TOTALS]),
        ("aggregate", "time", {"q": "name1*"}, False, False, [IN_RANGE, PREFIX]),
        ("aggregate", "time", {"q": "name1*"}, True, False, [BY_NAME, PREFIX, TOTALS, CELL, PREFIX]),
        ("aggregate", "time", {"q": "*"}, False, False, [TOTALS]),
        (
            "aggregate",
            "name",
            {"q": "*"},
            False,
            False,
            [BLOCKS, EACH_ID, BY_NAME, EACH_ID, BY_NAME, IN_RANGE, NAME_OF_ID],
        ),
        ("aggregate", "name", {}, False, False, [BLOCKS, EACH_ID, BY_NAME, EACH_ID, BY_NAME, IN_RANGE, NAME_OF_ID]),
        ("aggregate", "name", {"q": "name1"}, True, False, [ONE, BY_NAME, ONE, TOTALS, CELL]),
        ("timedata", "time", {}, False, False, [TOTALS]),
    ],
)
def test_plans(
    connection: apsw.Connection,
    kind: str,
    by: str,
    parameters: dict[str, Any],
    few: bool,
    packed: bool,
    reads: list[str],
) -> None:
    """The cheapest source is read: totals, blocks with both ends of a range, the index, or the table."""
    asked = question(kind, by, "sum", **parameters)
    steps = plan(connection, select(asked, few=few, packed=packed))
    assert reads == [step for step in steps if step.startswith(("SEARCH", "SCAN names"))]


@pytest.mark.parametrize("by", ["time", "name"])
@pytest.mark.parametrize("packed", [False, True])
def test_percentiles_are_computed_once(tmp_path: Path, by: str, packed: bool) -> None:
    """A percentile is shown, and tells whether a cell has one, but is computed once; so is each of several."""
    archive = Catalog(tmp_path).create("x", resolution=10, retention=0, percentiles=1)
    archive.record([(f"name{number}", 1, second) for number in range(5) for second in range(0, 700, 10)])
    calls: list[object] = []

    def count_call(*arguments: object) -> float:
        calls.append(arguments)
        return 1.0

    with schema.OpenArchive(archive.path) as opened:
        digits.register(opened)
        opened.create_scalar_function("percentile", count_call, 5)
        marks = Watermarks.read(dict(opened.execute("SELECT key, value FROM meta")))
        for asked, each in ((question("values", by, "p95"), 1), (question("values", by, percentiles="50,95"), 2)):
            calls.clear()
            statement = sql.select(
                asked, Plan(marks, few=False, packed=packed), cell=make_shape(asked, sql.span(asked, 10)).cell
            )
            assert opened.execute(statement.text, statement.bindings).fetchall()
            assert 5 * 70 * each == len(calls)


@pytest.mark.parametrize("packed", [False, True])
def test_a_dump_is_not_sorted(connection: apsw.Connection, packed: bool) -> None:
    """All values are read in the order of the index or of time, so the first one is available at once."""
    ordered = ("LAST TERM OF ORDER BY", "string_agg(ORDER BY)", "tally_texts(ORDER BY)")
    small = {f"USE TEMP B-TREE FOR {what}" for what in ordered}
    for by in ("time", "name"):
        steps = plan(connection, select(question("values", by), packed=packed))
        assert {step for step in steps if "TEMP" in step} <= small


def test_names_are_read_from_their_index(connection: apsw.Connection) -> None:
    """Names are read from their own index, starting at a glob's prefix."""
    assert [ALL_NAMES] == plan(connection, sql.names((), ()))
    assert [PREFIX] == plan(connection, sql.names(("name1*",), ()))
    assert PREFIX in plan(connection, sql.planning(question("values", q="name1*"), MARKS))


@pytest.mark.parametrize(
    ("glob", "expected"), [("name[0-3]", True), ("name[0-4]", False), ("none", True), ("*", False)]
)
def test_few_names(connection: apsw.Connection, glob: str, expected: bool) -> None:
    """Few names are less than a quarter."""
    statement = sql.planning(question("values", q=glob), MARKS)
    few, *_ = connection.execute(statement.text, statement.bindings).get
    assert expected == bool(few)


@pytest.mark.parametrize(
    ("kind", "by", "parameters", "most", "expected"),
    [
        ("values", "time", {}, 40, True),
        ("values", "time", {}, 39, False),
        ("values", "time", {"since": 1000, "until": 1450}, 10, True),
        ("values", "time", {"since": 1000, "until": 1500}, 10, False),
        ("values", "name", {}, 20, True),
        ("values", "name", {}, 19, False),
        ("values", "time", {"step": 10}, 40, True),
        ("values", "time", {"step": 20}, 40, False),
        ("values", "time", {"moving": 10}, 40, False),
        ("values", "time", {"percentiles": "50"}, 40, True),
        ("values", "time", {"group": "node:0"}, 40, False),
        ("aggregate", "time", {}, 40, True),
        ("aggregate", "time", {}, 39, False),
        ("aggregate", "name", {}, 20, True),
        ("aggregate", "name", {}, 19, False),
        ("aggregate", "time", {"step": 20}, 40, True),
        ("aggregate", "time", {"since": 1000, "until": 1450, "moving": 60}, 11, True),
        ("aggregate", "time", {"since": 1000, "until": 1450, "moving": 60}, 10, False),
        ("timedata", "time", {}, 40, False),
    ],
)
def test_packed(
    connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch, kind: str, by: str, parameters: dict[str, Any],
    most: int, expected: bool,
) -> None:  # fmt: skip
    """Rows are packed if cells are shown as stored or have one key, and at most KEYS_MAX share it."""
    monkeypatch.setattr(sql, "KEYS_MAX", most)
    statement = sql.planning(question(kind, by, **parameters), MARKS)
    _, packed, *_ = connection.execute(statement.text, statement.bindings).get
    assert expected == bool(packed)


@pytest.mark.parametrize(
    ("kind", "by", "parameters", "most", "expected"),
    [
        ("values", "time", {}, 100, False),
        ("values", "time", {"limit": 2}, 20, True),
        ("values", "time", {"limit": 2}, 19, False),
        ("aggregate", "name", {}, 20, True),
        ("aggregate", "name", {}, 19, False),
        ("aggregate", "time", {}, 40, True),
        ("aggregate", "time", {}, 39, False),
        ("timedata", "time", {"since": 1000, "until": 1450}, 10, True),
        ("timedata", "time", {"since": 1000, "until": 1500}, 10, False),
    ],
)
def test_folded(
    connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch, kind: str, by: str, parameters: dict[str, Any],
    most: int, expected: bool,
) -> None:  # fmt: skip
    """Rows are merged in memory if at most KEYS_MAX names are ranked, or so many buckets read."""
    monkeypatch.setattr(sql, "KEYS_MAX", most)
    statement = sql.planning(question(kind, by, **parameters), MARKS)
    *_, folded = connection.execute(statement.text, statement.bindings).get
    assert expected == bool(folded)


@pytest.mark.parametrize(
    ("parameters", "most", "expected"),
    [
        ({"q": "name1[1-4]"}, 24, '["name11","name12","name13","name14"]'),
        ({"q": "name1[1-4]"}, 23, None),
        ({"q": "name1[0-4]"}, 1000, None),
        ({"q": "none*"}, 0, "[]"),
        ({"q": "name1"}, 1000, None),
        ({"where": "name=name1"}, 0, '["name1"]'),
        ({}, 1000, None),
    ],
)
def test_matching_names_are_listed(
    connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any], most: int,
    expected: str | None,
) -> None:  # fmt: skip
    """A plan has the names that match tag expressions, and few names that match globs, up to NAMES_MAX characters."""
    monkeypatch.setattr(sql, "NAMES_MAX", most)
    asked = question("values", **parameters)
    matching.register(connection, asked.where, check=lambda: None)
    statement = sql.planning(asked, MARKS)
    _, _, names, _ = connection.execute(statement.text, statement.bindings).get
    assert expected == names


@pytest.mark.parametrize(
    ("since", "until", "marks", "expected"),
    [
        (None, None, Watermarks(10, 0, 0, 3), (0, 0)),
        (None, None, Watermarks(10, 29, 0, 3), (0, 30)),
        (None, None, Watermarks(10, 30, 0, 3), (0, 30)),
        (None, None, Watermarks(10, 1000, 0, 3), (0, 1020)),
        (None, None, Watermarks(10, 1000, 60, 3), (60, 1020)),
        (30, None, Watermarks(10, 1000, 0, 3), (30, 1020)),
        (31, None, Watermarks(10, 1000, 0, 3), (60, 1020)),
        (31, 70, Watermarks(10, 1000, 0, 3), (40, 40)),
        (31, 79, Watermarks(10, 1000, 0, 3), (40, 40)),
        (31, 80, Watermarks(10, 1000, 0, 3), (60, 90)),
        (31, 80, Watermarks(10, 89, 0, 3), (60, 90)),
        (31, 70, Watermarks(10, 81, 0, 3), (40, 40)),
        (None, None, Watermarks(10, 1000, 1020, 3), (0, 0)),
        (1000, None, Watermarks(10, 1000, 0, 3), (1000, 1000)),
        (31, 80, Watermarks(10, 90, 0, 3), (60, 90)),
        (31, 80, Watermarks(10, 90, 90, 3), (40, 40)),
    ],
)
def test_blocks(since: int | None, until: int | None, marks: Watermarks, expected: tuple[int, int]) -> None:
    """Blocks are read whose sealed rows are all within the range, and which are not partly expired."""
    given: dict[str, Any] = {name: value for name, value in (("since", since), ("until", until)) if value is not None}
    bindings = sql.select(question("aggregate", "name", **given), Plan(marks, few=False, packed=False)).bindings
    assert expected == (bindings["blocks_first"], bindings["blocks_end"])


@pytest.mark.parametrize(("parameters", "expected"), [
    ({}, Span(10, 0, FOREVER, 0)),
    ({"since": 100}, Span(10, 100, FOREVER, 100)),
    ({"since": 100.1}, Span(10, 110, FOREVER, 110)),
    ({"since": 109.9}, Span(10, 110, FOREVER, 110)),
    ({"since": 101, "step": 60}, Span(60, 120, FOREVER, 120)),
    ({"until": 100}, Span(10, 0, 110, 0)),
    ({"until": 99.9}, Span(10, 0, 100, 0)),
    ({"until": 109.9}, Span(10, 0, 110, 0)),
    ({"until": 119, "step": 60}, Span(60, 0, 120, 0)),
    ({"until": 0}, Span(10, 0, 10, 0)),
    ({"since": 100, "until": 100}, Span(10, 100, 110, 100)),
    ({"since": 101, "until": 109}, Span(10, 110, 110, 110)),
    ({"since": 100, "moving": 10}, Span(10, 100, FOREVER, 100)),
    ({"since": 100, "moving": 30}, Span(10, 100, FOREVER, 80)),
    ({"since": 10, "moving": 30}, Span(10, 10, FOREVER, 0)),
    ({"since": 120, "moving": 120, "step": 60}, Span(60, 120, FOREVER, 60)),
    ({"moving": 30}, Span(10, 0, FOREVER, 0)),
    ({"since": "1969-12-31"}, Span(10, 0, FOREVER, 0)),
    ({"until": "9999-12-31T23:59:59Z"}, Span(10, 0, 253402300800, 0)),
    ({"until": WHOLE_MAX}, Span(10, 0, WHOLE_MAX // 10 * 10 + 10, 0)),
])  # fmt: skip
def test_span(parameters: dict[str, Any], expected: Span) -> None:
    """The range has the buckets that begin from `since` to `until`, both included; windows start earlier."""
    assert expected == sql.span(question("values", **parameters), 10)


EXTREMES = {
    "since": ["0", str(WHOLE_MAX), "-999999999999w", "0001-01-02", "9999-12-30"],
    "until": ["0", "-999999999999w", "0001-01-02"],
    "step": ["10", str(WHOLE_MAX // 10 * 10)],
    "moving": ["10", str(WHOLE_MAX // 10 * 10)],
    "limit": ["1", str(WHOLE_MAX)],
}


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations_with_replacement(EXTREMES, 2)))
def test_extremes(archive: Archive, one: str, other: str) -> None:
    """The largest and smallest valid values give an answer, or an error that they do not fit together."""
    for first, second in itertools.product(EXTREMES[one], EXTREMES[other]):
        for kind, by in (("values", "time"), ("values", "name"), ("aggregate", "time"), ("aggregate", "name")):
            given = {one: first, other: second}
            if "moving" in given and (kind, by) == ("aggregate", "name"):
                continue
            if "limit" in given and (kind, by) == ("aggregate", "time"):
                continue
            asked = question(kind, by, **given)
            if (asked.moving or 0) % (asked.step or 1):
                with pytest.raises(InvalidQuestion, match="is not a multiple"):
                    archive.ask(asked)
            else:
                assert b"".join(archive.ask(asked)).startswith(b"{")


@pytest.mark.parametrize(
    "parameters",
    [{"since": "0", "until": "50"}, {"until": "0"}, {"since": str(WHOLE_MAX)}, {"step": WHOLE_MAX // 10 * 10}],
)
def test_extremes_of_a_series(archive: Archive, parameters: dict[str, Any]) -> None:
    """The largest and smallest values also give a series, and a very long one is stopped in time."""
    moving = {"moving": WHOLE_MAX // 10 * 10}
    for given in (parameters, {**parameters, **moving}):
        assert b"".join(archive.ask(question("timedata", **given))).startswith(b"[")
    with pytest.raises(QueryTimeout):
        list(archive.ask(question("timedata", until=90_000_000, moving=10), timeout_s=0.02))


def test_number_of_globs(archive: Archive) -> None:
    """More than GLOBS_MAX globs are an error, and nothing stays open."""
    globs = [("q", "none")] * (GLOBS_MAX - 1) + [("q", "name0")]
    answer = archive.ask(Question.parse("aggregate", globs, aggregate="count", by="name", now=0))
    assert b'{"name0":40}' == b"".join(answer)
    with pytest.raises(InvalidQuestion, match=f"^q is given {GLOBS_MAX + 1} times: give it up to {GLOBS_MAX} times$"):
        archive.ask(Question.parse("values", [*globs, ("q", "a")], now=0))
    with pytest.raises(InvalidQuestion, match="101 times"):
        archive.names(["a"] * 101)
    assert [archive.path] == list(archive.path.parent.iterdir())


def test_values_are_bound(archive: Archive) -> None:
    """User input is never part of the SQL text."""
    for glob in ("'", "name0' OR 1 --", ":q0", "?", '"', "%s"):
        asked = question("values", q=glob)
        statement = select(asked)
        assert select(question("values", q="a?" if "?" in glob else "a")).text == statement.text
        assert {"q0": glob}.items() <= statement.bindings.items()
        assert b"{}" == b"".join(archive.ask(asked))
